/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_LCORES_H
#define CYGNET_LCORES_H

#include "crypto.h"
#include "router.h"

/*
 * The data-plane lcores: their contexts, rings, frames and graphs (named "worker-LCORE", "crypto-LCORE").
 * Control thread. All return 0, or a negative errno after one log line.
 */

/* Contexts, rings and frames, placed on the lcore's NUMA node. The tables exist, the host does not yet. */
int lcores_create(struct router *r, const struct crypto *crypto);

/* Ways to the host thread and the tables; loads the node plugins; creates the graphs. */
int lcores_connect(struct router *r);

int lcores_launch(struct router *r);
/* Waits until every lcore has left its loop. */
void lcores_stop(struct router *r);
void lcores_destroy(struct router *r);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_LCORE_PORTS_H
#define CYGNET_LCORE_PORTS_H

#include "router.h"

/* What the workers know of the ports: at the start, and after each reload. Control thread. */

/* Fills what the worker knows of config->ports[i], whose id is ids[i] and no packet's yet. */
void lcore_port_fill(struct router *r, struct worker *w, const struct config *config,
	const uint16_t *ids, unsigned int i);

/* What may change while packets come and go: addresses and mark. */
void lcore_port_update(struct worker *w, const struct config_port *port, uint16_t id);
/* Of a port that goes: its addresses are not ours any more. */
void lcore_port_mute(struct worker *w, uint16_t id);

/* What the worker with that lcore id polls of these ports; NULL without memory. Free with rte_free(). */
struct worker_sources *lcore_sources_make(const struct router *r, const struct worker *w,
	const struct config *config, const uint16_t *ids);

/* The worker polls these from its next walk on; what it polled before goes by RCU. */
void lcore_sources_set(struct router *r, struct worker *w, struct worker_sources *sources);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ROUTER_SAS_H
#define CYGNET_ROUTER_SAS_H

#include "router.h"

/* Static SAs and policies of the configuration go into the tables. Control thread. Returns 0 or a negative errno, logged. */
int router_add_static_sas(struct router *r);
int router_add_static_policies(struct router *r);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_PORTS_H
#define CYGNET_PORTS_H

#include "router.h"

/*
 * Configures and starts the ports of the configuration: rx queues as configured, a tx queue for each worker;
 * fills r->port_ids and the pairs' default actions. Returns 0, or a negative errno after one log line.
 */
int ports_start(struct router *r);
void ports_stop(struct router *r);

/* The DPDK port under config->ports[i]: its own, or the one that it is a VLAN of. */
uint16_t ports_device(const struct router *r, unsigned int i);

#endif

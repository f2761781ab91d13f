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

/*
 * For a reload. Makes and starts the device of a port, on a thread that may wait: the lcores do not know it yet. A PCI
 * device that EAL did not find at its start is not found now. *id is its DPDK port, of nobody after an error, which is
 * logged.
 */
int ports_open(struct router *r, const struct config_port *cp, uint16_t *id);
/* Stops a device that no lcore knows any more, and gives its netdev back; a PCI device stays, for a later ports_open(). */
void ports_close(const struct config_port *cp, uint16_t id);
/* What comes in by the device with that tag is the port's from now on; 0: it is nobody's. Returns 0 or -ENOMEM. */
int ports_set_vlan(struct router *r, uint16_t device, unsigned int vlan, uint16_t id);
/* Fills which pairs of ports let clear packets pass without a policy. */
void ports_pairs(const struct config *config, const uint16_t *ids,
	bool pairs[WORKER_MAX_PORTS][WORKER_MAX_PORTS]);

/* The DPDK port under config->ports[i]: its own, or the one that it is a VLAN of. */
uint16_t ports_device(const struct router *r, unsigned int i);

#endif

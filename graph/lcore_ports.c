/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore_ports.h"

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

/* One ICMP error may bear a mixture of an old and a new IPv6 address. */
void
lcore_port_update(struct worker *w, const struct config_port *port, uint16_t id)
{
	struct worker_port *wp = &w->port[id];
	uint8_t addr6[sizeof(wp->addr6)] = {0};
	uint32_t addr4 = 0;

	for (unsigned int a = port->n_addresses; a-- > 0;) {
		if (port->addrs[a].family == 4)
			addr4 = port->addrs[a].v4;
		else
			memcpy(addr6, port->addrs[a].b, sizeof(addr6));
	}
	wp->addr4 = addr4;
	memcpy(wp->addr6, addr6, sizeof(addr6));
	wp->mark = port->mark;
	wp->flags = port->outside ? PKT_F_OUTSIDE : 0;
}

void
lcore_port_mute(struct worker *w, uint16_t id)
{
	struct worker_port *wp = &w->port[id];

	wp->addr4 = 0;
	memset(wp->addr6, 0, sizeof(wp->addr6));
}

static const struct config_port *
device_of(const struct config *config, unsigned int i, unsigned int *at)
{
	*at = config->ports[i].vlan != 0 ? config->ports[i].parent : i;
	return &config->ports[*at];
}

void
lcore_port_fill(struct router *r, struct worker *w, const struct config *config,
	const uint16_t *ids, unsigned int i)
{
	const struct config_port *cp = &config->ports[i];
	struct worker_port *wp = &w->port[ids[i]];
	struct rte_ether_addr mac;
	unsigned int device;

	device_of(config, i, &device);
	*wp = (struct worker_port){
		.present = true,
		.device = ids[device],
		.vlan = cp->vlan,
		.vlans = cp->vlan == 0 ? r->vlans[ids[i]] : NULL,
		.mtu = cp->mtu,
		.tx_queue = w->index,
	};
	if (rte_eth_macaddr_get(wp->device, &mac) == 0)
		memcpy(wp->mac, &mac, sizeof(wp->mac));
	lcore_port_update(w, cp, ids[i]);
}

struct worker_sources *
lcore_sources_make(const struct router *r, const struct worker *w, const struct config *config,
	const uint16_t *ids)
{
	struct worker_sources *s;
	unsigned int n = 0, at;

	for (unsigned int i = 0; i < config->n_ports; i++)
		n += config->ports[i].rx_queues;
	s = rte_zmalloc_socket("sources", sizeof(*s) + n * sizeof(s->queues[0]),
		RTE_CACHE_LINE_SIZE, (int)rte_lcore_to_socket_id(w->lcore));
	if (s == NULL)
		return NULL;
	for (unsigned int i = 0; i < config->n_ports; i++) {
		const struct config_port *cp = &config->ports[i];
		struct rte_ring *ring = host_rx_ring(r->host, ids[i]);

		for (unsigned int q = 0; q < cp->rx_queues; q++)
			if (cp->workers[q] == w->lcore)
				s->queues[s->n_queues++] = (struct worker_queue){ids[i], q};
		/* The worker that polls the port's first queue also serves its tap. */
		if (device_of(config, i, &at)->workers[0] == w->lcore && ring != NULL)
			s->host[s->n_host++] = (struct worker_host_rx){ids[i], ring};
	}
	return s;
}

static void
free_sources(void *ctx, void *obj)
{
	(void)ctx;
	rte_free(obj);
}

void
lcore_sources_set(struct router *r, struct worker *w, struct worker_sources *sources)
{
	struct worker_sources *old = atomic_exchange(&w->sources, sources);

	if (old != NULL)
		rcu_defer(r->rcu, free_sources, NULL, old);
}

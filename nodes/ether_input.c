/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip6_link.h"
#include "stream.h"
#include "worker.h"

#include <rte_ether.h>

enum { EDGE_IP4, EDGE_IP6, EDGE_HOST, EDGE_DROP, EDGE_VLAN };

static inline rte_edge_t
classify(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct worker_port *port = &w->port[p->in_port];

	if (unlikely(rte_pktmbuf_data_len(m) < sizeof(*eth))) {
		p->drop = DROP_ETHER_SHORT;
		return EDGE_DROP;
	}
	if (unlikely(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
		return EDGE_VLAN;
	if (unlikely(memcmp(&eth->dst_addr, port->mac, sizeof(port->mac)) != 0)) {
		if (!rte_is_multicast_ether_addr(&eth->dst_addr)) {
			p->drop = DROP_ETHER_NOT_US;
			return EDGE_DROP;
		}
		p->flags |= PKT_F_L2_GROUP;
	}
	if (likely(eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))) {
		rte_pktmbuf_adj(m, sizeof(*eth));
		return EDGE_IP4;
	}
	if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) &&
		likely(!ip6_is_link_talk(w->fib, m, false))) {
		rte_pktmbuf_adj(m, sizeof(*eth));
		return EDGE_IP6;
	}
	if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP) ||
		eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6)) {
		p->punt = PUNT_ARP;
		return EDGE_HOST;
	}
	if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN))
		return EDGE_VLAN;
	p->drop = DROP_ETHER_TYPE;
	return EDGE_DROP;
}

static uint16_t
ether_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++) {
		if (i + 4 < n)
			rte_prefetch0(rte_pktmbuf_mtod((struct rte_mbuf *)objs[i + 4], void *));
		stream_put(&s, i, classify(w, objs[i], pkt(objs[i])));
	}
	return stream_end(&s, n);
}

static struct rte_node_register ether_input_node = {
	.name = "ether-input",
	.init = worker_node_init,
	.process = ether_input_process,
	.nb_edges = 5,
	.next_nodes = {[EDGE_IP4] = "ip4-input",
		[EDGE_IP6] = "ip6-input",
		[EDGE_HOST] = "host-tx",
		[EDGE_DROP] = "drop",
		[EDGE_VLAN] = "vlan-input"},
};
RTE_NODE_REGISTER(ether_input_node);

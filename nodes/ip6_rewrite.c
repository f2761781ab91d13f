/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip6.h"
#include "rewrite.h"

#include <netinet/icmp6.h>

static inline rte_edge_t
too_big(struct rte_mbuf *m, struct pkt *p)
{
	(void)m;
	/* What is sealed is ours, and so may be fragmented; whether, is the SA's to say. */
	if (p->flags & PKT_F_FRAGMENT)
		return REWRITE_FRAGMENT;
	p->drop = DROP_IP6_MTU;
	p->icmp_type = ICMP6_PACKET_TOO_BIG;
	p->icmp_code = 0;
	p->icmp_mtu = p->mtu;
	return p->flags & PKT_F_SEALED ? REWRITE_DROP : REWRITE_ICMP;
}

static uint16_t
ip6_rewrite_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return rewrite_burst(graph, node, objs, n, too_big);
}

static struct rte_node_register ip6_rewrite_node = {
	.name = "ip6-rewrite",
	.init = worker_node_init,
	.process = ip6_rewrite_process,
	.nb_edges = REWRITE_EDGES,
	.next_nodes = {[REWRITE_TX] = "port-tx",
		[REWRITE_HOLD] = "neigh-hold",
		[REWRITE_ICMP] = "icmp6-error",
		[REWRITE_DROP] = "drop",
		[REWRITE_FRAGMENT] = "ip6-fragment"},
};
RTE_NODE_REGISTER(ip6_rewrite_node);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4.h"
#include "rewrite.h"

#include <netinet/ip_icmp.h>

static inline rte_edge_t
too_big(struct rte_mbuf *m, struct pkt *p)
{
	p->drop = DROP_IP4_MTU;
	p->icmp_type = ICMP_DEST_UNREACH;
	p->icmp_code = ICMP_FRAG_NEEDED;
	p->icmp_mtu = p->mtu;
	if (ip4_hdr(m)->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG))
		return REWRITE_ICMP;
	/* Of a sealed packet it is the SA's to say. */
	return (p->flags & (PKT_F_SEALED | PKT_F_FRAGMENT)) == PKT_F_SEALED ? REWRITE_DROP
									    : REWRITE_FRAGMENT;
}

static uint16_t
ip4_rewrite_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return rewrite_burst(graph, node, objs, n, too_big);
}

static struct rte_node_register ip4_rewrite_node = {
	.name = "ip4-rewrite",
	.init = worker_node_init,
	.process = ip4_rewrite_process,
	.nb_edges = REWRITE_EDGES,
	.next_nodes = {[REWRITE_TX] = "port-tx",
		[REWRITE_HOLD] = "neigh-hold",
		[REWRITE_ICMP] = "icmp4-error",
		[REWRITE_DROP] = "drop",
		[REWRITE_FRAGMENT] = "ip4-fragment"},
};
RTE_NODE_REGISTER(ip4_rewrite_node);

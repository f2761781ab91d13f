/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib.h"
#include "ip4.h"
#include "stream.h"
#include "worker.h"

#include <netinet/ip_icmp.h>
#include <rte_ether.h>

enum { EDGE_TX, EDGE_HOLD, EDGE_ICMP, EDGE_DROP, EDGE_FRAGMENT };

static inline rte_edge_t
too_big(struct rte_mbuf *m, struct pkt *p, uint16_t mtu)
{
	p->drop = DROP_IP4_MTU;
	p->icmp_type = ICMP_DEST_UNREACH;
	p->icmp_code = ICMP_FRAG_NEEDED;
	p->icmp_mtu = mtu;
	if (ip4_hdr(m)->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG))
		return EDGE_ICMP;
	/* Of a sealed packet it is the SA's to say. */
	return (p->flags & (PKT_F_SEALED | PKT_F_FRAGMENT)) == PKT_F_SEALED ? EDGE_DROP
									    : EDGE_FRAGMENT;
}

static inline rte_edge_t
rewrite(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct nexthop *nh;
	void *eth;

	if (p->flags & PKT_F_OWN_L2) {
		rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN); /* it is still there */
		return EDGE_TX;
	}
	nh = fib_nh(w->fib, p->nexthop);
	/* Held in one piece, for it passes the policies again. */
	if (unlikely(nh->type != NH_ADJ ||
		     !atomic_load_explicit(&nh->resolved, memory_order_acquire)))
		return EDGE_HOLD;
	if (unlikely(rte_pktmbuf_pkt_len(m) > p->mtu))
		return too_big(m, p, p->mtu);
	if (unlikely(!atomic_load_explicit(&nh->used, memory_order_relaxed)))
		atomic_store_explicit(&nh->used, 1, memory_order_relaxed);
	eth = rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);
	if (unlikely(eth == NULL)) {
		p->drop = DROP_ESP_NO_HEADROOM;
		return EDGE_DROP;
	}
	memcpy(eth, nh->eth, RTE_ETHER_HDR_LEN);
	return EDGE_TX;
}

static uint16_t
ip4_rewrite_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, rewrite(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register ip4_rewrite_node = {
	.name = "ip4-rewrite",
	.init = worker_node_init,
	.process = ip4_rewrite_process,
	.nb_edges = 5,
	.next_nodes = {[EDGE_TX] = "port-tx",
		[EDGE_HOLD] = "neigh-hold",
		[EDGE_ICMP] = "icmp4-error",
		[EDGE_DROP] = "drop",
		[EDGE_FRAGMENT] = "ip4-fragment"},
};
RTE_NODE_REGISTER(ip4_rewrite_node);

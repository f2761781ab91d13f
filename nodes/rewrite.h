/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_REWRITE_H
#define CYGNET_REWRITE_H

#include "fib.h"
#include "stream.h"
#include "worker.h"

#include <rte_ether.h>

/* The last step before the port, of both families: its node says what becomes of a packet that is too big. */

enum { REWRITE_TX, REWRITE_HOLD, REWRITE_ICMP, REWRITE_DROP, REWRITE_FRAGMENT, REWRITE_EDGES };

typedef rte_edge_t (*rewrite_too_big_t)(struct rte_mbuf *m, struct pkt *p);

static __rte_always_inline rte_edge_t
rewrite(struct worker *w, struct rte_mbuf *m, struct pkt *p, rewrite_too_big_t too_big)
{
	struct nexthop *nh;
	void *eth;

	if (unlikely(p->flags & (PKT_F_OWN_L2 | PKT_F_FRAGMENT))) {
		if (p->flags & PKT_F_OWN_L2) {
			rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN); /* it is still there */
			return REWRITE_TX;
		}
		/* The way may be narrower further on, and of IPv6 nobody there would fragment it. */
		if (p->path_mtu != 0)
			p->mtu = RTE_MIN(p->mtu, p->path_mtu);
	}
	nh = fib_nh(w->fib, p->nexthop);
	/* Held in one piece, for it passes the policies again. */
	if (unlikely(nh->type != NH_ADJ ||
		     !atomic_load_explicit(&nh->resolved, memory_order_acquire)))
		return REWRITE_HOLD;
	if (unlikely(rte_pktmbuf_pkt_len(m) > p->mtu))
		return too_big(m, p);
	if (unlikely(!atomic_load_explicit(&nh->used, memory_order_relaxed)))
		atomic_store_explicit(&nh->used, 1, memory_order_relaxed);
	eth = rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);
	if (unlikely(eth == NULL)) {
		p->drop = DROP_ESP_NO_HEADROOM;
		return REWRITE_DROP;
	}
	memcpy(eth, nh->eth, RTE_ETHER_HDR_LEN);
	return REWRITE_TX;
}

static __rte_always_inline uint16_t
rewrite_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n,
	rewrite_too_big_t too_big)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, rewrite(w, objs[i], pkt(objs[i]), too_big));
	return stream_end(&s, n);
}

#endif

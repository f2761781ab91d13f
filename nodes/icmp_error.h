/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ICMP_ERROR_H
#define CYGNET_ICMP_ERROR_H

#include "stream.h"
#include "worker.h"

#include <rte_ether.h>

/*
 * Answers to packets, made in place: the new headers before what is quoted of it. What icmp4-error and icmp6-error
 * share. The packet itself counts as dropped for its reason.
 */

enum { ICMP_LOOKUP, ICMP_HOST, ICMP_DROP, ICMP_EDGES };

#define ICMP_ERRORS_PER_SECOND 100
#define ICMP_ERRORS_BURST 20

/*
 * Whether one more may be sent, of either family: a bucket, kept as the time up to which it is used. Those that tell an MTU have one
 * of their own: what needs them stands still without, and the others come of whatever anybody sends.
 */
static inline bool
icmp_rate_allows(struct worker *w, const struct pkt *p)
{
	uint64_t *at = &w->icmp_tokens_at[p->icmp_mtu != 0];
	uint64_t cost = w->tsc_hz / ICMP_ERRORS_PER_SECOND;

	if (*at + ICMP_ERRORS_BURST * cost < w->now)
		*at = w->now - ICMP_ERRORS_BURST * cost;
	if (*at + cost > w->now)
		return false;
	*at += cost;
	return true;
}

/* Leaves at most max bytes of the packet, in its first segment, and makes room for n before them: NULL, there is none. */
static inline void *
icmp_quote(struct rte_mbuf *m, uint32_t max, uint16_t n, uint32_t *quoted)
{
	*quoted = RTE_MIN((uint32_t)rte_pktmbuf_data_len(m), max);
	if (m->nb_segs > 1) {
		rte_pktmbuf_free(m->next);
		m->next = NULL;
		m->nb_segs = 1;
	}
	m->data_len = m->pkt_len = *quoted;
	return rte_pktmbuf_prepend(m, n);
}

/* About what Linux sent: to Linux, by the tap that it came from. */
static inline rte_edge_t
icmp_to_host(const struct worker *w, struct rte_mbuf *m, struct pkt *p, uint16_t ether_type)
{
	struct rte_ether_hdr *eth = (void *)rte_pktmbuf_prepend(m, sizeof(*eth));

	if (eth == NULL)
		return ICMP_DROP;
	p->in_port = p->out_port;
	p->punt = PUNT_OTHER;
	memcpy(&eth->dst_addr, w->port[p->in_port].mac, RTE_ETHER_ADDR_LEN);
	memset(&eth->src_addr, 0, RTE_ETHER_ADDR_LEN);
	eth->ether_type = rte_cpu_to_be_16(ether_type);
	rte_pktmbuf_adj(m, sizeof(*eth)); /* where host-tx finds it */
	return ICMP_HOST;
}

typedef bool (*icmp_silent_t)(const struct rte_mbuf *m, const struct pkt *p);
typedef bool (*icmp_answer_t)(struct worker *w, struct rte_mbuf *m, struct pkt *p);

/* The process function of an error node. */
static __rte_always_inline uint16_t
icmp_error_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n,
	icmp_silent_t must_be_silent, icmp_answer_t answer, uint16_t ether_type)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++) {
		struct pkt *p = pkt(objs[i]);
		bool own = p->flags & PKT_F_OWN_L2;
		uint8_t reason = p->drop;
		rte_edge_t edge;

		if (must_be_silent(objs[i], p) || !icmp_rate_allows(w, p) ||
			!answer(w, objs[i], p)) {
			stream_put(&s, i, ICMP_DROP);
			continue;
		}
		p->in_port = PKT_PORT_HOST; /* our own now: local policies */
		p->flags = p->flags & PKT_F_PROTECTED ? PKT_F_QUOTES : 0;
		p->sa = NULL;
		edge = own ? icmp_to_host(w, objs[i], p, ether_type) : ICMP_LOOKUP;
		if (edge != ICMP_DROP)
			w->drops[reason]++;
		stream_put(&s, i, edge);
	}
	return stream_end(&s, n);
}

#endif

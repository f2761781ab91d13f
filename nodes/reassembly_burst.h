/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_REASSEMBLY_BURST_H
#define CYGNET_REASSEMBLY_BURST_H

#include "esp.h"
#include "reassembly.h"
#include "worker.h"

/* Fragments to us of ESP, AH, or UDP that may hold ESP: whole datagrams go back to the input node. */

enum { REASSEMBLY_INPUT, REASSEMBLY_DROP, REASSEMBLY_EDGES };

enum { ECN_HAD_NOT = 1 << 0, ECN_HAD_CE = 1 << 3 }; /* bits: which marks the fragments had */

/* What a linear packet is as a fragment; false: it is whole, and that has been mended. */
typedef bool (*reassembly_read_t)(
	struct rte_mbuf *m, struct reassembly_key *key, struct reassembly_fragment *f);
/* The header of the first fragment becomes the datagram's. */
typedef enum drop_reason (*reassembly_mend_t)(struct rte_mbuf *m, uint8_t ecn);

static inline void
reassembly_drop(
	struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m, enum drop_reason reason)
{
	pkt(m)->drop = reason;
	rte_node_enqueue_x1(graph, node, REASSEMBLY_DROP, m);
}

static __rte_always_inline void
reassembly_take(struct rte_graph *graph, struct rte_node *node, struct worker *w,
	struct rte_mbuf *m, reassembly_read_t read, reassembly_mend_t mend)
{
	struct reassembly_fragment f;
	struct reassembly_key key;
	enum drop_reason reason;
	struct rte_mbuf *whole;
	uint16_t to;
	uint8_t ecn;

	if (!esp_linear(m)) {
		reassembly_drop(graph, node, m, DROP_ESP_NO_HEADROOM);
		return;
	}
	pkt(m)->flags &= ~PKT_F_PIECE;
	if (!read(m, &key, &f)) {
		rte_node_enqueue_x1(graph, node, REASSEMBLY_INPUT, m);
		return;
	}
	to = reassembly_worker(w->reassembly, &key, w->n_workers);
	if (to != w->index) {
		pkt(m)->flags |= PKT_F_PIECE;
		if (rte_ring_mp_enqueue(w->workers[to]->handover, m) != 0)
			reassembly_drop(graph, node, m, DROP_HANDOVER_FULL);
		return;
	}
	reason = reassembly_add(w->reassembly, &key, &f, w->now, &whole, &ecn);
	if (reason != DROP_NONE) {
		reassembly_drop(graph, node, m, reason);
		return;
	}
	if (whole == NULL)
		return;
	reason = mend(whole, ecn);
	if (reason != DROP_NONE)
		reassembly_drop(graph, node, whole, reason);
	else
		rte_node_enqueue_x1(graph, node, REASSEMBLY_INPUT, whole);
}

static __rte_always_inline uint16_t
reassembly_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n,
	reassembly_read_t read, reassembly_mend_t mend)
{
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		reassembly_take(graph, node, w, objs[i], read, mend);
	return n;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SEAL_BURST_H
#define CYGNET_SEAL_BURST_H

#include "crypto_frame.h"
#include "sad.h"
#include "worker.h"

/*
 * How a burst of packets is sealed, for ESP and AH alike: room is admitted before a sequence number is taken,
 * everything that can go wrong is found before, too, and a run of packets of one SA takes its numbers at once.
 */

/*
 * What the packet gets in front. It is chosen once: what was found to fit must be what is sealed, whatever sad_update()
 * does meanwhile.
 */
static inline const struct sa_template *
seal_choose_template(const struct sa *sa, struct pkt *p)
{
	p->template = atomic_load_explicit(&sa->active, memory_order_acquire);
	return &sa->template[p->template];
}

static inline const struct sa_template *
seal_template(const struct sa *sa, const struct pkt *p)
{
	return &sa->template[p->template];
}

static inline bool
seal_alike(const struct pkt *p, const struct pkt *q)
{
	return p->sa == q->sa && p->template == q->template;
}

/* Makes a packet ready, or says where it goes instead of submit. admitted: there is room for it. */
typedef rte_edge_t (*seal_prepare_t)(
	struct worker *w, struct rte_mbuf *m, struct pkt *p, bool admitted);
/* Seals packets that were made ready, all of one SA and template, with the numbers from sqn on. */
typedef void (*seal_packets_t)(void **objs, uint16_t n, const struct sa *sa, uint64_t sqn);
/* The SA has no number left for it: where it goes. */
typedef rte_edge_t (*seal_overflow_t)(struct worker *w, struct pkt *p);

/*
 * The next number of an SA that one worker alone seals with, and in *n how many of n there still are; which of them it has used says
 * sa_took_numbers().
 */
static inline uint64_t
sa_next_numbers(const struct sa *sa, uint16_t *n)
{
	uint64_t last = atomic_load_explicit(&sa->sqn, memory_order_relaxed);
	uint64_t limit = atomic_load_explicit(&sa->sqn_limit, memory_order_relaxed);

	if (unlikely(last + *n > limit))
		*n = last < limit ? limit - last : 0;
	return last + 1;
}

static inline void
sa_took_numbers(struct sa *sa, uint64_t first, uint16_t n)
{
	atomic_store_explicit(&sa->sqn, first + n - 1, memory_order_relaxed);
}

/*
 * Numbers for n packets of one SA: returns the first, and in *n how many there still are. Any worker; no number
 * is ever given twice.
 */
static inline uint64_t
sa_take_numbers(struct sa *sa, uint16_t *n)
{
	uint64_t last = atomic_load_explicit(&sa->sqn, memory_order_relaxed);
	uint64_t limit = atomic_load_explicit(&sa->sqn_limit, memory_order_relaxed);

	if (!(sa->flags & SA_F_SHARED)) {
		last = sa_next_numbers(sa, n) - 1;
		sa_took_numbers(sa, last + 1, *n);
	} else if (unlikely(last >= limit)) {
		*n = 0;
	} else {
		last = atomic_fetch_add_explicit(&sa->sqn, *n, memory_order_relaxed);
		if (unlikely(last + *n > limit))
			*n = last < limit ? limit - last : 0;
	}
	return last + 1;
}

/* An SA gave no number: they ran out, or the state file that reserves them is behind. Counts, and sets the reason. */
static inline void
sa_no_number(struct worker *w, struct pkt *p)
{
	const struct sa *sa = p->sa;
	bool over = atomic_load_explicit(&sa->sqn, memory_order_relaxed) >= sa_last_number(sa);

	w->sa_counters[sa->slot].errors[over ? SA_ERR_OVERFLOW : SA_ERR_OVERLOAD]++;
	p->drop = over ? DROP_ESP_OVERFLOW : DROP_ESP_UNRESERVED;
}

/* One run: packets in a row, all ready, all of one SA and template. Returns how many were sealed. */
static __rte_always_inline uint16_t
seal_run(struct rte_graph *graph, struct rte_node *node, struct sa *sa, void **objs, uint16_t n,
	rte_edge_t submit, seal_packets_t seal, seal_overflow_t overflow)
{
	uint16_t numbers = n;
	uint64_t sqn = sa_take_numbers(sa, &numbers);

	seal(objs, numbers, sa, sqn);
	if (likely(numbers > 0))
		rte_node_enqueue(graph, node, submit, objs, numbers);
	for (uint16_t i = numbers; i < n; i++)
		rte_node_enqueue_x1(graph, node, overflow(worker_of(node), pkt(objs[i])), objs[i]);
	return numbers;
}

/* The process function of a sealing node. */
static __rte_always_inline uint16_t
seal_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n,
	rte_edge_t submit, seal_prepare_t prepare, seal_packets_t seal, seal_overflow_t overflow)
{
	struct worker *w = worker_of(node);
	uint16_t admitted = crypto_admit(&w->crypto_queue, n), good = 0;
	void *ready[RTE_GRAPH_BURST_SIZE];

	/* Bursts of the graph can be longer than RTE_GRAPH_BURST_SIZE. */
	for (uint16_t at = 0; at < n;) {
		uint16_t end = RTE_MIN(n, at + RTE_GRAPH_BURST_SIZE), n_ready = 0;
		uint16_t before = good;

		for (; at < end; at++) {
			rte_edge_t edge =
				prepare(w, objs[at], pkt(objs[at]), before + n_ready < admitted);

			if (likely(edge == submit))
				ready[n_ready++] = objs[at];
			else
				rte_node_enqueue_x1(graph, node, edge, objs[at]);
		}
		for (uint16_t i = 0, run; i < n_ready; i += run) {
			struct pkt *p = pkt(ready[i]);

			for (run = 1; i + run < n_ready && seal_alike(pkt(ready[i + run]), p);)
				run++;
			good += seal_run(
				graph, node, p->sa, &ready[i], run, submit, seal, overflow);
		}
	}
	crypto_unadmit(&w->crypto_queue, admitted - good);
	return n;
}

#endif

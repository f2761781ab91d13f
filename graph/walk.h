/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_WALK_H
#define CYGNET_WALK_H

#include "rcu.h"
#include "worker.h"

#include <rte_cycles.h>

/*
 * A walk through the graph of a lcore: what rte_graph_walk() does, but with one reading of the clock for each node, and
 * not from the first source each time. Sources stand in this order:
 *
 *	those that seldom have something, timers and Linux: a busy lcore asks them each WALK_SELDOM walks
 *	those of a worker's frames: asked while a frame is on its way
 *	all others
 */

#define WALK_SELDOM 8

/* Puts the sources of a new graph in order. Control thread, before the lcore walks. */
void walk_prepare(struct worker *w);

/* idle: the walk before found nothing. That lcore alone. */
static inline void
walk(struct worker *w, bool idle)
{
	struct rte_graph *graph = w->graph;
	uint64_t before = rte_rdtsc(), now;
	uint32_t head = graph->head;

	if (likely(!idle && w->walks % WALK_SELDOM != 0)) {
		head += w->seldom;
		if (crypto_in_flight(&w->crypto_queue) == 0)
			head += w->framed;
	}
	while (likely(head != graph->tail)) {
		struct rte_node *node = RTE_PTR_ADD(graph, graph->cir_start[(int32_t)head++]);

		rte_prefetch0(node->objs);
		node->total_objs += node->process(graph, node, node->objs, node->idx);
		node->total_calls++;
		now = rte_rdtsc();
		node->total_cycles += now - before;
		before = now;
		node->idx = 0;
		if ((int32_t)head > 0)
			head &= graph->cir_mask;
	}
	graph->tail = 0;
}

/* After each walk: the open frame goes, or may fill (crypto_walk_end()); the control thread is told how far the frames are, then that no pointer is held. */
static inline void
walk_end(struct worker *w)
{
	struct crypto_queue *q = &w->crypto_queue;

	if (w->worker) {
		crypto_walk_end(q);
		atomic_store_explicit(&w->rcu->collected, q->tail, memory_order_release);
		atomic_store_explicit(&w->rcu->begun, crypto_begun(q), memory_order_release);
	}
	rte_rcu_qsbr_quiescent(w->qsbr, w->index);
}

#endif

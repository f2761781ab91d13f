/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_STREAM_H
#define CYGNET_STREAM_H

#include <rte_graph_worker.h>

/*
 * Sends a node's packets on, run by run: packets in a row that take the same edge go together, and when all
 * take the same edge the whole stream moves without a copy.
 *
 *	struct stream s = stream_begin(graph, node, objs);
 *	for (i = 0; i < n; i++)
 *		stream_put(&s, i, edge);
 *	return stream_end(&s, n);
 */

#define EDGE_KEPT UINT16_MAX /* the node keeps the packet, or gave it elsewhere */

struct stream {
	struct rte_graph *graph;
	struct rte_node *node;
	void **objs;
	uint16_t start;
	rte_edge_t edge;
};

static __rte_always_inline struct stream
stream_begin(struct rte_graph *graph, struct rte_node *node, void **objs)
{
	return (struct stream){graph, node, objs, 0, EDGE_KEPT};
}

/* Packet i takes this edge, and so do those after it up to the next call's; called for i = 0 and rising ones. */
static __rte_always_inline void
stream_put(struct stream *s, uint16_t i, rte_edge_t edge)
{
	if (likely(edge == s->edge))
		return;
	if (s->edge != EDGE_KEPT && i > s->start)
		rte_node_enqueue(s->graph, s->node, s->edge, &s->objs[s->start], i - s->start);
	s->edge = edge;
	s->start = i;
}

/* The stream of the node's own objs ends after n packets. Returns n, for the node to return. */
static __rte_always_inline uint16_t
stream_end(struct stream *s, uint16_t n)
{
	if (s->edge == EDGE_KEPT || n == s->start)
		return n;
	if (likely(s->start == 0 && s->objs == s->node->objs && s->node->idx == n))
		rte_node_next_stream_move(s->graph, s->node, s->edge);
	else
		rte_node_enqueue(s->graph, s->node, s->edge, &s->objs[s->start], n - s->start);
	return n;
}

#endif

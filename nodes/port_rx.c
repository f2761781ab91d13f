/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

#include <rte_ethdev.h>

/* More per call costs cache misses, fewer cost node calls. */
#define RX_BURST 128

/* A burst of one queue; objs is the node's, with room for it. */
static inline uint16_t
poll_queue(const struct worker *w, const struct worker_queue *q, void **objs)
{
	uint16_t n = rte_eth_rx_burst(q->port, q->queue, (struct rte_mbuf **)objs, RX_BURST);
	uint16_t flags = n > 0 ? w->port[q->port].flags : 0;

	for (uint16_t i = 0; i < n; i++) {
		struct pkt *p = pkt(objs[i]);

		p->in_port = q->port;
		p->flags = flags;
		p->sa = NULL;
	}
	return n;
}

static uint16_t
port_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	const struct worker_sources *s = atomic_load_explicit(&w->sources, memory_order_acquire);
	uint16_t total = 0;

	for (unsigned int i = 0; i < s->n_queues; i++) {
		n = poll_queue(w, &s->queues[i], objs);
		if (n == 0)
			continue;
		total += n;
		node->idx = n;
		rte_node_next_stream_move(graph, node, 0);
		objs = node->objs; /* the stream may have moved away with its array */
	}
	w->work += total;
	return total;
}

static struct rte_node_register port_rx_node = {
	.name = "port-rx",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = port_rx_process,
	.nb_edges = 1,
	.next_nodes = {"ether-input"},
};
RTE_NODE_REGISTER(port_rx_node);

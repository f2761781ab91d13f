/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

#define HANDOVER_BURST 64

/* ESP that other workers received and whose SA's window is this worker's. */
static uint16_t
handover_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);

	n = rte_ring_sc_dequeue_burst(w->handover, objs, HANDOVER_BURST, NULL);
	if (n == 0)
		return 0;
	w->work += n;
	node->idx = n;
	rte_node_next_stream_move(graph, node, 0);
	return n;
}

static struct rte_node_register handover_rx_node = {
	.name = "handover-rx",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = handover_rx_process,
	.nb_edges = 1,
	.next_nodes = {"esp-decrypt"},
};
RTE_NODE_REGISTER(handover_rx_node);

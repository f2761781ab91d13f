/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

enum { EDGE_ESP, EDGE_AH };

#define HANDOVER_BURST 64

/* ESP and AH that other workers received and whose SA's window is this worker's. */
static uint16_t
handover_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	n = rte_ring_sc_dequeue_burst(w->handover, objs, HANDOVER_BURST, NULL);
	if (n == 0)
		return 0;
	w->work += n;
	node->idx = n;
	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, pkt(objs[i])->flags & PKT_F_AH ? EDGE_AH : EDGE_ESP);
	return stream_end(&s, n);
}

static struct rte_node_register handover_rx_node = {
	.name = "handover-rx",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = handover_rx_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_ESP] = "esp-decrypt", [EDGE_AH] = "ah-input"},
};
RTE_NODE_REGISTER(handover_rx_node);

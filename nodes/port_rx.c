/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

#include <stdio.h>

#include <rte_ethdev.h>

/* More per call costs cache misses, fewer cost node calls. */
#define RX_BURST 128

static uint16_t
port_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	uint16_t port = *worker_data(node) >> 16, queue = *worker_data(node);

	(void)n;
	n = rte_eth_rx_burst(port, queue, (struct rte_mbuf **)objs, RX_BURST);
	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		struct pkt *p = pkt(objs[i]);

		p->in_port = port;
		p->flags = 0;
		p->sa = NULL;
	}
	w->work += n;
	node->idx = n;
	rte_node_next_stream_move(graph, node, 0);
	return n;
}

/* A clone of the node serves one queue: "port-rx-PORT-QUEUE". */
static int
port_rx_init(const struct rte_graph *graph, struct rte_node *node)
{
	unsigned int port, queue;

	worker_node_init(graph, node);
	if (sscanf(node->name, "port-rx-%u-%u", &port, &queue) != 2)
		return -EINVAL;
	*worker_data(node) = (uint64_t)port << 16 | queue;
	return 0;
}

static struct rte_node_register port_rx_node = {
	.name = "port-rx",
	.flags = RTE_NODE_SOURCE_F,
	.init = port_rx_init,
	.process = port_rx_process,
	.nb_edges = 1,
	.next_nodes = {"ether-input"},
};
RTE_NODE_REGISTER(port_rx_node);

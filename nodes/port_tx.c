/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

#include <rte_ethdev.h>

/* Sends runs of packets that leave by one port. What the queue does not take is dropped. */
static uint16_t
port_tx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	uint16_t i = 0;

	while (i < n) {
		uint16_t port = pkt(objs[i])->out_port, end = i + 1;

		while (end < n && pkt(objs[end])->out_port == port)
			end++;
		i += rte_eth_tx_burst(
			port, w->port[port].tx_queue, (struct rte_mbuf **)&objs[i], end - i);
		if (unlikely(i < end)) {
			for (uint16_t k = i; k < end; k++)
				pkt(objs[k])->drop = DROP_TX_FULL;
			rte_node_enqueue(graph, node, 0, &objs[i], end - i);
			i = end;
		}
	}
	return n;
}

static struct rte_node_register port_tx_node = {
	.name = "port-tx",
	.init = worker_node_init,
	.process = port_tx_process,
	.nb_edges = 1,
	.next_nodes = {"drop"},
};
RTE_NODE_REGISTER(port_tx_node);

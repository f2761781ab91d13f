/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

#include <rte_ethdev.h>

/*
 * 802.1Q: gives the frames of a VLAN their tag. Those that have no room for it are dropped; returns how many others there are, and
 * in *bytes their length.
 */
static uint16_t
tag(struct rte_graph *graph, struct rte_node *node, const struct worker_port *vlan, void **objs,
	uint16_t n, uint64_t *bytes)
{
	const rte_be16_t tpid_tci[] = {
		rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(vlan->vlan)};
	uint16_t good = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(m, sizeof(tpid_tci));

		if (unlikely(eth == NULL)) {
			pkt(m)->drop = DROP_ESP_NO_HEADROOM;
			rte_node_enqueue_x1(graph, node, 0, m);
			continue;
		}
		memmove(eth, eth + sizeof(tpid_tci), 2 * RTE_ETHER_ADDR_LEN);
		memcpy(eth + 2 * RTE_ETHER_ADDR_LEN, tpid_tci, sizeof(tpid_tci));
		*bytes += rte_pktmbuf_pkt_len(m);
		objs[good++] = m;
	}
	return good;
}

/* Sends runs of packets that leave by one port. What the queue does not take is dropped. */
static uint16_t
port_tx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	uint16_t i = 0;

	while (i < n) {
		uint16_t id = pkt(objs[i])->out_port, end = i + 1, good, sent;
		struct worker_port *port = &w->port[id];
		uint64_t bytes = 0; /* of a VLAN: its device's other frames are not its */

		while (end < n && pkt(objs[end])->out_port == id)
			end++;
		good = end - i;
		if (unlikely(port->vlan != 0))
			good = tag(graph, node, port, &objs[i], good, &bytes);
		sent = rte_eth_tx_burst(
			port->device, port->tx_queue, (struct rte_mbuf **)&objs[i], good);
		if (unlikely(sent < good)) {
			for (uint16_t k = sent; k < good; k++) {
				const struct rte_mbuf *m = objs[i + k];

				pkt(m)->drop = DROP_TX_FULL;
				bytes -= port->vlan != 0 ? rte_pktmbuf_pkt_len(m) : 0;
			}
			rte_node_enqueue(graph, node, 0, &objs[i + sent], good - sent);
		}
		if (unlikely(port->vlan != 0)) {
			port->tx_packets += sent;
			port->tx_bytes += bytes;
		}
		i = end;
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

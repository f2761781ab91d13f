/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4.h"
#include "ip6_link.h"
#include "stream.h"
#include "worker.h"

#include <rte_ether.h>

enum { EDGE_OUTPUT, EDGE_TX, EDGE_DROP };

#define HOST_RX_BURST 32

static inline rte_edge_t
drop(struct pkt *p, enum drop_reason reason)
{
	p->drop = reason;
	return EDGE_DROP;
}

/* What Linux sends leaves as it is, but IP only after the outbound policies. */
static rte_edge_t
classify(const struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	enum drop_reason reason;
	struct ip6_chain c;

	if (rte_pktmbuf_data_len(m) < sizeof(*eth))
		return drop(p, DROP_HOST_SHORT);
	switch (rte_be_to_cpu_16(eth->ether_type)) {
	case RTE_ETHER_TYPE_ARP:
	case RTE_ETHER_TYPE_LLDP:
		return EDGE_TX;
	case RTE_ETHER_TYPE_IPV6:
		if (ip6_is_link_talk(w->fib, m, true))
			return EDGE_TX;
		rte_pktmbuf_adj(m, sizeof(*eth));
		reason = ip6_validate(m, &c);
		if (reason != DROP_NONE)
			return drop(p, reason);
		p->flags |= PKT_F_OWN_L2;
		return EDGE_OUTPUT;
	case RTE_ETHER_TYPE_IPV4:
		rte_pktmbuf_adj(m, sizeof(*eth));
		reason = ip4_validate(m);
		if (reason != DROP_NONE)
			return drop(p, reason);
		p->flags |= PKT_F_OWN_L2;
		return EDGE_OUTPUT;
	default:
		/* IEEE 802.3 lengths: IS-IS, spanning tree. */
		return rte_be_to_cpu_16(eth->ether_type) < RTE_ETHER_MTU + 1
			       ? EDGE_TX
			       : drop(p, DROP_ETHER_TYPE);
	}
}

static uint16_t
host_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	const struct worker_sources *sources =
		atomic_load_explicit(&w->sources, memory_order_acquire);
	uint16_t total = 0;

	(void)n;
	for (unsigned int k = 0; k < sources->n_host; k++) {
		struct stream s = stream_begin(graph, node, objs);
		uint16_t port = sources->host[k].port;

		n = rte_ring_sc_dequeue_burst(sources->host[k].ring, objs, HOST_RX_BURST, NULL);
		for (uint16_t i = 0; i < n; i++) {
			struct pkt *p = pkt(objs[i]);

			p->in_port = PKT_PORT_HOST;
			p->out_port = port;
			p->flags = 0;
			p->sa = NULL;
			stream_put(&s, i, classify(w, objs[i], p));
		}
		node->idx = n;
		total += stream_end(&s, n);
		node->idx = 0;
		objs = node->objs; /* the stream may have moved away with its array */
	}
	w->work += total;
	return total;
}

static struct rte_node_register host_rx_node = {
	.name = "host-rx",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = host_rx_process,
	.nb_edges = 3,
	.next_nodes = {[EDGE_OUTPUT] = "ipsec-output", [EDGE_TX] = "port-tx", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(host_rx_node);

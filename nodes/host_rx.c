/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4.h"
#include "stream.h"
#include "worker.h"

#include <netinet/icmp6.h>
#include <rte_ether.h>

enum { EDGE_OUTPUT, EDGE_TX, EDGE_DROP };

#define HOST_RX_BURST 32

/* Neighbour discovery and its multicast groups (RFC 4861, 3810) keep to the link; no policy speaks of them. */
static bool
is_nd(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(eth + 1);
	const uint8_t *icmp = (const uint8_t *)(ip + 1);

	return rte_pktmbuf_data_len(m) > sizeof(*eth) + sizeof(*ip) &&
	       ip->proto == IPPROTO_ICMPV6 && ip->hop_limits == 255 && *icmp >= ND_ROUTER_SOLICIT &&
	       *icmp <= ND_REDIRECT;
}

static inline rte_edge_t
drop(struct pkt *p, enum drop_reason reason)
{
	p->drop = reason;
	return EDGE_DROP;
}

/* What Linux sends leaves as it is, but IP only after the outbound policies. */
static rte_edge_t
classify(struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	enum drop_reason reason;

	if (rte_pktmbuf_data_len(m) < sizeof(*eth))
		return drop(p, DROP_HOST_SHORT);
	switch (rte_be_to_cpu_16(eth->ether_type)) {
	case RTE_ETHER_TYPE_ARP:
	case RTE_ETHER_TYPE_LLDP:
		return EDGE_TX;
	case RTE_ETHER_TYPE_IPV6:
		return is_nd(m) ? EDGE_TX : drop(p, DROP_IP6_UNSUPPORTED);
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
	uint16_t total = 0;

	(void)n;
	for (unsigned int k = 0; k < w->n_host_ports; k++) {
		struct stream s = stream_begin(graph, node, objs);
		uint16_t port = w->host_ports[k];

		n = rte_ring_sc_dequeue_burst(w->port[port].host_rx, objs, HOST_RX_BURST, NULL);
		for (uint16_t i = 0; i < n; i++) {
			struct pkt *p = pkt(objs[i]);

			p->in_port = PKT_PORT_HOST;
			p->out_port = port;
			p->flags = 0;
			p->sa = NULL;
			stream_put(&s, i, classify(objs[i], p));
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "nexthop.h"
#include "stream.h"
#include "worker.h"

#include <netinet/icmp6.h>

enum { EDGE_OUTPUT, EDGE_REWRITE, EDGE_ICMP, EDGE_DROP };

#define LOOKUP_BATCH 64

static inline rte_edge_t
refuse(struct pkt *p, enum drop_reason reason, int icmp_type, int icmp_code)
{
	p->drop = reason;
	p->icmp_type = icmp_type;
	p->icmp_code = icmp_code;
	p->icmp_mtu = 0;
	return icmp_type != 0 ? EDGE_ICMP : EDGE_DROP;
}

static inline rte_edge_t
forward(struct worker *w, struct rte_mbuf *m, struct pkt *p, uint32_t nexthop)
{
	const struct nexthop *nh;

	p->nexthop = ip6_nexthop(w->fib, m, nexthop);
	nh = fib_nh(w->fib, p->nexthop);
	switch (nh->type) {
	case NH_ADJ:
	case NH_GLEAN:
		p->out_port = nh->port;
		p->mtu = nh->mtu;
		/* A route of several ways, or with an MTU of its own. */
		if (unlikely(p->nexthop != nexthop) && fib_nh(w->fib, nexthop)->mtu != 0)
			p->mtu = RTE_MIN(p->mtu, fib_nh(w->fib, nexthop)->mtu);
		break;
	case NH_BLACKHOLE:
		return refuse(p, DROP_ROUTE_BLACKHOLE, 0, 0);
	case NH_UNREACHABLE:
		return refuse(p, DROP_ROUTE_UNREACHABLE, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR);
	case NH_FOREIGN:
		return refuse(p, DROP_ROUTE_FOREIGN, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE);
	default:
		return refuse(p, DROP_NO_ROUTE, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE);
	}
	if (p->flags & (PKT_F_SEALED | PKT_F_HELD))
		return p->flags & PKT_F_SEALED ? EDGE_REWRITE : EDGE_OUTPUT;
	if (p->in_port != PKT_PORT_HOST) {
		/* RFC 8200, 3 */
		if (unlikely(ip6_hdr(m)->hop_limits <= 1))
			return refuse(p, DROP_IP6_HOP_LIMIT, ICMP6_TIME_EXCEEDED,
				ICMP6_TIME_EXCEED_TRANSIT);
		ip6_hdr(m)->hop_limits--;
	}
	return EDGE_OUTPUT;
}

static uint16_t
ip6_lookup_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	const uint8_t *dst[LOOKUP_BATCH];
	uint64_t nh[LOOKUP_BATCH];

	for (uint16_t at = 0; at < n; at += LOOKUP_BATCH) {
		uint16_t burst = RTE_MIN(n - at, LOOKUP_BATCH);

		for (uint16_t i = 0; i < burst; i++)
			dst[i] = ip6_hdr(objs[at + i])->dst_addr;
		fib_lookup6_bulk(w->fib, dst, nh, burst);
		for (uint16_t i = 0; i < burst; i++)
			stream_put(&s, at + i, forward(w, objs[at + i], pkt(objs[at + i]), nh[i]));
	}
	return stream_end(&s, n);
}

static struct rte_node_register ip6_lookup_node = {
	.name = "ip6-lookup",
	.init = worker_node_init,
	.process = ip6_lookup_process,
	.nb_edges = 4,
	.next_nodes = {[EDGE_OUTPUT] = "ipsec-output",
		[EDGE_REWRITE] = "ip6-rewrite",
		[EDGE_ICMP] = "icmp6-error",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip6_lookup_node);

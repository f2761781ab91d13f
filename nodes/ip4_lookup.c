/* SPDX-License-Identifier: BSD-3-Clause */
#include "nexthop.h"
#include "stream.h"
#include "worker.h"

#include <netinet/ip_icmp.h>

enum { EDGE_OUTPUT, EDGE_REWRITE, EDGE_ICMP, EDGE_DROP };

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

	p->nexthop = ip4_nexthop(w->fib, m, nexthop);
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
		return refuse(p, DROP_ROUTE_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH);
	case NH_FOREIGN:
		return refuse(p, DROP_ROUTE_FOREIGN, ICMP_DEST_UNREACH, ICMP_NET_UNREACH);
	default:
		return refuse(p, DROP_NO_ROUTE, ICMP_DEST_UNREACH, ICMP_NET_UNREACH);
	}
	if (p->flags & (PKT_F_SEALED | PKT_F_HELD))
		return p->flags & PKT_F_SEALED ? EDGE_REWRITE : EDGE_OUTPUT;
	if (p->in_port != PKT_PORT_HOST) {
		/* RFC 1812, 5.3.1 */
		if (unlikely(ip4_hdr(m)->time_to_live <= 1))
			return refuse(p, DROP_IP4_TTL, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL);
		ip4_decrement_ttl(ip4_hdr(m));
	}
	return EDGE_OUTPUT;
}

static uint16_t
ip4_lookup_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	uint32_t dst[64];
	uint64_t nh[64];

	for (uint16_t at = 0; at < n; at += RTE_DIM(dst)) {
		uint16_t burst = RTE_MIN(n - at, (int)RTE_DIM(dst));

		for (uint16_t i = 0; i < burst; i++)
			dst[i] = rte_be_to_cpu_32(ip4_hdr(objs[at + i])->dst_addr);
		fib_lookup4_bulk(w->fib, dst, nh, burst);
		for (uint16_t i = 0; i < burst; i++)
			stream_put(&s, at + i, forward(w, objs[at + i], pkt(objs[at + i]), nh[i]));
	}
	return stream_end(&s, n);
}

static struct rte_node_register ip4_lookup_node = {
	.name = "ip4-lookup",
	.init = worker_node_init,
	.process = ip4_lookup_process,
	.nb_edges = 4,
	.next_nodes = {[EDGE_OUTPUT] = "ipsec-output",
		[EDGE_REWRITE] = "ip4-rewrite",
		[EDGE_ICMP] = "icmp4-error",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip4_lookup_node);

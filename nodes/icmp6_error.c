/* SPDX-License-Identifier: BSD-3-Clause */
#include "icmp_error.h"
#include "ip6.h"

#include <netinet/icmp6.h>

/* ICMPv6 errors: RFC 4443, 2.4 and 3. */

#define PACKET_MAX 1280 /* RFC 4443, 2.4 (c) */

struct icmp6_error {
	uint8_t type, code;
	uint16_t checksum;
	uint32_t mtu; /* packet too big; else zero */
} __attribute__((packed));

/* RFC 4443, 2.4 (e): never about these; and nobody before us can read one about ESP. */
static bool
must_be_silent(const struct rte_mbuf *m, const struct pkt *p)
{
	const struct rte_ipv6_hdr *ip = ip6_hdr(m);
	bool own = p->flags & PKT_F_OWN_L2;
	struct ip6_chain c;
	uint8_t type;

	if ((p->in_port == PKT_PORT_HOST && !own) || p->flags & (PKT_F_L2_GROUP | PKT_F_SEALED) ||
		ip6_multicast(ip->dst_addr) || (ip6_link_local(ip->src_addr) && !own) ||
		ip6_walk(m, &c) != DROP_NONE)
		return true;
	if (c.proto != IPPROTO_ICMPV6)
		return false;
	/* What it is cannot be seen: it may be an error. */
	if (c.later || rte_pktmbuf_data_len(m) <= c.at)
		return true;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, c.at);
	return !(type & ICMP6_INFOMSG_MASK) || type == ND_REDIRECT;
}

/* Who speaks: Linux would not believe its own address, and does that of whom it spoke to. */
static const uint8_t *
source(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	if (p->flags & PKT_F_OWN_L2)
		return ip6_hdr(m)->dst_addr;
	if (!ip6_nobody(w->port[p->in_port].addr6))
		return w->port[p->in_port].addr6;
	for (unsigned int i = 0; i < WORKER_MAX_PORTS; i++)
		if (w->port[i].present && !ip6_nobody(w->port[i].addr6))
			return w->port[i].addr6;
	return NULL;
}

static bool
answer(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const uint8_t *of = source(w, m, p);
	struct icmp6_error *icmp;
	uint8_t from[16], to[16];
	struct rte_ipv6_hdr *ip;
	uint32_t quoted;

	if (of == NULL)
		return false;
	memcpy(from, of, sizeof(from));
	memcpy(to, ip6_hdr(m)->src_addr, sizeof(to));
	ip = icmp_quote(
		m, PACKET_MAX - sizeof(*ip) - sizeof(*icmp), sizeof(*ip) + sizeof(*icmp), &quoted);
	if (ip == NULL)
		return false;
	icmp = (struct icmp6_error *)(ip + 1);
	*icmp = (struct icmp6_error){
		.type = p->icmp_type, .code = p->icmp_code, .mtu = rte_cpu_to_be_32(p->icmp_mtu)};
	*ip = (struct rte_ipv6_hdr){.vtc_flow = rte_cpu_to_be_32(6u << 28),
		.payload_len = rte_cpu_to_be_16(sizeof(*icmp) + quoted),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = 64};
	memcpy(ip->src_addr, from, sizeof(ip->src_addr));
	memcpy(ip->dst_addr, to, sizeof(ip->dst_addr));
	icmp->checksum = rte_ipv6_udptcp_cksum(ip, icmp);
	return true;
}

static uint16_t
icmp6_error_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return icmp_error_burst(graph, node, objs, n, must_be_silent, answer, RTE_ETHER_TYPE_IPV6);
}

static struct rte_node_register icmp6_error_node = {
	.name = "icmp6-error",
	.init = worker_node_init,
	.process = icmp6_error_process,
	.nb_edges = ICMP_EDGES,
	.next_nodes = {[ICMP_LOOKUP] = "ip6-lookup", [ICMP_HOST] = "host-tx", [ICMP_DROP] = "drop"},
};
RTE_NODE_REGISTER(icmp6_error_node);

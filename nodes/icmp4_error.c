/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4.h"
#include "stream.h"
#include "worker.h"

#include <netinet/ip_icmp.h>
#include <rte_ether.h>
#include <rte_icmp.h>

/*
 * Answers a packet with an ICMP error (RFC 792, RFC 1812, 4.3.2), made in place: the new headers before what
 * is quoted of it. The packet itself counts as dropped for its reason.
 */

enum { EDGE_LOOKUP, EDGE_HOST, EDGE_DROP };

#define QUOTED_MAX (576 - 28) /* RFC 1812, 4.3.2.3 */
#define ERRORS_PER_SECOND 100
#define ERRORS_BURST 20

/* RFC 1122, 3.2.2: never about these; and nobody before us can read one about ESP. */
static bool
must_be_silent(const struct rte_mbuf *m, const struct pkt *p)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	uint16_t hdr_len = ip4_hdr_len(ip);
	uint8_t type;

	if ((p->in_port == PKT_PORT_HOST && !(p->flags & PKT_F_OWN_L2)) ||
		(p->flags & PKT_F_OWN_L2 && rte_be_to_cpu_32(ip->dst_addr) >> 28 >= 0xe) ||
		p->flags & (PKT_F_L2_GROUP | PKT_F_SEALED) || ip4_is_later_fragment(ip) ||
		ip->src_addr == 0)
		return true;
	if (ip->next_proto_id != IPPROTO_ICMP)
		return false;
	if (rte_pktmbuf_data_len(m) <= hdr_len)
		return true;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, hdr_len);
	return type != ICMP_ECHO && type != ICMP_ECHOREPLY && type != ICMP_TIMESTAMP &&
	       type != ICMP_TIMESTAMPREPLY;
}

/* A bucket of tokens, kept as the time up to which it is used. */
static bool
rate_allows(struct worker *w)
{
	uint64_t cost = w->tsc_hz / ERRORS_PER_SECOND;

	if (w->icmp_tokens_at + ERRORS_BURST * cost < w->now)
		w->icmp_tokens_at = w->now - ERRORS_BURST * cost;
	if (w->icmp_tokens_at + cost > w->now)
		return false;
	w->icmp_tokens_at += cost;
	return true;
}

/* Who speaks: Linux would not believe its own address, and does that of whom it spoke to. */
static uint32_t
source(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	return p->flags & PKT_F_OWN_L2 ? ip4_hdr(m)->dst_addr : w->port[p->in_port].addr4;
}

/* About what Linux sent: to Linux, by the tap that it came from. */
static rte_edge_t
to_host(const struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct rte_ether_hdr *eth = (void *)rte_pktmbuf_prepend(m, sizeof(*eth));

	if (eth == NULL)
		return EDGE_DROP;
	p->in_port = p->out_port;
	p->punt = PUNT_OTHER;
	memcpy(&eth->dst_addr, w->port[p->in_port].mac, RTE_ETHER_ADDR_LEN);
	memset(&eth->src_addr, 0, RTE_ETHER_ADDR_LEN);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	rte_pktmbuf_adj(m, sizeof(*eth)); /* where host-tx finds it */
	return EDGE_HOST;
}

static bool
answer(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	uint32_t quoted = RTE_MIN(rte_pktmbuf_data_len(m), QUOTED_MAX);
	uint32_t to = ip4_hdr(m)->src_addr, from = source(w, m, p);
	uint8_t tos = (ip4_hdr(m)->type_of_service & 0x1c) | 0xc0; /* internetwork control */
	struct rte_icmp_hdr *icmp;
	struct rte_ipv4_hdr *ip;

	if (from == 0)
		return false;
	if (m->nb_segs > 1) {
		rte_pktmbuf_free(m->next);
		m->next = NULL;
		m->nb_segs = 1;
	}
	m->data_len = m->pkt_len = quoted;
	ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip) + sizeof(*icmp));
	if (ip == NULL)
		return false;
	icmp = (struct rte_icmp_hdr *)(ip + 1);
	memset(ip, 0, sizeof(*ip) + sizeof(*icmp));
	icmp->icmp_type = p->icmp_type;
	icmp->icmp_code = p->icmp_code;
	icmp->icmp_seq_nb = rte_cpu_to_be_16(p->icmp_mtu); /* RFC 1191, 4: next-hop MTU */
	icmp->icmp_cksum = ~rte_raw_cksum(icmp, sizeof(*icmp) + quoted);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->type_of_service = tos;
	ip->total_length = rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m));
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_ICMP;
	ip->src_addr = from;
	ip->dst_addr = to;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	p->in_port = PKT_PORT_HOST; /* our own now: local policies */
	p->flags = p->flags & PKT_F_PROTECTED ? PKT_F_QUOTES : 0;
	p->sa = NULL;
	return true;
}

static uint16_t
icmp4_error_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++) {
		struct pkt *p = pkt(objs[i]);
		bool own = p->flags & PKT_F_OWN_L2;
		uint8_t reason = p->drop;
		rte_edge_t edge;

		if (must_be_silent(objs[i], p) || !rate_allows(w) || !answer(w, objs[i], p)) {
			stream_put(&s, i, EDGE_DROP);
			continue;
		}
		edge = own ? to_host(w, objs[i], p) : EDGE_LOOKUP;
		if (edge != EDGE_DROP)
			w->drops[reason]++;
		stream_put(&s, i, edge);
	}
	return stream_end(&s, n);
}

static struct rte_node_register icmp4_error_node = {
	.name = "icmp4-error",
	.init = worker_node_init,
	.process = icmp4_error_process,
	.nb_edges = 3,
	.next_nodes = {[EDGE_LOOKUP] = "ip4-lookup", [EDGE_HOST] = "host-tx", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(icmp4_error_node);

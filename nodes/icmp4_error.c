/* SPDX-License-Identifier: BSD-3-Clause */
#include "icmp_error.h"
#include "ip4.h"

#include <netinet/ip_icmp.h>
#include <rte_icmp.h>

/* ICMP errors of RFC 792 and RFC 1812, 4.3.2. */

#define QUOTED_MAX (576 - 28) /* RFC 1812, 4.3.2.3 */

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

/* Who speaks: Linux would not believe its own address, and does that of whom it spoke to. */
static uint32_t
source(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	return p->flags & PKT_F_OWN_L2 ? ip4_hdr(m)->dst_addr : w->port[p->in_port].addr4;
}

static bool
answer(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	uint32_t to = ip4_hdr(m)->src_addr, from = source(w, m, p), quoted;
	uint8_t tos = (ip4_hdr(m)->type_of_service & 0x1c) | 0xc0; /* internetwork control */
	struct rte_icmp_hdr *icmp;
	struct rte_ipv4_hdr *ip;

	if (from == 0)
		return false;
	ip = icmp_quote(m, QUOTED_MAX, sizeof(*ip) + sizeof(*icmp), &quoted);
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
	return true;
}

static uint16_t
icmp4_error_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return icmp_error_burst(graph, node, objs, n, must_be_silent, answer, RTE_ETHER_TYPE_IPV4);
}

static struct rte_node_register icmp4_error_node = {
	.name = "icmp4-error",
	.init = worker_node_init,
	.process = icmp4_error_process,
	.nb_edges = ICMP_EDGES,
	.next_nodes = {[ICMP_LOOKUP] = "ip4-lookup", [ICMP_HOST] = "host-tx", [ICMP_DROP] = "drop"},
};
RTE_NODE_REGISTER(icmp4_error_node);

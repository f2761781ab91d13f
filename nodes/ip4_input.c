/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib.h"
#include "ip4.h"
#include "sockets.h"
#include "stream.h"
#include "worker.h"

#include <netinet/ip.h>
#include <rte_udp.h>

enum { EDGE_CHECK, EDGE_ESP, EDGE_DROP };

#define IP4_LIMITED_BROADCAST 0xffffffffu

/* RFC 7126: source routes are refused; what cannot be read is, too. */
static bool
options_refused(const struct rte_ipv4_hdr *ip)
{
	const uint8_t *opt = (const uint8_t *)(ip + 1);
	unsigned int left = ip4_hdr_len(ip) - sizeof(*ip);

	while (left > 0 && *opt != IPOPT_EOL) {
		unsigned int len = 1;

		if (*opt == IPOPT_LSRR || *opt == IPOPT_SSRR)
			return true;
		if (*opt != IPOPT_NOP) {
			if (left < 2 || opt[1] < 2 || opt[1] > left)
				return true;
			len = opt[1];
		}
		opt += len;
		left -= len;
	}
	return false;
}

/* Whether it is for us; multicast is only when it stays on the link, and else is dropped. */
static inline enum drop_reason
find_destination(const struct worker *w, const struct rte_ipv4_hdr *ip, struct pkt *p)
{
	uint32_t dst = rte_be_to_cpu_32(ip->dst_addr);

	if (fib_local4(w->fib, ip->dst_addr)) {
		p->flags |= PKT_F_LOCAL;
		return DROP_NONE;
	}
	if (likely(dst - 0x01000000 < 0xdf000000 &&
		    dst >> 24 != 127)) /* 1.0.0.0 .. 223.255.255.255 */
		/* RFC 1812, 5.3.4: what came by a link's broadcast is not forwarded. */
		return p->flags & PKT_F_L2_GROUP ? DROP_IP4_DESTINATION : DROP_NONE;
	if (dst == IP4_LIMITED_BROADCAST || dst >> 8 == 0xe00000) {
		p->flags |= PKT_F_LOCAL;
		return DROP_NONE;
	}
	return DROP_IP4_DESTINATION;
}

/* ESP in UDP, RFC 3948, 2.1-2.3: neither a keepalive nor IKE, on a port that charon gave. */
static inline bool
is_udp_esp(const struct worker *w, const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint16_t hdr_len = ip4_hdr_len(ip);
	const struct rte_udp_hdr *udp = RTE_PTR_ADD(ip, hdr_len);
	const struct worker_socket *s;

	if (rte_pktmbuf_data_len(m) < hdr_len + sizeof(*udp) + sizeof(uint32_t) ||
		ip4_is_fragment(ip))
		return false;
	s = worker_socket_find(w, ip->dst_addr, udp->dst_port);
	return s != NULL && s->decap && *(const unaligned_uint32_t *)(udp + 1) != 0;
}

static inline rte_edge_t
input(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	enum drop_reason reason = ip4_validate(m);

	if (reason == DROP_NONE)
		reason = find_destination(w, ip, p);
	if (reason == DROP_NONE && unlikely(ip4_hdr_len(ip) > sizeof(*ip)) && options_refused(ip))
		reason = DROP_IP4_OPTIONS;
	if (unlikely(reason != DROP_NONE)) {
		p->drop = reason;
		return EDGE_DROP;
	}
	if (!(p->flags & PKT_F_LOCAL))
		return EDGE_CHECK;
	p->l3_len = ip4_hdr_len(ip);
	if (ip->next_proto_id == IPPROTO_ESP)
		return EDGE_ESP;
	if (ip->next_proto_id == IPPROTO_UDP && is_udp_esp(w, m, ip)) {
		p->flags |= PKT_F_UDP;
		p->l3_len += sizeof(struct rte_udp_hdr);
		return EDGE_ESP;
	}
	return EDGE_CHECK;
}

static uint16_t
ip4_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, input(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register ip4_input_node = {
	.name = "ip4-input",
	.init = worker_node_init,
	.process = ip4_input_process,
	.nb_edges = 3,
	.next_nodes = {[EDGE_CHECK] = "ipsec-input-check",
		[EDGE_ESP] = "esp-decrypt",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip4_input_node);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4_accept.h"
#include "sockets.h"
#include "stream.h"
#include "worker.h"

#include <rte_udp.h>

enum { EDGE_CHECK, EDGE_ESP, EDGE_AH, EDGE_REASSEMBLE, EDGE_DROP };

/* ESP in UDP, RFC 3948, 2.1-2.3: neither a keepalive nor IKE, on a port that charon gave. */
static inline bool
is_udp_esp(const struct worker *w, const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint16_t hdr_len = ip4_hdr_len(ip);
	const struct rte_udp_hdr *udp = RTE_PTR_ADD(ip, hdr_len);

	if (rte_pktmbuf_data_len(m) < hdr_len + sizeof(*udp) + sizeof(uint32_t) ||
		ip4_is_fragment(ip))
		return false;
	return (worker_socket_use(w, 4, &ip->dst_addr, udp->dst_port) & SOCKET_DECAP) != 0 &&
	       memcmp(udp + 1, "\0\0\0", 4) != 0;
}

/* Fragments that must be one packet before it is known what they are. */
static inline bool
wants_whole(const struct worker *w, const struct rte_ipv4_hdr *ip)
{
	return ip->next_proto_id == IPPROTO_ESP || ip->next_proto_id == IPPROTO_AH ||
	       (ip->next_proto_id == IPPROTO_UDP && worker_socket_decaps(w, 4, &ip->dst_addr) &&
		       fib_local4(w->fib, ip->dst_addr));
}

static inline rte_edge_t
input(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	enum drop_reason reason = ip4_validate(m);

	if (reason == DROP_NONE)
		reason = ip4_accept(w->fib, ip, p);
	if (unlikely(reason != DROP_NONE)) {
		p->drop = reason;
		return EDGE_DROP;
	}
	if (!(p->flags & PKT_F_LOCAL))
		return EDGE_CHECK;
	if (unlikely(ip4_is_fragment(ip)) && wants_whole(w, ip))
		return EDGE_REASSEMBLE;
	p->l3_len = ip4_hdr_len(ip);
	if (ip->next_proto_id == IPPROTO_ESP)
		return EDGE_ESP;
	if (ip->next_proto_id == IPPROTO_AH)
		return EDGE_AH;
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
	.nb_edges = 5,
	.next_nodes = {[EDGE_CHECK] = "ipsec-input-check",
		[EDGE_ESP] = "esp-decrypt",
		[EDGE_AH] = "ah-input",
		[EDGE_REASSEMBLE] = "ip4-reassembly",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip4_input_node);

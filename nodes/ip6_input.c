/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip6_accept.h"
#include "sockets.h"
#include "stream.h"
#include "worker.h"

#include <rte_udp.h>

enum { EDGE_CHECK, EDGE_ESP, EDGE_AH, EDGE_REASSEMBLE, EDGE_DROP };

/*
 * ESP in UDP, RFC 3948, 2.1-2.3: neither a keepalive nor IKE, on a port that charon gave. Its checksum is not looked
 * at, whether it is there or not (RFC 6936): the ICV covers what counts.
 */
static inline bool
is_udp_esp(const struct worker *w, const struct rte_mbuf *m, const struct ip6_chain *c)
{
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, c->at);
	uint32_t spi;

	if (c->fragment || rte_pktmbuf_data_len(m) < c->at + sizeof(*udp) + sizeof(uint32_t))
		return false;
	memcpy(&spi, udp + 1, sizeof(spi));
	return (worker_socket_use(w, 6, ip6_hdr(m)->dst_addr, udp->dst_port) & SOCKET_DECAP) != 0 &&
	       spi != 0;
}

static inline rte_edge_t
drop(struct pkt *p, enum drop_reason reason)
{
	p->drop = reason;
	return EDGE_DROP;
}

/* Fragments that must be one packet before it is known what they are; atomic ones (RFC 6946) become packets, too. */
static inline bool
wants_whole(const struct worker *w, const struct rte_mbuf *m, const struct ip6_chain *c)
{
	return c->proto == IPPROTO_ESP || c->proto == IPPROTO_AH ||
	       (c->proto == IPPROTO_UDP && worker_socket_decaps(w, 6, ip6_hdr(m)->dst_addr));
}

static inline rte_edge_t
input(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct ip6_chain c;
	enum drop_reason reason = ip6_validate(m, &c);

	if (reason == DROP_NONE)
		reason = ip6_accept(w->fib, ip6_hdr(m), &c, p);
	if (unlikely(reason != DROP_NONE))
		return drop(p, reason);
	if (!(p->flags & PKT_F_LOCAL))
		return EDGE_CHECK;
	if (unlikely(c.fragment_at != 0) && wants_whole(w, m, &c))
		return EDGE_REASSEMBLE;
	p->l3_len = c.at;
	if (c.proto == IPPROTO_ESP)
		return EDGE_ESP;
	if (c.proto == IPPROTO_AH)
		return EDGE_AH;
	if (c.proto == IPPROTO_UDP && is_udp_esp(w, m, &c)) {
		p->flags |= PKT_F_UDP;
		p->l3_len += sizeof(struct rte_udp_hdr);
		return EDGE_ESP;
	}
	return EDGE_CHECK;
}

static uint16_t
ip6_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, input(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register ip6_input_node = {
	.name = "ip6-input",
	.init = worker_node_init,
	.process = ip6_input_process,
	.nb_edges = 5,
	.next_nodes = {[EDGE_CHECK] = "ipsec-input-check",
		[EDGE_ESP] = "esp-decrypt",
		[EDGE_AH] = "ah-input",
		[EDGE_REASSEMBLE] = "ip6-reassembly",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip6_input_node);

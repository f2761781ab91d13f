/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_op.h"
#include "esp_transport.h"
#include "fib.h"
#include "stream.h"
#include "worker.h"

#include <rte_udp.h>

enum { EDGE_LOOKUP, EDGE_DROP, EDGE_LOOKUP6, EDGE_REWRITE };

#define BATCH 64

/* RFC 8200, 8.1: UDP over IPv6 has a checksum, also when ESP is in it. */
static void
udp_checksum(struct rte_mbuf *m, const struct pkt *p)
{
	struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, p->esp_at - sizeof(*udp));

	udp->dgram_cksum = esp_ip6_checksum(m, udp, rte_be_to_cpu_16(udp->dgram_len), IPPROTO_UDP);
}

/* The packet is sealed, and its outer header finds its way. */
static inline rte_edge_t
finish(struct rte_mbuf *m, struct pkt *p, const struct sa *sa)
{
	esp_op_undo(p, m, sa);
	p->sa = NULL;
	p->flags = (p->flags & ~PKT_F_OWN_L2) | PKT_F_SEALED;
	if (unlikely(p->crypto_status != RTE_CRYPTO_OP_STATUS_SUCCESS)) {
		p->drop = DROP_CRYPTO_ERROR;
		return EDGE_DROP;
	}
	if (likely(esp_version(m) == 4))
		return EDGE_LOOKUP;
	/* The SA may be another by now, but what it was sealed with is not: it was not plain, so that is known. */
	if (sa->template[p->template].udp)
		udp_checksum(m, p);
	return EDGE_LOOKUP6;
}

/* Sealed packets, up to BATCH, and the peers that they go to: packets in a row mostly go to one. */
struct batch {
	uint8_t edge[BATCH], which[BATCH]; /* of each packet; its peer */
	uint32_t peer[BATCH], n_peers; /* host order */
};

/* Packets from one to end, of one SA: they are counted, and their edges and peers said. */
static inline void
finish_run(
	struct worker *w, struct batch *b, void **objs, uint16_t from, uint16_t end, struct sa *sa)
{
	uint64_t packets = 0, bytes = 0;

	for (uint16_t i = from; i < end; i++) {
		struct pkt *p = pkt(objs[i]);

		b->edge[i] = finish(objs[i], p, sa);
		packets += b->edge[i] != EDGE_DROP;
		bytes += b->edge[i] != EDGE_DROP ? p->clear_len : 0;
		if (likely(b->edge[i] == EDGE_LOOKUP)) {
			uint32_t peer = rte_be_to_cpu_32(ip4_hdr(objs[i])->dst_addr);

			if (b->n_peers == 0 || b->peer[b->n_peers - 1] != peer)
				b->peer[b->n_peers++] = peer;
			b->which[i] = b->n_peers - 1;
		}
	}
	if (unlikely(packets == 0))
		return;
	worker_sa_used(w, sa, packets, bytes);
}

/* Its way by that next hop: all but a neighbour's is ip4-lookup's to tell. */
static inline rte_edge_t
route(const struct worker *w, struct pkt *p, uint32_t nexthop)
{
	const struct nexthop *nh = fib_nh(w->fib, nexthop);

	if (unlikely(nh->type != NH_ADJ))
		return EDGE_LOOKUP;
	p->nexthop = nexthop;
	p->out_port = nh->port;
	p->mtu = nh->mtu;
	return EDGE_REWRITE;
}

/* The next hops of the peers are looked up here, each once: none of the packets is to be looked at any more. */
static uint16_t
esp_encrypt_finish_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	uint64_t nh[BATCH];
	struct batch b;

	for (uint16_t at = 0; at < n; at += BATCH) {
		uint16_t burst = RTE_MIN(n - at, BATCH);

		b.n_peers = 0;
		for (uint16_t from = 0, end; from < burst; from = end) {
			struct sa *sa = pkt(objs[at + from])->sa;

			for (end = from + 1; end < burst && pkt(objs[at + end])->sa == sa;)
				end++;
			finish_run(w, &b, &objs[at], from, end, sa);
		}
		fib_lookup4_bulk(w->fib, b.peer, nh, b.n_peers);
		for (uint16_t i = 0; i < burst; i++)
			stream_put(&s, at + i,
				likely(b.edge[i] == EDGE_LOOKUP)
					? route(w, pkt(objs[at + i]), nh[b.which[i]])
					: b.edge[i]);
	}
	return stream_end(&s, n);
}

static struct rte_node_register esp_encrypt_finish_node = {
	.name = "esp-encrypt-finish",
	.init = worker_node_init,
	.process = esp_encrypt_finish_process,
	.nb_edges = 4,
	.next_nodes = {[EDGE_LOOKUP] = "ip4-lookup",
		[EDGE_DROP] = "drop",
		[EDGE_LOOKUP6] = "ip6-lookup",
		[EDGE_REWRITE] = "ip4-rewrite"},
};
RTE_NODE_REGISTER(esp_encrypt_finish_node);

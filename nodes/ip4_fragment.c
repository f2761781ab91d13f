/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4.h"
#include "worker.h"

#include <netinet/ip.h>

/*
 * Cuts a packet into pieces of p->mtu (RFC 791, 3.2). A packet with an SA is yet to be sealed, and its pieces
 * go back to esp-encrypt; others go on to ip4-rewrite. Pieces are copies: each has a private area of its own.
 * Whoever sends a packet here has looked at DF.
 */

enum { EDGE_REWRITE, EDGE_ENCRYPT, EDGE_DROP };

#define PIECES_MAX 64
#define HEADER_MAX 60

/* RFC 791, 3.1: of the options, later fragments have those that say so. */
static uint16_t
later_header(const struct rte_ipv4_hdr *ip, uint8_t *to)
{
	const uint8_t *opt = (const uint8_t *)(ip + 1);
	unsigned int left = ip4_hdr_len(ip) - sizeof(*ip), len = sizeof(*ip);

	memset(to, 0, HEADER_MAX);
	memcpy(to, ip, sizeof(*ip));
	while (left > 0 && *opt != IPOPT_EOL) {
		unsigned int n = 1;

		if (*opt != IPOPT_NOP) {
			if (left < 2 || opt[1] < 2 || opt[1] > left)
				break;
			n = opt[1];
			if (IPOPT_COPIED(*opt)) {
				memcpy(to + len, opt, n);
				len += n;
			}
		}
		opt += n;
		left -= n;
	}
	len = RTE_ALIGN(len, RTE_IPV4_IHL_MULTIPLIER);
	to[0] = 0x40 | len / RTE_IPV4_IHL_MULTIPLIER;
	return len;
}

static void
make_piece(struct rte_mbuf *piece, const struct rte_mbuf *m, const void *header,
	uint16_t header_len, uint32_t from, uint16_t len, bool last)
{
	const struct rte_ipv4_hdr *was = ip4_hdr(m);
	uint16_t frag = rte_be_to_cpu_16(was->fragment_offset), at = ip4_hdr_len(was);
	struct rte_ipv4_hdr *ip = (void *)rte_pktmbuf_append(piece, header_len + len);
	uint8_t *payload = (uint8_t *)ip + header_len;
	const void *data = rte_pktmbuf_read(m, at + from, len, payload);

	memcpy(pkt(piece), pkt(m), offsetof(struct pkt, op));
	memcpy(ip, header, header_len);
	if (data != payload)
		memcpy(payload, data, len);
	frag = (frag & ~RTE_IPV4_HDR_OFFSET_MASK) |
	       ((frag & RTE_IPV4_HDR_OFFSET_MASK) + from / RTE_IPV4_HDR_OFFSET_UNITS);
	if (!last)
		frag |= RTE_IPV4_HDR_MF_FLAG;
	ip->fragment_offset = rte_cpu_to_be_16(frag);
	ip->total_length = rte_cpu_to_be_16(header_len + len);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, header_len);
}

/* Returns how many pieces were made; 0: none, and *reason says why. */
static unsigned int
cut(struct worker *w, const struct rte_mbuf *m, struct rte_mbuf **pieces, enum drop_reason *reason)
{
	uint16_t room = rte_pktmbuf_data_room_size(w->mbufs) - RTE_PKTMBUF_HEADROOM;
	uint16_t mtu = RTE_MIN(pkt(m)->mtu, room), header_len = ip4_hdr_len(ip4_hdr(m)), each, n;
	uint32_t payload = rte_pktmbuf_pkt_len(m) - header_len;
	uint8_t later[HEADER_MAX];
	uint16_t later_len = later_header(ip4_hdr(m), later);

	/* Offsets of pieces beyond the longest datagram would begin anew, at a header of the sender's choice. */
	*reason = DROP_FRAGMENT_INVALID;
	if ((rte_be_to_cpu_16(ip4_hdr(m)->fragment_offset) & RTE_IPV4_HDR_OFFSET_MASK) *
				RTE_IPV4_HDR_OFFSET_UNITS +
			payload >
		UINT16_MAX)
		return 0;
	*reason = DROP_IP4_MTU;
	if (mtu < header_len + RTE_IPV4_HDR_OFFSET_UNITS)
		return 0;
	/* As long as the first one's header leaves it: later ones are not longer. */
	each = (mtu - header_len) & ~(RTE_IPV4_HDR_OFFSET_UNITS - 1);
	n = (payload + each - 1) / each;
	if (n > PIECES_MAX)
		return 0;
	*reason = DROP_NO_BUFFER;
	if (rte_pktmbuf_alloc_bulk(w->mbufs, pieces, n) != 0)
		return 0;
	for (uint16_t i = 0; i < n; i++)
		make_piece(pieces[i], m, i == 0 ? (const void *)ip4_hdr(m) : later,
			i == 0 ? header_len : later_len, i * each,
			RTE_MIN(payload - i * each, each), i == n - 1);
	return n;
}

static uint16_t
ip4_fragment_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct rte_mbuf *pieces[PIECES_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		enum drop_reason reason;
		unsigned int made = cut(w, m, pieces, &reason);

		if (made == 0) {
			pkt(m)->drop = reason;
			rte_node_enqueue_x1(graph, node, EDGE_DROP, m);
			continue;
		}
		rte_node_enqueue(graph, node, pkt(m)->sa != NULL ? EDGE_ENCRYPT : EDGE_REWRITE,
			(void **)pieces, made);
		rte_pktmbuf_free(m);
	}
	return n;
}

static struct rte_node_register ip4_fragment_node = {
	.name = "ip4-fragment",
	.init = worker_node_init,
	.process = ip4_fragment_process,
	.nb_edges = 3,
	.next_nodes = {[EDGE_REWRITE] = "ip4-rewrite",
		[EDGE_ENCRYPT] = "esp-encrypt",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip4_fragment_node);

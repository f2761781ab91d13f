/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_FRAGMENT_H
#define CYGNET_FRAGMENT_H

#include "sad.h"
#include "worker.h"

#include <rte_ether.h>

/*
 * Cuts packets into pieces of p->mtu, for both families. A packet with an SA is yet to be sealed, and its pieces go back
 * to be; others go on to be sent. Pieces are copies: each has a private area of its own. Whoever sends a packet
 * here has looked at whether it may be cut.
 */

enum { FRAGMENT_REWRITE, FRAGMENT_DROP, FRAGMENT_ENCRYPT, FRAGMENT_AH };

#define FRAGMENT_HEADER_MAX 128
#define FRAGMENT_PIECES_MAX 64
#define FRAGMENT_UNIT 8 /* bytes: offsets count in these */

/* The headers of the first piece, and of those after it, which are not longer. */
struct fragment_headers {
	uint16_t payload_at; /* in the packet: what is cut begins here */
	uint16_t first_len, later_len;
	uint8_t first[FRAGMENT_HEADER_MAX], later[FRAGMENT_HEADER_MAX];
};

/* DROP_NONE, or why this packet cannot be cut. */
typedef enum drop_reason (*fragment_headers_t)(
	struct worker *w, const struct rte_mbuf *m, struct fragment_headers *h);
/* Completes the header of a piece with len bytes from the offset on. */
typedef void (*fragment_finish_t)(
	uint8_t *header, uint16_t header_len, uint32_t from, uint16_t len, bool last);

static inline void
fragment_piece(struct rte_mbuf *piece, const struct rte_mbuf *m, const struct fragment_headers *h,
	uint32_t from, uint16_t len, bool last, fragment_finish_t finish)
{
	uint16_t header_len = from == 0 ? h->first_len : h->later_len;
	uint8_t *header, *payload;
	const void *data;

	/* As much room in front as what came from a port has: AH over IPv6 needs all of it. */
	piece->data_off += RTE_ETHER_HDR_LEN;
	header = (uint8_t *)rte_pktmbuf_append(piece, header_len + len);
	payload = header + header_len;
	data = rte_pktmbuf_read(m, h->payload_at + from, len, payload);

	memcpy(pkt(piece), pkt(m), offsetof(struct pkt, op));
	memcpy(header, from == 0 ? h->first : h->later, header_len);
	if (data != payload)
		memcpy(payload, data, len);
	finish(header, header_len, from, len, last);
}

/* Returns how many pieces were made; 0: none, and *reason, which is too_big at first, says why. */
static inline unsigned int
fragment_cut(struct worker *w, const struct rte_mbuf *m, struct rte_mbuf **pieces,
	enum drop_reason *reason, fragment_headers_t headers, fragment_finish_t finish)
{
	uint16_t room =
		rte_pktmbuf_data_room_size(w->mbufs) - RTE_PKTMBUF_HEADROOM - RTE_ETHER_HDR_LEN;
	uint16_t mtu = RTE_MIN(pkt(m)->mtu, room), each, n;
	struct fragment_headers h;
	enum drop_reason refused = headers(w, m, &h);
	uint32_t payload;

	if (refused != DROP_NONE)
		*reason = refused;
	if (refused != DROP_NONE || mtu < h.first_len + FRAGMENT_UNIT)
		return 0;
	payload = rte_pktmbuf_pkt_len(m) - h.payload_at;
	/* As long as the first one's header leaves it: later ones are not longer. */
	each = (mtu - h.first_len) & ~(FRAGMENT_UNIT - 1);
	n = (payload + each - 1) / each;
	if (n > FRAGMENT_PIECES_MAX)
		return 0;
	*reason = DROP_NO_BUFFER;
	if (rte_pktmbuf_alloc_bulk(w->mbufs, pieces, n) != 0)
		return 0;
	for (uint16_t i = 0; i < n; i++)
		fragment_piece(pieces[i], m, &h, i * each, RTE_MIN(payload - i * each, each),
			i == n - 1, finish);
	return n;
}

static inline rte_edge_t
fragment_edge(const struct pkt *p)
{
	if (p->sa == NULL)
		return FRAGMENT_REWRITE;
	return p->sa->flags & SA_F_AH ? FRAGMENT_AH : FRAGMENT_ENCRYPT;
}

/* The process function of a fragmenting node; too_big: the reason for what cannot be cut. */
static __rte_always_inline uint16_t
fragment_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n,
	enum drop_reason too_big, fragment_headers_t headers, fragment_finish_t finish)
{
	struct worker *w = worker_of(node);
	struct rte_mbuf *pieces[FRAGMENT_PIECES_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		enum drop_reason reason = too_big;
		unsigned int made = fragment_cut(w, m, pieces, &reason, headers, finish);

		if (made == 0) {
			pkt(m)->drop = reason;
			rte_node_enqueue_x1(graph, node, FRAGMENT_DROP, m);
			continue;
		}
		rte_node_enqueue(graph, node, fragment_edge(pkt(m)), (void **)pieces, made);
		rte_pktmbuf_free(m);
	}
	return n;
}

#endif

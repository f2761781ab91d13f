/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_PIECES_H
#define CYGNET_IKE_PIECES_H

#include "ip4.h"
#include "ip6.h"
#include "worker.h"

/*
 * IKE messages that Linux cut up: the first piece of such a datagram shows its ports, the later ones have none. Linux sends pieces
 * in their order, and each tap has one worker: that one remembers which datagrams began as IKE, until their last piece, or for
 * a second. What comes in another order is no IKE. For packets of Linux alone.
 */

/* Which datagram a valid packet is a piece of, and whether others follow; false: it is whole. */
static inline bool
ike_piece_key(const struct rte_mbuf *m, struct reassembly_key *key, bool *more)
{
	memset(key, 0, sizeof(*key));
	if (ip6_is_version(m)) {
		const struct rte_ipv6_hdr *ip = ip6_hdr(m);
		struct ip6_chain c;
		const uint8_t *h;

		if (ip6_walk(m, &c) != DROP_NONE || !c.fragment)
			return false;
		h = rte_pktmbuf_mtod_offset(m, const uint8_t *, c.fragment_at);
		*more = h[3] & 1;
		key->family = 6;
		memcpy(&key->id, h + 4, sizeof(key->id));
		memcpy(key->src, ip->src_addr, sizeof(key->src));
		memcpy(key->dst, ip->dst_addr, sizeof(key->dst));
	} else {
		const struct rte_ipv4_hdr *ip = ip4_hdr(m);

		if (!ip4_is_fragment(ip))
			return false;
		*more = ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG);
		key->family = 4;
		key->id = ip->packet_id;
		memcpy(key->src, &ip->src_addr, sizeof(ip->src_addr));
		memcpy(key->dst, &ip->dst_addr, sizeof(ip->dst_addr));
	}
	return true;
}

/* The packet is IKE: later pieces of it will be, too. */
static inline void
ike_pieces_begin(struct worker *w, const struct rte_mbuf *m)
{
	struct ike_pieces *p = &w->ike_pieces;
	struct reassembly_key key;
	bool more;

	if (likely(!ike_piece_key(m, &key, &more)) || !more)
		return;
	p->next = (p->next + 1) % RTE_DIM(p->key);
	p->key[p->next] = key;
	p->until[p->next] = w->now + w->tsc_hz;
}

/* Whether it is a later piece of one of them: a packet of UDP whose ports are not to be seen. */
static inline bool
ike_pieces_has(struct worker *w, const struct rte_mbuf *m)
{
	struct ike_pieces *p = &w->ike_pieces;
	struct reassembly_key key;
	bool more;

	if (!ike_piece_key(m, &key, &more))
		return false;
	for (unsigned int i = 0; i < RTE_DIM(p->key); i++) {
		if (w->now >= p->until[i] || memcmp(&key, &p->key[i], sizeof(key)) != 0)
			continue;
		if (!more)
			p->until[i] = 0;
		return true;
	}
	return false;
}

#endif

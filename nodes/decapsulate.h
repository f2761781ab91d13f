/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_DECAPSULATE_H
#define CYGNET_DECAPSULATE_H

#include "esp_transport.h"
#include "ip4_accept.h"
#include "sad.h"
#include "worker.h"

/* An authentic packet becomes what it was before it was sealed, for ESP and AH alike. */

enum { ECN_NOT, ECN_ECT1, ECN_ECT0, ECN_CE, ECN_MASK = 3 };

/*
 * What of the tunnel's mark goes inside: RFC 6040, 4.2, where a congestion mark on what cannot bear it takes the
 * packet away; and the DSCP, when the SA says so.
 */
static inline bool
decapsulate_tos(const struct sa *sa, struct rte_ipv4_hdr *inner, uint8_t outer)
{
	uint8_t tos = inner->type_of_service;
	uint16_t old, new;
	uint32_t sum;

	if (unlikely((outer & ECN_MASK) == ECN_CE && !(sa->flags & SA_F_NO_ECN))) {
		if ((tos & ECN_MASK) == ECN_NOT)
			return false;
		tos |= ECN_CE;
	} else if (unlikely((outer & ECN_MASK) == ECN_ECT1 && (tos & ECN_MASK) == ECN_ECT0 &&
			    !(sa->flags & SA_F_NO_ECN))) {
		tos ^= ECN_ECT0 ^ ECN_ECT1;
	}
	if (unlikely(sa->flags & SA_F_COPY_DSCP_IN))
		tos = (outer & ~ECN_MASK) | (tos & ECN_MASK);
	if (likely(tos == inner->type_of_service))
		return true;
	/* RFC 1624, equation 3, over the first two bytes */
	memcpy(&old, inner, sizeof(old));
	inner->type_of_service = tos;
	memcpy(&new, inner, sizeof(new));
	sum = (uint16_t)~inner->hdr_checksum + (uint16_t)~old + new;
	sum = (sum & 0xffff) + (sum >> 16);
	inner->hdr_checksum = ~(sum + (sum >> 16));
	return true;
}

/* A tunnel's packet is what stood in it (RFC 4301, 5.2). */
static inline bool
take_inner(struct rte_mbuf *m, struct pkt *p, uint32_t payload)
{
	rte_pktmbuf_adj(m, payload);
	return p->next_header == IPPROTO_IPIP && esp_version(m) == 4;
}

/*
 * In transport mode the IP header moves up to what it now precedes. A NAT may have changed its addresses, which
 * TCP's and UDP's checksums cover: after ESP in UDP they are made anew (RFC 3948, 3.1.2).
 */
static inline void
take_transport(struct rte_mbuf *m, struct pkt *p, uint32_t payload, uint16_t l3_len, bool udp)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *), *l4;

	memmove(ip + payload - l3_len, ip, l3_len);
	rte_pktmbuf_adj(m, payload - l3_len);
	esp_transport_replace(m, l3_len, p->next_header);
	if (likely(!udp))
		return;
	l4 = rte_pktmbuf_mtod_offset(m, uint8_t *, l3_len);
	if (p->next_header == IPPROTO_TCP && rte_pktmbuf_pkt_len(m) >= l3_len + 20u)
		esp_transport_checksum(m, (uint16_t *)(void *)(l4 + 16), l4);
	else if (p->next_header == IPPROTO_UDP && rte_pktmbuf_pkt_len(m) >= l3_len + 8u)
		esp_transport_checksum(m, (uint16_t *)(void *)(l4 + 6), l4);
}

/*
 * Takes the headers off: payload is where what was protected begins, l3_len the IP header(s) before, udp whether
 * it came in UDP; p->next_header says what it is. DROP_NONE, or why it goes no further.
 */
static inline enum drop_reason
decapsulate(struct worker *w, struct rte_mbuf *m, struct pkt *p, const struct sa *sa,
	uint32_t payload, uint16_t l3_len, bool udp)
{
	uint8_t tos = ip4_hdr(m)->type_of_service;
	enum drop_reason reason;

	if (likely(sa->flags & SA_F_TUNNEL)) {
		if (unlikely(!take_inner(m, p, payload)))
			return DROP_ESP_NEXT_HEADER;
	} else {
		take_transport(m, p, payload, l3_len, udp);
	}
	/* What TFC padding follows the inner packet is cut off by its own length. */
	reason = ip4_validate(m);
	if (reason != DROP_NONE)
		return reason;
	if (likely(sa->flags & SA_F_TUNNEL) && unlikely(!decapsulate_tos(sa, ip4_hdr(m), tos)))
		return DROP_IP4_ECN;
	return ip4_accept(w->fib, ip4_hdr(m), p);
}

#endif

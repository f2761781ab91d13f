/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_DECAPSULATE_H
#define CYGNET_DECAPSULATE_H

#include "esp_transport.h"
#include "ip4_accept.h"
#include "ip6_accept.h"
#include "sad.h"
#include "worker.h"

/* An authentic packet becomes what it was before it was sealed, for ESP and AH alike. */

enum { ECN_NOT, ECN_ECT1, ECN_ECT0, ECN_CE, ECN_MASK = 3 };

/*
 * The traffic class that the inner packet has from now on. Of the tunnel's mark RFC 6040, 4.2 is kept: false, a congestion
 * mark on what cannot bear it takes the packet away. And the DSCP, when the SA says so.
 */
static inline bool
decapsulated_tos(const struct sa *sa, uint8_t outer, uint8_t inner, uint8_t *tos)
{
	*tos = inner;
	if (unlikely((outer & ECN_MASK) == ECN_CE && !(sa->flags & SA_F_NO_ECN))) {
		if ((inner & ECN_MASK) == ECN_NOT)
			return false;
		*tos |= ECN_CE;
	} else if (unlikely((outer & ECN_MASK) == ECN_ECT1 && (inner & ECN_MASK) == ECN_ECT0 &&
			    !(sa->flags & SA_F_NO_ECN))) {
		*tos ^= ECN_ECT0 ^ ECN_ECT1;
	}
	if (unlikely(sa->flags & SA_F_COPY_DSCP_IN))
		*tos = (outer & ~ECN_MASK) | (*tos & ECN_MASK);
	return true;
}

static inline void
set_tos4(struct rte_ipv4_hdr *ip, uint8_t tos)
{
	uint16_t old, new;
	uint32_t sum;

	/* RFC 1624, equation 3, over the first two bytes */
	memcpy(&old, ip, sizeof(old));
	ip->type_of_service = tos;
	memcpy(&new, ip, sizeof(new));
	sum = (uint16_t)~ip->hdr_checksum + (uint16_t)~old + new;
	sum = (sum & 0xffff) + (sum >> 16);
	ip->hdr_checksum = ~(sum + (sum >> 16));
}

/* A tunnel's packet is what stood in it (RFC 4301, 5.2), of either family. */
static inline bool
take_inner(struct rte_mbuf *m, struct pkt *p, uint32_t payload)
{
	uint8_t version = *rte_pktmbuf_mtod_offset(m, const uint8_t *, payload) >> 4;

	/* Refused, it stays what it was: the audit names the tunnel's ends. */
	if (unlikely((p->next_header != IPPROTO_IPIP || version != 4) &&
		     (p->next_header != IPPROTO_IPV6 || version != 6)))
		return false;
	rte_pktmbuf_adj(m, payload);
	return true;
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
		esp_transport_checksum(m, l3_len, (uint16_t *)(void *)(l4 + 16), IPPROTO_TCP);
	else if (p->next_header == IPPROTO_UDP && rte_pktmbuf_pkt_len(m) >= l3_len + 8u)
		esp_transport_checksum(m, l3_len, (uint16_t *)(void *)(l4 + 6), IPPROTO_UDP);
}

/* What a tunnel or transport mode brought, checked as if it had come in clear. TFC padding is cut off by its own length. */
static inline enum drop_reason
decapsulated4(
	struct worker *w, struct rte_mbuf *m, struct pkt *p, const struct sa *sa, uint8_t outer)
{
	struct rte_ipv4_hdr *ip = ip4_hdr(m);
	enum drop_reason reason = ip4_validate(m);
	uint8_t tos;

	if (reason != DROP_NONE)
		return reason;
	if (likely(sa->flags & SA_F_TUNNEL)) {
		if (unlikely(!decapsulated_tos(sa, outer, ip->type_of_service, &tos)))
			return DROP_IP4_ECN;
		if (unlikely(tos != ip->type_of_service))
			set_tos4(ip, tos);
	}
	return ip4_accept(w->fib, ip, p);
}

static inline enum drop_reason
decapsulated6(
	struct worker *w, struct rte_mbuf *m, struct pkt *p, const struct sa *sa, uint8_t outer)
{
	struct rte_ipv6_hdr *ip = ip6_hdr(m);
	struct ip6_chain c;
	enum drop_reason reason = ip6_validate(m, &c);
	uint8_t was, tos;

	if (reason != DROP_NONE)
		return reason;
	if (likely(sa->flags & SA_F_TUNNEL)) {
		was = ip6_tos(ip);
		if (unlikely(!decapsulated_tos(sa, outer, was, &tos)))
			return DROP_IP6_ECN;
		ip->vtc_flow ^= rte_cpu_to_be_32((uint32_t)(was ^ tos) << 20);
		if (unlikely(ip6_of_link(m, &c)))
			return DROP_IP6_SCOPE;
	}
	return ip6_accept(w->fib, ip, &c, p);
}

/*
 * Takes the headers off: payload is where what was protected begins, l3_len the IP header(s) before, udp whether
 * it came in UDP; p->next_header says what it is. DROP_NONE, or why it goes no further.
 */
static inline enum drop_reason
decapsulate(struct worker *w, struct rte_mbuf *m, struct pkt *p, const struct sa *sa,
	uint32_t payload, uint16_t l3_len, bool udp)
{
	uint8_t tos = esp_tos(rte_pktmbuf_mtod(m, const void *));

	if (likely(sa->flags & SA_F_TUNNEL)) {
		if (unlikely(!take_inner(m, p, payload)))
			return DROP_ESP_NEXT_HEADER;
	} else {
		take_transport(m, p, payload, l3_len, udp);
	}
	return likely(esp_version(m) == 4) ? decapsulated4(w, m, p, sa, tos)
					   : decapsulated6(w, m, p, sa, tos);
}

#endif

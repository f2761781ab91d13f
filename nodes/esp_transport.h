/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ESP_TRANSPORT_H
#define CYGNET_ESP_TRANSPORT_H

#include "ip4.h"
#include "ip6.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

/* Transport mode: ESP goes between the IP header and the rest (RFC 4303, 3.1.1). Packets are linear here. */

#define ESP_IP6_HEADERS_MAX 8

static inline uint8_t
esp_version(const struct rte_mbuf *m)
{
	return *rte_pktmbuf_mtod(m, const uint8_t *) >> 4;
}

/* DSCP and ECN of the IP header. */
static inline uint8_t
esp_tos(const void *ip)
{
	return likely(*(const uint8_t *)ip >> 4 == 4)
		       ? ((const struct rte_ipv4_hdr *)ip)->type_of_service
		       : ip6_tos(ip);
}

/*
 * Walks IPv6's headers up to offset end, or, with end 0, over those that each hop reads (RFC 8200, 4.1: hop by
 * hop, routing, and destination options before routing). Returns the offset behind them, 0 when they
 * cannot be read; *next_at: where the next-header field of the last of them stands.
 */
static inline uint16_t
esp_ip6_walk(const struct rte_mbuf *m, uint16_t end, uint16_t *next_at)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t len = rte_pktmbuf_data_len(m), at = sizeof(struct rte_ipv6_hdr), routing = at;

	if (len < at)
		return 0;
	*next_at = offsetof(struct rte_ipv6_hdr, proto);
	for (uint16_t field = *next_at, n = 0; n < ESP_IP6_HEADERS_MAX && (end == 0 || at < end);
		n++) {
		uint8_t next = ip[field];

		if ((next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
			    next != IPPROTO_DSTOPTS) ||
			at + 8 > len)
			break;
		field = at;
		at += (ip[at + 1] + 1) * 8;
		if (at > len)
			return 0;
		/* Destination options alone are for the end, and are sealed. */
		if (end != 0 || next != IPPROTO_DSTOPTS) {
			routing = at;
			*next_at = field;
		}
	}
	return end == 0 || routing == end ? routing : 0;
}

/* Length of what stays in clear before ESP; 0 when the packet cannot be sealed so: a fragment, unreadable. */
static inline uint16_t
esp_transport_split(const struct rte_mbuf *m)
{
	struct ip6_chain c;
	uint16_t next_at;

	if (esp_version(m) == 4)
		return ip4_is_fragment(ip4_hdr(m)) ? 0 : ip4_hdr_len(ip4_hdr(m));
	if (ip6_walk(m, &c) != DROP_NONE || c.fragment_at != 0)
		return 0;
	return esp_ip6_walk(m, 0, &next_at);
}

/*
 * The packet has its new length: the IP header says so, and that proto follows its l3_len bytes. Returns the
 * protocol that did.
 */
static inline uint8_t
esp_transport_replace(struct rte_mbuf *m, uint16_t l3_len, uint8_t proto)
{
	struct rte_ipv4_hdr *ip4 = ip4_hdr(m);
	struct rte_ipv6_hdr *ip6;
	uint16_t next_at = 0;
	uint8_t *next, was;

	if (esp_version(m) == 4) {
		was = ip4->next_proto_id;
		ip4->next_proto_id = proto;
		ip4->total_length = rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m));
		ip4->hdr_checksum = 0;
		ip4->hdr_checksum = ~rte_raw_cksum(ip4, l3_len);
		return was;
	}
	ip6 = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	ip6->payload_len = rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m) - sizeof(*ip6));
	if (l3_len == sizeof(*ip6))
		next_at = offsetof(struct rte_ipv6_hdr, proto);
	else
		esp_ip6_walk(m, l3_len, &next_at);
	next = rte_pktmbuf_mtod_offset(m, uint8_t *, next_at);
	was = *next;
	*next = proto;
	return was;
}

/* UDP's or TCP's checksum, over len bytes from l4 on; its field is zero. Not for a packet with a way to go (routing header). */
static inline uint16_t
esp_ip6_checksum(const struct rte_mbuf *m, const void *l4, uint16_t len, uint8_t proto)
{
	struct rte_ipv6_hdr pseudo = *rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	uint32_t sum;
	uint16_t csum;

	pseudo.payload_len = rte_cpu_to_be_16(len);
	pseudo.proto = proto;
	sum = rte_raw_cksum(l4, len) + (uint32_t)rte_ipv6_phdr_cksum(&pseudo, 0);
	sum = (sum & 0xffff) + (sum >> 16);
	csum = ~sum;
	return csum != 0 ? csum : 0xffff;
}

/* Makes the checksum at csum of TCP or UDP, which is all that follows l3_len bytes, anew. */
static inline void
esp_transport_checksum(struct rte_mbuf *m, uint16_t l3_len, uint16_t *csum, uint8_t proto)
{
	const void *l4 = rte_pktmbuf_mtod_offset(m, const void *, l3_len);

	*csum = 0;
	*csum = esp_version(m) == 4
			? rte_ipv4_udptcp_cksum(
				  rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *), l4)
			: esp_ip6_checksum(m, l4, rte_pktmbuf_pkt_len(m) - l3_len, proto);
}

#endif

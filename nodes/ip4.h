/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IP4_H
#define CYGNET_IP4_H

#include "drop.h"
#include "pkt.h"
#include "spd.h"

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

static inline struct rte_ipv4_hdr *
ip4_hdr(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
}

static inline uint16_t
ip4_hdr_len(const struct rte_ipv4_hdr *ip)
{
	return (ip->version_ihl & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
}

static inline bool
ip4_is_fragment(const struct rte_ipv4_hdr *ip)
{
	return (ip->fragment_offset &
		       rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) != 0;
}

static inline bool
ip4_is_later_fragment(const struct rte_ipv4_hdr *ip)
{
	return (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0;
}

/* 0.0.0.0/8 but for 0.0.0.0 itself, 127.0.0.0/8, 224.0.0.0/3: RFC 1812, 5.3.7. */
static inline bool
ip4_source_invalid(uint32_t src)
{
	uint8_t first = src & rte_cpu_to_be_32(0xff000000) ? rte_be_to_cpu_32(src) >> 24 : 0;

	return first == 127 || first >= 224 || (first == 0 && src != 0);
}

#define IP4_LOOKED_AT (60 + 8 + 8) /* the longest IP header, UDP, and what begins ESP */

/* RFC 1071: the header sums up to ones. Nearly all are five words, which need no loop. */
static inline bool
ip4_checksum_ok(const struct rte_ipv4_hdr *ip, uint16_t hdr_len)
{
	uint64_t a, b, sum;
	uint32_t c;

	if (unlikely(hdr_len != sizeof(*ip)))
		return rte_raw_cksum(ip, hdr_len) == 0xffff;
	memcpy(&a, ip, sizeof(a));
	memcpy(&b, (const uint8_t *)ip + 8, sizeof(b));
	memcpy(&c, (const uint8_t *)ip + 16, sizeof(c));
	sum = (a >> 32) + (uint32_t)a + (b >> 32) + (uint32_t)b + c;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	return (sum >> 16) + (uint16_t)sum == 0xffff;
}

/*
 * RFC 1812, 5.2.2: whether the mbuf holds an IPv4 packet, from its first byte. Returns DROP_NONE, having cut
 * off what link layers put after the packet, or why not.
 */
static inline enum drop_reason
ip4_validate(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	uint16_t hdr_len, total;

	/* What we look at lies in the first segment, or is brought there. */
	if (rte_pktmbuf_data_len(m) < IP4_LOOKED_AT) {
		if (unlikely(m->nb_segs > 1) && rte_pktmbuf_linearize(m) != 0)
			return DROP_ESP_NO_HEADROOM;
		if (unlikely(rte_pktmbuf_data_len(m) < sizeof(*ip)))
			return DROP_IP4_SHORT;
	}
	if (unlikely(ip->version_ihl >> 4 != 4))
		return DROP_IP4_VERSION;
	hdr_len = ip4_hdr_len(ip);
	if (unlikely(hdr_len < sizeof(*ip)))
		return DROP_IP4_HEADER_LEN;
	total = rte_be_to_cpu_16(ip->total_length);
	if (unlikely(rte_pktmbuf_data_len(m) < hdr_len || total < hdr_len ||
		     total > rte_pktmbuf_pkt_len(m)))
		return DROP_IP4_SHORT;
	if (unlikely(!ip4_checksum_ok(ip, hdr_len)))
		return DROP_IP4_CHECKSUM;
	if (unlikely(ip4_source_invalid(ip->src_addr)))
		return DROP_IP4_SOURCE;
	if (unlikely(total < rte_pktmbuf_pkt_len(m)) &&
		rte_pktmbuf_trim(m, rte_pktmbuf_pkt_len(m) - total) < 0)
		return DROP_IP4_SHORT; /* the padding lies in a segment of its own */
	return DROP_NONE;
}

/*
 * What a policy sees of the packet. RFC 4301, 4.4.1.1: ports where the first fragment shows them; where
 * they are not to be seen, no_ports.
 */
static inline void
ip4_selector(const struct rte_mbuf *m, struct spd_key *key)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	uint16_t hdr_len = ip4_hdr_len(ip);
	const uint8_t *l4 = (const uint8_t *)ip + hdr_len;

	key->family = 4;
	key->src4 = ip->src_addr;
	key->dst4 = ip->dst_addr;
	key->proto = ip->next_proto_id;
	key->src_port = key->dst_port = 0;
	key->no_ports = false;
	switch (ip->next_proto_id) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		if (ip4_is_later_fragment(ip) || rte_pktmbuf_data_len(m) < hdr_len + 4) {
			key->no_ports = true;
			return;
		}
		key->src_port = l4[0] << 8 | l4[1];
		key->dst_port = l4[2] << 8 | l4[3];
		break;
	case IPPROTO_ICMP:
		if (ip4_is_later_fragment(ip) || rte_pktmbuf_data_len(m) < hdr_len + 2) {
			key->no_ports = true;
			return;
		}
		key->src_port = l4[0];
		key->dst_port = l4[1];
		break;
	}
}

/* Decrements the TTL and mends the checksum (RFC 1141). */
static inline void
ip4_decrement_ttl(struct rte_ipv4_hdr *ip)
{
	uint32_t sum = (uint32_t)ip->hdr_checksum + rte_cpu_to_be_16(0x0100);

	ip->time_to_live--;
	ip->hdr_checksum = sum + (sum >= 0xffff);
}

#endif

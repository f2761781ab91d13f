/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IP6_H
#define CYGNET_IP6_H

#include "drop.h"
#include "pkt.h"
#include "spd.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

/* IPv6 packets as the nodes read them: RFC 8200. */

#define IP6_MAX_HEADERS 8 /* extension headers */
#define IP6_MAX_CHAIN 512 /* their bytes */
#define IP6_LOOKED_AT (40 + IP6_MAX_CHAIN + 16) /* and UDP, and what begins ESP */
#define IP6_MIN_MTU 1280 /* RFC 8200, 5 */

static inline struct rte_ipv6_hdr *
ip6_hdr(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
}

static inline bool
ip6_is_version(const struct rte_mbuf *m)
{
	return *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 == 6;
}

/* Traffic class: its DSCP and ECN stand as in IPv4's TOS. */
static inline uint8_t
ip6_tos(const void *ip)
{
	return rte_be_to_cpu_32(((const struct rte_ipv6_hdr *)ip)->vtc_flow) >> 20;
}

static inline uint32_t
ip6_total(const void *ip)
{
	return sizeof(struct rte_ipv6_hdr) +
	       rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)ip)->payload_len);
}

static inline bool
ip6_multicast(const uint8_t addr[16])
{
	return addr[0] == 0xff;
}

static inline bool
ip6_link_local(const uint8_t addr[16])
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* ::/80: unspecified, loopback, IPv4-mapped and -compatible: never on a wire as an address of somebody. */
static inline bool
ip6_nobody(const uint8_t addr[16])
{
	static const uint8_t zero[10];

	return memcmp(addr, zero, sizeof(zero)) == 0;
}

/* What follows the extension headers. */
struct ip6_chain {
	uint8_t proto;
	bool fragment, later; /* a fragment (RFC 6946's atomic one is none); not the first */
	bool routed; /* it has a routing header whose way is not at its end */
	uint16_t at; /* offset of proto's header; later: of the fragment's data */
	uint16_t fragment_at; /* offset of the fragment header; 0: none, or an unreadable one */
	uint16_t fragment_field; /* offset of the field that says that it follows */
};

/* RFC 4301, 4.4.1.1: what is skipped to find the next layer protocol. AH and ESP are protocols. */
static inline bool
ip6_is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_DSTOPTS;
}

static inline enum drop_reason
ip6_walk_extensions(const struct rte_mbuf *m, struct ip6_chain *c)
{
	uint16_t len =
		RTE_MIN(rte_pktmbuf_data_len(m), sizeof(struct rte_ipv6_hdr) + IP6_MAX_CHAIN);
	uint16_t field = offsetof(struct rte_ipv6_hdr, proto);

	for (unsigned int n = 0; ip6_is_extension(c->proto); n++) {
		const uint8_t *h = rte_pktmbuf_mtod_offset(m, const uint8_t *, c->at);
		uint16_t size, offset;

		if (n == IP6_MAX_HEADERS || c->at + 8 > len ||
			(c->proto == IPPROTO_HOPOPTS && n > 0))
			return DROP_IP6_CHAIN;
		size = c->proto == IPPROTO_FRAGMENT ? 8 : 8 * (h[1] + 1);
		if (c->at + size > len)
			return DROP_IP6_CHAIN;
		/* RFC 5095: whatever it has left. */
		if (c->proto == IPPROTO_ROUTING && h[2] == 0)
			return DROP_IP6_ROUTING;
		if (c->proto == IPPROTO_ROUTING && h[3] != 0)
			c->routed = true;
		if (c->proto == IPPROTO_FRAGMENT) {
			if (c->fragment_at != 0)
				return DROP_IP6_CHAIN;
			c->fragment_at = c->at;
			c->fragment_field = field;
			offset = h[2] << 8 | h[3];
			c->fragment = (offset & 0xfff9) != 0;
			c->later = (offset & 0xfff8) != 0;
		}
		field = c->at;
		c->proto = h[0];
		c->at += size;
		/* What protocol a later fragment is of is not to be seen, then. */
		if (c->later)
			return ip6_is_extension(c->proto) ? DROP_IP6_CHAIN : DROP_NONE;
	}
	return DROP_NONE;
}

/*
 * Walks the extension headers, which lie in the first segment. A packet whose protocol cannot be found (RFC
 * 7112: a first fragment holds all headers) belongs to no policy and is refused.
 */
static inline enum drop_reason
ip6_walk(const struct rte_mbuf *m, struct ip6_chain *c)
{
	*c = (struct ip6_chain){.proto = ip6_hdr(m)->proto, .at = sizeof(struct rte_ipv6_hdr)};
	return likely(!ip6_is_extension(c->proto)) ? DROP_NONE : ip6_walk_extensions(m, c);
}

/*
 * RFC 8200, 3: whether the mbuf holds an IPv6 packet, from its first byte. Returns DROP_NONE, having cut off what
 * link layers put after the packet and walked its headers, or why not.
 */
static inline enum drop_reason
ip6_validate(struct rte_mbuf *m, struct ip6_chain *c)
{
	const struct rte_ipv6_hdr *ip = ip6_hdr(m);
	uint32_t total;

	/* What we look at lies in the first segment, or is brought there. */
	if (unlikely(m->nb_segs > 1) && rte_pktmbuf_data_len(m) < IP6_LOOKED_AT &&
		rte_pktmbuf_linearize(m) != 0)
		return DROP_ESP_NO_HEADROOM;
	if (unlikely(rte_pktmbuf_data_len(m) < sizeof(*ip)))
		return DROP_IP6_SHORT;
	if (unlikely(!ip6_is_version(m)))
		return DROP_IP6_VERSION;
	total = sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len);
	if (unlikely(total > rte_pktmbuf_pkt_len(m)))
		return DROP_IP6_SHORT;
	if (unlikely(ip6_multicast(ip->src_addr) || ip6_nobody(ip->src_addr)))
		return DROP_IP6_SOURCE;
	/* Surplus that lies in a segment of its own cannot be cut off. */
	if (unlikely(total < rte_pktmbuf_pkt_len(m)) &&
		rte_pktmbuf_trim(m, rte_pktmbuf_pkt_len(m) - total) < 0)
		return DROP_IP6_SHORT;
	return ip6_walk(m, c);
}

/* What a policy sees of a valid packet (RFC 4301, 4.4.1.1), as ip4_selector(). */
static inline void
ip6_selector(const struct rte_mbuf *m, struct spd_key *key)
{
	const struct rte_ipv6_hdr *ip = ip6_hdr(m);
	struct ip6_chain c;
	const uint8_t *l4;
	uint16_t room;

	ip6_walk(m, &c);
	memcpy(key->src6, ip->src_addr, sizeof(key->src6));
	memcpy(key->dst6, ip->dst_addr, sizeof(key->dst6));
	key->family = 6;
	key->proto = c.proto;
	key->src_port = key->dst_port = 0;
	key->no_ports = false;
	l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, c.at);
	room = rte_pktmbuf_data_len(m) - c.at;
	switch (c.proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		if (c.later || room < 4) {
			key->no_ports = true;
			return;
		}
		key->src_port = l4[0] << 8 | l4[1];
		key->dst_port = l4[2] << 8 | l4[3];
		break;
	case IPPROTO_ICMPV6:
		if (c.later || room < 2) {
			key->no_ports = true;
			return;
		}
		key->src_port = l4[0];
		key->dst_port = l4[1];
		break;
	}
}

#endif

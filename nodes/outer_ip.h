/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_OUTER_IP_H
#define CYGNET_OUTER_IP_H

#include "esp_transport.h"
#include "sad.h"

/* The outer header of a tunnel. */

/* RFC 4301, 5.1.2 and RFC 6040, 4.1: what the outer header takes from the inner one. */
static inline uint8_t
outer_tos(uint16_t flags, uint8_t inner)
{
	return (flags & SA_F_COPY_DSCP_OUT ? inner & ~3 : 0) |
	       (flags & SA_F_NO_ECN ? 0 : inner & 3);
}

static inline void
outer_ip4(const struct sa *sa, const struct sa_template *t, struct rte_ipv4_hdr *outer,
	const void *inner, bool inner6, uint16_t total, uint64_t sqn)
{
	const struct rte_ipv4_hdr *ip4 = inner;
	uint32_t sum;

	outer->type_of_service =
		outer_tos(sa->flags, inner6 ? esp_ip6_tos(inner) : ip4->type_of_service);
	outer->total_length = rte_cpu_to_be_16(total);
	outer->packet_id = rte_cpu_to_be_16((uint16_t)sqn);
	outer->fragment_offset = 0;
	/* IPv6 is never fragmented on its way: its tunnel is not, either. */
	if (sa->flags & SA_F_COPY_DF)
		outer->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG) &
					 (inner6 ? 0xffff : ip4->fragment_offset);
	sum = t->csum + outer->total_length + outer->packet_id + outer->fragment_offset +
	      rte_cpu_to_be_16(outer->type_of_service);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	outer->hdr_checksum = ~sum;
}

static inline void
outer_ip6(const struct sa *sa, struct rte_ipv6_hdr *outer, const void *inner, bool inner6,
	uint16_t total)
{
	uint8_t tos =
		inner6 ? esp_ip6_tos(inner) : ((const struct rte_ipv4_hdr *)inner)->type_of_service;

	outer->vtc_flow = rte_cpu_to_be_32(6u << 28 | (uint32_t)outer_tos(sa->flags, tos) << 20);
	outer->payload_len = rte_cpu_to_be_16(total - sizeof(*outer));
}

/*
 * A tunnel's template is 20 to 48 bytes: pieces of a fixed size that overlap are stores, where a copy of any
 * length is a slow instruction.
 */
static inline void
outer_template(uint8_t *to, const struct sa_template *t)
{
	memcpy(to, t->header, 16);
	if (unlikely(t->len > 32))
		memcpy(to + 16, t->header + 16, 16);
	memcpy(to + t->len - 16, t->header + t->len - 16, 16);
}

/*
 * Puts the template at outer, with what changes from packet to packet: total is the length of the whole packet, which
 * begins there. inner: the packet in the tunnel, of IPv6 if inner6.
 */
static inline void
outer_ip(const struct sa *sa, const struct sa_template *t, uint8_t *outer, const void *inner,
	bool inner6, uint16_t total, uint64_t sqn)
{
	outer_template(outer, t);
	if (t->outer6)
		outer_ip6(sa, (struct rte_ipv6_hdr *)outer, inner, inner6, total);
	else
		outer_ip4(sa, t, (struct rte_ipv4_hdr *)outer, inner, inner6, total, sqn);
}

#endif

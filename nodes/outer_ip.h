/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_OUTER_IP_H
#define CYGNET_OUTER_IP_H

#include "esp_transport.h"
#include "sad.h"

/* The outer header of a tunnel. */

/* RFC 4301, 5.1.2 and RFC 6040, 4.1: what the outer header takes from the inner one, dscp where it does not. */
static inline uint8_t
outer_tos(uint16_t flags, uint8_t dscp, uint8_t inner)
{
	return (flags & SA_F_COPY_DSCP_OUT ? inner & ~3 : dscp) |
	       (flags & SA_F_NO_ECN ? 0 : inner & 3);
}

/*
 * A path that carries no more than the least that is believed may carry still less: with DF, what does not fit would be lost
 * for good. Without, its routers cut it up.
 */
static inline bool
outer_df_hurts(const struct sa *sa)
{
	uint16_t mtu = atomic_load_explicit(&sa->mtu, memory_order_relaxed);

	return mtu != 0 && mtu <= SAD_PATH_MTU_MIN4;
}

/*
 * The DF that the SA wants in the outer header: none, set, or the inner one's. IPv6 bears none: a packet of it is never fragmented on
 * its way, so its tunnel is not, either, unless its SA says so, or unless it is one that every link carries (RFC 4213, 3.2).
 */
static inline uint16_t
outer_df_wanted(const struct sa *sa, const void *inner, bool inner6)
{
	if (likely(!(sa->flags & (SA_F_COPY_DF | SA_F_SET_DF))))
		return 0;
	if (sa->flags & SA_F_SET_DF)
		return rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
	if (likely(!inner6))
		return ((const struct rte_ipv4_hdr *)inner)->fragment_offset &
		       rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
	return !(sa->flags & SA_F_FRAGMENT_AFTER) && ip6_total(inner) > IP6_MIN_MTU
		       ? rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)
		       : 0;
}

/* The one that it gets. */
static inline uint16_t
outer_df(const struct sa *sa, const void *inner, bool inner6)
{
	uint16_t df = outer_df_wanted(sa, inner, inner6);

	return likely(df == 0) || !outer_df_hurts(sa) ? df : 0;
}

/*
 * RFC 6864, 4.3: what may be fragmented has an id that no other packet between these two has at the time. Within an SA it follows the
 * sequence number; SAs begin anywhere, or those of two gateways would all have the same ones.
 */
static inline uint16_t
outer_id(const struct sa_template *t, uint64_t sqn)
{
	return (uint16_t)sqn + t->id;
}

static inline void
outer_ip4(const struct sa *sa, const struct sa_template *t, struct rte_ipv4_hdr *outer,
	const void *inner, bool inner6, uint16_t total, uint64_t sqn)
{
	uint32_t sum;

	outer->type_of_service = outer_tos(sa->flags, t->tos, esp_tos(inner));
	outer->total_length = rte_cpu_to_be_16(total);
	outer->packet_id = rte_cpu_to_be_16(outer_id(t, sqn));
	outer->fragment_offset = outer_df(sa, inner, inner6);
	sum = t->csum + outer->total_length + outer->packet_id + outer->fragment_offset +
	      rte_cpu_to_be_16(outer->type_of_service);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	outer->hdr_checksum = ~sum;
}

static inline void
outer_ip6(const struct sa *sa, const struct sa_template *t, struct rte_ipv6_hdr *outer,
	const void *inner, bool inner6, uint16_t total)
{
	/* The template has the version and the configured flow label. */
	outer->vtc_flow |=
		rte_cpu_to_be_32((uint32_t)outer_tos(sa->flags, t->tos, esp_tos(inner)) << 20);
	if (sa->flags & SA_F_COPY_LABEL && inner6)
		outer->vtc_flow |= ((const struct rte_ipv6_hdr *)inner)->vtc_flow &
				   rte_cpu_to_be_32(RTE_IPV6_HDR_FL_MASK);
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
		outer_ip6(sa, t, (struct rte_ipv6_hdr *)outer, inner, inner6, total);
	else
		outer_ip4(sa, t, (struct rte_ipv4_hdr *)outer, inner, inner6, total, sqn);
}

#endif

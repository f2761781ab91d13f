/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IP6_ACCEPT_H
#define CYGNET_IP6_ACCEPT_H

#include "fib.h"
#include "ip6.h"

#include <netinet/icmp6.h>

/* Where a valid packet may go: the same for what came in clear and for what came out of a tunnel. */

#define IP6_SCOPE_LINK 2

/*
 * Sets PKT_F_LOCAL when it is for us. Multicast is only when it stays on the link, and else is dropped; RFC 4007,
 * 9: nothing of one link goes to another.
 */
static inline enum drop_reason
ip6_accept(const struct fib *fib, const struct rte_ipv6_hdr *ip, const struct ip6_chain *c,
	struct pkt *p)
{
	const uint8_t *dst = ip->dst_addr;

	if (unlikely(ip6_multicast(dst))) {
		if ((dst[1] & 0xf) != IP6_SCOPE_LINK)
			return DROP_IP6_DESTINATION;
		p->flags |= PKT_F_LOCAL;
		return DROP_NONE;
	}
	if (fib_local6(fib, dst)) {
		/* We are nobody's way point: it would get past the policies of its true destination. */
		if (unlikely(c->routed))
			return DROP_IP6_ROUTING;
		p->flags |= PKT_F_LOCAL;
		return DROP_NONE;
	}
	if (unlikely(ip6_nobody(dst) || p->flags & PKT_F_L2_GROUP))
		return DROP_IP6_DESTINATION;
	if (unlikely(ip6_link_local(dst) || ip6_link_local(ip->src_addr)))
		return DROP_IP6_SCOPE;
	return DROP_NONE;
}

/*
 * Whether what came by a tunnel is what only a neighbour may say: neighbour discovery believes a hop limit that nobody
 * has decremented (RFC 4861, 6 and 7), and a tunnel is not a link of ours.
 */
static inline bool
ip6_of_link(const struct rte_mbuf *m, const struct ip6_chain *c)
{
	const struct rte_ipv6_hdr *ip = ip6_hdr(m);
	uint8_t type;

	if (unlikely(ip6_link_local(ip->src_addr) || ip6_link_local(ip->dst_addr) ||
		     ip6_multicast(ip->dst_addr)))
		return true;
	if (likely(c->proto != IPPROTO_ICMPV6 || ip->hop_limits != 255) ||
		rte_pktmbuf_data_len(m) <= c->at)
		return false;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, c->at);
	return type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IP6_LINK_H
#define CYGNET_IP6_LINK_H

#include "fib.h"
#include "ip6.h"

#include <netinet/icmp6.h>
#include <rte_ether.h>

#define IP6_MLD2_REPORT 143

/*
 * Neighbour discovery (RFC 4861) and the multicast groups of a link (RFC 2710, 3810) are between a link and
 * Linux, as ARP is: no policy speaks of them. m is a whole frame. Their hop limits, 255 and 1, say that nobody
 * forwarded them, and none of it is for somebody else.
 */
static inline bool
ip6_is_link_talk(const struct fib *fib, const struct rte_mbuf *m, bool from_us)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(
		m, const struct rte_ipv6_hdr *, sizeof(struct rte_ether_hdr));
	const uint8_t *next = (const uint8_t *)(ip + 1);
	uint16_t len = rte_pktmbuf_data_len(m), at = sizeof(struct rte_ether_hdr) + sizeof(*ip);

	/* What is not whole is refused where all of IPv6 is (ip6-input). */
	if (len < at + 8 || rte_pktmbuf_pkt_len(m) - at < rte_be_to_cpu_16(ip->payload_len))
		return false;
	if (ip->proto == IPPROTO_ICMPV6)
		return ip->hop_limits == 255 && *next >= ND_ROUTER_SOLICIT &&
		       *next <= ND_REDIRECT &&
		       (from_us || (ip6_multicast(ip->dst_addr) && ip->dst_addr[1] == 2) ||
			       fib_local6(fib, ip->dst_addr));
	/* MLD: behind a router alert of 8 bytes. */
	if (ip->proto != IPPROTO_HOPOPTS || next[0] != IPPROTO_ICMPV6 || next[1] != 0 ||
		len < at + 16)
		return false;
	return ip->hop_limits == 1 && ip6_multicast(ip->dst_addr) &&
	       ((next[8] >= MLD_LISTENER_QUERY && next[8] <= MLD_LISTENER_REDUCTION) ||
		       next[8] == IP6_MLD2_REPORT);
}

#endif

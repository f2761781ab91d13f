/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IP4_ACCEPT_H
#define CYGNET_IP4_ACCEPT_H

#include "fib.h"
#include "ip4.h"

#include <netinet/ip.h>

/* Where a valid packet may go: the same for what came in clear and for what came out of a tunnel. */

#define IP4_LIMITED_BROADCAST 0xffffffffu

/* RFC 7126: source routes are refused; what cannot be read is, too. */
static bool
ip4_options_refused(const struct rte_ipv4_hdr *ip)
{
	const uint8_t *opt = (const uint8_t *)(ip + 1);
	unsigned int left = ip4_hdr_len(ip) - sizeof(*ip);

	while (left > 0 && *opt != IPOPT_EOL) {
		unsigned int len = 1;

		if (*opt == IPOPT_LSRR || *opt == IPOPT_SSRR)
			return true;
		if (*opt != IPOPT_NOP) {
			if (left < 2 || opt[1] < 2 || opt[1] > left)
				return true;
			len = opt[1];
		}
		opt += len;
		left -= len;
	}
	return false;
}

/* 1.0.0.0 to 223.255.255.255, but for 127.0.0.0/8; host order. */
static inline bool
ip4_is_unicast(uint32_t addr)
{
	return (addr - 0x01000000 < 0xdf000000) & (addr >> 24 != 127);
}

/*
 * Sets PKT_F_LOCAL when it is for us. Multicast is only when it stays on the link, and else is dropped; a host
 * without an address (RFC 1812, 5.3.7) reaches us and nobody else.
 */
static inline enum drop_reason
ip4_accept(const struct fib *fib, const struct rte_ipv4_hdr *ip, struct pkt *p)
{
	uint32_t dst = rte_be_to_cpu_32(ip->dst_addr);

	if (unlikely(ip4_hdr_len(ip) > sizeof(*ip)) && ip4_options_refused(ip))
		return DROP_IP4_OPTIONS;
	if (fib_local4(fib, ip->dst_addr)) {
		p->flags |= PKT_F_LOCAL;
		return DROP_NONE;
	}
	if (likely(ip4_is_unicast(dst))) {
		if (unlikely(ip->src_addr == 0))
			return DROP_IP4_SOURCE;
		/* RFC 1812, 5.3.4: what came by a link's broadcast is not forwarded. */
		return p->flags & PKT_F_L2_GROUP ? DROP_IP4_DESTINATION : DROP_NONE;
	}
	if (dst == IP4_LIMITED_BROADCAST || dst >> 8 == 0xe00000) {
		p->flags |= PKT_F_LOCAL;
		return DROP_NONE;
	}
	return DROP_IP4_DESTINATION;
}

#endif

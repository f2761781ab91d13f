/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_NEXTHOP_H
#define CYGNET_NEXTHOP_H

#include "fib.h"
#include "ip4.h"
#include "ip6.h"

#include <rte_jhash.h>

/* The next hop that the packet takes, multipath decided by its addresses, protocol and ports (RFC 2992). */
static inline uint32_t
ip4_nexthop(const struct fib *fib, const struct rte_mbuf *m, uint32_t nh)
{
	struct spd_key key;

	if (likely(fib_nh(fib, nh)->type != NH_MULTIPATH))
		return nh;
	ip4_selector(m, &key);
	/* Fragments of one packet go one way: no ports in any of them. */
	return fib_multipath(fib, fib_nh(fib, nh),
		rte_jhash_3words(key.src4, key.dst4,
			ip4_is_fragment(ip4_hdr(m)) ? key.proto
						    : ((uint32_t)key.src_port << 16 | key.dst_port),
			0));
}

static inline uint32_t
ip6_nexthop(const struct fib *fib, const struct rte_mbuf *m, uint32_t nh)
{
	struct {
		uint64_t addrs[4];
		uint32_t proto, ports;
	} flow = {.ports = 0};
	struct spd_key key;
	struct ip6_chain c;

	if (likely(fib_nh(fib, nh)->type != NH_MULTIPATH))
		return nh;
	ip6_selector(m, &key);
	memcpy(flow.addrs, key.src6, sizeof(key.src6));
	memcpy(&flow.addrs[2], key.dst6, sizeof(key.dst6));
	flow.proto = key.proto;
	if (ip6_walk(m, &c) == DROP_NONE && !c.fragment)
		flow.ports = (uint32_t)key.src_port << 16 | key.dst_port;
	return fib_multipath(fib, fib_nh(fib, nh),
		rte_jhash_32b((const uint32_t *)(const void *)&flow, sizeof(flow) / 4, 0));
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_NEXTHOP_H
#define CYGNET_NEXTHOP_H

#include "fib.h"
#include "ip4.h"

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

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_FIB_H
#define CYGNET_FIB_H

#include "addr.h"
#include "rcu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

/*
 * Forwarding: a table for each family (fib4.h, fib6.h) maps a destination to the index of a next hop; next hops are
 * an array. The control thread alone changes; lcores look up under RCU, and a change is there at once.
 */

#define FIB_MAX_MULTIPATH 16

enum nh_type {
	NH_NONE, /* index 0: no route */
	NH_LOCAL, /* ours: to Linux */
	NH_GLEAN, /* on the link, the neighbour is not known yet */
	NH_ADJ, /* a neighbour, perhaps still unresolved */
	NH_BLACKHOLE, /* dropped without a word */
	NH_UNREACHABLE, /* also prohibit: dropped, with an ICMP error */
	NH_FOREIGN, /* leaves by an interface that is not ours: not for the data plane */
	NH_MULTIPATH,
};

/* One cache line; read by lcores. */
struct nexthop {
	/* Destination MAC, source MAC, EtherType of the neighbour's family: the first 8 bytes are changed by one store. */
	_Alignas(64) uint8_t eth[16];
	uint8_t type; /* enum nh_type */
	_Atomic uint8_t resolved; /* ADJ: eth holds a MAC */
	_Atomic uint8_t used; /* ADJ: set by lcores, cleared by the control thread */
	uint8_t n; /* MULTIPATH: members */
	uint16_t port; /* GLEAN, ADJ: the port */
	uint16_t
		mtu; /* layer 3: of the port; MULTIPATH: of the route, 0 where it has none of its own */
	struct ip_addr addr; /* ADJ: the neighbour */
};

struct fib;

/* Our own addresses. Open addressing, an eighth full at most, for what is asked is rarely ours; zeros are an empty place (0.0.0.0 and :: are nobody's). */
struct fib_local {
	uint32_t mask, mask6;
	uint64_t (*addr6)[2];
	uint32_t addr[]; /* network order */
};

/* What lcores read without a call; it is the first member of struct fib. */
struct fib_view {
	struct nexthop *nh; /* [max_nexthops] */
	struct fib_local *_Atomic local;
};

struct fib_conf {
	uint32_t max_routes;
	uint32_t max_nexthops;
	struct rcu *rcu;
};

struct fib *fib_create(const struct fib_conf *conf);
void fib_destroy(struct fib *fib);

/*
 * Next hops, control thread. They are counted: fib_nh_new() and fib_nh_adj() give one reference, each route
 * holds one, and the index is reused a grace period after the last is gone.
 */
int fib_nh_new(struct fib *fib, enum nh_type type, uint16_t port, uint16_t mtu, uint32_t *nh);
/* The adjacency of that neighbour on that port, made unresolved when there is none. */
int fib_nh_adj(struct fib *fib, uint16_t port, const struct ip_addr *addr, const uint8_t src_mac[6],
	uint16_t mtu, uint32_t *nh);
/* members: weights are given by repeating an index. */
int fib_nh_multipath(struct fib *fib, const uint32_t *members, unsigned int n, uint32_t *nh);
void fib_nh_put(struct fib *fib, uint32_t nh);
/* Sets the MAC of an adjacency (NULL: unresolved), visible to lcores at once. */
void fib_nh_resolve(struct fib *fib, uint32_t nh, const uint8_t mac[6]);
/* Finds the adjacency without making one; -ENOENT. Takes no reference. */
int fib_nh_find(const struct fib *fib, uint16_t port, const struct ip_addr *addr, uint32_t *nh);
static inline struct nexthop *
fib_nh(const struct fib *fib, uint32_t nh)
{
	return &((const struct fib_view *)fib)->nh[nh];
}
uint32_t fib_nh_count(
	const struct fib *fib); /* array size, for walks; type NH_NONE is a free one */

/*
 * Routes, control thread: dst is network order, the route takes a reference of nh. Setting a route that is
 * there changes its next hop. Returns 0, -ENOENT, -ENOSPC (IPv4: also while what routes longer than /24 left behind waits
 * for a grace period; the caller tries again).
 */
int fib_route_set(struct fib *fib, const struct ip_addr *dst, uint8_t plen, uint32_t nh);
int fib_route_del(struct fib *fib, const struct ip_addr *dst, uint8_t plen);
void fib_route_foreach(const struct fib *fib,
	void (*fn)(void *ctx, const struct ip_addr *dst, uint8_t plen, uint32_t nh), void *ctx);
uint32_t fib_route_count(const struct fib *fib);

/*
 * A part of the table: at most max routes after the given one (NULL: from the first), which need not be
 * there any more; fewer than max means that the table is through. Control thread.
 */
struct fib_route {
	struct ip_addr dst;
	uint8_t plen;
	uint32_t nh;
};
unsigned int fib_route_page(const struct fib *fib, const struct fib_route *after,
	struct fib_route *v, unsigned int max);

/* Next hop of one destination, as the control thread sees it. */
uint32_t fib_lookup(const struct fib *fib, const struct ip_addr *dst);

/* Any data-plane lcore: destinations in host order, n next-hop indexes. */
void fib_lookup4_bulk(const struct fib *fib, const uint32_t *dst, uint64_t *nh, unsigned int n);

/* The same for IPv6: pointers to addresses in packets. */
void fib_lookup6_bulk(
	const struct fib *fib, const uint8_t *const *dst, uint64_t *nh, unsigned int n);

/* MTU of the way that a next hop takes: its own, and the smallest of a multipath one's members. 0: none. */
uint16_t fib_nh_mtu(const struct fib *fib, uint32_t nh);

/* The member of a multipath next hop for a flow hash. Any data-plane lcore. */
uint32_t fib_multipath(const struct fib *fib, const struct nexthop *nh, uint32_t hash);

/*
 * Our own addresses, for "is this packet for us" without a route lookup. A small hash, swapped whole on a
 * change. Set: control thread; local: any data-plane lcore, address in network order.
 */
int fib_local_set(struct fib *fib, const struct ip_addr *addrs, unsigned int n);

static inline uint32_t
fib_local_hash4(uint32_t addr)
{
	/* Addresses of one network differ in their last bytes. */
	return rte_be_to_cpu_32(addr) * 2654435761u >> 12;
}

static inline uint32_t
fib_local_hash6(const uint64_t addr[2])
{
	return ((rte_be_to_cpu_64(addr[1]) ^ addr[0] * 3) * 0x9e3779b97f4a7c15u) >> 40;
}

static inline bool
fib_local4(const struct fib *fib, uint32_t addr)
{
	const struct fib_local *set =
		atomic_load_explicit(&((const struct fib_view *)fib)->local, memory_order_acquire);
	uint32_t at = fib_local_hash4(addr) & set->mask;

	for (; set->addr[at] != 0; at = (at + 1) & set->mask)
		if (set->addr[at] == addr)
			return true;
	return false;
}

static inline bool
fib_local6(const struct fib *fib, const uint8_t addr[16])
{
	const struct fib_local *set =
		atomic_load_explicit(&((const struct fib_view *)fib)->local, memory_order_acquire);
	uint64_t a[2];
	uint32_t at;

	memcpy(a, addr, sizeof(a));
	for (at = fib_local_hash6(a) & set->mask6; (set->addr6[at][0] | set->addr6[at][1]) != 0;
		at = (at + 1) & set->mask6)
		if (set->addr6[at][0] == a[0] && set->addr6[at][1] == a[1])
			return true;
	return false;
}

#endif

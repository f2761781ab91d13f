/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_FIB6_PRIV_H
#define CYGNET_FIB6_PRIV_H

#include "fib6.h"
#include "fib_changes.h"

#include <rte_common.h>
#include <rte_rib6.h>

/* What fib6.c and fib6_lookup.c share; nobody else includes it. */

#define STRIDE 4 /* bits of the address a node is indexed by */
#define ENTRIES (1u << STRIDE)
#define NH_BITS 27
#define NH_MASK ((1u << NH_BITS) - 1)
/* The node above all others: its entries are in a table, by the first bits of the address. */
#define ROOT 0u
#define ROOT_BITS 16

/*
 * What an entry says of the node below, which so need not be read to be passed: its index, which nibble of the address it is
 * indexed by (never 0), and whether there are nibbles between it and the node above, which are to be compared. 0: no node.
 */
#define BELOW_NODE ((1u << 26) - 1)
#define BELOW_NIBBLE_AT 26
#define BELOW_SKIPS (1u << 31)

struct node {
	/* Line 1 never changes while lcores see the node. */
	_Alignas(RTE_CACHE_LINE_SIZE)
		uint64_t prefix[2]; /* as in the address; zero from nibble on */
	uint64_t mask[2];
	uint32_t nibble; /* of the address, that the entries are indexed by */
	uint32_t routes, children; /* the control thread's */
	/*
	 * Node below in the upper half; then five bits that say how many bits of the nibble the prefix of the next
	 * hop has, and the next hop, 0 where none ends here.
	 */
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t e[ENTRIES];
};

struct fib6 {
	_Atomic uint64_t *root; /* [1 << ROOT_BITS] */
	struct node *nodes;
	_Atomic uint32_t any; /* next hop of ::/0 */
	fib_changes changes;
	_Atomic bool large; /* lookups wait for memory: they go side by side */
	/* The control thread's own. */
	struct rte_rib6 *rib;
	struct rcu *rcu;
	uint32_t n_nodes, n_free;
	uint32_t free[];
};

static inline uint64_t
entry(const _Atomic uint64_t *e)
{
	return atomic_load_explicit(e, memory_order_acquire);
}

static inline uint32_t
below(uint64_t e)
{
	return e >> 32;
}

static inline uint32_t
below_nibble(uint32_t below)
{
	return below >> BELOW_NIBBLE_AT & 31;
}

static inline unsigned int
nibble_of(const uint8_t *addr, unsigned int n)
{
	return addr[n / 2] >> (n % 2 ? 0 : STRIDE) & (ENTRIES - 1);
}

static inline unsigned int
first_bits(const uint8_t *addr)
{
	return addr[0] << 8 | addr[1];
}

#endif

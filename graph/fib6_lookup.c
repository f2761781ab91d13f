/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib6_priv.h"

#include <string.h>

#include <rte_prefetch.h>

/* What lcores do with the IPv6 routes. */

#define LANES 8 /* addresses of a lookup */

static inline bool
prefix_differs(const struct node *node, const uint8_t *addr)
{
	uint64_t a[2];

	memcpy(a, addr, sizeof(a));
	return (((a[0] ^ node->prefix[0]) & node->mask[0]) |
		       ((a[1] ^ node->prefix[1]) & node->mask[1])) != 0;
}

/* Goes into the node below: the node below that, or 0. */
static inline uint32_t
pass(const struct fib6 *f, uint32_t at, const uint8_t *dst, uint64_t *nh)
{
	const struct node *node = &f->nodes[at & BELOW_NODE];
	uint64_t e;

	if (at & BELOW_SKIPS && prefix_differs(node, dst))
		return 0;
	e = entry(&node->e[nibble_of(dst, below_nibble(at))]);
	if ((uint32_t)e != 0)
		*nh = e & NH_MASK;
	return below(e);
}

static inline void
fetch(const struct fib6 *f, uint32_t at, const uint8_t *dst)
{
	const struct node *node = &f->nodes[at & BELOW_NODE];

	rte_prefetch0(&node->e[nibble_of(dst, below_nibble(at))]);
	if (at & BELOW_SKIPS)
		rte_prefetch0(node);
}

/* All addresses go a step at a time, so that their nodes come from memory together. */
static inline void
pass_together(const struct fib6 *f, uint32_t at[LANES], const uint8_t *const *dst, uint64_t *nh,
	unsigned int n)
{
	unsigned int open = 0;

	for (unsigned int i = 0; i < n; i++) {
		fetch(f, at[i], dst[i]);
		open |= (at[i] != 0) << i;
	}
	while (open != 0)
		for (unsigned int left = open; left != 0; left &= left - 1) {
			unsigned int i = __builtin_ctz(left);

			at[i] = pass(f, at[i], dst[i], &nh[i]);
			fetch(f, at[i], dst[i]);
			open &= ~((unsigned int)(at[i] == 0) << i);
		}
}

static inline void
lookup_once(const struct fib6 *f, const uint8_t *const *dst, uint64_t *nh, unsigned int n)
{
	uint32_t any = atomic_load_explicit(&f->any, memory_order_relaxed), at[LANES];
	uint64_t e;

	for (unsigned int i = 0; i < n; i++) {
		e = entry(&f->root[first_bits(dst[i])]);
		nh[i] = (uint32_t)e != 0 ? e & NH_MASK : any;
		at[i] = below(e);
	}
	if (atomic_load_explicit(&f->large, memory_order_relaxed)) {
		pass_together(f, at, dst, nh, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		while (at[i] != 0)
			at[i] = pass(f, at[i], dst[i], &nh[i]);
}

void
fib6_lookup(const struct fib6 *f, const uint8_t *const *dst, uint64_t *nh, unsigned int n)
{
	for (unsigned int i = 0; i < n; i += LANES)
		for (int tries = 0; tries < FIB_TRIES; tries++) {
			uint32_t begin = fib_changes_now(&f->changes);

			lookup_once(f, dst + i, nh + i, RTE_MIN(n - i, (unsigned int)LANES));
			if (!fib_changed_twice(&f->changes, begin))
				break;
		}
}

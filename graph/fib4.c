/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib4.h"

#include "fib_changes.h"

#include <errno.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>
#include <rte_vect.h>

#define TABLE (1u << 24)
#define GROUP 256u

/* An entry of the table: a next hop, or the number of a group with bit 0 set. */
#define IS_GROUP 1u

struct fib4 {
	uint32_t *table; /* [TABLE] */
	uint32_t (*group)[GROUP]; /* next hops */
	bool wide; /* AVX-512 may be used */
	_Atomic uint32_t
		any; /* next hop of 0.0.0.0/0, where an entry is 0: all of the table would have to be written */
	fib_changes changes;
	/* The control thread's own. */
	struct rte_rib *rib;
	struct rcu *rcu;
	uint32_t *free, n_free;
};

static void
store(uint32_t *entry, uint32_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static bool
may_use_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && rte_vect_get_max_simd_bitwidth() >= 512;
}

static uint32_t
group_count(uint32_t max_routes)
{
	return RTE_MIN(RTE_MAX(max_routes / 8, 256u), 1u << 20);
}

uint64_t
fib4_size(uint32_t max_routes)
{
	/* A node of the RIB takes a cache line, and a route at worst two nodes. */
	return TABLE * (uint64_t)sizeof(uint32_t) +
	       group_count(max_routes) * (uint64_t)GROUP * sizeof(uint32_t) + max_routes * 128ull;
}

struct fib4 *
fib4_create(uint32_t max_routes, struct rcu *rcu)
{
	/* Each route takes two nodes of the tree at most. */
	const struct rte_rib_conf conf = {.max_nodes = 2 * (int)RTE_MAX(max_routes, 8u)};
	uint32_t groups = group_count(max_routes);
	struct fib4 *f = rte_zmalloc("fib4", sizeof(*f), RTE_CACHE_LINE_SIZE);

	if (f == NULL)
		return NULL;
	f->rcu = rcu;
	f->wide = may_use_avx512();
	f->table = rte_zmalloc("fib4 table", TABLE * sizeof(*f->table), RTE_CACHE_LINE_SIZE);
	f->group = rte_malloc("fib4 groups", groups * sizeof(*f->group), RTE_CACHE_LINE_SIZE);
	f->free = calloc(groups, sizeof(*f->free));
	f->rib = rte_rib_create("fib4", (int)rte_socket_id(), &conf);
	if (f->table == NULL || f->group == NULL || f->free == NULL || f->rib == NULL) {
		fib4_destroy(f);
		return NULL;
	}
	while (groups > 0)
		f->free[f->n_free++] = --groups;
	return f;
}

void
fib4_destroy(struct fib4 *f)
{
	if (f == NULL)
		return;
	rte_rib_free(f->rib);
	free(f->free);
	rte_free(f->group);
	rte_free(f->table);
	rte_free(f);
}

struct rte_rib *
fib4_rib(const struct fib4 *f)
{
	return f->rib;
}

/* Addresses first to last, which no longer route than the one that changes covers, go to nh. */
static void
fill(struct fib4 *f, uint32_t first, uint32_t last, uint32_t nh)
{
	for (uint32_t at = first >> 8; at <= last >> 8; at++) {
		uint32_t lo = at == first >> 8 ? first % GROUP : 0;
		uint32_t hi = at == last >> 8 ? last % GROUP : GROUP - 1;

		if (!(f->table[at] & IS_GROUP)) {
			store(&f->table[at], nh << 1);
			continue;
		}
		for (uint32_t i = lo; i <= hi; i++)
			store(&f->group[f->table[at] >> 1][i], nh);
	}
}

/* The same for a prefix, but for the longer ones in it. */
static void
fill_around(struct fib4 *f, uint32_t dst, uint8_t plen, uint32_t nh)
{
	uint32_t last = dst | (uint32_t)(UINT32_MAX >> plen % 32), at = dst, child;
	struct rte_rib_node *node = NULL;
	uint8_t depth;

	if (plen == 32)
		last = dst;
	while ((node = rte_rib_get_nxt(f->rib, dst, plen, node, RTE_RIB_GET_NXT_COVER)) != NULL) {
		rte_rib_get_ip(node, &child);
		rte_rib_get_depth(node, &depth);
		if (depth <= plen)
			continue;
		if (child > at)
			fill(f, at, child - 1, nh);
		at = child + (1u << (32 - depth));
		/* It reaches to the end. */
		if (at - 1 == last)
			return;
	}
	fill(f, at, last, nh);
}

/* The /24 gets a group, with what its entry said. */
static int
make_group(struct fib4 *f, uint32_t at)
{
	uint32_t g;

	if (f->table[at] & IS_GROUP)
		return 0;
	if (f->n_free == 0)
		return -ENOSPC;
	g = f->free[--f->n_free];
	for (uint32_t i = 0; i < GROUP; i++)
		f->group[g][i] = f->table[at] >> 1;
	store(&f->table[at], g << 1 | IS_GROUP);
	return 0;
}

static void
group_is_free(void *ctx, void *obj)
{
	struct fib4 *f = ctx;

	f->free[f->n_free++] = (uintptr_t)obj;
}

static uint32_t
nh_of(const struct rte_rib_node *node)
{
	uint64_t nh = 0;

	if (node != NULL)
		rte_rib_get_nh(node, &nh);
	return nh;
}

/* The same, as an entry says it: what only 0.0.0.0/0 covers is 0. */
static uint32_t
entry_of(const struct rte_rib_node *node)
{
	uint8_t plen = 0;

	if (node != NULL)
		rte_rib_get_depth(node, &plen);
	return plen != 0 ? nh_of(node) : 0;
}

/* The last route longer than /24 went: all of it goes the way of what covers it. */
static void
drop_group(struct fib4 *f, uint32_t at)
{
	uint32_t net = at << 8, entry = f->table[at];
	struct rte_rib_node *node;

	if (rte_rib_get_nxt(f->rib, net, 24, NULL, RTE_RIB_GET_NXT_ALL) != NULL)
		return;
	node = rte_rib_lookup(f->rib, net);
	store(&f->table[at], entry_of(node) << 1);
	rcu_defer(f->rcu, group_is_free, f, (void *)(uintptr_t)(entry >> 1));
}

int
fib4_set(struct fib4 *f, uint32_t dst, uint8_t plen, uint32_t nh, uint32_t *old)
{
	struct rte_rib_node *node = rte_rib_lookup_exact(f->rib, dst, plen);

	*old = nh_of(node);
	if (node == NULL) {
		node = rte_rib_insert(f->rib, dst, plen);
		if (node == NULL)
			return -ENOSPC;
		if (plen > 24 && make_group(f, dst >> 8) < 0) {
			rte_rib_remove(f->rib, dst, plen);
			return -ENOSPC;
		}
	}
	rte_rib_set_nh(node, nh);
	fib_change_begins(&f->changes);
	if (plen == 0)
		atomic_store_explicit(&f->any, nh, memory_order_release);
	else if (nh != *old)
		fill_around(f, dst, plen, nh);
	fib_change_ends(&f->changes);
	return 0;
}

int
fib4_del(struct fib4 *f, uint32_t dst, uint8_t plen, uint32_t *old)
{
	struct rte_rib_node *node = rte_rib_lookup_exact(f->rib, dst, plen);

	if (node == NULL)
		return -ENOENT;
	*old = nh_of(node);
	fib_change_begins(&f->changes);
	if (plen == 0)
		atomic_store_explicit(&f->any, 0, memory_order_release);
	else
		fill_around(f, dst, plen, entry_of(rte_rib_lookup_parent(node)));
	rte_rib_remove(f->rib, dst, plen);
	if (plen > 24)
		drop_group(f, dst >> 8);
	fib_change_ends(&f->changes);
	return 0;
}

/* Sixteen at a time; returns how many were looked up. */
__attribute__((target("avx512f"))) static unsigned int
lookup_wide(const struct fib4 *f, const uint32_t *dst, uint64_t *nh, unsigned int n)
{
	const __m512i one = _mm512_set1_epi32(1), low = _mm512_set1_epi32(GROUP - 1);
	const __m512i any =
		_mm512_set1_epi32((int)atomic_load_explicit(&f->any, memory_order_relaxed));
	unsigned int i = 0;

	for (; i + 16 <= n; i += 16) {
		__m512i ip = _mm512_loadu_si512(dst + i);
		__m512i entry = _mm512_i32gather_epi32(_mm512_srli_epi32(ip, 8), f->table, 4);
		__mmask16 groups = _mm512_test_epi32_mask(entry, one);
		__m512i v = _mm512_srli_epi32(entry, 1);

		if (groups != 0) {
			__m512i at =
				_mm512_or_si512(_mm512_slli_epi32(v, 8), _mm512_and_si512(ip, low));

			v = _mm512_mask_i32gather_epi32(v, groups, at, f->group, 4);
		}
		v = _mm512_mask_mov_epi32(v, _mm512_testn_epi32_mask(v, v), any);
		_mm512_storeu_si512(nh + i, _mm512_cvtepu32_epi64(_mm512_castsi512_si256(v)));
		_mm512_storeu_si512(
			nh + i + 8, _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(v, 1)));
	}
	return i;
}

#define AHEAD 8u /* lookups whose entries are on their way */

static void
lookup_once(const struct fib4 *f, const uint32_t *dst, uint64_t *nh, unsigned int n)
{
	unsigned int i = f->wide ? lookup_wide(f, dst, nh, n) : 0;
	uint32_t any = atomic_load_explicit(&f->any, memory_order_relaxed);

	for (unsigned int k = i; k < RTE_MIN(i + AHEAD, n); k++)
		rte_prefetch0(&f->table[dst[k] >> 8]);
	for (; i < n; i++) {
		uint32_t entry;

		if (i + AHEAD < n)
			rte_prefetch0(&f->table[dst[i + AHEAD] >> 8]);
		entry = __atomic_load_n(&f->table[dst[i] >> 8], __ATOMIC_ACQUIRE);
		nh[i] = entry & IS_GROUP ? __atomic_load_n(&f->group[entry >> 1][dst[i] % GROUP],
						   __ATOMIC_RELAXED)
					 : entry >> 1;
		if (nh[i] == 0)
			nh[i] = any;
	}
}

void
fib4_lookup(const struct fib4 *f, const uint32_t *dst, uint64_t *nh, unsigned int n)
{
	for (int tries = 0; tries < FIB_TRIES; tries++) {
		uint32_t begin = fib_changes_now(&f->changes);

		lookup_once(f, dst, nh, n);
		if (!fib_changed_twice(&f->changes, begin))
			return;
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_malloc.h>

#define BITS_A_KEY 16u /* so of a full table one lookup in 16 is for nothing */
#define MIN_BITS (1u << 12)
#define STAYS UINT8_MAX

int
spd_filter_init(struct spd_filter *f, uint32_t max)
{
	uint32_t bits = rte_align32pow2(RTE_MAX(max * BITS_A_KEY, MIN_BITS));

	f->mask = bits - 1;
	f->bits = rte_zmalloc("spd filter", bits / 8, RTE_CACHE_LINE_SIZE);
	f->keys = calloc(bits, sizeof(*f->keys));
	return f->bits != NULL && f->keys != NULL ? 0 : -ENOMEM;
}

void
spd_filter_free(struct spd_filter *f)
{
	rte_free((void *)f->bits);
	free(f->keys);
}

void
spd_filter_add(struct spd_filter *f, uint32_t hash)
{
	uint32_t at = hash & f->mask;

	if (f->keys[at] == STAYS)
		return;
	if (f->keys[at]++ == 0)
		atomic_fetch_or_explicit(&f->bits[at / 64], 1ull << at % 64, memory_order_release);
}

void
spd_filter_del(struct spd_filter *f, uint32_t hash)
{
	uint32_t at = hash & f->mask;

	if (f->keys[at] == STAYS)
		return;
	if (--f->keys[at] == 0)
		atomic_fetch_and_explicit(
			&f->bits[at / 64], ~(1ull << at % 64), memory_order_release);
}

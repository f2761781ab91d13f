/* SPDX-License-Identifier: BSD-3-Clause */
#include "replay.h"

#include <string.h>

#include <rte_common.h>

/* RFC 6479: a power of two, with one word more than the window fills. */
static uint32_t
ring_words(uint32_t window)
{
	return rte_align32pow2((window + 63) / 64 + 1);
}

uint64_t
replay_size(uint32_t window)
{
	return sizeof(struct replay) + ring_words(window) * sizeof(uint64_t);
}

void
replay_init(struct replay *r, uint32_t window)
{
	memset(r, 0, replay_size(window));
	r->window = window;
	r->mask = ring_words(window) - 1;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_REPLAY_H
#define CYGNET_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The anti-replay window (RFC 4303, 3.4.3 and Appendix A; the ring of words is RFC 6479's, with its spare
 * word). One worker owns an SA's window; nothing here is atomic.
 */
struct replay {
	uint64_t top; /* highest number authenticated so far; 0: none yet */
	uint32_t window; /* packets: any size from 1 */
	uint32_t
		mask; /* words - 1; the ring has at least window / 64 + 1 words, plus the spare one */
	uint64_t words[];
};

/* Bytes of a struct replay for a window of that many packets. */
uint64_t replay_size(uint32_t window);

/* Empties the window; r has replay_size(window) bytes. */
void replay_init(struct replay *r, uint32_t window);

/*
 * The full 64-bit number of a packet whose low 32 bits are low (RFC 4303, Appendix A2.2: case A, the
 * window lies within one subspace, and case B, it spans two).
 */
static inline uint64_t
replay_esn(const struct replay *r, uint32_t low)
{
	uint32_t top_low = (uint32_t)r->top, top_high = r->top >> 32;
	uint32_t bottom = top_low - r->window + 1; /* modulo 2^32 */
	uint32_t high = top_high;

	if (top_low >= r->window - 1) { /* case A */
		if (low < bottom)
			high = top_high + 1;
	} else if (low >= bottom && top_high > 0) { /* case B; below subspace 0 there is nothing */
		high = top_high - 1;
	}
	return (uint64_t)high << 32 | low;
}

/* Whether the number is new: right of the window, or in it and not seen. 0 is never valid. */
static inline bool
replay_check(const struct replay *r, uint64_t sqn)
{
	if (sqn == 0)
		return false;
	if (sqn > r->top)
		return true;
	if (r->top - sqn >= r->window)
		return false;
	return (r->words[(sqn >> 6) & r->mask] & (1ull << (sqn & 63))) == 0;
}

/* Marks an authenticated number as seen; returns false when it had been, or lies left of the window. */
static inline bool
replay_update(struct replay *r, uint64_t sqn)
{
	uint64_t word = sqn >> 6, bit = 1ull << (sqn & 63);

	if (!replay_check(r, sqn))
		return false;
	if (sqn > r->top) {
		uint64_t steps = word - (r->top >> 6);

		/* All words between are new; after a whole turn of the ring every word is. */
		if (steps > (uint64_t)r->mask + 1)
			steps = (uint64_t)r->mask + 1;
		for (uint64_t i = 0; i < steps; i++)
			r->words[(word - i) & r->mask] = 0;
		r->top = sqn;
	}
	r->words[word & r->mask] |= bit;
	return true;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "replay.h"

#include "eal.h"

#include <stdlib.h>

#define LARGEST 4096

static struct replay *
window(uint32_t size)
{
	/* Exactly as large as it says: AddressSanitizer watches its end. */
	struct replay *r = malloc(replay_size(size));

	must(r != NULL);
	memset(r, 0xa5, replay_size(size));
	replay_init(r, size);
	return r;
}

/* Sends what of the window was not seen, then all of it again, then what lies left of it. */
static void
fill_and_send_again(struct replay *r, uint64_t old_top)
{
	uint64_t bottom = r->top >= r->window ? r->top - r->window + 1 : 1;

	for (uint64_t s = bottom; s < r->top; s++) {
		/* All up to the old top were seen; what the jump went over were not. */
		must_msg(replay_check(r, s) == (s > old_top), "window %u top %lu: %lu", r->window,
			r->top, s);
		if (s > old_top)
			must(replay_update(r, s));
	}
	for (uint64_t s = bottom; s <= r->top; s++)
		if (replay_check(r, s) || replay_update(r, s))
			ck_abort_msg("window %u top %lu: %lu again", r->window, r->top, s);
	for (uint64_t s = bottom > 200 ? bottom - 200 : 0; s < bottom; s++)
		if (replay_check(r, s) || replay_update(r, s))
			ck_abort_msg("window %u top %lu: %lu from the left", r->window, r->top, s);
	must(!replay_check(r, 0) && !replay_update(r, 0));
	must(replay_check(r, r->top + 1));
}

START_TEST(refuses_a_whole_window_again)
{
	/* One of 64 tests takes each 64th size: all from 1 to 4096. */
	for (uint32_t size = _i + 1; size <= LARGEST; size += 64) {
		const uint64_t advances[] = {
			1, 2, 63, 64, 65, size - 1, size, size + 1, 10ull * size};
		struct replay *r = window(size);

		for (unsigned int i = 0; i < RTE_DIM(advances); i++) {
			uint64_t advance = advances[i], old = r->top;

			if (advance == 0)
				continue;
			must(replay_update(r, old + advance));
			must(r->top == old + advance);
			fill_and_send_again(r, old);
		}
		free(r);
	}
}
END_TEST

START_TEST(starts_anywhere)
{
	static const uint64_t firsts[] = {1, 2, 63, 64, 65, 4095, 4096, 4097, UINT32_MAX,
		1ull << 32, (1ull << 32) + 1, UINT64_MAX - 1};

	for (uint32_t size = 1; size <= 300; size++)
		for (unsigned int i = 0; i < RTE_DIM(firsts); i++) {
			struct replay *r = window(size);

			must(!replay_check(r, 0));
			must(replay_update(r, firsts[i]));
			fill_and_send_again(r, 0);
			free(r);
		}
}
END_TEST

START_TEST(jumps_over_several_rings)
{
	for (uint32_t size = 1; size <= LARGEST; size += 37) {
		struct replay *r = window(size);

		for (unsigned int turn = 0; turn < 40; turn++) {
			uint64_t ring = (r->mask + 1) * 64ull;
			uint64_t jump = ring * (1 + turn % 5) + turn % 3 - 1, old = r->top;

			must(replay_update(r, old + jump));
			/* Nothing of earlier turns is left in the ring. */
			for (uint64_t s = RTE_MAX(old + 1, r->top - RTE_MIN(r->top, size - 1ull));
				s < r->top; s++)
				must(replay_check(r, s));
			must(!replay_check(r, r->top));
		}
		must(replay_update(r, UINT64_MAX));
		must(!replay_check(r, UINT64_MAX) && !replay_check(r, 0));
		free(r);
	}
}
END_TEST

/* A plain set as the model; numbers near the top, left of it, far right of it. */
START_TEST(agrees_with_a_set)
{
	static const uint32_t sizes[] = {
		1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000, 1024, 2047, 2048, 4095, 4096};
	const uint64_t space = 1 << 20;
	uint8_t *seen = malloc(space);

	for (unsigned int k = 0; k < RTE_DIM(sizes); k++) {
		struct replay *r = window(sizes[k]);
		uint64_t top = 0;

		memset(seen, 0, space);
		for (unsigned int n = 0; n < 60000; n++) {
			uint64_t how = eal_rand() % 100, far = eal_rand() % (3 * sizes[k] + 130);
			uint64_t s = how < 45	? top + 1 + eal_rand() % 3
				     : how < 98 ? top - RTE_MIN(top, far)
						: top + far;
			bool fresh;

			if (s >= space)
				break;
			fresh = s != 0 && (s > top || (top - s < sizes[k] && !seen[s]));
			must_msg(replay_check(r, s) == fresh, "window %u top %lu: %lu", sizes[k],
				top, s);
			must(replay_check(r, s) == fresh); /* a check changes nothing */
			if (eal_rand() % 4 == 0)
				continue; /* its ICV was wrong: the window stays */
			must(replay_update(r, s) == fresh);
			seen[s] |= fresh;
			top = RTE_MAX(top, fresh ? s : 0);
			must(r->top == top);
		}
		ck_assert_uint_gt(top, 10000);
		free(r);
	}
	free(seen);
}
END_TEST

static uint64_t
esn(uint32_t size, uint64_t top, uint32_t low)
{
	struct replay *r = window(size);
	uint64_t s;

	r->top = top;
	s = replay_esn(r, low);
	free(r);
	return s;
}

#define SUB(high, low) ((uint64_t)(high) << 32 | (uint32_t)(low))

/* RFC 4303, Appendix A2.1 and A2.2, at the edges of both cases. */
START_TEST(finds_the_high_half)
{
	/* Case A: Tl >= W - 1. */
	ck_assert_uint_eq(esn(64, SUB(5, 63), 0), SUB(5, 0));
	ck_assert_uint_eq(esn(64, SUB(5, 64), 0), SUB(6, 0));
	ck_assert_uint_eq(esn(64, SUB(5, 64), 1), SUB(5, 1));
	ck_assert_uint_eq(esn(64, SUB(5, 1000), 937), SUB(5, 937)); /* Bl */
	ck_assert_uint_eq(esn(64, SUB(5, 1000), 936), SUB(6, 936));
	ck_assert_uint_eq(esn(64, SUB(5, 1000), 1001), SUB(5, 1001));
	ck_assert_uint_eq(esn(64, SUB(5, 1000), UINT32_MAX), SUB(5, UINT32_MAX));
	ck_assert_uint_eq(esn(64, SUB(5, UINT32_MAX), 0), SUB(6, 0));
	ck_assert_uint_eq(esn(64, SUB(5, UINT32_MAX), UINT32_MAX - 63), SUB(5, UINT32_MAX - 63));
	ck_assert_uint_eq(esn(64, SUB(5, UINT32_MAX), UINT32_MAX - 64), SUB(6, UINT32_MAX - 64));
	/* Case B: the window reaches back into the subspace before. */
	ck_assert_uint_eq(esn(64, SUB(5, 62), UINT32_MAX), SUB(4, UINT32_MAX));
	ck_assert_uint_eq(esn(64, SUB(5, 62), UINT32_MAX - 1), SUB(5, UINT32_MAX - 1));
	ck_assert_uint_eq(esn(64, SUB(5, 0), UINT32_MAX - 62), SUB(4, UINT32_MAX - 62));
	ck_assert_uint_eq(esn(64, SUB(5, 0), UINT32_MAX - 63), SUB(5, UINT32_MAX - 63));
	ck_assert_uint_eq(esn(64, SUB(5, 0), 0), SUB(5, 0));
	ck_assert_uint_eq(esn(64, SUB(5, 10), 11), SUB(5, 11));
	/* The first subspace: nothing lies before it. */
	ck_assert_uint_eq(esn(64, 0, 1), 1);
	ck_assert_uint_eq(esn(64, 0, UINT32_MAX), UINT32_MAX);
	ck_assert_uint_eq(esn(64, 10, UINT32_MAX), UINT32_MAX);
	ck_assert_uint_eq(esn(4096, 4094, 4095), 4095);
	ck_assert_uint_eq(esn(1, 5, 5), 5);
	ck_assert_uint_eq(esn(1, 5, 4), SUB(1, 4));
}
END_TEST

/* The one number with these low bits in the 2^32 from the window's left end on. */
START_TEST(agrees_with_the_definition_of_esn)
{
	for (unsigned int n = 0; n < 200000; n++) {
		uint32_t size = 1 + eal_rand() % 131072;
		uint64_t top = SUB(
			eal_rand() % 4, eal_rand() % 3 == 0 ? eal_rand() % (2 * size) : eal_rand());
		uint32_t low = eal_rand() % 2 ? (uint32_t)top + eal_rand() % (4 * size) - 2 * size
					      : eal_rand();
		__int128 bottom = (__int128)top - size + 1, s;

		for (s = (__int128)low - (1ll << 32); s < bottom || s < 0; s += 1ll << 32)
			;
		must_msg(esn(size, top, low) == (uint64_t)s, "window %u top %lx low %x", size, top,
			low);
	}
}
END_TEST

/* A peer that counts on across 2^32, with losses and reordering: each packet is accepted exactly once. */
START_TEST(crosses_subspaces)
{
	static const uint32_t sizes[] = {1, 32, 64, 1000, 4096};

	for (unsigned int k = 0; k < RTE_DIM(sizes); k++)
		for (uint64_t edge = 1; edge <= 3; edge++) {
			struct replay *r = window(sizes[k]);
			uint64_t first = (edge << 32) - 3 * sizes[k];

			must(replay_update(r, first));
			for (uint64_t s = first + 1; s < first + 6 * sizes[k]; s++) {
				uint64_t late = s - eal_rand() % sizes[k];

				if (eal_rand() % 5 != 0) {
					must(replay_esn(r, (uint32_t)s) == s);
					must(replay_update(r, s));
				}
				if (late > first && r->top - RTE_MIN(late, r->top) < sizes[k]) {
					must(replay_esn(r, (uint32_t)late) == late);
					replay_update(r, late);
					must(!replay_update(r, late));
				}
			}
			free(r);
		}
}
END_TEST

START_TEST(ends_with_the_last_subspace)
{
	struct replay *r = window(64);

	ck_assert(replay_update(r, SUB(UINT32_MAX, 1000)));
	/* There is no subspace after it: such a packet is an old one. */
	ck_assert(!replay_check(r, replay_esn(r, 900)));
	ck_assert(!replay_check(r, replay_esn(r, 0)));
	ck_assert(replay_check(r, replay_esn(r, 1001)));
	ck_assert(replay_check(r, replay_esn(r, 999)));
	free(r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("replay");
	TCase *tc = tcase_create("replay");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, refuses_a_whole_window_again, 0, 64);
	tcase_add_test(tc, starts_anywhere);
	tcase_add_test(tc, jumps_over_several_rings);
	tcase_add_test(tc, agrees_with_a_set);
	tcase_add_test(tc, finds_the_high_half);
	tcase_add_test(tc, agrees_with_the_definition_of_esn);
	tcase_add_test(tc, crosses_subspaces);
	tcase_add_test(tc, ends_with_the_last_subspace);
	suite_add_tcase(s, tc);
	return eal_main(s);
}

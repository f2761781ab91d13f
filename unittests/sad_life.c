/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad_test.h"

#include <time.h>

/* Reservations and lifetimes, on a clock that the test sets. */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

static uint64_t clock_ms; /* of the SAD; 0: the real clock */

int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (clock_ms == 0 || id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ts);
	ts->tv_sec = clock_ms / 1000;
	ts->tv_nsec = clock_ms % 1000 * 1000000;
	return 0;
}

static struct {
	uint32_t slot;
	bool hard;
	uint64_t at;
} events[1000];
static unsigned int n_events;
static bool delete_expired;

static void
expire(void *ctx, uint32_t slot, bool hard)
{
	ck_assert_ptr_eq(ctx, events);
	/* A hard one takes no packets any more when the call comes; a soft one still does. */
	ck_assert((sad_at(sad, slot) == NULL) == hard);
	events[n_events].slot = slot;
	events[n_events].hard = hard;
	events[n_events++].at = clock_ms;
	if (hard && delete_expired)
		ck_assert_int_eq(sad_del(sad, slot), 0);
}

static void
setup_clock(void)
{
	setup();
	clock_ms = 1000000;
}

/* The router's tick, each 100 ms. */
static void
pass(uint64_t ms)
{
	for (uint64_t end = clock_ms + ms; clock_ms < end;) {
		clock_ms += 100;
		sad_tick(sad, expire, events);
		rcu_poll(rcu);
	}
}

START_TEST(a_reservation_expires)
{
	uint32_t spi = reserve(), kept = reserve(), slot;

	pass(160000);
	ck_assert_int_eq(find_in(spi, &slot), 0);
	must_add_reserved(kept);
	pass(5000);
	ck_assert_int_eq(find_in(spi, &slot), 0); /* 165 s, not less */
	pass(1100);
	ck_assert_int_eq(find_in(spi, &slot), -ENOENT);
	ck_assert_uint_eq(sad_count(sad, SA_LARVAL), 0);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
	ck_assert_ptr_nonnull(lookup(kept));
	ck_assert_uint_eq(n_events, 0); /* charon knows the time itself */
	pass(1000000);
	ck_assert_ptr_nonnull(lookup(kept));
	/* Too late. */
	struct sa_conf conf = sa_in(spi);
	ck_assert_int_eq(add(&conf, true, &slot), -ENOENT);
}
END_TEST

START_TEST(a_failed_add_does_not_prolong_a_reservation)
{
	uint32_t spi = reserve(), slot;
	struct sa_conf conf = sa_in(spi);

	pass(100000);
	crypto_rc = -ENOMEM;
	ck_assert_int_eq(add(&conf, true, &slot), -ENOMEM);
	crypto_rc = 0;
	pass(66100);
	ck_assert_int_eq(find_in(spi, &slot), -ENOENT);
}
END_TEST

START_TEST(every_reservation_expires)
{
	for (unsigned int turn = 0; turn < 3; turn++) {
		for (unsigned int i = 0; i < SLOTS; i++) {
			reserve();
			pass(100);
		}
		pass(166200);
		ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS);
	}
}
END_TEST

static uint32_t
limited(uint8_t dir, struct sa_lifetime life)
{
	struct sa_conf conf = dir == SA_DIR_IN ? sa_in(4711) : sa_out(4711, "192.0.2.1");

	conf.life = life;
	return must_add(&conf);
}

/* Nothing since the last look but these. */
static void
expect(unsigned int n, bool hard)
{
	ck_assert_uint_eq(n_events, n);
	if (n > 0)
		ck_assert(events[n - 1].hard == hard);
	n_events = 0;
}

START_TEST(time_runs_out)
{
	uint32_t slot =
		limited(SA_DIR_IN, (struct sa_lifetime){.time_soft = 100, .time_hard = 200});

	pass(99900);
	expect(0, false);
	pass(1200);
	ck_assert_uint_eq(events[0].slot, slot);
	expect(1, false); /* once */
	ck_assert_ptr_nonnull(lookup(4711));
	pass(98000);
	expect(0, false);
	pass(2000);
	expect(1, true);
	ck_assert_ptr_null(lookup(4711));
	/* It is there until charon deletes it, and tells no more. */
	ck_assert_int_eq(sad_cold(sad, slot)->state, SA_LIVE);
	pass(500000);
	expect(0, false);
	ck_assert_int_eq(sad_del(sad, slot), 0);
	rcu_poll(rcu);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS);
	/* The slot's next SA begins anew. */
	for (unsigned int i = 1; i < SLOTS; i++) {
		struct sa_conf conf = sa_out(1000 + i, "192.0.2.1");

		must_add(&conf);
	}
	ck_assert_uint_eq(slot, limited(SA_DIR_OUT, (struct sa_lifetime){.time_soft = 100}));
	pass(99900);
	expect(0, false);
	pass(1200);
	expect(1, false);
}
END_TEST

/* The peer has deleted it, and what it had sent before is still on its way. */
START_TEST(late_packets_are_taken)
{
	uint32_t spi = reserve(), slot = must_add_reserved(spi), other, out;
	struct sa_conf conf = sa_in(999), foreign = sa_in(4711);

	conf.reqid = spi;
	must_add(&conf); /* its successor */
	pass(1000);
	ck_assert_int_eq(sad_retire(sad, slot), 0);
	/* Lcores find it, the control side does not. */
	ck_assert_ptr_eq(lookup(spi), sad_hot(sad, slot));
	ck_assert_int_eq(find_in(spi, &other), -ENOENT);
	ck_assert_int_eq(sad_retire(sad, slot), -ENOENT);
	ck_assert_int_eq(sad_del(sad, slot), -ENOENT);
	pass(SAD_LINGER_MS - 100);
	ck_assert_ptr_nonnull(lookup(spi));
	ck_assert_uint_eq(sad_count(sad, SA_DYING), 1);
	pass(100);
	ck_assert_ptr_null(lookup(spi));
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
	/* All others go at once: outbound ones, whose SPI another chose, whose lifetime is over. */
	conf = sa_out(1000, "192.0.2.1");
	out = must_add(&conf);
	ck_assert_int_eq(sad_retire(sad, out), 0);
	ck_assert_ptr_null(sad_at(sad, out));
	slot = must_add(&foreign); /* lies where an SPI of ours would */
	foreign = sa_in(4711 + SLOTS);
	foreign.reqid = 4711;
	ck_assert_int_eq(sad_retire(sad, must_add(&foreign)), 0);
	ck_assert_ptr_null(lookup(4711 + SLOTS));
	ck_assert_int_eq(sad_del(sad, slot), 0);
	rcu_poll(rcu);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
	spi = reserve();
	conf = sa_in(spi);
	conf.life.time_hard = 10;
	ck_assert_int_eq(add(&conf, true, &slot), 0);
	pass(11000);
	expect(1, true);
	ck_assert_int_eq(sad_retire(sad, slot), 0);
	rcu_poll(rcu);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
}
END_TEST

/* An inbound SA of that reqid, of an SPI of ours; its slot. */
static uint32_t
add_of_reqid(uint32_t reqid, uint32_t *spi)
{
	struct sa_conf conf;
	uint32_t slot;

	*spi = reserve();
	conf = sa_in(*spi);
	conf.reqid = reqid;
	ck_assert_int_eq(add(&conf, true, &slot), 0);
	return slot;
}

/* With its last SA a reqid is free, and another peer's next. */
START_TEST(none_is_late_after_the_last)
{
	struct sa_conf conf = sa_in(1000);
	uint32_t spi[4], a, b, c, d;

	/* Neither an SA of another owner nor an outbound one is a successor. */
	conf.reqid = 5;
	conf.owner = OWNER + 1;
	must_add(&conf);
	conf = sa_out(1000, "192.0.2.1");
	conf.reqid = 5;
	must_add(&conf);
	a = add_of_reqid(5, &spi[0]);
	ck_assert_int_eq(sad_retire(sad, a), 0);
	ck_assert_ptr_null(lookup(spi[0]));
	for (unsigned int how = 0; how < 3; how++) {
		a = add_of_reqid(5, &spi[0]);
		b = add_of_reqid(5, &spi[1]);
		c = add_of_reqid(5 + SLOTS, &spi[2]); /* listed beside them */
		d = add_of_reqid(5, &spi[3]);
		ck_assert_int_eq(sad_retire(sad, a), 0);
		ck_assert_int_eq(sad_retire(sad, b), 0);
		ck_assert_ptr_nonnull(lookup(spi[0]));
		ck_assert_ptr_nonnull(lookup(spi[1]));
		if (how == 0) {
			ck_assert_int_eq(sad_retire(sad, d), 0);
		} else if (how == 1) {
			ck_assert_int_eq(sad_del(sad, d), 0);
		} else {
			struct sa_end_points to = {
				.src = ip("192.0.2.1"), .dst = ip("192.0.2.2"), .reqid = 6};

			ck_assert_int_eq(sad_update(sad, d, &to, &why), 0);
			ck_assert_ptr_nonnull(lookup(spi[3]));
			ck_assert_int_eq(sad_del(sad, d), 0);
		}
		for (unsigned int i = 0; i < 4; i++)
			ck_assert(i == 2 || lookup(spi[i]) == NULL);
		ck_assert_ptr_nonnull(lookup(spi[2]));
		ck_assert_int_eq(sad_del(sad, c), 0);
		pass(SAD_LINGER_MS);
		ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 2);
	}
}
END_TEST

/* One after another, each for its own time. */
START_TEST(many_linger)
{
	uint32_t spi[SLOTS], last;

	add_of_reqid(7, &last);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < SLOTS - 3; i++) {
			ck_assert_int_eq(sad_retire(sad, add_of_reqid(7, &spi[i])), 0);
			if (i == SLOTS / 2)
				pass(200);
		}
		pass(SAD_LINGER_MS - 200);
		ck_assert_ptr_null(lookup(spi[SLOTS / 2]));
		ck_assert_ptr_nonnull(lookup(spi[SLOTS / 2 + 1]));
		pass(200);
		ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
	}
	/* Some are there when the table goes. */
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(sad_retire(sad, add_of_reqid(7, &spi[i])), 0);
}
END_TEST

START_TEST(time_counts_from_the_add)
{
	uint32_t spi = reserve(), slot;
	struct sa_conf conf = sa_in(spi);

	conf.life.time_hard = 10;
	pass(150000);
	ck_assert_int_eq(add(&conf, true, &slot), 0);
	pass(9900);
	expect(0, false);
	pass(1200);
	expect(1, true);
}
END_TEST

START_TEST(hard_alone)
{
	limited(SA_DIR_IN, (struct sa_lifetime){.time_hard = 5});
	pass(4900);
	expect(0, false);
	pass(1200);
	expect(1, true); /* a soft one that comes with the hard one would be too late */
}
END_TEST

/* The counters of all workers count together, and with the SA's own, here in the place of the first one's. */
static void
count(uint32_t slot, uint16_t worker, uint64_t packets, uint64_t bytes)
{
	struct sa_use *use = worker == 0 ? &((struct sa *)(uintptr_t)sad_hot(sad, slot))->use
					 : &sad_worker_counters(sad, worker)[slot].use;

	use->packets += packets;
	use->bytes += bytes;
}

START_TEST(bytes_run_out)
{
	uint32_t slot =
		limited(SA_DIR_OUT, (struct sa_lifetime){.bytes_soft = 1000, .bytes_hard = 2000});

	count(slot, 0, 1, 500);
	count(slot, 1, 1, 499);
	pass(1000);
	expect(0, false);
	count(slot, 2, 1, 1);
	pass(1000);
	expect(1, false);
	count(slot, 2, 1, 999);
	pass(3000);
	expect(0, false);
	count(slot, 0, 1, 1);
	pass(1000);
	expect(1, true);
}
END_TEST

START_TEST(packets_run_out)
{
	uint32_t slot =
		limited(SA_DIR_IN, (struct sa_lifetime){.packets_soft = 10, .packets_hard = 20});

	count(slot, 0, 9, 1 << 30);
	pass(1000);
	expect(0, false);
	count(slot, 2, 1, 0);
	pass(1000);
	expect(1, false);
	count(slot, 1, 10, 0);
	pass(1000);
	expect(1, true);
}
END_TEST

START_TEST(counters_beyond_32_bits)
{
	uint32_t slot = limited(SA_DIR_IN, (struct sa_lifetime){.bytes_hard = 1ull << 40});
	struct sa_usage use;

	count(slot, 0, 1ull << 33, (1ull << 40) - 1);
	pass(1000);
	expect(0, false);
	sad_usage(sad, slot, &use);
	ck_assert_uint_eq(use.packets, 1ull << 33);
	ck_assert_uint_eq(use.bytes, (1ull << 40) - 1);
	count(slot, 1, 0, 1);
	pass(1000);
	expect(1, true);
}
END_TEST

START_TEST(sequence_numbers_run_out)
{
	uint32_t slot = limited(SA_DIR_OUT, (struct sa_lifetime){0});

	hot(slot)->sqn = UINT32_MAX - (UINT32_MAX >> 4) - 1;
	pass(2000);
	expect(0, false);
	hot(slot)->sqn++;
	pass(2000);
	expect(1, false);
	hot(slot)->sqn = UINT32_MAX - 1;
	pass(2000);
	expect(0, false);
	hot(slot)->sqn = UINT32_MAX;
	pass(2000);
	expect(1, true);
}
END_TEST

START_TEST(extended_numbers_last_longer)
{
	struct sa_conf conf = sa_out(4711, "192.0.2.1");
	uint32_t slot;

	conf.flags = IKE_SA_ESN;
	slot = must_add(&conf);
	hot(slot)->sqn = UINT32_MAX;
	pass(1000);
	hot(slot)->sqn = 1ull << 63;
	pass(1000);
	expect(0, false);
	hot(slot)->sqn = sa_last_number(hot(slot));
	pass(1000);
	expect(1, true);
}
END_TEST

/* Of an inbound SA the peer counts. */
START_TEST(no_limits_no_events)
{
	uint32_t in = limited(SA_DIR_IN, (struct sa_lifetime){0});
	uint32_t out = limited(SA_DIR_OUT, (struct sa_lifetime){0});

	count(in, 0, UINT64_MAX / 2, UINT64_MAX / 2);
	count(out, 0, UINT64_MAX / 2, UINT64_MAX / 2);
	pass(10000000);
	expect(0, false);
}
END_TEST

START_TEST(the_callback_deletes)
{
	delete_expired = true;
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct sa_conf conf = i % 2 ? sa_in(1000 + i) : sa_out(1000 + i, "192.0.2.1");

		conf.life.time_hard = 1 + i % 5;
		must_add(&conf);
	}
	pass(7000);
	ck_assert_uint_eq(n_events, SLOTS);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS);
}
END_TEST

START_TEST(sees_every_slot_within_a_second)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct sa_conf conf = sa_in(1000 + i);

		conf.life.time_soft = 3;
		conf.life.time_hard = 6;
		must_add(&conf);
	}
	pass(2900);
	ck_assert_uint_eq(n_events, 0);
	pass(1100);
	ck_assert_uint_eq(n_events, SLOTS);
	pass(1900);
	ck_assert_uint_eq(n_events, SLOTS);
	pass(1100);
	ck_assert_uint_eq(n_events, 2 * SLOTS);
	for (unsigned int i = 0; i < 2 * SLOTS; i++)
		ck_assert(events[i].hard == (i >= SLOTS));
}
END_TEST

START_TEST(says_when_it_was_used)
{
	uint32_t slot = limited(SA_DIR_IN, (struct sa_lifetime){0});
	struct sa_usage use;

	sad_usage(sad, slot, &use);
	ck_assert_uint_eq(use.last_use, 0);
	sad_worker_counters(sad, 1)[slot].use.last_use = clock_ms / 1000;
	sad_usage(sad, slot, &use);
	ck_assert(use.last_use == clock_ms / 1000);
	sad_worker_counters(sad, 1)[slot].use.last_use -= 10;
	sad_usage(sad, slot, &use);
	ck_assert(use.last_use == clock_ms / 1000 - 10);
	sad_worker_counters(sad, 0)[slot].use.last_use = clock_ms / 1000 - 3;
	sad_usage(sad, slot, &use);
	ck_assert(use.last_use == clock_ms / 1000 - 3); /* the latest of all workers */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sad_life");
	TCase *tc = tcase_create("sad_life");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup_clock, teardown);
	tcase_add_test(tc, late_packets_are_taken);
	tcase_add_test(tc, none_is_late_after_the_last);
	tcase_add_test(tc, many_linger);
	tcase_add_test(tc, a_reservation_expires);
	tcase_add_test(tc, a_failed_add_does_not_prolong_a_reservation);
	tcase_add_test(tc, every_reservation_expires);
	tcase_add_test(tc, time_runs_out);
	tcase_add_test(tc, time_counts_from_the_add);
	tcase_add_test(tc, hard_alone);
	tcase_add_test(tc, bytes_run_out);
	tcase_add_test(tc, packets_run_out);
	tcase_add_test(tc, counters_beyond_32_bits);
	tcase_add_test(tc, sequence_numbers_run_out);
	tcase_add_test(tc, extended_numbers_last_longer);
	tcase_add_test(tc, no_limits_no_events);
	tcase_add_test(tc, the_callback_deletes);
	tcase_add_test(tc, sees_every_slot_within_a_second);
	tcase_add_test(tc, says_when_it_was_used);
	suite_add_tcase(s, tc);
	return eal_main(s);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_rib.h"
#include "host_bucket.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include <check.h>

/* Which of the kernel's routes to a prefix is used; shares of multipath; rations. */

static struct rib *rib;
static unsigned int changes;
static struct ip_addr net;

static void
changed(void *ctx, struct rib_prefix *p)
{
	(void)ctx;
	(void)p;
	changes++;
}

static void
setup(void)
{
	changes = 0;
	rib = rib_create(changed, NULL);
	ck_assert_ptr_nonnull(rib);
	ck_assert_int_eq(addr_parse("10.1.0.0", &net), 0);
}

static void
teardown(void)
{
	rib_destroy(rib);
}

/* A unicast route by that interface (0: no live hop). */
static struct rib_route *
route(enum rib_rank rank, uint32_t metric, uint32_t ifindex)
{
	struct rib_route *r = rib_route_new(ifindex != 0);

	ck_assert_ptr_nonnull(r);
	r->rank = rank;
	r->metric = metric;
	r->type = RTN_UNICAST;
	r->generation = 1;
	if (ifindex != 0)
		r->hops[0] = (struct rib_hop){.ifindex = ifindex, .weight = 1};
	return r;
}

static void
add(struct rib_route *r, enum rib_how how)
{
	ck_assert_int_eq(rib_add(rib, &net, 16, r, how), 0);
}

static int
del(struct rib_route *r)
{
	int ret = rib_del(rib, &net, 16, r);

	free(r);
	return ret;
}

/* The interface of the route in use; 0: none. */
static uint32_t
best(void)
{
	const struct rib_prefix *p = rib_find(rib, &net, 16);
	const struct rib_route *r = p != NULL ? rib_best(p) : NULL;

	return r != NULL ? r->hops[0].ifindex : 0;
}

START_TEST(lowest_metric_wins)
{
	add(route(RIB_MAIN, 100, 1), RIB_PREPEND);
	add(route(RIB_MAIN, 50, 2), RIB_PREPEND);
	add(route(RIB_MAIN, 200, 3), RIB_PREPEND);
	ck_assert_uint_eq(best(), 2);
	ck_assert_uint_eq(changes, 2);
	ck_assert_int_eq(del(route(RIB_MAIN, 50, 2)), 0);
	ck_assert_uint_eq(best(), 1);
	ck_assert_int_eq(del(route(RIB_MAIN, 200, 3)), 0);
	ck_assert_uint_eq(changes, 3);
	ck_assert_int_eq(del(route(RIB_MAIN, 100, 1)), 0);
	ck_assert_uint_eq(best(), 0);
	ck_assert_uint_eq(rib_count(rib), 0);
	ck_assert_int_eq(del(route(RIB_MAIN, 100, 1)), -ENOENT);
}
END_TEST

START_TEST(tables_in_order)
{
	add(route(RIB_NEIGHBOUR, 0, 4), RIB_PREPEND);
	add(route(RIB_DEFAULT, 0, 3), RIB_PREPEND);
	ck_assert_uint_eq(best(), 3);
	add(route(RIB_MAIN, 1000, 2), RIB_PREPEND);
	ck_assert_uint_eq(best(), 2);
	add(route(RIB_CHARON, 2000, 5), RIB_PREPEND);
	ck_assert_uint_eq(best(), 5);
	add(route(RIB_LOCAL, 5000, 1), RIB_PREPEND);
	ck_assert_uint_eq(best(), 1);
}
END_TEST

START_TEST(same_metric)
{
	add(route(RIB_MAIN, 0, 1), RIB_PREPEND);
	add(route(RIB_MAIN, 0, 2), RIB_APPEND);
	ck_assert_uint_eq(best(), 1);
	add(route(RIB_MAIN, 0, 3), RIB_PREPEND);
	ck_assert_uint_eq(best(), 3);
	add(route(RIB_MAIN, 0, 4), RIB_REPLACE);
	ck_assert_uint_eq(best(), 4);
	ck_assert_int_eq(del(route(RIB_MAIN, 0, 4)), 0);
	ck_assert_uint_eq(best(), 1);
	/* Attributes left out: the first of that metric goes. */
	ck_assert_int_eq(del(route(RIB_MAIN, 0, 9)), 0);
	ck_assert_uint_eq(best(), 2);
}
END_TEST

/* A route of two hops, by interfaces 1 and 2. */
static struct rib_route *
two_hops(enum rib_rank rank, uint32_t metric)
{
	struct rib_route *r = rib_route_new(2);

	ck_assert_ptr_nonnull(r);
	r->rank = rank;
	r->metric = metric;
	r->type = RTN_UNICAST;
	r->hops[0] = (struct rib_hop){.ifindex = 1, .weight = 3};
	r->hops[1] = (struct rib_hop){.ifindex = 2, .weight = 1};
	return r;
}

START_TEST(hop_of_ip6_goes)
{
	ck_assert_int_eq(addr_parse("2001:db8::", &net), 0);
	add(route(RIB_MAIN, 7, 5), RIB_APPEND);
	add(two_hops(RIB_MAIN, 7), RIB_APPEND);
	/* Not the first of that metric, but the one that has it. */
	ck_assert_int_eq(del(route(RIB_MAIN, 7, 1)), 0);
	ck_assert_uint_eq(best(), 5);
	ck_assert_int_eq(del(route(RIB_MAIN, 7, 5)), 0);
	ck_assert_uint_eq(best(), 2);
	/* Of a hop that was dead, nothing is known here. */
	ck_assert_int_eq(del(route(RIB_MAIN, 7, 1)), -EAGAIN);
	ck_assert_int_eq(del(route(RIB_MAIN, 7, 0)), -EAGAIN);
	ck_assert_uint_eq(best(), 2);
	ck_assert_int_eq(del(route(RIB_MAIN, 7, 2)), 0);
	ck_assert_uint_eq(rib_count(rib), 0);
	/* In use: told each time; weights are not named. */
	changes = 0;
	add(two_hops(RIB_MAIN, 0), RIB_APPEND);
	ck_assert_int_eq(del(route(RIB_MAIN, 0, 2)), 0);
	ck_assert_uint_eq(best(), 1);
	ck_assert_int_eq(del(route(RIB_MAIN, 0, 1)), 0);
	ck_assert_uint_eq(changes, 3);
	ck_assert_uint_eq(rib_count(rib), 0);
}
END_TEST

/* IPv4 has no such hops: a route is named whole, or with some attributes left out. */
START_TEST(route_of_ip4_goes_whole)
{
	add(two_hops(RIB_MAIN, 0), RIB_APPEND);
	ck_assert_int_eq(del(route(RIB_MAIN, 0, 1)), 0);
	ck_assert_uint_eq(rib_count(rib), 0);
}
END_TEST

START_TEST(replace_changes_metric_only_within)
{
	add(route(RIB_MAIN, 10, 1), RIB_PREPEND);
	add(route(RIB_MAIN, 5, 2), RIB_REPLACE);
	ck_assert_uint_eq(best(), 2);
	ck_assert_int_eq(del(route(RIB_MAIN, 5, 2)), 0);
	ck_assert_uint_eq(best(), 1);
}
END_TEST

START_TEST(repeated_is_no_change)
{
	add(route(RIB_MAIN, 0, 1), RIB_PREPEND);
	add(route(RIB_MAIN, 0, 1), RIB_APPEND);
	add(route(RIB_MAIN, 0, 1), RIB_REPLACE);
	ck_assert_uint_eq(changes, 1);
	ck_assert_int_eq(del(route(RIB_MAIN, 0, 1)), 0);
	ck_assert_uint_eq(best(), 0);
}
END_TEST

START_TEST(dead_hops_are_passed_over)
{
	struct rib_route *blackhole = route(RIB_MAIN, 300, 0);

	add(route(RIB_MAIN, 0, 0), RIB_PREPEND);
	ck_assert_uint_eq(changes, 0);
	add(route(RIB_MAIN, 100, 2), RIB_PREPEND);
	ck_assert_uint_eq(best(), 2);
	ck_assert_int_eq(del(route(RIB_MAIN, 100, 2)), 0);
	blackhole->type = RTN_BLACKHOLE;
	add(blackhole, RIB_PREPEND);
	ck_assert_int_eq(rib_best(rib_find(rib, &net, 16))->type, RTN_BLACKHOLE);
}
END_TEST

START_TEST(sweep)
{
	struct rib_route *seen = route(RIB_MAIN, 50, 5);
	size_t cursor = 0;

	add(route(RIB_MAIN, 0, 1), RIB_PREPEND);
	add(route(RIB_NEIGHBOUR, 0, 4), RIB_PREPEND);
	seen->generation = 2;
	add(seen, RIB_PREPEND);
	while (rib_sweep(rib, 2, &cursor))
		;
	ck_assert_uint_eq(best(), 5);
	cursor = 0;
	while (rib_sweep(rib, 3, &cursor))
		;
	/* Neighbours are not of the dump. */
	ck_assert_uint_eq(best(), 4);
}
END_TEST

/* More prefixes than buckets at the start: all are found, before and after a part is gone. */
START_TEST(many)
{
	const unsigned int n = 20000;
	struct ip_addr a = {.family = 4};
	unsigned int found = 0;

	for (unsigned int i = 0; i < n; i++) {
		a.v4 = __builtin_bswap32(i << 8);
		ck_assert_int_eq(rib_add(rib, &a, 24, route(RIB_MAIN, 0, i + 1), RIB_PREPEND), 0);
	}
	ck_assert_uint_eq(rib_count(rib), n);
	for (unsigned int i = 0; i < n; i += 2) {
		struct rib_route *r = route(RIB_MAIN, 0, i + 1);

		a.v4 = __builtin_bswap32(i << 8);
		ck_assert_int_eq(rib_del(rib, &a, 24, r), 0);
		free(r);
	}
	for (unsigned int i = 0; i < n; i++) {
		const struct rib_prefix *p;

		a.v4 = __builtin_bswap32(i << 8);
		p = rib_find(rib, &a, 24);
		ck_assert_int_eq(p != NULL, i % 2);
		found += p != NULL && rib_best(p)->hops[0].ifindex == i + 1;
		ck_assert_ptr_null(rib_find(rib, &a, 25));
	}
	ck_assert_uint_eq(found, n / 2);
}
END_TEST

static void
check_spread(unsigned int n, const uint32_t *weights, const unsigned int *want, unsigned int sum)
{
	struct rib_route *r = rib_route_new(n);
	unsigned int slots[16];

	for (unsigned int i = 0; i < n; i++)
		r->hops[i].weight = weights[i];
	ck_assert_uint_eq(rib_spread(r, 16, slots), sum);
	for (unsigned int i = 0; i < n && i < 16; i++)
		ck_assert_uint_eq(slots[i], want[i]);
	free(r);
}

START_TEST(spread)
{
	check_spread(2, (uint32_t[]){1, 1}, (unsigned int[]){1, 1}, 2);
	check_spread(2, (uint32_t[]){1, 3}, (unsigned int[]){1, 3}, 4);
	check_spread(2, (uint32_t[]){64, 192}, (unsigned int[]){4, 12}, 16);
	/* A small weight is not lost. */
	check_spread(2, (uint32_t[]){1, 256}, (unsigned int[]){1, 15}, 16);
	check_spread(3, (uint32_t[]){100, 100, 100}, (unsigned int[]){5, 5, 5}, 15);
	check_spread(17, (uint32_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		(unsigned int[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 16);
}
END_TEST

START_TEST(ration)
{
	const uint64_t hz = 1000000;
	struct bucket b;
	unsigned int passed;

	bucket_init(&b, 1000, hz, 5);
	/* A quarter of a second at once, then what time brings. */
	passed = 0;
	for (unsigned int i = 0; i < 100; i++)
		passed += bucket_take(&b, 32, 5);
	ck_assert_uint_eq(passed, 250);
	ck_assert_uint_eq(bucket_take(&b, 32, 5 + hz / 100), 10);
	ck_assert_uint_eq(bucket_take(&b, 32, 5 + hz / 100), 0);
	/* Parts of a token add up; a clock that steps back brings nothing. */
	ck_assert_uint_eq(bucket_take(&b, 1, 5 + hz / 100 + 600), 0);
	ck_assert_uint_eq(bucket_take(&b, 1, 5), 0);
	ck_assert_uint_eq(bucket_take(&b, 1, 5 + hz / 100 + 1000), 1);
	/* An hour saves no more than is full. */
	passed = 0;
	for (unsigned int i = 0; i < 100; i++)
		passed += bucket_take(&b, 32, 3600 * hz);
	ck_assert_uint_eq(passed, 250);

	bucket_init(&b, 10, hz, 0);
	ck_assert_uint_eq(bucket_take(&b, 100, 0), 32);
	bucket_init(&b, 0, hz, 0);
	ck_assert_uint_eq(bucket_take(&b, 100, 0), 100);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("host_rib");
	TCase *tc = tcase_create("rib");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lowest_metric_wins);
	tcase_add_test(tc, tables_in_order);
	tcase_add_test(tc, same_metric);
	tcase_add_test(tc, hop_of_ip6_goes);
	tcase_add_test(tc, route_of_ip4_goes_whole);
	tcase_add_test(tc, replace_changes_metric_only_within);
	tcase_add_test(tc, repeated_is_no_change);
	tcase_add_test(tc, dead_hops_are_passed_over);
	tcase_add_test(tc, sweep);
	tcase_add_test(tc, many);
	tcase_add_test(tc, spread);
	tcase_add_test(tc, ration);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}

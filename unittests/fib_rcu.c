/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib_test.h"

#include <rte_cycles.h>
#include <rte_ether.h>

/* Lcores look up while routes and neighbours change; and what it costs. */

#define NETS 64
#define NET(i) (0x0a000000u + ((i) << 8))

static uint32_t stays[NETS]; /* the next hop of each /24's .1 and .254, always */
static uint32_t comes[NETS]; /* of routes longer than /24 between them, which come and go */

static bool
every_nexthop_is_right(void *arg)
{
	uint32_t dst[NETS];
	uint64_t nh[NETS];

	(void)arg;
	for (unsigned int host = 1; host < 255; host += 11) { /* .1, .12, … .254 */
		bool sure = host == 1 || host == 254;

		for (unsigned int i = 0; i < NETS; i++)
			dst[i] = NET(i) + host;
		fib_lookup4_bulk(fib, dst, nh, NETS);
		for (unsigned int i = 0; i < NETS; i++)
			if (nh[i] != stays[i] && (sure || nh[i] != comes[i]))
				return false;
	}
	return true;
}

START_TEST(lcores_see_right_nexthops)
{
	struct eal_reader r = {
		.read = every_nexthop_is_right, .rcu = rcu, .what = "a packet goes elsewhere"};
	uint32_t nh[20], there[NETS] = {0}; /* how many long routes */
	uint8_t plen[NETS];
	double end = eal_ms() + 4000;
	unsigned int n = 0;

	for (unsigned int i = 0; i < RTE_DIM(nh); i++)
		nh[i] = new_nh();
	for (unsigned int i = 0; i < NETS; i++) {
		stays[i] = nh[i % 10];
		comes[i] = nh[10 + i % 7];
		must(set(NET(i), 24, stays[i]) == 0);
	}
	eal_readers_start(&r, 2);
	for (; eal_ms() < end && r.failed == 0; n++) {
		unsigned int i = eal_rand() % NETS;

		/* Within .64/26: hosts and nets of all sizes, the last one's end frees the group. */
		if (there[i] == 0) {
			plen[i] = 26 + eal_rand() % 7;
			must(set(NET(i) + 64, plen[i], comes[i]) == 0);
			there[i] = 1;
		} else {
			must(del(NET(i) + 64, plen[i]) == 0);
			there[i] = 0;
		}
		if (n % 5 == 0)
			rcu_poll(rcu);
		if (n % 500 == 0)
			eal_settle(rcu);
	}
	eal_readers_stop(&r);
	printf("fib: %lu lookups of %u while routes longer than /24 changed %u times\n", r.reads,
		24 * NETS, n);
}
END_TEST

static bool
networks_and_hosts(void *arg)
{
	uint32_t dst[NETS * 2];
	uint64_t nh[NETS * 2];

	(void)arg;
	for (unsigned int i = 0; i < NETS; i++) {
		dst[i] = NET(i) + 1;
		dst[NETS + i] = NET(i) + 254;
	}
	fib_lookup4_bulk(fib, dst, nh, RTE_DIM(dst));
	for (unsigned int i = 0; i < NETS; i++)
		/* The hosts stay; around them the one or the other. */
		if (nh[i] != stays[i] || (nh[NETS + i] != stays[0] && nh[NETS + i] != comes[0]))
			return false;
	return true;
}

/* The wide route changes between that of its hosts and others; hosts come and go meanwhile. */
START_TEST(networks_change_around_hosts)
{
	struct eal_reader r = {
		.read = networks_and_hosts, .rcu = rcu, .what = "a packet goes elsewhere"};
	uint32_t nh[4];
	double end = eal_ms() + 3000;
	unsigned int n = 0;

	for (unsigned int i = 0; i < RTE_DIM(nh); i++)
		nh[i] = new_nh();
	stays[0] = nh[0];
	comes[0] = nh[1];
	must(set(NET(0), 8, stays[0]) == 0);
	for (unsigned int i = 0; i < NETS; i++) {
		stays[i] = nh[i % 2];
		must(set(NET(i) + 1, 32, stays[i]) == 0);
	}
	eal_readers_start(&r, 2);
	for (; eal_ms() < end && r.failed == 0; n++) {
		unsigned int i = eal_rand() % 200;

		must(set(NET(0), 8, nh[n % 2]) == 0);
		/* Groups elsewhere come and go. */
		if (del(NET(NETS + i) + 1, 32) < 0)
			must(set(NET(NETS + i) + 1, 32, nh[2 + n % 2]) == 0);
		rcu_poll(rcu);
		if (n % 100 == 0)
			eal_settle(rcu);
	}
	eal_readers_stop(&r);
	printf("fib: a network changed %u times around its hosts\n", n);
}
END_TEST

/* A change is there at once; next hops that lcores may still use are not given away. */
START_TEST(at_once)
{
	uint32_t a = new_nh(), b = new_nh(), c = new_nh();

	lcore_online();
	must(set(NET(0), 16, a) == 0);
	for (uint32_t i = 0; i < 200; i++) {
		must(set(NET(i) + 7, 32, b) == 0);
		must(lookup(NET(i) + 7) == b && lookup(NET(i) + 8) == a);
		must(del(NET(i) + 7, 32) == 0);
		must(lookup(NET(i) + 7) == a);
	}
	must(set(NET(1) + 7, 32, c) == 0);
	must(set(NET(1) + 7, 32, b) == 0);
	fib_nh_put(fib, c);
	ck_assert_uint_eq(fib_nh(fib, c)->type, NH_UNREACHABLE);
	for (int i = 0; i < 5; i++)
		rcu_poll(rcu);
	ck_assert_uint_eq(fib_nh(fib, c)->type, NH_UNREACHABLE);
	eal_settle_for(rcu, lcore_quiescent);
	ck_assert_uint_eq(fib_nh(fib, c)->type, NH_NONE);
	ck_assert_uint_eq(fib_nh(fib, b)->type, NH_UNREACHABLE);
	lcore_offline();
}
END_TEST

/* teardown() flushes and destroys what waits. */
START_TEST(destroyed_while_groups_wait)
{
	uint32_t nh = new_nh();

	lcore_online();
	for (uint32_t i = 0; i < 100; i++) {
		must(set(NET(i) + 7, 32, nh) == 0);
		must(del(NET(i) + 7, 32) == 0);
	}
	must(set(NET(7) + 7, 32, nh) == 0);
	lcore_offline();
}
END_TEST

static uint32_t adj;
static const uint8_t macs[2][6] = {{2, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 2, 2}};
static const uint8_t own_mac[6] = {0, 9, 9, 9, 9, 9};

static bool
mac_is_whole(void *arg)
{
	const struct nexthop *n = fib_nh(fib, adj);
	uint8_t eth[RTE_ETHER_HDR_LEN];

	(void)arg;
	for (int i = 0; i < 100; i++) {
		/* As ip4-rewrite does it. */
		memcpy(eth, n->eth, sizeof(eth));
		if ((memcmp(eth, macs[0], 6) != 0 && memcmp(eth, macs[1], 6) != 0) ||
			memcmp(eth + 6, own_mac, 6) != 0 || memcmp(eth + 12, "\x08\x00", 2) != 0)
			return false;
		rte_compiler_barrier();
	}
	return true;
}

START_TEST(a_mac_changes_as_a_whole)
{
	struct eal_reader r = {.read = mac_is_whole, .rcu = rcu, .what = "half a MAC was read"};
	struct ip_addr a = ip("192.0.2.1");
	double end = eal_ms() + 1000;

	ck_assert_int_eq(fib_nh_adj(fib, 1, &a, own_mac, 1500, &adj), 0);
	ck_assert(!fib_nh(fib, adj)->resolved);
	fib_nh_resolve(fib, adj, macs[0]);
	ck_assert(fib_nh(fib, adj)->resolved);
	eal_readers_start(&r, 2);
	for (unsigned int n = 0; r.failed == 0 && eal_ms() < end;)
		for (int i = 0; i < 1000; i++)
			fib_nh_resolve(fib, adj, macs[n++ % 2]);
	eal_readers_stop(&r);
	fib_nh_resolve(fib, adj, NULL);
	ck_assert(!fib_nh(fib, adj)->resolved);
}
END_TEST

static uint32_t
nth_dst(uint32_t i)
{
	/* Spread over the unicast space, each another /24. */
	return (0x01000000 + (uint32_t)((uint64_t)i * 2654435761u % 0xdf0000) * 256) & 0xffffff00;
}

START_TEST(a_million_routes)
{
	uint32_t n = 1000000, nh[8], dst[64];
	double begin, add, change, remove;
	uint64_t hop[64], cycles = UINT64_MAX;

	for (unsigned int i = 0; i < RTE_DIM(nh); i++)
		nh[i] = new_nh();
	begin = eal_ms();
	for (uint32_t i = 0; i < n; i++)
		must(set(nth_dst(i), 24, nh[i % 8]) == 0);
	add = eal_ms() - begin;
	ck_assert_uint_eq(fib_route_count(fib), n);
	for (int turn = 0; turn < 2000; turn++) {
		uint64_t tsc;

		for (unsigned int i = 0; i < RTE_DIM(dst); i++)
			dst[i] = nth_dst(eal_rand() % n) + 5;
		tsc = rte_rdtsc();
		fib_lookup4_bulk(fib, dst, hop, RTE_DIM(dst));
		cycles = RTE_MIN(cycles, rte_rdtsc() - tsc);
		for (unsigned int i = 0; i < RTE_DIM(dst); i++)
			must(hop[i] != 0);
	}
	begin = eal_ms();
	for (uint32_t i = 0; i < 100000; i++) /* longer ones come and go */
		must(i % 2 ? del(nth_dst(i / 2) + 9, 32) == 0
			   : set(nth_dst(i / 2) + 9, 32, nh[(i + 1) % 8]) == 0);
	eal_settle(rcu);
	change = eal_ms() - begin;
	begin = eal_ms();
	for (uint32_t i = 0; i < n; i++)
		must(del(nth_dst(i), 24) == 0);
	eal_settle(rcu);
	remove = eal_ms() - begin;
	ck_assert_uint_eq(fib_route_count(fib), 0);
	printf("fib: %u routes: add %.2f us, lookup %.1f cycles of 64, host route %.2f us, del "
	       "%.2f us\n",
		n, add / 1000, cycles / 64.0, change / 100, remove / 1000);
}
END_TEST

static void
setup_large(void)
{
	eal_megabytes = 3000;
	eal_start();
	rcu = rcu_create();
	make_fib(1000100);
}

int
main(void)
{
	Suite *s = suite_create("fib_rcu");
	TCase *tc = tcase_create("fib_rcu"), *large = tcase_create("large");

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lcores_see_right_nexthops);
	tcase_add_test(tc, networks_change_around_hosts);
	tcase_add_test(tc, at_once);
	tcase_add_test(tc, destroyed_while_groups_wait);
	tcase_add_test(tc, a_mac_changes_as_a_whole);
	suite_add_tcase(s, tc);
	tcase_set_timeout(large, 100);
	tcase_add_checked_fixture(large, setup_large, teardown);
	tcase_add_test(large, a_million_routes);
	suite_add_tcase(s, large);
	return eal_main(s);
}

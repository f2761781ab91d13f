/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_test.h"

#include <rte_cycles.h>

/* Lcores look up while policies change, and what it all costs. */

#define NET 0x0a010000
#define PEER 0x0a020000
#define STABLE 8
#define MANY 100000

static bool
find_stable(void *arg)
{
	const struct spd_key *keys[64];
	struct spd_policy *found[64];
	struct spd_key key[STABLE];

	(void)arg;
	/* Each flow as a burst of 64 of its own, and all of them mixed. */
	for (unsigned int i = 0; i < STABLE; i++)
		key[i] = packet(NET + (i << 16) + 1, PEER + 1, 17, 4000, 80);
	for (unsigned int flow = 0; flow <= STABLE; flow++) {
		for (unsigned int k = 0; k < 64; k++)
			keys[k] = &key[flow < STABLE ? flow : k % STABLE];
		spd_lookup4(spd, SPD_OUT, keys, 64, found);
		for (unsigned int k = 0; k < 64; k++)
			if (found[k] == NULL ||
				found[k]->reqid != 1 + (flow < STABLE ? flow : k % STABLE))
				return false;
	}
	return true;
}

/* Policies that stay, each replaced now and then, in shapes, chains and a hash that change all the time. */
START_TEST(a_policy_that_stays_is_always_found)
{
	struct eal_reader r = {.read = find_stable, .rcu = rcu, .what = "a policy was not found"};
	struct spd_policy_conf stable[STABLE];

	for (uint32_t i = 0; i < STABLE; i++) {
		stable[i] = policy(NET + (i << 16), 16, PEER, i < 4 ? 16 : 24, 100);
		stable[i].reqid = 1 + i;
		must_add(&stable[i]);
	}
	eal_readers_start(&r, 2);
	for (uint32_t n = 0; n < 100000 && r.failed == 0; n++) {
		uint32_t i = eal_rand() % 300;
		struct spd_policy_conf conf = policy(
			(NET ^ 0x01000000) + i, 16 + i % 17, PEER + i * 64, 10 + i % 23, i % 200);

		if (i % 3 == 0) { /* in the chain of one that stays */
			conf = with_ports(stable[i % STABLE], 0, 1000 + i, 1000 + i);
			conf.priority = i % 200;
			conf.reqid = 99;
		}
		if (spd_del(spd, &conf) < 0)
			spd_add(spd, &conf, NULL);
		if (n % 7 == 0) {
			stable[i % STABLE].priority = 90 + eal_rand() % 20;
			must_add(&stable[i % STABLE]);
		}
		if (n % 16 == 0)
			rcu_poll(rcu);
	}
	eal_readers_stop(&r);
}
END_TEST

static bool
find_replaced(void *arg)
{
	struct spd_key key = packet(NET + 1, PEER + 1, 17, 4000, 80);
	const struct spd_key *keys[64];
	struct spd_policy *found[64];

	(void)arg;
	/* The last of a burst follows its chain long after all chains were found. */
	for (unsigned int k = 0; k < 64; k++)
		keys[k] = &key;
	spd_lookup4(spd, SPD_OUT, keys, 64, found);
	for (unsigned int k = 0; k < 64; k++)
		if (found[k] == NULL || found[k]->reqid != 1)
			return false;
	return true;
}

/* It moves up and down in a long chain: a lcore on its way along the chain meets one of the two. */
START_TEST(a_replaced_policy_is_always_found)
{
	struct eal_reader r = {
		.read = find_replaced, .rcu = rcu, .what = "a replaced policy was not found"};
	struct spd_policy_conf conf = policy(NET, 16, PEER, 16, 0);
	double end = eal_ms() + 1500;

	for (uint16_t i = 0; i < 100; i++) {
		struct spd_policy_conf other = with_ports(conf, 0, 1000 + i, 1000 + i);

		other.priority = 100 + i;
		must_add(&other);
	}
	conf.reqid = 1;
	must_add(&conf);
	eal_readers_start(&r, 2);
	for (unsigned int n = 0; eal_ms() < end && r.failed == 0; n++) {
		conf.priority = n % 2 ? 99 : 201;
		must_add(&conf);
		rcu_poll(rcu);
	}
	eal_readers_stop(&r);
}
END_TEST

/* Later fragments: between a DISCARD and a PROTECT there is no moment of BYPASS, which is for all other ports. */
static bool
find_strict(void *arg)
{
	struct spd_key key = packet(NET + 1, PEER + 1, 17, 0, 0);
	const struct spd_key *keys[64];
	struct spd_policy *found[64];

	(void)arg;
	key.no_ports = true;
	for (unsigned int k = 0; k < 64; k++)
		keys[k] = &key;
	spd_lookup4(spd, SPD_OUT, keys, 64, found);
	for (unsigned int k = 0; k < 64; k++)
		if (found[k] == NULL || found[k]->action == SPD_BYPASS)
			return false;
	return true;
}

START_TEST(a_fragment_never_finds_the_bypass)
{
	struct eal_reader r = {.read = find_strict,
		.rcu = rcu,
		.what = "a fragment of a protected port was let go"};
	struct spd_policy_conf rest = policy(NET, 16, PEER, 16, 200), conf;
	double end = eal_ms() + 1000;

	rest.action = SPD_BYPASS;
	must_add(&rest);
	conf = with_ports(policy(NET, 16, PEER, 16, 100), 17, 80, 80);
	must_add(&conf);
	eal_readers_start(&r, 2);
	for (unsigned int n = 0; eal_ms() < end && r.failed == 0; n++) {
		struct spd_policy_conf other = with_ports(rest, 17, 1000 + n % 50, 1000 + n % 60);

		other.sel.dst_port_hi = RTE_MAX(other.sel.dst_port_lo, other.sel.dst_port_hi);
		other.action = n % 2 ? SPD_BYPASS : SPD_DISCARD;
		other.priority = 90 + n % 20;
		if (spd_del(spd, &other) < 0)
			must_add(&other);
		conf.action = n % 2 ? SPD_DISCARD : SPD_PROTECT;
		conf.priority = 100 + n % 3;
		must_add(&conf);
		rcu_poll(rcu);
		if (n % 50 == 0)
			eal_settle(rcu);
	}
	eal_readers_stop(&r);
}
END_TEST

static bool
find_right_shape(void *arg)
{
	const struct spd_key *keys[64];
	struct spd_policy *found[64];
	/* In the /16, not in the /24. */
	struct spd_key key = packet(NET + 0x701, PEER + 0x701, 17, 4000, 80);

	(void)arg;
	for (unsigned int k = 0; k < 64; k++)
		keys[k] = &key;
	spd_lookup4(spd, SPD_OUT, keys, 64, found);
	for (unsigned int k = 0; k < 64; k++)
		if (found[k] != NULL && found[k]->conf.sel.src_plen == 24)
			return false;
	return true;
}

/* A shape goes and another comes: who still looks with the masks of the first must not meet the second. */
START_TEST(a_policy_never_gets_another_s_packets)
{
	struct eal_reader r = {.read = find_right_shape,
		.rcu = rcu,
		.what = "a policy for another network was found"};
	double end = eal_ms() + 3000;
	unsigned int n = 0;

	/* Shapes before it make a lookup long. */
	for (uint32_t i = 0; i < 60; i++) {
		struct spd_policy_conf conf = policy(0xc0000000, 4 + i % 28, PEER, 8 + i / 28, 1);

		must_add(&conf);
	}
	eal_readers_start(&r, 2);
	while (eal_ms() < end && r.failed == 0) {
		struct spd_policy_conf wide = policy(NET, 16, PEER, 16, 10);
		struct spd_policy_conf narrow = policy(NET, 24, PEER, 24, 10);

		must_add(&wide);
		must(spd_del(spd, &wide) == 0);
		must_add(&narrow);
		must(spd_del(spd, &narrow) == 0);
		rcu_poll(rcu);
		if (++n % 50 == 0)
			eal_settle(rcu); /* a key that went takes its place for a grace period */
	}
	eal_readers_stop(&r);
	printf("spd: %lu lookups while shapes changed %u times\n", r.reads, 2 * n);
}
END_TEST

static struct spd_policy_conf
nth(uint32_t i)
{
	/* As tunnels of many sites have them: four shapes, two priorities. */
	static const uint8_t plens[] = {32, 30, 28, 24};
	uint8_t plen = plens[i % 4];

	return policy(0x0a000000, 8, 0x0b000000 + (i << 8), plen, 10 + i % 2);
}

static void
lookup_cost(uint32_t n, const char *what)
{
	static struct spd_key key[4096];
	const struct spd_key *keys[32];
	struct spd_policy *found[32];
	uint64_t begin, least = UINT64_MAX;

	for (uint32_t i = 0; i < RTE_DIM(key); i++)
		key[i] =
			packet(0x0a000001, 0x0b000000 + (uint32_t)((eal_rand() % n) << 8), 6, 1, 2);
	for (int turn = 0; turn < 20; turn++) {
		begin = rte_rdtsc();
		for (uint32_t i = 0; i < RTE_DIM(key); i += RTE_DIM(keys)) {
			for (uint32_t k = 0; k < RTE_DIM(keys); k++)
				keys[k] = &key[i + k];
			spd_lookup4(spd, SPD_OUT, keys, RTE_DIM(keys), found);
			must(found[0] != NULL && found[31] != NULL);
		}
		least = RTE_MIN(least, rte_rdtsc() - begin);
	}
	printf("spd: %6u policies%s: %lu cycles a lookup, bursts of 32\n", n, what,
		least / RTE_DIM(key));
}

START_TEST(a_hundred_thousand)
{
	double begin, slowest = 0, add, del;
	uint32_t n = 0;

	spd_destroy(spd);
	make_spd(MANY);
	for (uint32_t size = 10; size <= MANY; size *= size == 10 ? 100 : 10) {
		begin = eal_ms();
		for (uint32_t from = n; n < size; n++) {
			struct spd_policy_conf conf = nth(n);
			double one = eal_ms();

			must_add(&conf);
			slowest = RTE_MAX(slowest, n > from ? eal_ms() - one : 0);
			if (n % 64 == 0)
				rcu_poll(rcu);
		}
		add = eal_ms() - begin;
		printf("spd: up to %6u policies: %.2f us an add (slowest %.0f)\n", size,
			add * 1000 / size, slowest * 1000);
		lookup_cost(size, "");
	}
	/* One of them all goes and comes back. */
	begin = eal_ms();
	for (uint32_t i = 0; i < 10000; i++) {
		struct spd_policy_conf conf = nth(eal_rand() % MANY);

		must(spd_del(spd, &conf) == 0);
		must_add(&conf);
		if (i % 16 == 0)
			rcu_poll(rcu);
	}
	printf("spd: at %u: %.2f us to delete one and add it again\n", MANY,
		(eal_ms() - begin) / 10);
	begin = eal_ms();
	while (n > 0) {
		struct spd_policy_conf conf = nth(--n);

		must(spd_del(spd, &conf) == 0);
		if (n % 64 == 0)
			rcu_poll(rcu);
	}
	del = eal_ms() - begin;
	printf("spd: %.2f us a delete\n", del * 1000 / MANY);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spd_rcu");
	TCase *tc = tcase_create("spd_rcu");

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_policy_that_stays_is_always_found);
	tcase_add_test(tc, a_replaced_policy_is_always_found);
	tcase_add_test(tc, a_fragment_never_finds_the_bypass);
	tcase_add_test(tc, a_policy_never_gets_another_s_packets);
	tcase_add_test(tc, a_hundred_thousand);
	suite_add_tcase(s, tc);
	return eal_main(s);
}

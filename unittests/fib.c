/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib_test.h"

#include <rte_ether.h>

/* Routes in a plain array, searched for the longest prefix. */
#define MODEL 600

static struct {
	uint32_t dst, nh; /* nh 0: not there */
	uint8_t plen;
} model[MODEL];

static uint32_t
mask(uint8_t plen)
{
	return plen == 0 ? 0 : UINT32_MAX << (32 - plen);
}

static uint32_t
expected(uint32_t dst)
{
	int longest = -1;
	uint32_t nh = 0;

	for (unsigned int i = 0; i < MODEL; i++)
		if (model[i].nh != 0 && (dst & mask(model[i].plen)) == model[i].dst &&
			model[i].plen > longest) {
			longest = model[i].plen;
			nh = model[i].nh;
		}
	return nh;
}

static uint32_t
random_addr(void)
{
	static const uint32_t nets[] = {0, 0x0a000000, 0x0a000000, 0xffff0000, 0x7fff0000};

	/* Few /24s, in which much happens; both ends of the address space. */
	return nets[eal_rand() % RTE_DIM(nets)] | (eal_rand() & 0x03ff) |
	       (eal_rand() % 4 == 0 ? 0xfc00 : 0);
}

static uint8_t
random_plen(void)
{
	static const uint8_t some[] = {0, 1, 7, 8, 9, 16, 22, 23, 24, 24, 25, 31, 32};

	return eal_rand() % 3 == 0 ? some[eal_rand() % RTE_DIM(some)] : 22 + eal_rand() % 11;
}

static unsigned int
in_model(uint32_t dst, uint8_t plen)
{
	unsigned int free = MODEL;

	for (unsigned int i = 0; i < MODEL; i++) {
		if (model[i].nh != 0 && model[i].dst == dst && model[i].plen == plen)
			return i;
		if (model[i].nh == 0)
			free = i;
	}
	return free;
}

static unsigned int walked;

static void
walk(void *ctx, const struct ip_addr *dst, uint8_t plen, uint32_t nh)
{
	unsigned int i = in_model(rte_be_to_cpu_32(dst->v4), plen);

	(void)ctx;
	must_msg(i < MODEL && model[i].nh == nh, "route %08x/%u nh %u is not of the model",
		rte_be_to_cpu_32(dst->v4), plen, nh);
	walked++;
}

static void
compare(void)
{
	unsigned int n = 0, paged = 0, got;
	struct fib_route page[7], last;
	uint32_t dst[64];
	uint64_t nh[64];

	for (unsigned int i = 0; i < MODEL; i++)
		n += model[i].nh != 0;
	must_msg(fib_route_count(fib) == n, "%u routes instead of %u", fib_route_count(fib), n);
	walked = 0;
	fib_route_foreach(fib, walk, NULL);
	must_msg(walked == n, "%u routes of %u walked", walked, n);
	do {
		got = fib_route_page(fib, paged > 0 ? &last : NULL, page, RTE_DIM(page));
		for (unsigned int i = 0; i < got; i++)
			walk(NULL, &page[i].dst, page[i].plen, page[i].nh);
		paged += got;
		last = got > 0 ? page[got - 1] : last;
	} while (got == RTE_DIM(page));
	must_msg(paged == n, "%u routes of %u paged", paged, n);
	for (int turn = 0; turn < 3; turn++) {
		for (unsigned int i = 0; i < RTE_DIM(dst); i++) {
			unsigned int k = eal_rand() % MODEL;

			/* First and last addresses of routes, and those beside them. */
			dst[i] = eal_rand() % 2 ? random_addr()
				 : eal_rand() % 2
					 ? model[k].dst - eal_rand() % 2
					 : (model[k].dst | ~mask(model[k].plen)) + eal_rand() % 2;
		}
		fib_lookup4_bulk(fib, dst, nh, RTE_DIM(dst));
		for (unsigned int i = 0; i < RTE_DIM(dst); i++) {
			must_msg(nh[i] == expected(dst[i]), "%08x goes to %lu instead of %u",
				dst[i], nh[i], expected(dst[i]));
			must(lookup(dst[i]) == nh[i]);
		}
	}
}

START_TEST(agrees_with_the_longest_prefix)
{
	uint32_t nh[6];

	lcore_online();
	for (unsigned int i = 0; i < RTE_DIM(nh); i++)
		nh[i] = new_nh();
	for (unsigned int round = 0; round < 1500; round++) {
		bool grows = round / 250 % 2 == 0;

		for (unsigned int k = eal_rand() % 12; k > 0; k--) {
			uint8_t plen = random_plen();
			uint32_t dst = random_addr() & mask(plen);
			unsigned int i = in_model(dst, plen);

			if (eal_rand() % 10 < (grows ? 7 : 2)) {
				if (i == MODEL)
					continue;
				model[i].dst = dst;
				model[i].plen = plen;
				model[i].nh = nh[eal_rand() % RTE_DIM(nh)];
				must(set(dst, plen, model[i].nh) == 0);
				continue;
			}
			if (i == MODEL || model[i].nh == 0) {
				must(del(dst, plen) == -ENOENT);
				i = eal_rand() % MODEL;
			}
			if (model[i].nh != 0) {
				must(del(model[i].dst, model[i].plen) == 0);
				model[i].nh = 0;
			}
		}
		lcore_quiescent();
		eal_settle_for(rcu, lcore_quiescent);
		compare();
	}
	for (unsigned int i = 0; i < MODEL; i++)
		if (model[i].nh != 0) {
			must(del(model[i].dst, model[i].plen) == 0);
			model[i].nh = 0;
		}
	eal_settle_for(rcu, lcore_quiescent);
	compare();
	/* Each route gave its reference back. */
	for (unsigned int i = 0; i < RTE_DIM(nh); i++)
		fib_nh_put(fib, nh[i]);
	eal_settle_for(rcu, lcore_quiescent);
	for (uint32_t i = 0; i < fib_nh_count(fib); i++)
		ck_assert_uint_eq(fib_nh(fib, i)->type, NH_NONE);
	lcore_offline();
}
END_TEST

START_TEST(a_default_route_alone)
{
	uint32_t nh = new_nh(), other = new_nh();

	ck_assert_uint_eq(lookup(0x01020304), 0);
	ck_assert_int_eq(set(0, 0, nh), 0);
	ck_assert_uint_eq(lookup(0), nh);
	ck_assert_uint_eq(lookup(UINT32_MAX), nh);
	ck_assert_int_eq(set(0, 0, other), 0);
	ck_assert_uint_eq(lookup(UINT32_MAX), other);
	ck_assert_uint_eq(fib_route_count(fib), 1);
	ck_assert_int_eq(del(0, 0), 0);
	ck_assert_uint_eq(lookup(UINT32_MAX), 0);
	ck_assert_int_eq(del(0, 0), -ENOENT);
}
END_TEST

START_TEST(refuses_what_it_cannot_hold)
{
	struct ip_addr none = {0};
	uint32_t nh = new_nh();

	ck_assert_int_eq(set(0x0a000000, 33, nh), -EINVAL);
	ck_assert_int_eq(set(0x0a000000, 8, 0), -EINVAL);
	ck_assert_int_eq(set(0x0a000000, 8, NEXTHOPS), -EINVAL);
	ck_assert_int_eq(del(0x0a000000, 33), -ENOENT);
	ck_assert_int_eq(del(0x0a000000, 8), -ENOENT);
	ck_assert_uint_eq(fib_lookup(fib, &none), 0);
	ck_assert_uint_eq(fib_route_count(fib), 0);
	/* Host bits do not count. */
	ck_assert_int_eq(set(0x0a0000ff, 24, nh), 0);
	ck_assert_int_eq(set(0x0a000001, 24, nh), 0);
	ck_assert_uint_eq(fib_route_count(fib), 1);
	ck_assert_int_eq(del(0x0a000077, 24), 0);
	ck_assert_uint_eq(fib_route_count(fib), 0);
}
END_TEST

START_TEST(holds_as_many_as_it_says)
{
	uint32_t nh = new_nh();

	for (uint32_t i = 0; i < 4000; i++)
		must(set(0x0a000000 + (i << 8), 24, nh) == 0);
	ck_assert_int_eq(set(0x0b000000, 24, nh), -ENOSPC);
	ck_assert_int_eq(set(0x0a000000, 24, nh), 0);
	ck_assert_int_eq(del(0x0a000000, 24), 0);
	ck_assert_int_eq(set(0x0b000000, 24, nh), 0);
	ck_assert_uint_eq(fib_route_count(fib), 4000);
	ck_assert_uint_eq(lookup(0x0b000001), nh);
}
END_TEST

/* A route to a host by the same next hop as the network's, made and taken away again. */
START_TEST(a_host_route_like_its_network)
{
	uint32_t nh = new_nh(), other = new_nh();

	ck_assert_int_eq(set(0x0a000000, 8, nh), 0);
	for (uint32_t i = 0; i < 10; i++) {
		ck_assert_int_eq(set(0x0a000001 + (i << 8), 32, nh), 0);
		ck_assert_int_eq(del(0x0a000001 + (i << 8), 32), 0);
	}
	/* Others still find room. */
	ck_assert_int_eq(set(0x0a010101, 32, other), 0);
	eal_settle(rcu);
	ck_assert_uint_eq(lookup(0x0a010101), other);
	ck_assert_uint_eq(lookup(0x0a010102), nh);
	ck_assert_uint_eq(fib_route_count(fib), 2);
}
END_TEST

/* A network whose hosts have routes like its own goes another way. */
START_TEST(a_network_changes_around_its_hosts)
{
	uint32_t nh = new_nh(), other = new_nh();

	lcore_online();
	ck_assert_int_eq(set(0x0a000000, 8, nh), 0);
	for (uint32_t i = 0; i < 50; i++)
		ck_assert_int_eq(set(0x0a000001 + (i << 8), 32, nh), 0);
	ck_assert_int_eq(set(0x0a000000, 8, other), 0);
	eal_settle_for(rcu, lcore_quiescent);
	for (uint32_t i = 0; i < 50; i++) {
		must(lookup(0x0a000001 + (i << 8)) == nh);
		must(lookup(0x0a000002 + (i << 8)) == other);
	}
	ck_assert_int_eq(del(0x0a000000, 8), 0);
	for (uint32_t i = 0; i < 50; i++) {
		must(lookup(0x0a000001 + (i << 8)) == nh);
		must(lookup(0x0a000002 + (i << 8)) == 0);
	}
	lcore_offline();
}
END_TEST

/* More /24s with longer routes in them than there is memory for: what does not fit is refused, and not counted. */
START_TEST(too_many_groups)
{
	uint32_t nh = new_nh(), there = 0;

	lcore_online();
	for (uint32_t i = 0; i < 2000; i++) {
		int rc = set(0x0a000001 + (i << 8), 32, nh);

		must(rc == 0 || rc == -ENOSPC);
		must((lookup(0x0a000001 + (i << 8)) == nh) == (rc == 0));
		there += rc == 0;
	}
	ck_assert_uint_lt(there, 2000);
	ck_assert_uint_ge(there, 500);
	ck_assert_uint_eq(fib_route_count(fib), there);
	/* A group that goes is used again a grace period later, and not before. */
	must(del(0x0a000001, 32) == 0);
	ck_assert_int_eq(set(0x0b000001, 32, nh), -ENOSPC);
	ck_assert_uint_eq(lookup(0x0b000001), 0);
	eal_settle_for(rcu, lcore_quiescent);
	ck_assert_int_eq(set(0x0b000001, 32, nh), 0);
	ck_assert_uint_eq(lookup(0x0b000001), nh);
	/* One is enough for a whole /24; shorter routes need none. */
	for (uint32_t i = 2; i < 256; i++)
		must(set(0x0b000000 + i, 32, nh) == 0);
	ck_assert_int_eq(set(0x0c000000, 24, nh), 0);
	ck_assert_uint_eq(fib_route_count(fib), there + 255);
	lcore_offline();
}
END_TEST

START_TEST(nexthops_are_counted)
{
	struct ip_addr a = ip("192.0.2.1"), b = ip("192.0.2.2"), six = ip("2001:db8::1");
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	uint32_t nh, again, other, found;

	lcore_online();
	ck_assert_int_eq(fib_nh_adj(fib, 3, &a, mac, 1400, &nh), 0);
	ck_assert_int_eq(fib_nh_adj(fib, 3, &a, mac, 1400, &again), 0);
	ck_assert_uint_eq(nh, again);
	ck_assert_int_eq(fib_nh_adj(fib, 4, &a, mac, 1400, &other), 0);
	ck_assert_uint_ne(nh, other);
	ck_assert_int_eq(fib_nh_adj(fib, 3, &b, mac, 1400, &again), 0);
	ck_assert_uint_ne(nh, again);
	ck_assert_int_eq(fib_nh_adj(fib, 3, &six, mac, 1400, &found), 0);
	ck_assert_mem_eq(fib_nh(fib, found)->eth + 12, "\x86\xdd", 2);
	ck_assert_mem_eq(fib_nh(fib, nh)->eth + 12, "\x08\x00", 2);
	ck_assert_mem_eq(fib_nh(fib, nh)->eth + 6, mac, 6);
	ck_assert(!fib_nh(fib, nh)->resolved);
	ck_assert_int_eq(set(0x0a000000, 8, nh), 0);
	fib_nh_put(fib, nh);
	fib_nh_put(fib, nh); /* both of ours: the route still has it */
	lcore_quiescent();
	ck_assert_int_eq(fib_nh_find(fib, 3, &a, &found), 0);
	ck_assert_uint_eq(found, nh);
	/* A change of the route and a deletion give it back, after a grace period. */
	ck_assert_int_eq(set(0x0a000000, 8, other), 0);
	ck_assert_int_eq(fib_nh_find(fib, 3, &a, &found), -ENOENT);
	rcu_poll(rcu);
	rcu_poll(rcu);
	ck_assert_uint_eq(fib_nh(fib, nh)->type, NH_ADJ);
	ck_assert(addr_equal(&fib_nh(fib, nh)->addr, &a));
	lcore_quiescent();
	ck_assert_uint_eq(fib_nh(fib, nh)->type, NH_NONE);
	/* The same neighbour anew while the old one waits: another index. */
	ck_assert_int_eq(fib_nh_adj(fib, 3, &a, mac, 1400, &nh), 0);
	fib_nh_put(fib, nh);
	ck_assert_int_eq(fib_nh_adj(fib, 3, &a, mac, 1400, &found), 0);
	ck_assert_uint_ne(nh, found);
	lcore_offline();
}
END_TEST

START_TEST(nexthops_run_out_and_come_back)
{
	uint32_t nh[NEXTHOPS], one;

	lcore_online();
	for (unsigned int i = 0; i < NEXTHOPS - 1; i++)
		nh[i] = new_nh();
	ck_assert_int_eq(fib_nh_new(fib, NH_LOCAL, 0, 0, &one), -ENOSPC);
	fib_nh_put(fib, nh[5]);
	ck_assert_int_eq(fib_nh_new(fib, NH_LOCAL, 0, 0, &one), -ENOSPC); /* not yet */
	lcore_quiescent();
	ck_assert_int_eq(fib_nh_new(fib, NH_LOCAL, 0, 0, &one), 0);
	ck_assert_uint_eq(one, nh[5]);
	fib_nh_put(fib, 0); /* no route: nobody's */
	lcore_offline();
}
END_TEST

START_TEST(multipath_shares_by_weight)
{
	uint32_t member[3] = {new_nh(), new_nh(), new_nh()}, hits[NEXTHOPS] = {0}, nh;
	const uint32_t weighted[4] = {member[0], member[1], member[1], member[2]};
	uint32_t many[FIB_MAX_MULTIPATH + 1];

	for (unsigned int i = 0; i < RTE_DIM(many); i++)
		many[i] = member[0];
	ck_assert_int_eq(fib_nh_multipath(fib, many, RTE_DIM(many), &nh), -EINVAL);
	ck_assert_int_eq(fib_nh_multipath(fib, many, 0, &nh), -EINVAL);
	ck_assert_int_eq(fib_nh_multipath(fib, weighted, 4, &nh), 0);
	ck_assert_int_eq(set(0x0a000000, 8, nh), 0);
	for (unsigned int i = 0; i < 40000; i++)
		hits[fib_multipath(fib, fib_nh(fib, nh), (uint32_t)eal_rand())]++;
	ck_assert(hits[member[0]] > 9000 && hits[member[0]] < 11000);
	ck_assert(hits[member[1]] > 19000 && hits[member[1]] < 21000);
	ck_assert(hits[member[2]] > 9000 && hits[member[2]] < 11000);
	ck_assert_uint_eq(fib_multipath(fib, fib_nh(fib, nh), 0), member[0]);
	ck_assert_uint_eq(fib_multipath(fib, fib_nh(fib, nh), UINT32_MAX), member[2]);
	/* The members live as long as it does. */
	for (unsigned int i = 0; i < 3; i++)
		fib_nh_put(fib, member[i]);
	eal_settle(rcu);
	ck_assert_uint_eq(fib_nh(fib, member[1])->type, NH_UNREACHABLE);
	fib_nh_put(fib, nh);
	ck_assert_int_eq(del(0x0a000000, 8), 0);
	eal_settle(rcu);
	for (uint32_t i = 0; i < NEXTHOPS; i++)
		ck_assert_uint_eq(fib_nh(fib, i)->type, NH_NONE);
}
END_TEST

/* A member by an interface that is not ours has no MTU: that of the others counts. */
START_TEST(mtu_of_a_multipath)
{
	uint32_t member[3], nh;

	ck_assert_int_eq(fib_nh_new(fib, NH_GLEAN, 0, 1500, &member[0]), 0);
	ck_assert_int_eq(fib_nh_new(fib, NH_FOREIGN, 0, 0, &member[1]), 0);
	ck_assert_int_eq(fib_nh_new(fib, NH_GLEAN, 1, 1400, &member[2]), 0);
	ck_assert_int_eq(fib_nh_multipath(fib, member, 2, &nh), 0);
	ck_assert_uint_eq(fib_nh_mtu(fib, nh), 1500);
	fib_nh_put(fib, nh);
	ck_assert_int_eq(fib_nh_multipath(fib, member, 3, &nh), 0);
	ck_assert_uint_eq(fib_nh_mtu(fib, nh), 1400);
	fib_nh(fib, nh)->mtu = 1300;
	ck_assert_uint_eq(fib_nh_mtu(fib, nh), 1300);
	fib_nh_put(fib, nh);
	ck_assert_int_eq(fib_nh_multipath(fib, &member[1], 1, &nh), 0);
	ck_assert_uint_eq(fib_nh_mtu(fib, nh), 0);
	fib_nh_put(fib, nh);
	for (unsigned int i = 0; i < 3; i++)
		fib_nh_put(fib, member[i]);
}
END_TEST

START_TEST(knows_our_addresses)
{
	static struct ip_addr addrs[3000];

	ck_assert(!fib_local4(fib, rte_cpu_to_be_32(0xc0000201)));
	ck_assert(!fib_local4(fib, 0));
	for (unsigned int n = 0; n <= RTE_DIM(addrs); n = n < 20 ? n + 1 : n * 3) {
		for (unsigned int i = 0; i < n; i++)
			addrs[i] = (struct ip_addr){
				.family = 4, .v4 = rte_cpu_to_be_32(0xc0000201 + i * 7)};
		if (n > 2) {
			addrs[1] = addrs[0]; /* twice */
			addrs[2] = (struct ip_addr){.family = 4}; /* 0.0.0.0 is nobody's */
		}
		ck_assert_int_eq(fib_local_set(fib, addrs, n), 0);
		rcu_poll(rcu);
		for (unsigned int i = 0; i < 7 * RTE_DIM(addrs); i++)
			must(fib_local4(fib, rte_cpu_to_be_32(0xc0000201 + i)) ==
				(i % 7 == 0 && i / 7 < n && (n <= 2 || (i != 7 && i != 14))));
		must(!fib_local4(fib, 0));
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fib");
	TCase *tc = tcase_create("fib");

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, agrees_with_the_longest_prefix);
	tcase_add_test(tc, a_default_route_alone);
	tcase_add_test(tc, refuses_what_it_cannot_hold);
	tcase_add_test(tc, holds_as_many_as_it_says);
	tcase_add_test(tc, a_host_route_like_its_network);
	tcase_add_test(tc, a_network_changes_around_its_hosts);
	tcase_add_test(tc, too_many_groups);
	tcase_add_test(tc, nexthops_are_counted);
	tcase_add_test(tc, nexthops_run_out_and_come_back);
	tcase_add_test(tc, multipath_shares_by_weight);
	tcase_add_test(tc, mtu_of_a_multipath);
	tcase_add_test(tc, knows_our_addresses);
	suite_add_tcase(s, tc);
	return eal_main(s);
}

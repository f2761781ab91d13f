/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "fib.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>

/*
 * Routes change under traffic, and every next hop is checked. Prefixes lie within each other; one at a time comes, goes, or
 * gets another next hop. A packet has the next hop that was right at some moment between its beginning and its end: of one
 * change the old or the new one, never a third, and never one that was given to somebody else since.
 */

#define PREFIXES 96
#define PACKETS 64
#define HISTORY 4096
#define IDS 60000u

struct prefix {
	struct ip_addr addr;
	uint8_t plen;
	uint16_t id; /* of the route; 0: none */
};

static struct rcu *rcu;
static struct fib *fib;
static unsigned int family;
static struct prefix prefixes[PREFIXES]; /* the longest first */
static struct ip_addr packets[PACKETS];
static uint32_t dst4[PACKETS]; /* host order */
static const uint8_t *dst6[PACKETS];
static bool covers[PREFIXES][PACKETS];

/* What was right after each change, by its number. */
static _Atomic uint16_t history[HISTORY][PACKETS];
static _Atomic uint64_t begun, done, too_old;

static bool
every_next_hop(void *arg)
{
	uint64_t nh[PACKETS], first = atomic_load(&done), last;

	(void)arg;
	if (family == 4)
		fib_lookup4_bulk(fib, dst4, nh, PACKETS);
	else
		fib_lookup6_bulk(fib, dst6, nh, PACKETS);
	for (unsigned int i = 0; i < PACKETS; i++)
		nh[i] = fib_nh(fib, nh[i])->mtu; /* as a packet uses it */
	last = atomic_load(&begun);
	if (last - first >= HISTORY / 2) {
		atomic_fetch_add(&too_old, 1);
		return true;
	}
	for (unsigned int i = 0; i < PACKETS; i++) {
		uint64_t at = first;

		while (at <= last && atomic_load_explicit(&history[at % HISTORY][i],
					     memory_order_relaxed) != nh[i])
			at++;
		if (at > last)
			return false;
	}
	return true;
}

static struct ip_addr
masked(struct ip_addr a, uint8_t plen)
{
	addr_mask(&a, plen);
	return a;
}

static void
draw(void)
{
	static const uint8_t plens4[] = {
		32, 32, 31, 30, 28, 26, 25, 24, 24, 23, 22, 20, 16, 12, 8, 0};
	static const uint8_t plens6[] = {
		128, 127, 96, 65, 64, 63, 61, 60, 56, 52, 48, 47, 33, 16, 12, 0};
	uint8_t *byte;

	for (unsigned int i = 0; i < PACKETS; i++) {
		packets[i] = family == 4 ? ip("10.1.2.0") : ip("2001:db8:1:2:3:4:5:0");
		/* Most differ late, some early. */
		byte = &packets[i].b[eal_rand() % (family == 4 ? 4 : 16)];
		if (i % 4 != 0)
			byte = &packets[i].b[family == 4 ? 3 : 7 + 8 * (eal_rand() % 2)];
		*byte ^= eal_rand() % 8;
		dst4[i] = rte_be_to_cpu_32(packets[i].v4);
		dst6[i] = packets[i].b;
	}
	for (unsigned int i = 0; i < PREFIXES; i++) {
		struct prefix *p = &prefixes[i];

		p->plen = (family == 4 ? plens4 : plens6)[i * RTE_DIM(plens4) / PREFIXES];
		p->addr = masked(packets[eal_rand() % PACKETS], p->plen);
		for (unsigned int k = 0; k < i; k++) /* one of each */
			if (p->plen == prefixes[k].plen && addr_equal(&p->addr, &prefixes[k].addr))
				p->addr = (struct ip_addr){0};
		for (unsigned int k = 0; k < PACKETS; k++) {
			struct ip_addr net = masked(packets[k], p->plen);

			covers[i][k] = addr_equal(&net, &p->addr);
		}
	}
}

/* What will be right, before lcores can see it. */
static void
write_history(uint64_t number)
{
	for (unsigned int k = 0; k < PACKETS; k++) {
		unsigned int i = 0;

		while (i < PREFIXES && !(prefixes[i].id != 0 && covers[i][k]))
			i++;
		atomic_store_explicit(&history[number % HISTORY][k],
			i < PREFIXES ? prefixes[i].id : 0, memory_order_relaxed);
	}
	atomic_store(&begun, number);
}

static void
change(struct prefix *p, uint64_t number)
{
	bool add = p->id == 0 || eal_rand() % 4 == 0;
	uint32_t nh = 0;
	int rc;

	/* One of its own for each route, so that next hops come and go as fast as routes. */
	p->id = add ? 1 + number % IDS : 0;
	while (add && fib_nh_new(fib, NH_UNREACHABLE, 0, p->id, &nh) == -ENOSPC)
		rcu_poll(rcu);
	write_history(number);
	if (add) {
		while ((rc = fib_route_set(fib, &p->addr, p->plen, nh)) == -ENOSPC)
			rcu_poll(rcu);
		fib_nh_put(fib, nh);
	} else {
		rc = fib_route_del(fib, &p->addr, p->plen);
	}
	must(rc == 0);
	atomic_store(&done, number);
}

static void
traffic(void)
{
	struct eal_reader r = {
		.read = every_next_hop, .rcu = rcu, .what = "a packet goes where no route led"};
	double end = eal_ms() + 2500;
	uint64_t n = 0;

	draw();
	eal_readers_start(&r, 2);
	while (eal_ms() < end && r.failed == 0) {
		struct prefix *p = &prefixes[eal_rand() % PREFIXES];

		if (p->addr.family == 0)
			continue;
		change(p, ++n);
		if (n % 16 == 0)
			rcu_poll(rcu);
	}
	eal_readers_stop(&r);
	for (unsigned int i = 0; i < PREFIXES; i++)
		if (prefixes[i].id != 0)
			must(fib_route_del(fib, &prefixes[i].addr, prefixes[i].plen) == 0);
	ck_assert_uint_eq(fib_route_count(fib), 0);
	/* A reader that lost its cpu for long could not judge: that is rare. */
	ck_assert_uint_lt(too_old, r.reads / 2);
	printf("fib: IPv%u: %lu times %u next hops checked while routes changed %lu times\n",
		family, r.reads - too_old, PACKETS, n);
}

START_TEST(every_next_hop4)
{
	family = 4;
	traffic();
}
END_TEST

START_TEST(every_next_hop6)
{
	family = 6;
	traffic();
}
END_TEST

/* As many routes as the table is for, none near another: each fits, and is found. */
START_TEST(any_routes6)
{
	enum { N = 20000 };
	static struct ip_addr a[N];
	const uint8_t *dst[64];
	uint64_t nh[64];
	uint32_t one;

	ck_assert_int_eq(fib_nh_new(fib, NH_UNREACHABLE, 0, 1, &one), 0);
	for (unsigned int i = 0; i < N; i++) {
		a[i].family = 6;
		for (unsigned int k = 0; k < sizeof(a[i].b); k++)
			a[i].b[k] = eal_rand() >> 32;
		must(fib_route_set(fib, &a[i], 40 + eal_rand() % 89, one) == 0);
	}
	ck_assert_uint_eq(fib_route_count(fib), N);
	for (unsigned int i = 0; i < N; i += RTE_DIM(dst)) {
		for (unsigned int k = 0; k < RTE_DIM(dst); k++)
			dst[k] = a[RTE_MIN(i + k, N - 1u)].b;
		fib_lookup6_bulk(fib, dst, nh, RTE_DIM(dst));
		for (unsigned int k = 0; k < RTE_DIM(dst); k++)
			must(nh[k] == one);
	}
}
END_TEST

static void
setup(void)
{
	struct fib_conf conf = {.max_routes = 20000, .max_nexthops = 1024};

	eal_start();
	conf.rcu = rcu = rcu_create();
	ck_assert_ptr_nonnull(rcu);
	fib = fib_create(&conf);
	ck_assert_ptr_nonnull(fib);
}

static void
teardown(void)
{
	rcu_flush(rcu);
	fib_destroy(fib);
	rcu_destroy(rcu);
	eal_stop();
}

int
main(void)
{
	Suite *s = suite_create("fib_traffic");
	TCase *tc = tcase_create("fib_traffic");

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_next_hop4);
	tcase_add_test(tc, every_next_hop6);
	tcase_add_test(tc, any_routes6);
	suite_add_tcase(s, tc);
	return eal_main(s);
}

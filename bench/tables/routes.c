/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib.h"
#include "tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

/* Routes with the lengths of the Internet's, over as many networks as those have. */

#define NEXTHOPS 64

struct route {
	struct ip_addr dst;
	uint8_t plen;
	uint32_t nh;
};

static struct fib *fib;
static struct route *routes;
static uint32_t n_routes, out, nexthop[NEXTHOPS];
static unsigned int family;

/* Per mille of the prefixes in a table of the Internet of 2024, rounded; a few hosts as a site has them. */
struct share {
	uint8_t plen;
	uint16_t per_mille;
};

static const struct share shares4[] = {{24, 590}, {23, 100}, {22, 110}, {21, 50}, {20, 50}, {19, 28}, {18, 15},
	{17, 9}, {16, 14}, {15, 2}, {14, 2}, {32, 30}};
static const struct share shares6[] = {{48, 470}, {32, 110}, {40, 90}, {44, 110}, {36, 40}, {47, 30}, {46, 40}, {29, 30},
	{33, 20}, {64, 30}, {128, 30}};

static uint8_t
draw_plen(void)
{
	const struct share *s = family == 4 ? shares4 : shares6;
	int left = random_below(1000);

	while ((left -= s->per_mille) >= 0)
		s++;
	return s->plen;
}

static struct ip_addr
draw_addr(void)
{
	struct ip_addr a = {.family = family};
	/* Registries give out /12s, and out of them some 30,000 /32s with networks in them. */
	static const uint16_t blocks[] = {0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00};
	uint32_t site = random_below(32768);
	uint16_t words[8] = {rte_cpu_to_be_16(blocks[site % RTE_DIM(blocks)] + site / 6 % 16),
		rte_cpu_to_be_16(site * 40503u >> 3)};

	if (family == 4) {
		a.v4 = rte_cpu_to_be_32(0x01000000 + random_below(0xdf000000));
		return a;
	}
	for (unsigned int i = 2; i < RTE_DIM(words); i++)
		words[i] = random_below(65536);
	memcpy(a.b, words, sizeof(words));
	return a;
}

static uint64_t
lookup(const uint32_t *which)
{
	const uint8_t *dst6[BURST];
	uint32_t dst4[BURST];
	uint64_t nh[BURST], begin;

	for (unsigned int i = 0; i < BURST; i++) {
		dst4[i] = rte_be_to_cpu_32(routes[which[i]].dst.v4);
		dst6[i] = routes[which[i]].dst.b;
	}
	begin = rte_rdtsc();
	if (family == 4)
		fib_lookup4_bulk(fib, dst4, nh, BURST);
	else
		fib_lookup6_bulk(fib, dst6, nh, BURST);
	begin = rte_rdtsc() - begin;
	for (unsigned int i = 0; i < BURST; i++)
		must((nh[i] != 0 || updating) && nh[i] <= NEXTHOPS);
	return begin;
}

static uint64_t
random_routes(void)
{
	uint32_t which[BURST];

	for (unsigned int i = 0; i < BURST; i++)
		which[i] = random_below(n_routes);
	return lookup(which);
}

static uint64_t
one_flow(void)
{
	uint32_t which[BURST];

	for (unsigned int i = 0; i < BURST; i++)
		which[i] = n_routes / 2;
	return lookup(which);
}

static void
take(void)
{
	out = random_below(n_routes);
	must(fib_route_del(fib, &routes[out].dst, routes[out].plen) == 0);
}

static void
put(void)
{
	const struct route *r = &routes[out];

	/* Memory that waits for a grace period: as fib.h says, once more. */
	while (fib_route_set(fib, &r->dst, r->plen, r->nh) == -ENOSPC)
		rcu_poll(rcu);
}

static void
row(unsigned int fam, uint32_t n)
{
	const struct fib_conf conf = {.max_routes = RTE_MAX(n, 65536u), .max_nexthops = NEXTHOPS + 1, .rcu = rcu};
	const struct table t = {.name = "routes",
		.family = fam,
		.n = n,
		.random = random_routes,
		.flow = one_flow,
		.take = take,
		.put = put};
	double begin, us = 0;

	family = fam;
	n_routes = n;
	fib = fib_create(&conf);
	routes = calloc(n, sizeof(*routes));
	must(fib != NULL && routes != NULL);
	for (unsigned int i = 0; i < NEXTHOPS; i++)
		must(fib_nh_new(fib, NH_UNREACHABLE, 0, 0, &nexthop[i]) == 0);
	for (uint32_t i = 0; i < n;) {
		struct route *r = &routes[i];

		*r = (struct route){draw_addr(), draw_plen(), nexthop[i % NEXTHOPS]};
		begin = now_us();
		must(fib_route_set(fib, &r->dst, r->plen, r->nh) == 0);
		us += now_us() - begin;
		i = fib_route_count(fib); /* drawn twice: once more */
	}
	measure(&t, us / n);
	rcu_flush(rcu);
	fib_destroy(fib);
	free(routes);
}

void
bench_routes(uint32_t max)
{
	for (unsigned int fam = 4; fam <= 6; fam += 2)
		for (uint32_t n = 10; n <= max; n *= n < 100000 ? 100 : 10)
			row(fam, n);
}

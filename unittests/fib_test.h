/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TEST_FIB_H
#define CYGNET_TEST_FIB_H

#include "eal.h"
#include "fib.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_byteorder.h>

#define NEXTHOPS 64

static struct rcu *rcu;
static struct fib *fib;

static inline void
make_fib(uint32_t max_routes)
{
	struct fib_conf conf = {.max_routes = max_routes, .max_nexthops = NEXTHOPS, .rcu = rcu};

	fib = fib_create(&conf);
	ck_assert_ptr_nonnull(fib);
}

static inline void
setup(void)
{
	eal_start();
	rcu = rcu_create();
	ck_assert_ptr_nonnull(rcu);
	make_fib(4000);
}

static inline void
teardown(void)
{
	rcu_flush(rcu);
	fib_destroy(fib);
	rcu_destroy(rcu);
	eal_stop();
}

/* dst in host order. */
static inline int
set(uint32_t dst, uint8_t plen, uint32_t nh)
{
	struct ip_addr a = {.family = 4, .v4 = rte_cpu_to_be_32(dst)};

	return fib_route_set(fib, &a, plen, nh);
}

static inline int
del(uint32_t dst, uint8_t plen)
{
	struct ip_addr a = {.family = 4, .v4 = rte_cpu_to_be_32(dst)};

	return fib_route_del(fib, &a, plen);
}

static inline uint32_t
lookup(uint32_t dst)
{
	struct ip_addr a = {.family = 4, .v4 = rte_cpu_to_be_32(dst)};

	return fib_lookup(fib, &a);
}

static inline uint32_t
new_nh(void)
{
	uint32_t nh;

	ck_assert_int_eq(fib_nh_new(fib, NH_UNREACHABLE, 0, 1500, &nh), 0);
	return nh;
}

/* A lcore that the test speaks for. */
static inline void
lcore_online(void)
{
	rte_rcu_qsbr_thread_register(rcu_qsbr(rcu), 0);
	rte_rcu_qsbr_thread_online(rcu_qsbr(rcu), 0);
}

static inline void
lcore_offline(void)
{
	rte_rcu_qsbr_thread_offline(rcu_qsbr(rcu), 0);
}

/* A grace period, and with it what was queued. */
static inline void
lcore_quiescent(void)
{
	for (int i = 0; i < 3; i++) {
		rcu_poll(rcu);
		rte_rcu_qsbr_quiescent(rcu_qsbr(rcu), 0);
	}
	rcu_poll(rcu);
}

#endif

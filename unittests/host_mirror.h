/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TEST_HOST_MIRROR_H
#define CYGNET_TEST_HOST_MIRROR_H

#include "fib.h"
#include "host.h"
#include "host_priv.h"
#include "rcu.h"

#include <stdbool.h>

#include <check.h>

/*
 * A mirror with two ports, cyg0 (id 0, 192.0.2.1/24) and cyg1 (id 3, 198.51.100.1/24), in a network namespace of
 * its own that ends with the test's process.
 */
extern struct fib *fib;
extern struct rcu *rcu;
extern struct host *host;
extern struct host_conf conf;
extern struct event_base *base;
extern struct rte_mempool *mbufs;

void mirror_setup(void);
void mirror_teardown(void);

/* Runs a command of ip(8) and the like; the test fails with it. */
__attribute__((format(printf, 1, 2))) void run(const char *fmt, ...);

/* Lets the control thread's loop run for a while. */
void turn(unsigned int ms);

/* Waits for a condition with the loop running. */
#define WAIT_FOR(cond)                                                \
	do {                                                          \
		for (unsigned int i_ = 0; i_ < 1000 && !(cond); i_++) \
			turn(20);                                     \
		ck_assert_msg(cond, "not within 20 s: %s", #cond);    \
	} while (0)

struct ip_addr ip(const char *text);

/* What the FIB says of an address. */
uint32_t nh_index(const char *addr);
struct nexthop *nh_of(const char *addr);
/* Whether it is that kind of next hop, and, with a port or a neighbour, whose. */
bool goes(const char *addr, enum nh_type type);
bool goes_port(const char *addr, enum nh_type type, uint16_t port);
bool goes_to(const char *addr, const char *neighbour, uint16_t port);
bool resolved(const char *addr, const char *mac);

#endif

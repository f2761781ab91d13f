/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TEST_EAL_H
#define CYGNET_TEST_EAL_H

#include "addr.h"
#include "rcu.h"

#include <stdatomic.h>
#include <stdint.h>

#include <check.h>
#include <rte_rcu_qsbr.h>

/*
 * EAL for a test's own process (Check forks one for each test): checked fixtures of a test case. No huge
 * pages, no devices, lcore 0 for the test and a few more, all on the first two cpus.
 */
#define EAL_LCORES 4 /* beside the test's own: 1 .. 4 */

extern unsigned int
	eal_megabytes; /* set it before eal_start(), when the default 512 are not enough */

void eal_start(void);

/* The test fails when DPDK's heap holds more than after the start. */
void eal_stop(void);

/* Runs all tests of a suite; the return value of main(). */
int eal_main(Suite *s);

/* ck_assert() writes to Check's pipe each time: in loops of millions this one is used. */
#define must(cond)                                         \
	do {                                               \
		if (!(cond))                               \
			ck_abort_msg("not so: %s", #cond); \
	} while (0)

/* The same with what the failure is about. */
#define must_msg(cond, ...)                        \
	do {                                       \
		if (!(cond))                       \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)

/*
 * Lcores that read a table under RCU while the test changes it: read(arg) is called over and over with a
 * quiescent state after each; when it returns false that lcore stops, and the test fails with what.
 */
struct eal_reader {
	bool (*read)(void *arg);
	void *arg;
	const char *what;
	struct rcu *rcu;
	_Atomic bool stop;
	_Atomic unsigned int failed;
	_Atomic uint64_t reads;
};

void eal_readers_start(struct eal_reader *r, unsigned int lcores);
void eal_readers_stop(struct eal_reader *r);

/* Polls until nothing is deferred any more; the test fails when that takes 10 s. */
void eal_settle(struct rcu *rcu);
/* The same; each time between() is called: the test is a lcore itself, and has to report. */
void eal_settle_for(struct rcu *rcu, void (*between)(void));

/* A generator of its own for each test: what fails once fails again. */
uint64_t eal_rand(void);
/* Begins the numbers that belong to the seed, which is not 0. */
void eal_seed(uint64_t seed);

struct ip_addr ip(const char *text);

double eal_ms(void); /* CLOCK_MONOTONIC */

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_TABLES_H
#define BENCH_TABLES_H

#include "addr.h"
#include "rcu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What lookups and updates of the tables cost, the tables alone: lcore 1 looks up, the main lcore updates as the control
 * thread does. A row is printed as a line of JSON; bench/tables.py makes the table of it.
 */

#define BURST 32 /* lookups that are timed as one */

struct table {
	const char *name;
	unsigned int family; /* 0: none */
	uint32_t n; /* entries */
	const char *note; /* NULL: none */
	/* Looks up a burst and returns its cycles. Lcore 1. */
	uint64_t (*random)(void); /* an entry each, in random order; all there, but for what an update has out */
	uint64_t (*flow)(void); /* of one entry all; NULL: not measured */
	/* Takes an entry out, or puts that one back. NULL: not measured. Main lcore. */
	void (*take)(void);
	void (*put)(void);
};

/* Measures the table and prints its row. fill_us: what an entry took when the table was filled. */
void measure(const struct table *t, double fill_us);

/* Fills the table, an entry at a time, and measures it. Main lcore. */
void fill_and_measure(const struct table *t, void (*add)(uint32_t i));

/* Lets what is deferred end; no lcore reads. */
void settle(void);

/* Microseconds of CLOCK_MONOTONIC. */
double now_us(void);

/* Lcore 1's, and the main lcore's. */
uint32_t random_below(uint32_t n);

/* Ends the program when something cannot be. */
#define must(cond)                                           \
	do {                                                 \
		if (!(cond))                                 \
			give_up(#cond, __FILE__, __LINE__);  \
	} while (0)
void give_up(const char *what, const char *file, int line) __attribute__((noreturn));

extern struct rcu *rcu;
extern _Atomic bool updating; /* an entry may be out */

/* Each measures with at most that many entries. */
void bench_policies(uint32_t max);
void bench_shapes(uint32_t max);
void bench_ports(uint32_t max);
void bench_sas(uint32_t max);
void bench_routes(uint32_t max);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#define READER 1
#define SAMPLES 8192
#define SAMPLE_BURSTS 16
#define QUIET_MS 250
#define BUSY_MS 500
#define UPDATES (1u << 20)

struct rcu *rcu;
_Atomic bool updating;

static struct {
	uint64_t (*burst)(void);
	_Atomic bool stop;
	_Atomic unsigned int n;
	double cycles[SAMPLES]; /* of a lookup, each over SAMPLE_BURSTS bursts */
} reader;

static uint32_t update_cycles[UPDATES];

void
give_up(const char *what, const char *file, int line)
{
	fprintf(stderr, "bench-tables: %s:%d: not so: %s\n", file, line, what);
	_exit(1);
}

double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

uint32_t
random_below(uint32_t n)
{
	static __thread uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return ((x * 0x2545f4914f6cdd1d) >> 32) * n >> 32;
}

static int
read_on(void *arg)
{
	struct rte_rcu_qsbr *qsbr = rcu_qsbr(rcu);

	(void)arg;
	rte_rcu_qsbr_thread_register(qsbr, READER);
	rte_rcu_qsbr_thread_online(qsbr, READER);
	for (int i = 0; i < 1000; i++) /* warm */
		reader.burst();
	for (reader.n = 0; !atomic_load_explicit(&reader.stop, memory_order_relaxed);) {
		uint64_t cycles = 0;

		for (int i = 0; i < SAMPLE_BURSTS; i++) {
			cycles += reader.burst();
			rte_rcu_qsbr_quiescent(qsbr, READER);
		}
		reader.cycles[reader.n] = (double)cycles / (SAMPLE_BURSTS * BURST);
		reader.n += reader.n < SAMPLES - 1;
	}
	rte_rcu_qsbr_thread_offline(qsbr, READER);
	rte_rcu_qsbr_thread_unregister(qsbr, READER);
	return 0;
}

static void
reader_start(uint64_t (*burst)(void))
{
	reader.burst = burst;
	atomic_store(&reader.stop, false);
	must(rte_eal_remote_launch(read_on, NULL, READER) == 0);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int
by_cycles(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The lower quartile: samples in which another program had the cpu are longer. */
static double
reader_stop(void)
{
	atomic_store(&reader.stop, true);
	rte_eal_mp_wait_lcore();
	must(reader.n > 3);
	qsort(reader.cycles, reader.n, sizeof(reader.cycles[0]), by_value);
	return reader.cycles[reader.n / 4];
}

void
settle(void)
{
	for (int i = 0; i < 1000 && rcu_pending(rcu) > 0; i++)
		rcu_poll(rcu);
	must(rcu_pending(rcu) == 0);
}

static double
quiet(uint64_t (*burst)(void))
{
	reader_start(burst);
	usleep(QUIET_MS * 1000);
	/* Somebody else had the cpu. */
	for (int i = 0; i < 1000 && atomic_load(&reader.n) < 100; i++)
		usleep(10000);
	return reader_stop();
}

/* Takes out and puts back, one after another, and frees what is due as often as the control thread does. */
static void
updates(const struct table *t, uint32_t *n, double *us)
{
	double begin = now_us(), polled = begin, now = begin;
	uint64_t tsc;

	for (*n = 0; now - begin < BUSY_MS * 1e3 && *n < UPDATES; ++*n) {
		tsc = rte_rdtsc();
		if (*n % 2 == 0)
			t->take();
		else
			t->put();
		update_cycles[*n] = RTE_MIN(rte_rdtsc() - tsc, UINT32_MAX);
		now = now_us();
		if (now - polled < 2000)
			continue;
		rcu_poll(rcu);
		polled = now;
	}
	*us = now_us() - begin;
	if (*n % 2 == 1)
		t->put();
}

void
measure(const struct table *t, double fill_us)
{
	double mhz = rte_get_tsc_hz() / 1e6, busy, us;
	uint32_t n;

	printf("{\"table\": \"%s\", \"family\": %u, \"n\": %u, \"random\": %.1f", t->name, t->family,
		t->n, quiet(t->random));
	if (t->note != NULL)
		printf(", \"note\": \"%s\"", t->note);
	if (t->flow != NULL)
		printf(", \"flow\": %.1f", quiet(t->flow));
	if (t->take != NULL) {
		updating = true;
		reader_start(t->random);
		updates(t, &n, &us);
		busy = reader_stop();
		updating = false;
		settle();
		qsort(update_cycles, n, sizeof(update_cycles[0]), by_cycles);
		printf(", \"busy\": %.1f, \"updates_per_second\": %.0f, \"update_us\": %.2f, "
		       "\"update_p50_us\": %.2f, \"update_p99_us\": %.2f, \"fill_us\": %.2f",
			busy, n * 1e6 / us, us / n, update_cycles[n / 2] / mhz,
			update_cycles[n - 1 - n / 100] / mhz, fill_us);
	}
	printf("}\n");
	fflush(stdout);
}

void
fill_and_measure(const struct table *t, void (*add)(uint32_t i))
{
	double begin = now_us();

	for (uint32_t i = 0; i < t->n; i++)
		add(i);
	measure(t, (now_us() - begin) / t->n);
	rcu_flush(rcu);
}

static uint32_t
number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end != '\0' || n < 10 || n > 1u << 22) {
		fprintf(stderr, "bench-tables: %s: not a number from 10 to 4194304\n", text);
		exit(2);
	}
	return n;
}

/* bench-tables [EAL ARGUMENT...] -- POLICIES ROUTES: so many of each at most. */
int
main(int argc, char **argv)
{
	int n = rte_eal_init(argc, argv);

	if (n < 0 || argc - n != 3 || rte_lcore_count() < 2) {
		fprintf(stderr, "usage: bench-tables --lcores 0@CPU,1@CPU [EAL ARGUMENT...] -- POLICIES ROUTES\n");
		return 2;
	}
	rcu = rcu_create();
	must(rcu != NULL);
	bench_policies(number(argv[n + 1]));
	bench_ports(number(argv[n + 1]));
	bench_shapes(number(argv[n + 1]));
	bench_sas(number(argv[n + 1]));
	bench_routes(number(argv[n + 2]));
	rcu_flush(rcu);
	rcu_destroy(rcu);
	return 0;
}

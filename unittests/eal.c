/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

unsigned int eal_megabytes = 512;

static size_t heap;
static uint64_t rand_state;

static size_t
heap_in_use(void)
{
	struct rte_malloc_socket_stats stats;

	return rte_malloc_get_socket_stats(0, &stats) == 0 ? stats.heap_allocsz_bytes : 0;
}

void
eal_start(void)
{
	char lcores[64], memory[16];
	char *argv[] = {"test", "--no-huge", "--no-shconf", "--no-pci", "-m", memory,
		"--no-telemetry", "--lcores", lcores, "--log-level", "*:error", "--log-level",
		"cygnet:critical", "--force-max-simd-bitwidth=512", NULL};
	int cpu[2], n = 0;
	cpu_set_t cpus;

	rand_state = 0x9e3779b97f4a7c15;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &cpus))
			cpu[n++] = i;
	snprintf(lcores, sizeof(lcores), "(0-%d)@(%d,%d)", EAL_LCORES, cpu[0], cpu[n - 1]);
	snprintf(memory, sizeof(memory), "%u", eal_megabytes);
	ck_assert_int_ge(rte_eal_init(RTE_DIM(argv) - 1, argv), 0);
	heap = heap_in_use();
}

void
eal_stop(void)
{
	ck_assert_uint_eq(heap_in_use(), heap);
	rte_eal_cleanup();
}

int
eal_main(Suite *s)
{
	SRunner *runner = srunner_create(s);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

static int
reader(void *arg)
{
	struct rte_rcu_qsbr *qsbr;
	struct eal_reader *r = arg;
	unsigned int id = rte_lcore_id();
	uint64_t n = 0;

	qsbr = rcu_qsbr(r->rcu);
	rte_rcu_qsbr_thread_register(qsbr, id);
	rte_rcu_qsbr_thread_online(qsbr, id);
	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		if (!r->read(r->arg)) {
			atomic_fetch_add(&r->failed, 1);
			break;
		}
		atomic_fetch_add_explicit(&r->reads, 1, memory_order_relaxed);
		rte_rcu_qsbr_quiescent(qsbr, id);
		if (n++ % 64 == 0)
			sched_yield(); /* more lcores than cpus */
	}
	rte_rcu_qsbr_thread_offline(qsbr, id);
	rte_rcu_qsbr_thread_unregister(qsbr, id);
	return 0;
}

void
eal_readers_start(struct eal_reader *r, unsigned int lcores)
{
	uint64_t seen = 0;

	for (unsigned int i = 1; i <= lcores; i++)
		ck_assert_int_eq(rte_eal_remote_launch(reader, r, i), 0);
	while (seen < 100 && r->failed == 0) {
		sched_yield();
		seen = atomic_load(&r->reads);
	}
}

void
eal_readers_stop(struct eal_reader *r)
{
	atomic_store(&r->stop, true);
	rte_eal_mp_wait_lcore();
	ck_assert_msg(r->failed == 0, "%u readers: %s", r->failed, r->what);
	ck_assert_uint_gt(r->reads, 0);
}

void
eal_settle_for(struct rcu *rcu, void (*between)(void))
{
	double end = eal_ms() + 10000;

	while (rcu_pending(rcu) > 0) {
		if (between != NULL)
			between();
		rcu_poll(rcu);
		if (rcu_pending(rcu) == 0)
			return;
		ck_assert_msg(eal_ms() < end, "a grace period does not end");
		sched_yield();
	}
}

void
eal_settle(struct rcu *rcu)
{
	eal_settle_for(rcu, NULL);
}

/* xorshift64* */
void
eal_seed(uint64_t seed)
{
	rand_state = seed;
}

uint64_t
eal_rand(void)
{
	if (rand_state == 0)
		rand_state = 0x9e3779b97f4a7c15;
	rand_state ^= rand_state >> 12;
	rand_state ^= rand_state << 25;
	rand_state ^= rand_state >> 27;
	return rand_state * 0x2545f4914f6cdd1d;
}

struct ip_addr
ip(const char *text)
{
	struct ip_addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

double
eal_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

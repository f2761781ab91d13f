/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"
#include "walk.h"
#include "worker.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_pause.h>

/* An idle lcore first spins, then lets others run, then sleeps ever longer. */
#define IDLE_SPIN 32
#define IDLE_YIELD 64
#define SLEEP_MIN_NS 5000
#define SLEEP_MAX_NS 100000
#define SECONDS_EVERY 1024 /* walks */

static void
doze(struct worker *w, uint64_t idle)
{
	struct timespec ts = {.tv_nsec = SLEEP_MIN_NS};
	uint64_t before = rte_rdtsc();

	for (uint64_t i = IDLE_YIELD; i < idle && ts.tv_nsec < SLEEP_MAX_NS; i += 8)
		ts.tv_nsec *= 2;
	ts.tv_nsec = RTE_MIN(ts.tv_nsec, SLEEP_MAX_NS);
	/* Offline: a grace period does not wait for who sleeps. */
	rte_rcu_qsbr_thread_offline(w->qsbr, w->index);
	nanosleep(&ts, NULL);
	rte_rcu_qsbr_thread_online(w->qsbr, w->index);
	w->sleeps++;
	w->sleep_cycles += rte_rdtsc() - before;
}

/* What the lcore waits for comes from another one: it must not sleep long, nor keep that one's cpu. */
static bool
waits_for_others(const struct worker *w)
{
	if (crypto_in_flight(&w->crypto_queue) > 0)
		return true;
	for (uint16_t i = 0; i < w->crypto_server.n_devs; i++)
		if (w->crypto_server.in_flight[i] > 0)
			return true;
	return false;
}

static void
idle(struct worker *w, uint64_t n)
{
	if (n < IDLE_SPIN)
		rte_pause();
	else if (n < IDLE_YIELD || waits_for_others(w))
		sched_yield();
	else
		doze(w, n);
}

static uint32_t
monotonic_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

int
worker_loop(void *arg)
{
	struct worker *w = arg;
	uint64_t idle_walks = 0, work;

	prctl(PR_SET_TIMERSLACK, 1000);
	rte_rcu_qsbr_thread_register(w->qsbr, w->index);
	rte_rcu_qsbr_thread_online(w->qsbr, w->index);
	while (!atomic_load_explicit(w->stop, memory_order_relaxed)) {
		if (unlikely(probe_changed(w)))
			probe_switch(w);
		work = w->work;
		w->now = rte_rdtsc();
		if (w->walks++ % SECONDS_EVERY == 0 || idle_walks > IDLE_YIELD)
			w->seconds = monotonic_seconds();
		walk(w, idle_walks > 0);
		walk_end(w);
		if (likely(w->work != work)) {
			w->busy_cycles += rte_rdtsc() - w->now;
			idle_walks = 0;
			continue;
		}
		w->idle_walks++;
		idle_walks++;
		if (!w->idle_poll)
			idle(w, idle_walks);
	}
	rte_rcu_qsbr_thread_offline(w->qsbr, w->index);
	rte_rcu_qsbr_thread_unregister(w->qsbr, w->index);
	return 0;
}

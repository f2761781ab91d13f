/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_RCU_H
#define CYGNET_RCU_H

#include <stdint.h>

#include <rte_common.h>
#include <rte_rcu_qsbr.h>

/*
 * When memory that lcores read is freed.
 *
 * The control thread unlinks an object and hands it to rcu_defer(). Its destructor runs after a grace
 * period, which is two things: every data-plane lcore has reported a quiescent state since, and every
 * frame of crypto operations that a worker had begun by then has been collected, and the walk
 * that collected it has ended (operations in frames, rings and cryptodev queues still point at SAs and
 * sessions). Deferred objects are gathered in generations; one generation waits at a time.
 */

#define RCU_LCORES 64

/* Published by a data-plane lcore at the end of each walk, before its quiescent state. */
struct rcu_lcore {
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t begun; /* frames, ever: crypto_begun() */
	_Atomic uint64_t collected;
};

struct rcu;

/* Runs on the control thread. */
typedef void (*rcu_free_t)(void *ctx, void *obj);

struct rcu *rcu_create(void);

/* Runs all destructors at once: only when no lcore runs any more. */
void rcu_flush(struct rcu *rcu);

/* After rcu_flush(), and after the tables that use rcu_qsbr() are gone. */
void rcu_destroy(struct rcu *rcu);

struct rte_rcu_qsbr *rcu_qsbr(struct rcu *rcu);
struct rcu_lcore *rcu_lcore(struct rcu *rcu, unsigned int thread);

/*
 * Calls fn(ctx, obj) after a grace period. Control thread. obj may be an index cast to a pointer.
 * Never fails: without memory for the entry it waits for the grace period itself, bounded, and
 * leaks the object with a log line when a stalled lcore makes even that impossible.
 */
void rcu_defer(struct rcu *rcu, rcu_free_t fn, void *ctx, void *obj);

/* Advances the grace periods and runs what is due. Control thread, each tick; never waits. */
void rcu_poll(struct rcu *rcu);

/* Objects that wait for their grace period. */
uint64_t rcu_pending(const struct rcu *rcu);

#endif

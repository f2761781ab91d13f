/* SPDX-License-Identifier: BSD-3-Clause */
#include "rcu.h"

#include "log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_malloc.h>

struct deferred {
	rcu_free_t fn;
	void *ctx;
	void *obj;
};

/* A generation of deferred objects: a plain growing array. */
struct generation {
	struct deferred *v;
	size_t n, size;
};

enum phase { IDLE, QUIESCENT, FRAMES, ENDING };

struct rcu {
	struct rcu_lcore lcore[RCU_LCORES];
	struct rte_rcu_qsbr *qsbr;
	struct generation open, closed;
	enum phase phase;
	uint64_t token;
	uint64_t frames[RCU_LCORES]; /* begun when the quiescent states were complete */
};

struct rcu *
rcu_create(void)
{
	struct rcu *rcu = rte_zmalloc("rcu", sizeof(*rcu), RTE_CACHE_LINE_SIZE);

	if (rcu == NULL)
		return NULL;
	rcu->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(RCU_LCORES), RTE_CACHE_LINE_SIZE);
	if (rcu->qsbr == NULL || rte_rcu_qsbr_init(rcu->qsbr, RCU_LCORES) != 0) {
		rte_free(rcu->qsbr);
		rte_free(rcu);
		return NULL;
	}
	return rcu;
}

static void
run(struct generation *gen)
{
	/* A destructor may defer again: that goes to the open generation. It cannot end a period. */
	for (size_t i = 0; i < gen->n; i++)
		gen->v[i].fn(gen->v[i].ctx, gen->v[i].obj);
	gen->n = 0;
}

void
rcu_flush(struct rcu *rcu)
{
	rcu->phase = ENDING;
	run(&rcu->closed);
	while (rcu->open.n > 0) {
		struct generation gen = rcu->open;

		rcu->open = (struct generation){0};
		run(&gen);
		free(gen.v);
	}
	rcu->phase = IDLE;
}

void
rcu_destroy(struct rcu *rcu)
{
	if (rcu == NULL)
		return;
	free(rcu->closed.v);
	free(rcu->open.v);
	rte_free(rcu->qsbr);
	rte_free(rcu);
}

struct rte_rcu_qsbr *
rcu_qsbr(struct rcu *rcu)
{
	return rcu->qsbr;
}

struct rcu_lcore *
rcu_lcore(struct rcu *rcu, unsigned int thread)
{
	return &rcu->lcore[thread];
}

uint64_t
rcu_pending(const struct rcu *rcu)
{
	return rcu->open.n + rcu->closed.n;
}

static bool
frames_collected(const struct rcu *rcu)
{
	for (unsigned int i = 0; i < RCU_LCORES; i++)
		if (atomic_load_explicit(&rcu->lcore[i].collected, memory_order_acquire) <
			rcu->frames[i])
			return false;
	return true;
}

void
rcu_poll(struct rcu *rcu)
{
	struct generation gen;

	if (rcu->phase == IDLE) {
		if (rcu->open.n == 0)
			return;
		gen = rcu->closed;
		rcu->closed = rcu->open;
		rcu->open = gen;
		rcu->token = rte_rcu_qsbr_start(rcu->qsbr);
		rcu->phase = QUIESCENT;
	}
	if (rcu->phase == QUIESCENT) {
		if (rte_rcu_qsbr_check(rcu->qsbr, rcu->token, false) == 0)
			return;
		for (unsigned int i = 0; i < RCU_LCORES; i++)
			rcu->frames[i] =
				atomic_load_explicit(&rcu->lcore[i].begun, memory_order_acquire);
		rcu->phase = FRAMES;
	}
	if (rcu->phase == ENDING || !frames_collected(rcu))
		return;
	rcu->phase = ENDING;
	run(&rcu->closed);
	rcu->phase = IDLE;
}

static bool
grow(struct generation *gen)
{
	size_t size = gen->size != 0 ? 2 * gen->size : 64;
	struct deferred *v = reallocarray(gen->v, size, sizeof(*v));

	if (v == NULL)
		return false;
	gen->v = v;
	gen->size = size;
	return true;
}

void
rcu_defer(struct rcu *rcu, rcu_free_t fn, void *ctx, void *obj)
{
	struct generation *gen = &rcu->open;

	for (int i = 0; gen->n == gen->size && !grow(gen); i++) {
		if (i == 100 || rcu->phase == ENDING) {
			LOG(ERR, "out of memory: an object that lcores may still read is leaked");
			return;
		}
		usleep(1000);
		rcu_poll(rcu);
	}
	gen->v[gen->n++] = (struct deferred){fn, ctx, obj};
}

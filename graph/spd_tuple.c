/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <stdlib.h>

#include <rte_common.h>
#include <rte_malloc.h>

/*
 * Each tuple costs a lookup that nothing earlier settled. So there are not more than MAX_OWN that a policy gets for its own
 * shape; those that come later share the shapes whose prefix lengths are steps: 9 x 9 x 2 of a family at most without ports, and
 * 5 x 5 x 2 x 3 with one port or two.
 *
 * The leading bits of ports are multiples of 4 always: there are few shapes of ports then, and a key of ranges that do not overlap
 * has few of them.
 */
#define MAX_OWN 64

static const uint8_t steps4[] = {0, 4, 8, 12, 16, 20, 24, 28, 32};
static const uint8_t steps6[] = {0, 16, 32, 40, 48, 56, 64, 96, 128};

#define PORT_STEP 4u
#define PORT_BITS 16u

/* The leading bits that all ports of a range share, in steps. */
static uint8_t
port_plen(uint16_t lo, uint16_t hi)
{
	unsigned int plen = lo == hi ? PORT_BITS : (unsigned int)__builtin_clz(lo ^ hi) - 16;

	return plen / PORT_STEP * PORT_STEP;
}

void
spd_shape_own(const struct spd_policy_conf *conf, struct spd_shape *shape)
{
	*shape = (struct spd_shape){
		.src_plen = conf->sel.src_plen,
		.dst_plen = conf->sel.dst_plen,
		.src_port_plen = port_plen(conf->sel.src_port_lo, conf->sel.src_port_hi),
		.dst_port_plen = port_plen(conf->sel.dst_port_lo, conf->sel.dst_port_hi),
		.proto = conf->sel.proto != 0,
		.mark_mask = conf->mark_mask,
	};
}

/* The largest step that is not longer; with ports, of every second one. */
static uint8_t
step_down(uint8_t plen, uint8_t family, bool ports)
{
	const uint8_t *steps = family == 4 ? steps4 : steps6;
	unsigned int i = RTE_DIM(steps4) - 1, by = ports ? 2 : 1;

	while (steps[i] > plen)
		i -= by;
	return steps[i];
}

void
spd_shape_shared(const struct spd_policy_conf *conf, struct spd_shape *shape)
{
	const struct spd_selector *sel = &conf->sel;
	bool src_port = sel->src_port_lo == sel->src_port_hi,
	     dst_port = sel->dst_port_lo == sel->dst_port_hi;

	*shape = (struct spd_shape){
		.src_plen = step_down(sel->src_plen, sel->src.family, src_port || dst_port),
		.dst_plen = step_down(sel->dst_plen, sel->src.family, src_port || dst_port),
		.src_port_plen = src_port ? PORT_BITS : 0,
		.dst_port_plen = dst_port ? PORT_BITS : 0,
		.proto = sel->proto != 0,
	};
}

struct spd_tuple *
spd_tuple_find(const struct spd_view *v, const struct spd_shape *shape)
{
	struct spd_tuples *ts = v->tuples;

	for (uint32_t i = 0; i < ts->n + ts->n_groups; i++)
		if (spd_shape_same(&ts->t[i].shape, shape))
			return &ts->t[i];
	return NULL;
}

void
spd_shape_choose(
	const struct spd_view *v, const struct spd_policy_conf *conf, struct spd_shape *shape)
{
	spd_shape_own(conf, shape);
	if (v->tuples->n >= MAX_OWN && spd_tuple_find(v, shape) == NULL)
		spd_shape_shared(conf, shape);
}

static union spd_mask
plen_mask(uint8_t plen)
{
	struct ip_addr ones;
	union spd_mask mask;

	memset(&ones, 0xff, sizeof(ones));
	addr_mask(&ones, plen);
	memcpy(&mask, ones.b, sizeof(mask));
	return mask;
}

static uint32_t
port_mask(uint8_t plen)
{
	return (0xffffu << (PORT_BITS - plen)) & 0xffffu;
}

static void
defer_free(void *ctx, void *obj)
{
	(void)ctx;
	rte_free(obj);
}

/* Of IPv6 nobody asks. */
static struct spd_sight
sight_of(const struct spd_tuples *ts)
{
	struct spd_sight sight = {.addrs = 0};

	for (uint32_t i = 0; i < ts->n + ts->n_groups; i++) {
		const uint32_t addrs[] = {ts->t[i].src_mask.v4, ts->t[i].dst_mask.v4};
		uint64_t mask;

		memcpy(&mask, addrs, sizeof(mask));
		sight.addrs |= mask;
		sight.proto |= ts->t[i].shape.proto ? 0xff : 0;
	}
	return sight;
}

static void
publish(struct spd *spd, struct spd_view *v, struct spd_tuples *new)
{
	struct spd_tuples *old = v->tuples;

	new->sight = sight_of(new);
	spd_changed(v);
	atomic_store_explicit(&v->tuples, new, memory_order_release);
	rcu_defer(spd->rcu, defer_free, NULL, old);
}

static struct spd_tuples *
copy(const struct spd_tuples *old, uint32_t n)
{
	struct spd_tuples *new = rte_zmalloc("tuples", sizeof(*new) + n * sizeof(new->t[0]), 0);

	if (new != NULL)
		memcpy(new->t, old->t, RTE_MIN(n, old->n + old->n_groups) * sizeof(new->t[0]));
	return new;
}

static void
count_kinds(struct spd_tuples *ts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ts->n_groups += ts->t[i].shape.group;
	ts->n = n - ts->n_groups;
}

static int
by_best(const void *a, const void *b)
{
	const struct spd_tuple *x = a, *y = b;

	if (x->shape.group != y->shape.group)
		return x->shape.group - y->shape.group;
	return (x->best > y->best) - (x->best < y->best);
}

struct spd_tuple *
spd_tuple_take(
	struct spd *spd, struct spd_view *v, const struct spd_shape *shape, uint32_t priority)
{
	struct spd_tuple *t = spd_tuple_find(v, shape);
	uint32_t n = v->tuples->n + v->tuples->n_groups + (t == NULL);
	struct spd_tuples *new;

	if (t == NULL || t->best > priority) {
		new = copy(v->tuples, n);
		if (new == NULL)
			return NULL;
		if (t != NULL)
			new->t[t - v->tuples->t].best = priority;
		else
			new->t[n - 1] = (struct spd_tuple){
				.src_mask = plen_mask(shape->src_plen),
				.dst_mask = plen_mask(shape->dst_plen),
				.port_mask = spd_ports(port_mask(shape->src_port_plen),
					port_mask(shape->dst_port_plen)),
				.best = priority,
				.id = ++spd->tuple_id,
				.shape = *shape,
			};
		qsort(new->t, n, sizeof(new->t[0]), by_best);
		count_kinds(new, n);
		publish(spd, v, new);
		t = spd_tuple_find(v, shape);
	}
	t->count++;
	return t;
}

void
spd_tuple_drop(struct spd *spd, struct spd_view *v, const struct spd_shape *shape)
{
	struct spd_tuple *t = spd_tuple_find(v, shape);
	uint32_t at, n = v->tuples->n + v->tuples->n_groups - 1;
	struct spd_tuples *new;

	if (t == NULL || --t->count > 0)
		return;
	new = copy(v->tuples, n);
	if (new == NULL)
		return; /* an empty tuple costs a lookup, no more */
	at = t - v->tuples->t;
	memcpy(&new->t[at], &v->tuples->t[at + 1], (n - at) * sizeof(new->t[0]));
	count_kinds(new, n);
	publish(spd, v, new);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_malloc.h>

/* Groups of policies that differ in ports alone (spd_priv.h). All of it is the control thread's. */

/* Of a bypass a packet without ports need not know. */
static int
kind_of(const struct spd_policy *p)
{
	switch (p->action) {
	case SPD_DISCARD:
		return SPD_GROUP_DISCARD;
	case SPD_PROTECT:
		return SPD_GROUP_PROTECT;
	}
	return -1;
}

static struct spd_policy_conf
without_ports(const struct spd_policy_conf *conf)
{
	struct spd_policy_conf any = *conf;

	any.sel.src_port_lo = any.sel.dst_port_lo = 0;
	any.sel.src_port_hi = any.sel.dst_port_hi = UINT16_MAX;
	return any;
}

static struct spd_shape
shape_of(const struct spd_policy *p)
{
	struct spd_shape shape = p->shape;

	shape.src_port_plen = shape.dst_port_plen = 0;
	shape.group = true;
	return shape;
}

void
spd_group_free(struct spd_group *g)
{
	for (int kind = 0; kind < SPD_GROUP_KINDS; kind++)
		free(g->heap[kind].v);
	rte_free(g);
}

static void
defer_free(void *ctx, void *obj)
{
	(void)ctx;
	spd_group_free(obj);
}

static struct spd_group *
make_group(const struct spd_policy *p)
{
	struct spd_group *g = rte_zmalloc("spd group", sizeof(*g), RTE_CACHE_LINE_SIZE);

	if (g == NULL)
		return NULL;
	g->if_id = p->if_id;
	g->mark = p->mark;
	g->mark_mask = p->mark_mask;
	g->narrow_addrs = p->narrow & SPD_NARROW_ADDRS;
	g->src = p->src;
	g->dst = p->dst;
	g->shape = shape_of(p);
	g->conf = without_ports(&p->conf);
	return g;
}

/* Puts a new group into the chain of its key. */
static int
link_group(struct spd_view *v, const union spd_hash_key *key, struct spd_group *g)
{
	struct spd_group *first = spd_chain_first(v, key);
	uint32_t n = 0;

	for (const struct spd_group *at = first; at != NULL; at = at->next)
		n++;
	if (n >= SPD_CHAIN_MAX)
		return -E2BIG;
	g->next = first;
	return spd_chain_begin(v, key, g, first == NULL);
}

static void
unlink_group(struct spd_view *v, const union spd_hash_key *key, struct spd_group *g)
{
	struct spd_group *at = spd_chain_first(v, key), *next = g->next;

	if (at != g) {
		while (at->next != g)
			at = at->next;
		atomic_store_explicit(&at->next, next, memory_order_release);
	} else if (next != NULL) {
		spd_chain_begin(v, key, next, false);
	} else {
		spd_chain_end(v, key);
	}
}

static struct spd_group *
find_group(const struct spd_view *v, const union spd_hash_key *key, const struct spd_policy *p)
{
	struct spd_policy_conf any = without_ports(&p->conf);
	struct spd_group *g = spd_chain_first(v, key);

	while (g != NULL && !spd_selector_same(&g->conf, &any))
		g = g->next;
	return g;
}

static void
drop_if_empty(
	struct spd *spd, struct spd_view *v, const union spd_hash_key *key, struct spd_group *g)
{
	if (g->count > 0)
		return;
	unlink_group(v, key, g);
	rcu_defer(spd->rcu, defer_free, NULL, g);
}

/* The policy's group, found or made. */
static int
take_group(struct spd_view *v, const union spd_hash_key *key, const struct spd_policy *p,
	struct spd_group **g)
{
	int rc;

	*g = find_group(v, key, p);
	if (*g != NULL)
		return 0;
	*g = make_group(p);
	if (*g == NULL)
		return -ENOMEM;
	rc = link_group(v, key, *g);
	if (rc < 0)
		spd_group_free(*g);
	return rc;
}

static void
publish(struct spd_group *g, int kind)
{
	const struct spd_heap *h = &g->heap[kind];

	atomic_store_explicit(&g->best[kind], h->n > 0 ? h->v[0] : NULL, memory_order_release);
}

int
spd_group_add(struct spd *spd, struct spd_view *v, struct spd_policy *p)
{
	struct spd_shape shape = shape_of(p);
	struct spd_tuple *t = spd_tuple_take(spd, v, &shape, p->priority);
	int kind = kind_of(p), rc;
	union spd_hash_key key;
	struct spd_group *g;

	if (t == NULL)
		return -ENOMEM;
	spd_selector_key(&p->conf, t, &key);
	rc = take_group(v, &key, p, &g);
	if (rc == 0 && kind >= 0 && spd_heap_reserve(&g->heap[kind]) < 0) {
		drop_if_empty(spd, v, &key, g);
		rc = -ENOMEM;
	}
	if (rc < 0) {
		spd_tuple_drop(spd, v, &shape);
		return rc;
	}
	g->count++;
	p->group = g;
	if (kind >= 0) {
		spd_heap_push(&g->heap[kind], p);
		publish(g, kind);
	}
	return 0;
}

void
spd_group_del(struct spd *spd, struct spd_view *v, struct spd_policy *p)
{
	struct spd_group *g = p->group;
	struct spd_shape shape = g->shape;
	int kind = kind_of(p);
	union spd_hash_key key;

	spd_selector_key(&p->conf, spd_tuple_find(v, &shape), &key);
	if (kind >= 0) {
		spd_heap_remove(&g->heap[kind], p);
		publish(g, kind);
	}
	p->group = NULL;
	g->count--;
	drop_if_empty(spd, v, &key, g);
	spd_tuple_drop(spd, v, &shape);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#define ROOM_DYING 4096u /* at least: hash keys that wait for their grace period */

static bool
make_view(struct spd_view *v, uint32_t max, size_t key_len, const char *name, struct rcu *rcu)
{
	struct rte_hash_rcu_config rcu_config = {.v = rcu_qsbr(rcu), .mode = RTE_HASH_QSBR_MODE_DQ};
	struct rte_hash_parameters p = {
		.name = name,
		.entries = max + RTE_MAX(max, ROOM_DYING),
		.key_len = key_len,
		.hash_func = rte_hash_crc,
		.socket_id = (int)rte_socket_id(),
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	v->hash = rte_hash_create(&p);
	v->tuples = rte_zmalloc("tuples", sizeof(struct spd_tuples), 0);
	return v->hash != NULL && v->tuples != NULL && spd_filter_init(&v->filter, max) == 0 &&
	       rte_hash_rcu_qsbr_add(v->hash, &rcu_config) == 0;
}

struct spd *
spd_create(uint32_t max_policies, struct rcu *rcu)
{
	static const char *const names[SPD_DIRS][SPD_FAMILIES] = {
		{"spd_in", "spd_in6"}, {"spd_out", "spd_out6"}, {"spd_fwd", "spd_fwd6"}};
	struct spd *spd = rte_zmalloc("spd", sizeof(*spd), RTE_CACHE_LINE_SIZE);

	if (spd == NULL)
		return NULL;
	spd->rcu = rcu;
	spd->max = max_policies;
	spd->reqid_mask = rte_align32pow2(RTE_MAX(max_policies, 64u)) - 1;
	spd->of_reqid = calloc(spd->reqid_mask + 1, sizeof(*spd->of_reqid));
	if (spd->of_reqid == NULL)
		goto fail;
	for (int dir = 0; dir < SPD_DIRS; dir++)
		if (!make_view(&spd->view[dir][SPD_FAMILY4], max_policies, sizeof(struct spd_key4),
			    names[dir][SPD_FAMILY4], rcu) ||
			!make_view(&spd->view[dir][SPD_FAMILY6], max_policies,
				sizeof(struct spd_key6), names[dir][SPD_FAMILY6], rcu))
			goto fail;
	return spd;
fail:
	LOG(ERR, "not enough memory for %u policies", max_policies);
	spd_destroy(spd);
	return NULL;
}

static struct spd_view *
view_of(struct spd *spd, const struct spd_policy_conf *conf)
{
	return &spd->view[conf->dir][conf->sel.src.family == 6 ? SPD_FAMILY6 : SPD_FAMILY4];
}

static void
destroy_view(struct spd_view *v)
{
	const void *key;
	uint32_t at = 0;
	void *data;

	while (v->hash != NULL && rte_hash_iterate(v->hash, &key, &data, &at) >= 0)
		for (struct spd_policy *p = data, *next; p != NULL; p = next) {
			next = p->next;
			rte_free(p);
		}
	rte_hash_free(v->hash);
	spd_filter_free(&v->filter);
	rte_free(v->tuples);
}

void
spd_destroy(struct spd *spd)
{
	if (spd == NULL)
		return;
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (int family = 0; family < SPD_FAMILIES; family++)
			destroy_view(&spd->view[dir][family]);
	free(spd->of_reqid);
	free(spd->of_sa);
	rte_free(spd);
}

static void
defer_free(void *ctx, void *obj)
{
	(void)ctx;
	rte_free(obj);
}

static struct spd_policy *
chain_of(struct spd_view *v, const union spd_hash_key *key)
{
	void *data;

	return rte_hash_lookup_data(v->hash, key, &data) >= 0 ? data : NULL;
}

/* The first of the policies that share a key with those of that selector, in one shape. */
static struct spd_policy *
chain_in_shape(
	struct spd_view *v, const struct spd_policy_conf *conf, const struct spd_shape *shape)
{
	const struct spd_tuple *t = spd_tuple_find(v, shape);
	union spd_hash_key key;

	if (t == NULL)
		return NULL;
	spd_selector_key(conf, t, &key);
	return chain_of(v, &key);
}

struct spd_policy *
spd_find_next(struct spd *spd, const struct spd_policy_conf *conf, const struct spd_policy *p)
{
	struct spd_policy_conf like = *conf;
	struct spd_shape shape[2];
	struct spd_policy *at;
	bool passed = p == NULL;

	if (conf->dir >= SPD_DIRS || spd_selector_canonical(&like.sel) < 0)
		return NULL;
	spd_shape_own(&like, &shape[0]);
	spd_shape_shared(&like, &shape[1]);
	for (unsigned int i = 0; i < RTE_DIM(shape); i++) {
		if (i == 1 && spd_shape_same(&shape[0], &shape[1]))
			break;
		for (at = chain_in_shape(view_of(spd, &like), &like, &shape[i]); at != NULL;
			at = at->next) {
			if (passed && spd_selector_same(&at->conf, &like))
				return at;
			passed |= at == p;
		}
	}
	return NULL;
}

struct spd_policy *
spd_find(struct spd *spd, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = NULL;

	while ((p = spd_find_next(spd, conf, p)) != NULL)
		if (p->conf.owner == conf->owner)
			return p;
	return NULL;
}

static int
check_conf(struct spd_policy_conf *conf)
{
	if (conf->dir >= SPD_DIRS || conf->action < SPD_PROTECT || conf->action > SPD_DISCARD ||
		(conf->mark & ~conf->mark_mask) != 0)
		return -EINVAL;
	return spd_selector_canonical(&conf->sel);
}

static struct spd_policy *
make_policy(struct spd *spd, const struct spd_policy_conf *conf, const struct spd_shape *shape)
{
	struct spd_policy *p = rte_zmalloc("policy", sizeof(*p), RTE_CACHE_LINE_SIZE);

	if (p == NULL)
		return NULL;
	p->conf = *conf;
	p->shape = *shape;
	p->priority = conf->priority;
	p->order = p->id = ++spd->order;
	p->reqid = conf->reqid;
	p->action = conf->action;
	p->mode = conf->mode;
	p->proto = conf->proto;
	p->if_id = conf->if_id;
	p->mark = conf->mark;
	p->mark_mask = conf->mark_mask;
	p->sa = SPD_NO_SA;
	spd_selector_narrow(p);
	return p;
}

/* Puts the policy into its chain, in order. Lcores see either chain. */
static int
link_policy(struct spd_view *v, const union spd_hash_key *key, struct spd_policy *p)
{
	struct spd_policy *prev = NULL, *at = chain_of(v, key);

	while (at != NULL && spd_beats(at, p)) {
		prev = at;
		at = at->next;
	}
	p->next = at;
	if (prev != NULL) {
		atomic_store_explicit(&prev->next, p, memory_order_release);
		return 0;
	}
	if (at == NULL)
		spd_filter_add(&v->filter, rte_hash_hash(v->hash, key));
	if (rte_hash_add_key_data(v->hash, key, p) == 0)
		return 0;
	if (at == NULL)
		spd_filter_del(&v->filter, rte_hash_hash(v->hash, key));
	return -ENOSPC;
}

static void
unlink_policy(struct spd_view *v, const union spd_hash_key *key, struct spd_policy *p)
{
	struct spd_policy *head = chain_of(v, key), *next = p->next;

	if (head != p) {
		while (head->next != p)
			head = head->next;
		atomic_store_explicit(&head->next, next, memory_order_release);
	} else if (next != NULL) {
		rte_hash_add_key_data(v->hash, key, next); /* the key is there: cannot fail */
	} else {
		rte_hash_del_key(v->hash, key);
		spd_filter_del(&v->filter, rte_hash_hash(v->hash, key));
	}
}

static void
remove_policy(struct spd *spd, struct spd_policy *p)
{
	struct spd_view *v = view_of(spd, &p->conf);
	union spd_hash_key key;

	spd_selector_key(&p->conf, spd_tuple_find(v, &p->shape), &key);
	unlink_policy(v, &key, p);
	v->count--;
	spd_bind_removed(spd, p);
	spd_tuple_drop(spd, v, &p->shape);
	rcu_defer(spd->rcu, defer_free, NULL, p);
}

/* Into its tuple and its chain. */
static int
insert_policy(struct spd *spd, struct spd_view *v, struct spd_policy *p)
{
	struct spd_tuple *t = spd_tuple_take(spd, v, &p->shape, p->priority);
	union spd_hash_key key;
	int rc;

	if (t == NULL)
		return -ENOMEM;
	spd_selector_key(&p->conf, t, &key);
	rc = link_policy(v, &key, p);
	if (rc < 0)
		spd_tuple_drop(spd, v, &p->shape);
	return rc;
}

int
spd_replace(
	struct spd *spd, struct spd_policy *old, const struct spd_policy_conf *conf, uint32_t *id)
{
	struct spd_policy_conf new = *conf;
	struct spd_shape shape;
	struct spd_policy *p;
	struct spd_view *v;
	int rc = check_conf(&new);

	if (rc < 0)
		return rc;
	v = view_of(spd, &new);
	if (old == NULL && spd_count(spd, new.dir) >= spd->max)
		return -ENOSPC;
	/* In place: a lcore that has been through the tuple of the new one has been through that of the old one, too. */
	if (old != NULL)
		shape = old->shape;
	else
		spd_shape_choose(v, &new, &shape);
	p = make_policy(spd, &new, &shape);
	if (p == NULL)
		return -ENOMEM;
	/* Before lcores see it. */
	if (old != NULL && new.dir == SPD_OUT &&new.action == SPD_PROTECT)
		spd_bind(spd, p, old->sa);
	rc = insert_policy(spd, v, p);
	if (rc < 0) {
		spd_bind(spd, p, SPD_NO_SA);
		rte_free(p);
		return rc;
	}
	v->count++;
	spd_bind_added(spd, p);
	/* A lcore between the two places has not seen the new one, and will not see the old one. */
	if (old != NULL && spd_beats(p, old) && p->next != old)
		atomic_fetch_add_explicit(&v->moves, 1, memory_order_release);
	if (old != NULL)
		remove_policy(spd, old);
	if (id != NULL)
		*id = p->id;
	return 0;
}

int
spd_add(struct spd *spd, const struct spd_policy_conf *conf, uint32_t *id)
{
	return spd_replace(spd, spd_find(spd, conf), conf, id);
}

int
spd_del(struct spd *spd, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = spd_find(spd, conf);

	if (p == NULL)
		return -ENOENT;
	remove_policy(spd, p);
	return 0;
}

static void
view_foreach(struct spd_view *v, void (*fn)(void *ctx, struct spd_policy *p), void *ctx)
{
	const void *key;
	uint32_t at = 0;
	void *data;

	/* The walk costs what the table has room for, not what is in it. */
	if (v->count == 0)
		return;
	while (rte_hash_iterate(v->hash, &key, &data, &at) >= 0)
		for (struct spd_policy *p = data; p != NULL; p = p->next)
			fn(ctx, p);
}

void
spd_foreach(struct spd *spd, void (*fn)(void *ctx, struct spd_policy *p), void *ctx)
{
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (int family = 0; family < SPD_FAMILIES; family++)
			view_foreach(&spd->view[dir][family], fn, ctx);
}

/* By buckets of reqids, and in a bucket, whose list begins with the newest, from the oldest on. */
unsigned int
spd_page(struct spd *spd, struct spd_cursor *c, struct spd_policy **v, unsigned int max)
{
	unsigned int n = 0, later, take;
	struct spd_policy *p;

	for (; c->bucket <= spd->reqid_mask; c->bucket++, c->id = 0) {
		later = 0;
		LIST_FOREACH (p, &spd->of_reqid[c->bucket], of_reqid) {
			if (p->id <= c->id)
				break;
			later++;
		}
		take = RTE_MIN(later, max - n);
		p = LIST_FIRST(&spd->of_reqid[c->bucket]);
		for (; later > take; later--)
			p = LIST_NEXT(p, of_reqid);
		for (unsigned int i = take; i > 0; i--, p = LIST_NEXT(p, of_reqid))
			v[n + i - 1] = p;
		n += take;
		if (n == max) {
			if (take > 0)
				c->id = v[n - 1]->id;
			return n;
		}
	}
	return n;
}

uint32_t
spd_count(const struct spd *spd, enum spd_dir dir)
{
	return spd->view[dir][SPD_FAMILY4].count + spd->view[dir][SPD_FAMILY6].count;
}

void
spd_set_complete(struct spd *spd, bool complete)
{
	atomic_store(&spd->complete, complete);
}

bool
spd_complete(const struct spd *spd)
{
	return atomic_load_explicit(&spd->complete, memory_order_relaxed);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include "log.h"
#include "sad.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#define ROOM_DYING 4096u /* at least: hash keys that wait for their grace period */

/* Keys that a hash has room for: of policies, of groups if each policy has one of its own, and of what waits for its end. */
static uint32_t
room(uint32_t max)
{
	return 2 * max + RTE_MAX(max, ROOM_DYING);
}

static bool
make_view(struct spd_view *v, uint32_t max, size_t key_len, const char *name, struct rcu *rcu)
{
	struct rte_hash_rcu_config rcu_config = {.v = rcu_qsbr(rcu), .mode = RTE_HASH_QSBR_MODE_DQ};
	struct rte_hash_parameters p = {
		.name = name,
		.entries = room(max),
		.key_len = key_len,
		.hash_func = rte_hash_crc,
		.socket_id = (int)rte_socket_id(),
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	v->state = 1;
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

/* A key of rte_hash has a pointer before it and fills whole 16 bytes; its bucket, and the extra one, have 8 bytes for it. */
uint64_t
spd_size(uint32_t max_policies)
{
	uint64_t keys = RTE_ALIGN(sizeof(void *) + sizeof(struct spd_key4), 16) +
			RTE_ALIGN(sizeof(void *) + sizeof(struct spd_key6), 16) + 2 * 2 * 8;

	return (uint64_t)max_policies * sizeof(struct spd_policy) +
	       SPD_DIRS * keys * room(max_policies);
}

static struct spd_view *
view_of(struct spd *spd, const struct spd_policy_conf *conf)
{
	return &spd->view[conf->dir][conf->sel.src.family == 6 ? SPD_FAMILY6 : SPD_FAMILY4];
}

static void
destroy_policy(void *ctx, struct spd_policy *p)
{
	(void)ctx;
	if (p->group != NULL && --p->group->count == 0)
		spd_group_free(p->group);
	rte_free(p);
}

static void
destroy_view(struct spd_view *v)
{
	rte_hash_free(v->hash);
	spd_filter_free(&v->filter);
	rte_free(v->tuples);
}

void
spd_destroy(struct spd *spd)
{
	if (spd == NULL)
		return;
	spd_foreach(spd, destroy_policy, NULL);
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (int family = 0; family < SPD_FAMILIES; family++)
			destroy_view(&spd->view[dir][family]);
	free(spd->pages);
	free(spd->free_pages);
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
	return spd_chain_first(v, &key);
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

const char *
spd_strerror(int rc)
{
	switch (-rc) {
	case E2BIG:
		return "its ranges of ports or addresses overlap with those of too many others "
		       "(" RTE_STR(SPD_CHAIN_MAX) ")";
	case ENOSPC:
		return "there are as many as limits.policies allows";
	}
	return strerror(-rc);
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
	p->owner = conf->owner == 0 && !conf->own_sas ? SA_ANYBODY : sa_owner_tag(conf->owner);
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

static void
remove_policy(struct spd *spd, struct spd_policy *p)
{
	struct spd_view *v = view_of(spd, &p->conf);
	union spd_hash_key key;

	spd_selector_key(&p->conf, spd_tuple_find(v, &p->shape), &key);
	spd_chain_unlink(v, &key, p);
	spd_changed(v);
	if (p->group != NULL)
		spd_group_del(spd, v, p);
	v->count--;
	spd_bind_removed(spd, p);
	spd_tuple_drop(spd, v, &p->shape);
	rcu_defer(spd->rcu, defer_free, NULL, p);
}

/* Into its tuple and its chain. */
static int
link_policy(struct spd *spd, struct spd_view *v, struct spd_policy *p, bool replaces)
{
	struct spd_tuple *t = spd_tuple_take(spd, v, &p->shape, p->priority);
	union spd_hash_key key;
	int rc;

	if (t == NULL)
		return -ENOMEM;
	spd_selector_key(&p->conf, t, &key);
	rc = spd_chain_link(v, &key, p, replaces);
	if (rc < 0)
		spd_tuple_drop(spd, v, &p->shape);
	return rc;
}

/* Into all that it is found by. */
static int
insert_policy(struct spd *spd, struct spd_view *v, struct spd_policy *p, bool replaces)
{
	int rc = 0;

	if (p->narrow & SPD_NARROW_PORTS)
		rc = spd_group_add(spd, v, p);
	if (rc < 0)
		return rc;
	rc = link_policy(spd, v, p, replaces);
	if (rc < 0 && p->group != NULL)
		spd_group_del(spd, v, p);
	return rc;
}

/* Whether a lcore that has been where the new one is, and not yet where the old one was, finds neither of them. */
static bool
moves(const struct spd_policy *p, const struct spd_policy *old)
{
	return (spd_beats(p, old) && p->next != old) ||
	       (old->group != NULL && p->action != old->action);
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
	if (old == NULL && spd_pages_add(spd, p) < 0) {
		rte_free(p);
		return -ENOMEM;
	}
	/* Before lcores see it. */
	if (old != NULL && new.dir == SPD_OUT &&new.action == SPD_PROTECT)
		spd_bind(spd, p, old->sa);
	rc = insert_policy(spd, v, p, old != NULL);
	if (rc < 0) {
		if (old == NULL)
			spd_pages_del(spd, p);
		spd_bind(spd, p, SPD_NO_SA);
		/* Its group may have shown it to lcores. */
		rcu_defer(spd->rcu, defer_free, NULL, p);
		return rc;
	}
	spd_changed(v);
	v->count++;
	spd_bind_added(spd, p);
	if (old != NULL) {
		if (moves(p, old))
			atomic_fetch_add_explicit(&v->moves, 1, memory_order_release);
		spd_pages_replace(spd, old, p);
		remove_policy(spd, old);
	}
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
	spd_pages_del(spd, p);
	remove_policy(spd, p);
	return 0;
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_byteorder.h>
#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_malloc.h>

#define MAX_TUPLES 256
#define LOOKUP_MAX 64
#define LOOKUP_BULK 32u
#define ROOM_DYING 4096u /* at least: hash keys that wait for their grace period */

union mask {
	uint32_t v4;
	uint64_t v6[2];
};

/* A shape of policies: which bits of a packet their key has. Ports are compared along the chain. */
struct tuple {
	union mask src_mask, dst_mask; /* network order */
	uint32_t best; /* no policy of the tuple has a smaller priority */
	uint32_t count;
	uint32_t id; /* never given again: lcores may still hold the tuples that had it */
	uint8_t src_plen, dst_plen;
	bool proto; /* the protocol counts */
};

/* What lcores read: sorted by best priority, never changed once published. */
struct tuples {
	uint32_t n;
	struct tuple t[];
};

struct key4 {
	uint32_t src, dst;
	uint32_t tuple;
	uint8_t proto;
	uint8_t zero[3];
};

struct key6 {
	uint64_t src[2], dst[2];
	uint32_t tuple;
	uint8_t proto;
	uint8_t zero[3];
};

_Static_assert(sizeof(struct key4) == 16 && sizeof(struct key6) == 40, "hashed as a whole");

/* The key of a policy, as its family has it. */
union key {
	struct key4 v4;
	struct key6 v6;
};

/* The policies of one direction and family. */
struct view {
	struct tuples *_Atomic tuples;
	struct rte_hash *hash; /* key4 or key6 to the first struct spd_policy of its chain */
	uint32_t count;
	_Atomic uint32_t moves; /* of policies that were replaced further ahead in their chains */
};

enum { FAMILY4, FAMILY6, FAMILIES };

LIST_HEAD(policy_list, spd_policy);

struct spd {
	struct view view[SPD_DIRS][FAMILIES];
	_Atomic bool complete;
	struct rcu *rcu;
	uint32_t max, order, tuple_id;
	uint32_t reqid_mask;
	struct policy_list *of_reqid; /* [reqid_mask + 1] */
	struct policy_list *of_sa; /* [n_sas] by slot, grown as slots appear */
	uint32_t n_sas;
};

static bool
make_view(struct view *v, uint32_t max, size_t key_len, const char *name, struct rcu *rcu)
{
	struct rte_hash_rcu_config rcu_config = {.v = rcu_qsbr(rcu), .mode = RTE_HASH_QSBR_MODE_DQ};
	struct rte_hash_parameters p = {
		.name = name,
		.entries = max + RTE_MAX(max, ROOM_DYING),
		.key_len = key_len,
		.hash_func = rte_jhash,
		.socket_id = (int)rte_socket_id(),
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	v->hash = rte_hash_create(&p);
	v->tuples = rte_zmalloc("tuples", sizeof(struct tuples), 0);
	return v->hash != NULL && v->tuples != NULL &&
	       rte_hash_rcu_qsbr_add(v->hash, &rcu_config) == 0;
}

struct spd *
spd_create(uint32_t max_policies, struct rcu *rcu)
{
	static const char *const names[SPD_DIRS][FAMILIES] = {
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
		if (!make_view(&spd->view[dir][FAMILY4], max_policies, sizeof(struct key4),
			    names[dir][FAMILY4], rcu) ||
			!make_view(&spd->view[dir][FAMILY6], max_policies, sizeof(struct key6),
				names[dir][FAMILY6], rcu))
			goto fail;
	return spd;
fail:
	LOG(ERR, "not enough memory for %u policies", max_policies);
	spd_destroy(spd);
	return NULL;
}

static struct view *
view_of(struct spd *spd, const struct spd_policy_conf *conf)
{
	return &spd->view[conf->dir][conf->sel.src.family == 6 ? FAMILY6 : FAMILY4];
}

static void
destroy_view(struct view *v)
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
	rte_free(v->tuples);
}

void
spd_destroy(struct spd *spd)
{
	if (spd == NULL)
		return;
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (int family = 0; family < FAMILIES; family++)
			destroy_view(&spd->view[dir][family]);
	free(spd->of_reqid);
	free(spd->of_sa);
	rte_free(spd);
}

/* RFC 4301 leaves ties open; kernel-netlink's rule: a reqid beats none, then the newest. */
static inline bool
beats(const struct spd_policy *a, const struct spd_policy *b)
{
	if (b == NULL || a->priority != b->priority)
		return b == NULL || a->priority < b->priority;
	if ((a->reqid != 0) != (b->reqid != 0))
		return a->reqid != 0;
	return a->order > b->order;
}

static union mask
plen_mask(uint8_t plen)
{
	struct ip_addr ones;
	union mask mask;

	memset(&ones, 0xff, sizeof(ones));
	addr_mask(&ones, plen);
	memcpy(&mask, ones.b, sizeof(mask));
	return mask;
}

static void
defer_free(void *ctx, void *obj)
{
	(void)ctx;
	rte_free(obj);
}

static void
publish_tuples(struct spd *spd, struct view *v, struct tuples *new)
{
	struct tuples *old = v->tuples;

	atomic_store_explicit(&v->tuples, new, memory_order_release);
	rcu_defer(spd->rcu, defer_free, NULL, old);
}

static struct tuples *
copy_tuples(const struct tuples *old, uint32_t n)
{
	struct tuples *new = rte_zmalloc("tuples", sizeof(*new) + n * sizeof(new->t[0]), 0);

	if (new != NULL) {
		new->n = n;
		memcpy(new->t, old->t, RTE_MIN(n, old->n) * sizeof(new->t[0]));
	}
	return new;
}

static int
by_best(const void *a, const void *b)
{
	uint32_t x = ((const struct tuple *)a)->best, y = ((const struct tuple *)b)->best;

	return (x > y) - (x < y);
}

static struct tuple *
find_tuple(struct view *v, const struct spd_selector *sel)
{
	struct tuples *ts = v->tuples;

	for (uint32_t i = 0; i < ts->n; i++)
		if (ts->t[i].src_plen == sel->src_plen && ts->t[i].dst_plen == sel->dst_plen &&
			ts->t[i].proto == (sel->proto != 0))
			return &ts->t[i];
	return NULL;
}

/* A tuple for the selector whose best priority is at most that; *id names it in keys. */
static int
want_tuple(struct spd *spd, struct view *v, const struct spd_selector *sel, uint32_t priority,
	uint32_t *id)
{
	struct tuple *t = find_tuple(v, sel);
	struct tuples *new;

	if (t != NULL && t->best <= priority) {
		*id = t->id;
		return 0;
	}
	if (t == NULL && v->tuples->n == MAX_TUPLES)
		return -ENOSPC;
	new = copy_tuples(v->tuples, v->tuples->n + (t == NULL));
	if (new == NULL)
		return -ENOMEM;
	if (t != NULL) {
		*id = t->id;
		new->t[t - v->tuples->t].best = priority;
	} else {
		*id = ++spd->tuple_id;
		new->t[new->n - 1] = (struct tuple){
			.src_mask = plen_mask(sel->src_plen),
			.dst_mask = plen_mask(sel->dst_plen),
			.best = priority,
			.id = *id,
			.src_plen = sel->src_plen,
			.dst_plen = sel->dst_plen,
			.proto = sel->proto != 0,
		};
	}
	qsort(new->t, new->n, sizeof(new->t[0]), by_best);
	publish_tuples(spd, v, new);
	return 0;
}

/* The tuple lost a policy; the last one takes it away. */
static void
drop_tuple(struct spd *spd, struct view *v, const struct spd_selector *sel)
{
	struct tuple *t = find_tuple(v, sel);
	struct tuples *new;
	uint32_t at;

	if (t == NULL || --t->count > 0)
		return;
	new = copy_tuples(v->tuples, v->tuples->n - 1);
	if (new == NULL)
		return; /* an empty tuple costs a lookup, no more */
	at = t - v->tuples->t;
	memmove(&new->t[at], &v->tuples->t[at + 1], (new->n - at) * sizeof(new->t[0]));
	publish_tuples(spd, v, new);
}

static void
selector_key(const struct spd_selector *sel, uint32_t tuple, union key *key)
{
	struct ip_addr src = sel->src, dst = sel->dst;

	addr_mask(&src, sel->src_plen);
	addr_mask(&dst, sel->dst_plen);
	memset(key, 0, sizeof(*key));
	if (src.family == 4) {
		key->v4.src = src.v4;
		key->v4.dst = dst.v4;
		key->v4.tuple = tuple;
		key->v4.proto = sel->proto;
	} else {
		memcpy(key->v6.src, src.b, sizeof(key->v6.src));
		memcpy(key->v6.dst, dst.b, sizeof(key->v6.dst));
		key->v6.tuple = tuple;
		key->v6.proto = sel->proto;
	}
}

/* Same selector, direction, if_id and mark: one policy at a time. */
static bool
same_policy(const struct spd_policy_conf *a, const struct spd_policy_conf *b)
{
	return a->dir == b->dir && a->if_id == b->if_id && a->mark == b->mark &&
	       a->mark_mask == b->mark_mask && a->sel.src_plen == b->sel.src_plen &&
	       a->sel.dst_plen == b->sel.dst_plen && a->sel.proto == b->sel.proto &&
	       a->sel.src_port_lo == b->sel.src_port_lo &&
	       a->sel.src_port_hi == b->sel.src_port_hi &&
	       a->sel.dst_port_lo == b->sel.dst_port_lo &&
	       a->sel.dst_port_hi == b->sel.dst_port_hi &&
	       addr_in(&a->sel.src, &b->sel.src, b->sel.src_plen) &&
	       addr_in(&a->sel.dst, &b->sel.dst, b->sel.dst_plen);
}

static struct spd_policy *
chain_of(struct view *v, const union key *key)
{
	void *data;

	return rte_hash_lookup_data(v->hash, key, &data) >= 0 ? data : NULL;
}

struct spd_policy *
spd_find(struct spd *spd, const struct spd_policy_conf *conf)
{
	struct view *v = view_of(spd, conf);
	struct tuple *t = find_tuple(v, &conf->sel);
	union key key;

	if (t == NULL)
		return NULL;
	selector_key(&conf->sel, t->id, &key);
	for (struct spd_policy *p = chain_of(v, &key); p != NULL; p = p->next)
		if (same_policy(&p->conf, conf))
			return p;
	return NULL;
}

static int
check_conf(const struct spd_policy_conf *conf)
{
	const struct spd_selector *sel = &conf->sel;

	if (conf->dir >= SPD_DIRS || conf->action < SPD_PROTECT || conf->action > SPD_DISCARD ||
		sel->src_port_lo > sel->src_port_hi || sel->dst_port_lo > sel->dst_port_hi)
		return -EINVAL;
	if (sel->src.family != sel->dst.family || sel->src_plen > addr_bits(&sel->src) ||
		sel->dst_plen > addr_bits(&sel->dst))
		return -EINVAL;
	if ((sel->src.family != 4 && sel->src.family != 6) || conf->if_id != 0 ||
		conf->mark_mask != 0)
		return -ENOTSUP;
	return 0;
}

static struct spd_policy *
make_policy(struct spd *spd, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = rte_zmalloc("policy", sizeof(*p), RTE_CACHE_LINE_SIZE);

	if (p == NULL)
		return NULL;
	p->conf = *conf;
	p->priority = conf->priority;
	p->order = p->id = ++spd->order;
	p->reqid = conf->reqid;
	p->action = conf->action;
	p->mode = conf->mode;
	p->proto = conf->proto;
	p->sa = SPD_NO_SA;
	p->ports = conf->sel.src_port_lo != 0 || conf->sel.src_port_hi != UINT16_MAX ||
		   conf->sel.dst_port_lo != 0 || conf->sel.dst_port_hi != UINT16_MAX;
	return p;
}

/* Puts the policy into its chain, in order. Lcores see either chain. */
static int
link_policy(struct view *v, const union key *key, struct spd_policy *p)
{
	struct spd_policy *prev = NULL, *at = chain_of(v, key);

	while (at != NULL && beats(at, p)) {
		prev = at;
		at = at->next;
	}
	p->next = at;
	if (prev != NULL) {
		atomic_store_explicit(&prev->next, p, memory_order_release);
		return 0;
	}
	return rte_hash_add_key_data(v->hash, key, p) == 0 ? 0 : -ENOSPC;
}

static void
unlink_policy(struct view *v, const union key *key, struct spd_policy *p)
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
	}
}

static void
remove_policy(struct spd *spd, struct spd_policy *p)
{
	struct view *v = view_of(spd, &p->conf);
	struct tuple *t = find_tuple(v, &p->conf.sel);
	union key key;

	selector_key(&p->conf.sel, t->id, &key);
	unlink_policy(v, &key, p);
	v->count--;
	LIST_REMOVE(p, of_reqid);
	if (p->sa != SPD_NO_SA)
		LIST_REMOVE(p, of_sa);
	drop_tuple(spd, v, &p->conf.sel);
	rcu_defer(spd->rcu, defer_free, NULL, p);
}

int
spd_add(struct spd *spd, const struct spd_policy_conf *conf, uint32_t *id)
{
	struct view *v;
	struct spd_policy *p, *old;
	union key key;
	uint32_t tuple;
	int rc = check_conf(conf);

	if (rc < 0)
		return rc;
	v = view_of(spd, conf);
	old = spd_find(spd, conf);
	if (old == NULL && spd_count(spd, conf->dir) >= spd->max)
		return -ENOSPC;
	p = make_policy(spd, conf);
	if (p == NULL)
		return -ENOMEM;
	rc = want_tuple(spd, v, &conf->sel, conf->priority, &tuple);
	if (rc < 0) {
		rte_free(p);
		return rc;
	}
	if (old != NULL && conf->dir == SPD_OUT && conf->action == SPD_PROTECT)
		spd_bind(spd, p, old->sa);
	selector_key(&conf->sel, tuple, &key);
	find_tuple(v, &conf->sel)->count++;
	rc = link_policy(v, &key, p);
	if (rc < 0) {
		spd_bind(spd, p, SPD_NO_SA);
		drop_tuple(spd, v, &conf->sel);
		rte_free(p);
		return rc;
	}
	v->count++;
	LIST_INSERT_HEAD(&spd->of_reqid[p->reqid & spd->reqid_mask], p, of_reqid);
	/* A lcore between the two places has not seen the new one, and will not see the old one. */
	if (old != NULL && beats(p, old) && p->next != old)
		atomic_fetch_add_explicit(&v->moves, 1, memory_order_release);
	if (old != NULL)
		remove_policy(spd, old);
	if (id != NULL)
		*id = p->id;
	return 0;
}

int
spd_del(struct spd *spd, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = conf->dir < SPD_DIRS ? spd_find(spd, conf) : NULL;

	if (p == NULL)
		return -ENOENT;
	remove_policy(spd, p);
	return 0;
}

static int
grow_of_sa(struct spd *spd, uint32_t slot)
{
	uint32_t n = rte_align32pow2(slot + 1);
	struct policy_list *v;

	if (slot < spd->n_sas)
		return 0;
	/* LIST entries point back at their heads: a moved head is told to its first entry. */
	v = calloc(n, sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < spd->n_sas; i++) {
		v[i] = spd->of_sa[i];
		if (v[i].lh_first != NULL)
			v[i].lh_first->of_sa.le_prev = &v[i].lh_first;
	}
	free(spd->of_sa);
	spd->of_sa = v;
	spd->n_sas = n;
	return 0;
}

void
spd_bind(struct spd *spd, struct spd_policy *p, uint32_t slot)
{
	if (p->sa == slot)
		return;
	if (slot != SPD_NO_SA && grow_of_sa(spd, slot) < 0) {
		LOG(ERR, "no memory to bind a policy of reqid %u to its SA", p->reqid);
		slot = SPD_NO_SA;
	}
	if (p->sa != SPD_NO_SA)
		LIST_REMOVE(p, of_sa);
	if (slot != SPD_NO_SA)
		LIST_INSERT_HEAD(&spd->of_sa[slot], p, of_sa);
	atomic_store_explicit(&p->sa, slot, memory_order_release);
}

void
spd_bind_sa(struct spd *spd, uint32_t reqid, uint32_t spi, const struct ip_addr *dst, uint8_t proto,
	uint32_t slot)
{
	struct spd_policy *p;

	LIST_FOREACH (p, &spd->of_reqid[reqid & spd->reqid_mask], of_reqid) {
		if (p->conf.dir == SPD_OUT && p->action == SPD_PROTECT && p->reqid == reqid &&
			p->conf.spi == spi && p->proto == proto &&
			(p->conf.sa_dst.family == 0 || addr_equal(&p->conf.sa_dst, dst)))
			spd_bind(spd, p, slot);
	}
}

void
spd_unbind_sa(struct spd *spd, uint32_t slot)
{
	struct spd_policy *p;

	while (slot < spd->n_sas && (p = LIST_FIRST(&spd->of_sa[slot])) != NULL)
		spd_bind(spd, p, SPD_NO_SA);
}

static void
view_foreach(struct view *v, void (*fn)(void *ctx, struct spd_policy *p), void *ctx)
{
	const void *key;
	uint32_t at = 0;
	void *data;

	while (rte_hash_iterate(v->hash, &key, &data, &at) >= 0)
		for (struct spd_policy *p = data; p != NULL; p = p->next)
			fn(ctx, p);
}

void
spd_foreach(struct spd *spd, void (*fn)(void *ctx, struct spd_policy *p), void *ctx)
{
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (int family = 0; family < FAMILIES; family++)
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
	return spd->view[dir][FAMILY4].count + spd->view[dir][FAMILY6].count;
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

/* The best policies of one packet so far. */
struct best {
	struct spd_policy *certain;
	struct spd_policy *discard,
		*protect; /* ports unknown: they would match with the right ports */
};

static inline void
match_chain(struct best *best, struct spd_policy *p, const struct spd_key *key)
{
	for (; p != NULL; p = atomic_load_explicit(&p->next, memory_order_acquire)) {
		const struct spd_selector *sel = &p->conf.sel;

		if (best->certain != NULL && beats(best->certain, p))
			return;
		if (!p->ports) {
			best->certain = p;
			return;
		}
		if (key->no_ports) {
			if (p->action == SPD_DISCARD &&
				(best->discard == NULL || beats(p, best->discard)))
				best->discard = p;
			if (p->action == SPD_PROTECT &&
				(best->protect == NULL || beats(p, best->protect)))
				best->protect = p;
		} else if (key->src_port >= sel->src_port_lo && key->src_port <= sel->src_port_hi &&
			   key->dst_port >= sel->dst_port_lo && key->dst_port <= sel->dst_port_hi) {
			best->certain = p;
			return;
		}
	}
}

/* RFC 4301, 7: without ports, the strictest of those that might match before the certain one. */
static inline struct spd_policy *
strictest(const struct best *best)
{
	struct spd_policy *p = best->certain;

	if (p != NULL && p->action == SPD_DISCARD)
		return p;
	if (best->discard != NULL && beats(best->discard, p))
		return best->discard;
	if (best->protect != NULL && beats(best->protect, p))
		return best->protect;
	return p;
}

static inline void
fill_key4(struct key4 *key, const struct spd_key *k, const struct tuple *t)
{
	*key = (struct key4){
		.src = k->src4 & t->src_mask.v4,
		.dst = k->dst4 & t->dst_mask.v4,
		.tuple = t->id,
		.proto = t->proto ? k->proto : 0,
	};
}

static inline void
fill_key6(struct key6 *key, const struct spd_key *k, const struct tuple *t)
{
	*key = (struct key6){
		.src = {k->src6[0] & t->src_mask.v6[0], k->src6[1] & t->src_mask.v6[1]},
		.dst = {k->dst6[0] & t->dst_mask.v6[0], k->dst6[1] & t->dst_mask.v6[1]},
		.tuple = t->id,
		.proto = t->proto ? k->proto : 0,
	};
}

/*
 * The chains of n keys; a bit for each that has one. In halves: with 64 keys rte_hash of 22.11 takes 64 misses
 * for 64 hits, as 1 << 64 is 1, and then looks neither into its extra buckets nor once more after a key moved.
 */
static inline uint64_t
find_chains(const struct rte_hash *hash, const void **keys, unsigned int n, void **chains)
{
	uint64_t hits = 0;

	for (unsigned int at = 0; at < n; at += LOOKUP_BULK) {
		uint64_t some = 0;

		rte_hash_lookup_bulk_data(
			hash, keys + at, RTE_MIN(n - at, LOOKUP_BULK), &some, chains + at);
		hits |= some << at;
	}
	return hits;
}

static __rte_always_inline void
lookup_once(const struct view *v, int family, const struct spd_key *const *keys, unsigned int n,
	struct spd_policy **found)
{
	const struct tuples *ts = atomic_load_explicit(&v->tuples, memory_order_acquire);
	struct best best[LOOKUP_MAX];
	struct key4 key4[LOOKUP_MAX];
	struct key6 key6[LOOKUP_MAX];
	const void *key_ptr[LOOKUP_MAX];
	void *data[LOOKUP_MAX];

	memset(best, 0, n * sizeof(best[0]));
	for (unsigned int i = 0; i < n; i++)
		key_ptr[i] = family == FAMILY4 ? (void *)&key4[i] : (void *)&key6[i];
	for (uint32_t t = 0; t < ts->n; t++) {
		const struct tuple *tuple = &ts->t[t];
		bool open = false;

		for (unsigned int i = 0; i < n; i++) {
			open |= best[i].certain == NULL || best[i].certain->priority >= tuple->best;
			if (family == FAMILY4)
				fill_key4(&key4[i], keys[i], tuple);
			else
				fill_key6(&key6[i], keys[i], tuple);
		}
		if (!open)
			break;
		for (uint64_t hits = find_chains(v->hash, key_ptr, n, data); hits != 0;
			hits &= hits - 1) {
			unsigned int i = __builtin_ctzll(hits);

			match_chain(&best[i], data[i], keys[i]);
		}
	}
	for (unsigned int i = 0; i < n; i++)
		found[i] = strictest(&best[i]);
}

/* The body of both; family is a constant in each, and the other one's keys take no room. */
static __rte_always_inline void
lookup(const struct view *v, int family, const struct spd_key *const *keys, unsigned int n,
	struct spd_policy **found)
{
	uint32_t moves;

	do {
		moves = atomic_load_explicit(&v->moves, memory_order_acquire);
		lookup_once(v, family, keys, n, found);
		atomic_thread_fence(memory_order_acquire);
	} while (unlikely(atomic_load_explicit(&v->moves, memory_order_relaxed) != moves));
}

void
spd_lookup4(const struct spd *spd, enum spd_dir dir, const struct spd_key *const *keys,
	unsigned int n, struct spd_policy **found)
{
	lookup(&spd->view[dir][FAMILY4], FAMILY4, keys, n, found);
}

void
spd_lookup6(const struct spd *spd, enum spd_dir dir, const struct spd_key *const *keys,
	unsigned int n, struct spd_policy **found)
{
	lookup(&spd->view[dir][FAMILY6], FAMILY6, keys, n, found);
}

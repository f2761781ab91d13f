/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <stddef.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_hash.h>
#include <rte_prefetch.h>

/* What lcores do with the policy database: they find the best policies of a burst. */

#define LOOKUP_MAX 64
#define LOOKUP_BULK 32u

/* The best policies of one packet so far. */
struct best {
	struct spd_policy *certain;
	struct spd_policy *discard,
		*protect; /* ports unknown: they would match with the right ports */
	uint8_t narrow; /* SPD_NARROW_* of those that were looked at */
};

static inline bool
in_range(const struct spd_range *r, uint64_t high, uint64_t low)
{
	return (high > r->lo[0] || (high == r->lo[0] && low >= r->lo[1])) &&
	       (high < r->hi[0] || (high == r->hi[0] && low <= r->hi[1]));
}

/* Whether the addresses of the packet are in the ranges, where a key does not say it. */
static bool
addrs_match(const struct spd_range *src, const struct spd_range *dst, const struct spd_key *key,
	int family)
{
	if (family == SPD_FAMILY4)
		return in_range(src, 0, rte_be_to_cpu_32(key->src4)) &&
		       in_range(dst, 0, rte_be_to_cpu_32(key->dst4));
	return in_range(src, rte_be_to_cpu_64(key->src6[0]), rte_be_to_cpu_64(key->src6[1])) &&
	       in_range(dst, rte_be_to_cpu_64(key->dst6[0]), rte_be_to_cpu_64(key->dst6[1]));
}

static inline void
match_chain(struct best *best, struct spd_policy *p, const struct spd_key *key, int family)
{
	for (; p != NULL; p = atomic_load_explicit(&p->next, memory_order_acquire)) {
		const struct spd_selector *sel = &p->conf.sel;

		if (best->certain != NULL && spd_beats(best->certain, p))
			return;
		if (p->if_id != key->if_id || (key->mark & p->mark_mask) != p->mark)
			continue;
		best->narrow |= p->narrow;
		if (unlikely(p->narrow & SPD_NARROW_ADDRS) &&
			!addrs_match(&p->src, &p->dst, key, family))
			continue;
		if (!(p->narrow & SPD_NARROW_PORTS)) {
			best->certain = p;
			return;
		}
		/* What this means for a packet without ports, match_groups() says. */
		if (!key->no_ports && key->src_port >= sel->src_port_lo &&
			key->src_port <= sel->src_port_hi && key->dst_port >= sel->dst_port_lo &&
			key->dst_port <= sel->dst_port_hi) {
			best->certain = p;
			return;
		}
	}
}

static inline void
keep_better(struct spd_policy **best, const struct spd_group *g, int kind)
{
	struct spd_policy *p = atomic_load_explicit(&g->best[kind], memory_order_acquire);

	if (p != NULL && (*best == NULL || spd_beats(p, *best)))
		*best = p;
}

/* What policies with ports there are for a packet whose ports are not seen. */
static void
match_groups(struct best *best, const struct spd_group *g, const struct spd_key *key, int family)
{
	for (; g != NULL; g = atomic_load_explicit(&g->next, memory_order_acquire)) {
		if (g->if_id != key->if_id || (key->mark & g->mark_mask) != g->mark ||
			(g->narrow_addrs && !addrs_match(&g->src, &g->dst, key, family)))
			continue;
		keep_better(&best->discard, g, SPD_GROUP_DISCARD);
		keep_better(&best->protect, g, SPD_GROUP_PROTECT);
	}
}

/* RFC 4301, 7: without ports, the strictest of those that might match before the certain one. */
static inline struct spd_policy *
strictest(const struct best *best)
{
	struct spd_policy *p = best->certain;

	if (p != NULL && p->action == SPD_DISCARD)
		return p;
	if (best->discard != NULL && spd_beats(best->discard, p))
		return best->discard;
	if (best->protect != NULL && spd_beats(best->protect, p))
		return best->protect;
	return p;
}

static inline uint32_t
key_tag(const struct spd_key *k, const struct spd_tuple *t)
{
	uint32_t tag =
		spd_tag(k->if_id, k->mark & t->shape.mark_mask) | (t->shape.proto ? k->proto : 0);

	if (unlikely(t->port_mask != 0))
		tag ^= spd_port_tag(spd_ports(k->src_port, k->dst_port) & t->port_mask);
	return tag;
}

/* Keys of both families as words: what is written in smaller parts cannot be read so at once. */
struct words {
	uint64_t w[sizeof(struct spd_key6) / sizeof(uint64_t)];
};

_Static_assert(offsetof(struct spd_key4, dst) == 4 && offsetof(struct spd_key4, tuple) == 8 &&
		       offsetof(struct spd_key4, tag) == 12 &&
		       offsetof(struct spd_key6, tuple) == 32 &&
		       __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"put together so");

/* The key of a packet in a shape; returns its length. */
static __rte_always_inline size_t
make_key(struct words *to, const struct spd_key *k, const struct spd_tuple *t, int family)
{
	uint64_t rest = t->id | (uint64_t)key_tag(k, t) << 32;

	if (family == SPD_FAMILY4) {
		to->w[0] = (k->src4 & t->src_mask.v4) | (uint64_t)(k->dst4 & t->dst_mask.v4) << 32;
		to->w[1] = rest;
		return sizeof(struct spd_key4);
	}
	to->w[0] = k->src6[0] & t->src_mask.v6[0];
	to->w[1] = k->src6[1] & t->src_mask.v6[1];
	to->w[2] = k->dst6[0] & t->dst_mask.v6[0];
	to->w[3] = k->dst6[1] & t->dst_mask.v6[1];
	to->w[4] = rest;
	return sizeof(struct spd_key6);
}

static __rte_always_inline bool
words_equal(const struct words *a, const struct words *b, size_t len)
{
	uint64_t differ = 0;

	for (size_t i = 0; i < len / sizeof(a->w[0]); i++)
		differ |= a->w[i] ^ b->w[i];
	return differ == 0;
}

#define NO_KEY LOOKUP_MAX

/* The keys of a burst in one shape that may have a policy, each once. */
struct keys {
	unsigned int n;
	struct words key[LOOKUP_MAX + 1];
	uint32_t hash[LOOKUP_MAX + 1];
	const void *ptr[LOOKUP_MAX]; /* to them */
	void *chain[LOOKUP_MAX]; /* of each */
	uint8_t of[LOOKUP_MAX]; /* key of each packet, or NO_KEY */
};

/*
 * Those of the packets that no earlier tuple has settled. Packets in a row often have one key: it is looked for once.
 * Returns whether there were such packets.
 */
static __rte_always_inline bool
fill_keys(struct keys *ks, const struct spd_view *v, const struct spd_tuple *t, int family,
	const struct spd_key *const *keys, unsigned int n, const struct best *best)
{
	struct words last, next;
	bool open = false;
	uint8_t at = NO_KEY;
	size_t len;

	ks->n = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct spd_policy *certain = best[i].certain;

		ks->of[i] = NO_KEY;
		if (certain != NULL && certain->priority < t->best)
			continue;
		len = make_key(&next, keys[i], t, family);
		if (!open || !words_equal(&next, &last, len)) {
			uint32_t hash = spd_key_hash(next.w, len);
			bool may = spd_filter_has(&v->filter, hash);

			ks->hash[ks->n] = hash;
			memcpy(&ks->key[ks->n], &next, len);
			at = may ? ks->n : NO_KEY;
			ks->n += may;
			last = next;
			open = true;
		}
		ks->of[i] = at;
	}
	return open;
}

/*
 * The chains of the keys; a bit for each that has one. In halves: with 64 keys rte_hash of 22.11 takes 64 misses
 * for 64 hits, as 1 << 64 is 1, and then looks neither into its extra buckets nor once more after a key moved.
 */
static inline uint64_t
find_chains(const struct rte_hash *hash, struct keys *ks)
{
	uint64_t hits = 0;

	for (unsigned int at = 0; at < ks->n; at += LOOKUP_BULK) {
		uint64_t some = 0;

		rte_hash_lookup_with_hash_bulk_data(hash, ks->ptr + at, ks->hash + at,
			RTE_MIN(ks->n - at, LOOKUP_BULK), &some, ks->chain + at);
		hits |= some << at;
	}
	return hits;
}

/*
 * The groups of policies with ports that no certain policy comes before: a packet that has one is narrow (a bit of the filter is
 * enough for that), and one that shows no ports gets the strictest of them.
 */
static __rte_noinline void
look_at_groups(const struct spd_view *v, const struct spd_tuples *ts, int family,
	const struct spd_key *const *keys, unsigned int n, struct keys *ks, struct best *best)
{
	for (uint32_t t = ts->n; t < ts->n + ts->n_groups; t++) {
		if (!fill_keys(ks, v, &ts->t[t], family, keys, n, best))
			return;
		for (unsigned int i = 0; i < n; i++) {
			uint8_t at = ks->of[i];
			void *first;

			if (at == NO_KEY)
				continue;
			best[i].narrow |= SPD_NARROW_PORTS;
			if (keys[i]->no_ports && rte_hash_lookup_with_hash_data(v->hash,
							 &ks->key[at], ks->hash[at], &first) >= 0)
				match_groups(&best[i], first, keys[i], family);
		}
	}
}

static __rte_always_inline uint64_t
lookup_once(const struct spd_view *v, int family, const struct spd_key *const *keys, unsigned int n,
	struct spd_policy **found)
{
	const struct spd_tuples *ts = atomic_load_explicit(&v->tuples, memory_order_acquire);
	struct best best[LOOKUP_MAX];
	struct keys ks;
	uint64_t narrow = 0;

	if (n == 0 || ts->n == 0) {
		memset(found, 0, n * sizeof(found[0]));
		return 0;
	}
	memset(best, 0, n * sizeof(best[0]));
	for (unsigned int i = 0; i < n; i++)
		ks.ptr[i] = &ks.key[i];
	for (uint32_t t = 0; t < ts->n; t++) {
		uint64_t hits;

		if (!fill_keys(&ks, v, &ts->t[t], family, keys, n, best))
			break;
		if (ks.n == 0)
			continue;
		hits = find_chains(v->hash, &ks);
		for (uint64_t left = hits; ks.n > 1 && left != 0; left &= left - 1)
			rte_prefetch0(ks.chain[__builtin_ctzll(left)]);
		for (unsigned int i = 0; i < n && hits != 0; i++)
			if (ks.of[i] != NO_KEY && hits & 1ull << ks.of[i])
				match_chain(&best[i], ks.chain[ks.of[i]], keys[i], family);
	}
	if (unlikely(ts->n_groups != 0))
		look_at_groups(v, ts, family, keys, n, &ks, best);
	for (unsigned int i = 0; i < n; i++) {
		found[i] = strictest(&best[i]);
		narrow |= (uint64_t)(best[i].narrow != 0) << i;
	}
	return narrow;
}

/* The body of both; family is a constant in each, and the other one's keys take no room. */
static __rte_always_inline uint64_t
lookup(const struct spd_view *v, int family, const struct spd_key *const *keys, unsigned int n,
	struct spd_policy **found)
{
	uint64_t narrow;
	uint32_t moves;

	do {
		moves = atomic_load_explicit(&v->moves, memory_order_acquire);
		narrow = lookup_once(v, family, keys, n, found);
		atomic_thread_fence(memory_order_acquire);
	} while (unlikely(atomic_load_explicit(&v->moves, memory_order_relaxed) != moves));
	return narrow;
}

const struct spd_sight *
spd_sight4(const struct spd *spd, enum spd_dir dir)
{
	return &atomic_load_explicit(&spd->view[dir][SPD_FAMILY4].tuples, memory_order_acquire)
			->sight;
}

uint64_t
spd_state4(const struct spd *spd, enum spd_dir dir)
{
	return atomic_load_explicit(&spd->view[dir][SPD_FAMILY4].state, memory_order_acquire);
}

uint32_t
spd_count4(const struct spd *spd, enum spd_dir dir)
{
	return atomic_load_explicit(&spd->view[dir][SPD_FAMILY4].count, memory_order_relaxed);
}

bool
spd_empty(const struct spd *spd, enum spd_dir dir)
{
	const struct spd_view *v = spd->view[dir];

	return atomic_load_explicit(&v[SPD_FAMILY4].tuples, memory_order_acquire)->n == 0 &&
	       atomic_load_explicit(&v[SPD_FAMILY6].tuples, memory_order_acquire)->n == 0;
}

uint64_t
spd_lookup4(const struct spd *spd, enum spd_dir dir, const struct spd_key *const *keys,
	unsigned int n, struct spd_policy **found)
{
	return lookup(&spd->view[dir][SPD_FAMILY4], SPD_FAMILY4, keys, n, found);
}

uint64_t
spd_lookup6(const struct spd *spd, enum spd_dir dir, const struct spd_key *const *keys,
	unsigned int n, struct spd_policy **found)
{
	return lookup(&spd->view[dir][SPD_FAMILY6], SPD_FAMILY6, keys, n, found);
}

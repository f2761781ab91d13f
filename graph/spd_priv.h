/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_PRIV_H
#define CYGNET_SPD_PRIV_H

#include "spd.h"

/* What the files spd*.c share; nobody else includes it. */

#include <rte_hash_crc.h>

struct rte_hash;

union spd_mask {
	uint32_t v4;
	uint64_t v6[2];
};

/* A key shape. Ports and addresses that are not a whole prefix are compared along the chain. */
struct spd_tuple {
	union spd_mask src_mask, dst_mask; /* network order */
	uint32_t port_mask; /* of spd_ports() */
	uint32_t best; /* no policy of the tuple has a smaller priority */
	uint32_t count;
	uint32_t id; /* never given again: lcores may still hold the tuples that had it */
	struct spd_shape shape;
};

/* What lcores read: sorted by best priority, never changed once published. */
struct spd_tuples {
	struct spd_sight sight; /* of them all */
	uint32_t n; /* of policies */
	uint32_t n_groups; /* of groups: they come behind those */
	struct spd_tuple t[];
};

struct spd_key4 {
	uint32_t src, dst;
	uint32_t tuple;
	uint32_t tag; /* spd_tag() and spd_port_tag(), and the protocol in the low byte */
};

struct spd_key6 {
	uint64_t src[2], dst[2];
	uint32_t tuple;
	uint32_t tag;
};

_Static_assert(sizeof(struct spd_key4) == 16 && sizeof(struct spd_key6) == 40, "hashed as a whole");

/* The key of a policy, as its family has it. */
union spd_hash_key {
	struct spd_key4 v4;
	struct spd_key6 v6;
};

/*
 * Which keys there may be: a bit for each value of their hashes. Most packets have no policy in most of the tuples, and one
 * bit says so for a tenth of what the hash table takes. A bit is set before its key is there, and cleared after it went.
 */
struct spd_filter {
	_Atomic uint64_t *bits;
	uint32_t mask; /* of a hash: number of bits - 1 */
	uint8_t *
		keys; /* the control thread's: how many keys a bit stands for; 255: for so many that it stays */
};

/* The policies of one direction and family. */
struct spd_view {
	struct spd_tuples *_Atomic tuples;
	/* spd_key4 or spd_key6 to the first struct spd_policy, or struct spd_group, of its chain. */
	struct rte_hash *hash;
	struct spd_filter filter;
	_Atomic uint32_t count;
	/* Of policies that were replaced where a lcore may have looked already: further ahead in a chain, or by another action. */
	_Atomic uint32_t moves;
	_Atomic uint64_t state; /* spd_state4(): counts changes, from 1 on */
};

/* Policies of which the first beats all others (spd_beats()). Each knows its place (group_at). */
struct spd_heap {
	struct spd_policy **v;
	uint32_t n, size;
};

enum { SPD_GROUP_DISCARD, SPD_GROUP_PROTECT, SPD_GROUP_KINDS };

/*
 * Policies that differ in ports alone. What a packet without ports must know of them are the best that discards and the best that
 * protects; a packet with ports, that there are some: others of its addresses may have another policy.
 */
struct spd_group {
	struct spd_group *_Atomic next; /* same key, in no order */
	struct spd_policy *_Atomic best[SPD_GROUP_KINDS];
	uint32_t if_id, mark, mark_mask;
	bool narrow_addrs;
	struct spd_range src, dst;
	/* The control thread's own. */
	struct spd_shape shape;
	struct spd_policy_conf conf; /* of one of them, with any ports */
	uint32_t count;
	struct spd_heap heap[SPD_GROUP_KINDS];
};

enum { SPD_FAMILY4, SPD_FAMILY6, SPD_FAMILIES };

LIST_HEAD(spd_policy_list, spd_policy);

struct spd {
	struct spd_view view[SPD_DIRS][SPD_FAMILIES];
	_Atomic bool complete;
	struct rcu *rcu;
	uint32_t max, order, tuple_id;
	uint32_t reqid_mask;
	struct spd_policy_list *of_reqid; /* [reqid_mask + 1] */
	struct spd_policy_list *of_sa; /* [n_sas] by slot, grown as slots appear */
	uint32_t n_sas;
	struct spd_policy **pages; /* [n_pages] all policies, with holes */
	uint32_t *free_pages; /* [n_free_pages] the holes */
	uint32_t n_pages, n_free_pages, size_pages;
};

/*
 * A digest of interface id and mark, the low byte free: policies that differ in them alone rarely share a chain.
 * 0 for the packets and policies that have neither.
 */
static inline uint32_t
spd_tag(uint32_t if_id, uint32_t mark)
{
	return ((if_id * 0x9e3779b1u) ^ (mark * 0x85ebca6bu)) & ~0xffu;
}

static inline uint32_t
spd_ports(uint16_t src, uint16_t dst)
{
	return src | (uint32_t)dst << 16;
}

/* A digest of those bits of the ports that a shape has: 256 pairs of ports at most have one. */
static inline uint32_t
spd_port_tag(uint32_t ports)
{
	return (ports * 0xc2b2ae35u) & ~0xffu;
}

/* RFC 4301 leaves ties open; kernel-netlink's rule: a reqid beats none, then the newest. */
static inline bool
spd_beats(const struct spd_policy *a, const struct spd_policy *b)
{
	if (b == NULL || a->priority != b->priority)
		return b == NULL || a->priority < b->priority;
	if ((a->reqid != 0) != (b->reqid != 0))
		return a->reqid != 0;
	return a->order > b->order;
}

/*
 * What lcores keep of earlier lookups counts no more. After a policy has come; after one went, before it is given to RCU; before the
 * tuples are others. Control thread.
 */
static inline void
spd_changed(struct spd_view *v)
{
	atomic_fetch_add_explicit(&v->state, 1, memory_order_release);
}

static inline bool
spd_shape_same(const struct spd_shape *a, const struct spd_shape *b)
{
	return a->src_plen == b->src_plen && a->dst_plen == b->dst_plen &&
	       a->src_port_plen == b->src_port_plen && a->dst_port_plen == b->dst_port_plen &&
	       a->proto == b->proto && a->group == b->group && a->mark_mask == b->mark_mask;
}

/* The hash of a key of that many bytes, as rte_hash_crc() with 0 makes it of them. */
static __rte_always_inline uint32_t
spd_key_hash(const uint64_t *key, size_t len)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < len / sizeof(*key); i++)
		hash = rte_hash_crc_8byte(key[i], hash);
	return hash;
}

static __rte_always_inline bool
spd_filter_has(const struct spd_filter *f, uint32_t hash)
{
	uint32_t at = hash & f->mask;

	return atomic_load_explicit(&f->bits[at / 64], memory_order_acquire) >> at % 64 & 1;
}

/* spd_filter.c: control thread. Room for that many keys; 0 or -ENOMEM. */
int spd_filter_init(struct spd_filter *f, uint32_t max);
void spd_filter_free(struct spd_filter *f);
void spd_filter_add(struct spd_filter *f, uint32_t hash);
void spd_filter_del(struct spd_filter *f, uint32_t hash);

/* spd_tuple.c: control thread. */
struct spd_tuple *spd_tuple_find(const struct spd_view *v, const struct spd_shape *shape);
/* The shapes that a policy may have got: its own, and one that it shares when there are many. */
void spd_shape_own(const struct spd_policy_conf *conf, struct spd_shape *shape);
void spd_shape_shared(const struct spd_policy_conf *conf, struct spd_shape *shape);
/* A tuple of that shape, made if need be, whose best priority is at most that; counts one policy more. NULL: no memory. */
struct spd_tuple *spd_tuple_take(
	struct spd *spd, struct spd_view *v, const struct spd_shape *shape, uint32_t priority);
/* It lost a policy; the last one takes it away. */
void spd_tuple_drop(struct spd *spd, struct spd_view *v, const struct spd_shape *shape);
/* Which shape a new policy gets. */
void spd_shape_choose(
	const struct spd_view *v, const struct spd_policy_conf *conf, struct spd_shape *shape);

/* spd_chain.c: what shares a key. Control thread. */
void *spd_chain_first(const struct spd_view *v, const union spd_hash_key *key);
/* Makes first the head of a chain that is new or not. Returns 0 or -ENOSPC, which only a new one can give. */
int spd_chain_begin(struct spd_view *v, const union spd_hash_key *key, void *first, bool new);
void spd_chain_end(struct spd_view *v, const union spd_hash_key *key);
/* Puts the policy into its chain, in order; with room for one more when it replaces another. Returns 0, -ENOSPC or -E2BIG. */
int spd_chain_link(
	struct spd_view *v, const union spd_hash_key *key, struct spd_policy *p, bool replaces);
void spd_chain_unlink(struct spd_view *v, const union spd_hash_key *key, struct spd_policy *p);

/* spd_group.c: control thread. A policy with ports comes before lcores can find it, and goes when they cannot any more. */
int spd_group_add(struct spd *spd, struct spd_view *v, struct spd_policy *p);
void spd_group_del(struct spd *spd, struct spd_view *v, struct spd_policy *p);
void spd_group_free(struct spd_group *g);
/* spd_heap.c: control thread. Room for one more: 0 or -ENOMEM. */
int spd_heap_reserve(struct spd_heap *h);
void spd_heap_push(struct spd_heap *h, struct spd_policy *p);
void spd_heap_remove(struct spd_heap *h, struct spd_policy *p);

/* spd_pages.c: control thread. A place for a new policy, or the place of the old one. */
int spd_pages_add(struct spd *spd, struct spd_policy *p);
void spd_pages_replace(struct spd *spd, const struct spd_policy *old, struct spd_policy *p);
void spd_pages_del(struct spd *spd, const struct spd_policy *p);

/* spd_bind.c */
void spd_bind_added(struct spd *spd, struct spd_policy *p);
void spd_bind_removed(struct spd *spd, struct spd_policy *p);

/* spd_selector.c */
void spd_selector_key(
	const struct spd_policy_conf *conf, const struct spd_tuple *t, union spd_hash_key *key);
/* Fills what is compared along the chain: narrow and the ranges. */
void spd_selector_narrow(struct spd_policy *p);
bool spd_selector_same(const struct spd_policy_conf *a, const struct spd_policy_conf *b);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_BATCH_H
#define CYGNET_SPD_BATCH_H

#include "fib.h"
#include "ip4.h"
#include "ip6.h"
#include "sad.h"
#include "sockets.h"
#include "spd.h"
#include "spd_recent.h"
#include "worker.h"

/*
 * The policies of packets of both families at a time: what the two policy nodes share. Packets in a row that policies cannot
 * tell from each other (spd_sight4()) are a run: they have one key, and only keys are looked up, up to SPD_BATCH of them, unless
 * one like it was found of late (spd_recent.h).
 */

#define SPD_BATCH 32

/* What is the same in a whole run, too: so a policy says the same of all its packets. */
#define SPD_BATCH_FLAGS \
	(PKT_F_DECRYPTED | PKT_F_PROTECTED | PKT_F_LOCAL | PKT_F_OWN_L2 | PKT_F_QUOTES)

/* Policies that packets are looked up in. */
struct spd_batch_view {
	enum spd_dir dir;
	const struct spd_sight *sight;
	uint64_t state;
};

struct spd_batch {
	uint16_t n, n_keys;
	/* A bit for each key: of IPv6; of packets that are ours; to be looked up: the others' are not filled in. */
	uint64_t six, local, missed;
	struct spd_key key[SPD_BATCH];
	const struct spd_key *ptr[SPD_BATCH];
	struct spd_policy *policy[SPD_BATCH];
	uint16_t end[SPD_BATCH]; /* of each key's run: of the next one it is the first packet */
};

/*
 * What packets carry beside their headers. An interface id is that of the SA that opened the packet, and counts
 * inbound alone; a mark is that SA's, or else that of the port it came in by. Our own packets have neither.
 */
static inline void
spd_batch_tag(const struct worker *w, const struct pkt *p, uint32_t *mark, uint32_t *if_id)
{
	*if_id = 0;
	if (p->flags & PKT_F_PROTECTED) {
		*mark = p->mark;
	} else if (p->flags & PKT_F_DECRYPTED) {
		*mark = p->sa->mark;
		*if_id = p->sa->if_id;
	} else {
		*mark = p->in_port == PKT_PORT_HOST ? 0 : w->port[p->in_port].mark;
	}
}

/* The next packets that have none of these flags. */
static inline uint16_t
spd_batch_without(void *const *objs, uint16_t n, uint16_t flags)
{
	uint16_t i = 0;

	while (i < n && !(pkt(objs[i])->flags & flags))
		i++;
	return i;
}

/* What policies see of a packet. */
static inline void
spd_batch_key(const struct worker *w, const struct rte_mbuf *m, struct spd_key *key)
{
	if (likely(!ip6_is_version(m)))
		ip4_selector(m, key);
	else
		ip6_selector(m, key);
	spd_batch_tag(w, pkt(m), &key->mark, &key->if_id);
}

/* The policy of one key, or NULL. */
static inline struct spd_policy *
spd_batch_find(const struct worker *w, enum spd_dir dir, const struct spd_key *key)
{
	struct spd_policy *found;

	if (key->family == 4)
		spd_lookup4(w->spd, dir, &key, 1, &found);
	else
		spd_lookup6(w->spd, dir, &key, 1, &found);
	return found;
}

/* How many packets neither a sight nor what they carry beside their headers can tell from the first one, of IPv4. */
static inline uint16_t
spd_batch_alike(
	const struct rte_mbuf *first, void *const *objs, uint16_t n, const struct spd_sight *sight)
{
	const struct rte_ipv4_hdr *first_ip = ip4_hdr(first);
	const struct pkt *f = pkt(first);
	const uint8_t proto = first_ip->next_proto_id;
	const uint16_t flags = f->flags & SPD_BATCH_FLAGS, port = f->in_port;
	const uint32_t mark = f->mark, by_mark = flags & PKT_F_PROTECTED ? UINT32_MAX : 0;
	const struct sa *sa = f->sa;
	const bool by_sa = flags & PKT_F_DECRYPTED;
	uint64_t addrs, first_addrs;
	uint16_t i;

	memcpy(&first_addrs, &first_ip->src_addr, sizeof(first_addrs));
	for (i = 0; i < n; i++) {
		const struct rte_ipv4_hdr *ip = ip4_hdr(objs[i]);
		const struct pkt *p = pkt(objs[i]);

		memcpy(&addrs, &ip->src_addr, sizeof(addrs));
		if (((addrs ^ first_addrs) & sight->addrs) |
			((ip->next_proto_id ^ proto) & sight->proto) | (ip->version_ihl >> 4 ^ 4) |
			((p->flags & SPD_BATCH_FLAGS) ^ flags) | (p->in_port ^ port) |
			((p->mark ^ mark) & by_mark) | (by_sa & (p->sa != sa)))
			break;
	}
	return i;
}

/* Whether the policy of an IPv4 packet was found of late. */
static inline bool
spd_batch_recent(struct worker *w, const struct rte_mbuf *m, const struct spd_batch_view *v,
	struct spd_policy **policy)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	const struct spd_recent *r;
	struct spd_seen seen;
	uint32_t addrs[2], mark, if_id;

	memcpy(addrs, &ip->src_addr, sizeof(addrs));
	spd_batch_tag(w, pkt(m), &mark, &if_id);
	seen = spd_seen(addrs, ip->next_proto_id, mark, if_id, v->sight);
	r = spd_recent_place(w, v->dir, &seen);
	*policy = r->policy;
	return spd_recent_is(r, &seen, v->state);
}

/* Keeps what was looked up, of IPv4. */
static inline void
spd_batch_keep(struct worker *w, const struct spd_batch *b, const struct spd_batch_view views[2])
{
	for (uint64_t left = b->missed & ~b->six; left != 0; left &= left - 1) {
		unsigned int k = __builtin_ctzll(left);
		const struct spd_batch_view *v = &views[b->local >> k & 1];
		const struct spd_key *key = &b->key[k];
		const uint32_t addrs[] = {key->src4, key->dst4};
		struct spd_seen seen = spd_seen(addrs, key->proto, key->mark, key->if_id, v->sight);

		spd_recent_put(spd_recent_place(w, v->dir, &seen), &seen, v->state, b->policy[k]);
	}
}

/* Reads the selectors of the next packets, a key for each run; views (of packets that are not ours, that are) NULL: each packet is one. */
static inline void
spd_batch_fill(struct worker *w, struct spd_batch *b, void **objs, uint16_t n,
	const struct spd_batch_view *views)
{
	uint16_t i = 0, k = 0;

	b->six = b->local = b->missed = 0;
	for (; i < n && k < SPD_BATCH; k++) {
		const struct rte_mbuf *m = objs[i++];
		bool six = ip6_is_version(m), local = pkt(m)->flags & PKT_F_LOCAL;
		bool known = false;

		b->six |= (uint64_t)six << k;
		b->local |= (uint64_t)local << k;
		if (likely(views != NULL && !six)) {
			known = spd_batch_recent(w, m, &views[local], &b->policy[k]);
			i += spd_batch_alike(m, &objs[i], n - i, views[local].sight);
		}
		if (unlikely(!known)) {
			spd_batch_key(w, m, &b->key[k]);
			b->ptr[k] = &b->key[k];
			b->missed |= 1ull << k;
		}
		b->end[k] = i;
	}
	b->n = i;
	b->n_keys = k;
}

static inline uint64_t
spd_batch_all(const struct spd_batch *b)
{
	return UINT64_MAX >> (64 - b->n_keys);
}

/* The policies of those keys alone, which are of one family. Returns whether one is narrow (spd.h). */
static inline bool
spd_batch_lookup_some(
	struct worker *w, enum spd_dir dir, struct spd_batch *b, uint64_t which, bool six)
{
	struct spd_policy *found[SPD_BATCH];
	const struct spd_key *keys[SPD_BATCH];
	uint8_t at[SPD_BATCH];
	unsigned int n = 0;
	uint64_t narrow;

	for (; which != 0; which &= which - 1) {
		at[n] = __builtin_ctzll(which);
		keys[n] = b->ptr[at[n]];
		n++;
	}
	if (n == 0)
		return false;
	if (six)
		narrow = spd_lookup6(w->spd, dir, keys, n, found);
	else
		narrow = spd_lookup4(w->spd, dir, keys, n, found);
	for (unsigned int i = 0; i < n; i++)
		b->policy[at[i]] = found[i];
	return narrow != 0;
}

static inline bool
spd_batch_lookup_which(struct worker *w, enum spd_dir dir, struct spd_batch *b, uint64_t which)
{
	bool narrow;

	if (likely(b->six == 0 && which == spd_batch_all(b)))
		return spd_lookup4(w->spd, dir, b->ptr, b->n_keys, b->policy) != 0;
	narrow = spd_batch_lookup_some(w, dir, b, which & ~b->six, false);
	return spd_batch_lookup_some(w, dir, b, which & b->six, true) || narrow;
}

/* Those of the keys that were not found of late. Returns whether one is narrow. */
static inline bool
spd_batch_lookup_keys(struct worker *w, struct spd_batch *b, enum spd_dir dir, enum spd_dir ours)
{
	uint64_t local = dir != ours ? b->local & b->missed : 0;
	bool narrow = false;

	if (local != 0)
		narrow = spd_batch_lookup_which(w, ours, b, local);
	if (local != b->missed)
		narrow |= spd_batch_lookup_which(w, dir, b, b->missed & ~local);
	return narrow;
}

static inline struct spd_batch_view
spd_batch_view(const struct worker *w, enum spd_dir dir)
{
	struct spd_batch_view v = {.dir = dir, .sight = spd_sight4(w->spd, dir)};

	v.state = spd_state4(w->spd, dir); /* after the sight: spd.h */
	return v;
}

/*
 * The policies of the next packets, b->n of them: those of a packet that is ours are in the direction ours, the others' in dir.
 */
static inline void
spd_batch_lookup(struct worker *w, struct spd_batch *b, enum spd_dir dir, enum spd_dir ours,
	void **objs, uint16_t n)
{
	const struct spd_batch_view of_dir = spd_batch_view(w, dir);
	const struct spd_batch_view views[] = {
		of_dir, ours != dir ? spd_batch_view(w, ours) : of_dir};

	spd_batch_fill(w, b, objs, n, views);
	if (likely(b->missed == 0))
		return;
	if (likely(!spd_batch_lookup_keys(w, b, dir, ours) &&
		    spd_sight4(w->spd, dir) == views[0].sight &&
		    spd_sight4(w->spd, ours) == views[1].sight)) {
		spd_batch_keep(w, b, views);
		return;
	}
	if (b->n == b->n_keys)
		return; /* each packet has a key of its own */
	spd_batch_fill(w, b, objs, b->n, NULL);
	spd_batch_lookup_keys(w, b, dir, ours);
}

/* Notes that the policy was used; one write a second is enough. */
static inline void
spd_batch_used(const struct worker *w, struct spd_policy *p)
{
	if (atomic_load_explicit(&p->used, memory_order_relaxed) != w->seconds)
		atomic_store_explicit(&p->used, w->seconds, memory_order_relaxed);
}

/*
 * IKE's own bypass: UDP of a local address and a port that charon bound there. A socket of any address is of any
 * of ours: the link's multicast is not.
 */
static inline bool
spd_key_is_ike(const struct worker *w, const struct spd_key *key, bool inbound)
{
	const void *ours = inbound ? (const void *)key->dst6 : (const void *)key->src6;
	uint16_t port = rte_cpu_to_be_16(inbound ? key->dst_port : key->src_port);

	if (key->proto != IPPROTO_UDP || key->no_ports ||
		!(worker_socket_use(w, key->family, ours, port) & SOCKET_IKE))
		return false;
	return key->family == 4 ? fib_local4(w->fib, inbound ? key->dst4 : key->src4)
				: fib_local6(w->fib, ours);
}

#endif

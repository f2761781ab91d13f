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
#define SPD_BATCH_FLAGS                                                                  \
	(PKT_F_DECRYPTED | PKT_F_PROTECTED | PKT_F_LOCAL | PKT_F_OWN_L2 | PKT_F_QUOTES | \
		PKT_F_OUTSIDE)

/* Outbound these are judged packet by packet, and may use no policy at all. */
#define SPD_BATCH_JUDGED (PKT_F_OWN_L2 | PKT_F_OUTSIDE)

/*
 * Whether the packets of an SA may be that policy's (its mode aside). A reqid is a number of its owner's; a policy of the
 * configuration without an SA of it is for those of anybody; what is left of a dead owner's is lent to others' (sad_lend()).
 */
static inline bool
spd_policy_takes(const struct spd_policy *policy, const struct sa *sa)
{
	return (policy->owner == SA_ANYBODY && policy->reqid == sa->reqid) ||
	       sa_is_for(sa, policy->owner, policy->reqid);
}

/* Policies that packets are looked up in. */
struct spd_batch_view {
	enum spd_dir dir;
	const struct spd_sight *sight;
	uint64_t when; /* the state of the policies, and the second */
	uint32_t places; /* spd_recent.h */
};

struct spd_batch {
	uint16_t n, n_keys;
	/* A bit for each key: of IPv6; of packets that are ours; to be looked up: the others' are not filled in. */
	uint64_t six, local, missed;
	uint64_t
		judged; /* of those that a policy would seal: may be IKE's, or from outside, so the answer is not for others */
	uint16_t end[SPD_BATCH]; /* of each key's run: of the next one it is the first packet */
	spd_answer answer[SPD_BATCH];
	struct spd_recent
		*place[SPD_BATCH]; /* where it may have been found of late; NULL: of IPv6 */
	struct spd_seen seen[SPD_BATCH];
	struct spd_key key[SPD_BATCH];
	const struct spd_key *ptr[SPD_BATCH];
};

/*
 * What packets carry beside their headers. An interface id is that of the SA that opened the packet, and counts
 * inbound alone; a mark is that SA's, or else that of the port it came in by. Our own packets have neither, but errors about what
 * came by an SA have its mark.
 */
static inline void
spd_batch_tag(const struct worker *w, const struct pkt *p, uint32_t *mark, uint32_t *if_id)
{
	*if_id = 0;
	if (p->flags & (PKT_F_PROTECTED | PKT_F_QUOTES)) {
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

/* What tells one IPv4 packet from the next: where they agree in it, what a policy says of one it says of both. */
struct spd_batch_look {
	uint64_t addrs; /* as policies see them */
	uint64_t others; /* protocol, likewise; flags; the port that it came by */
	uint64_t by; /* DECRYPTED: the SA; PROTECTED, QUOTES: the mark */
};

static inline struct spd_batch_look
spd_batch_look(const struct rte_mbuf *m, const struct pkt *p, const struct spd_batch_view *views)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	const struct spd_sight *sight = views[!!(p->flags & PKT_F_LOCAL)].sight;
	const uint32_t flags = p->flags & SPD_BATCH_FLAGS;
	struct spd_batch_look look;

	memcpy(&look.addrs, &ip->src_addr, sizeof(look.addrs));
	look.addrs &= sight->addrs;
	look.others = (ip->next_proto_id & sight->proto) | (uint64_t)p->in_port << 16 |
		      (uint64_t)flags << 32;
	look.by = flags & PKT_F_DECRYPTED ? (uintptr_t)p->sa : 0;
	if (flags & (PKT_F_PROTECTED | PKT_F_QUOTES))
		look.by = p->mark;
	return look;
}

static inline bool
spd_batch_alike(const struct spd_batch_look *a, const struct spd_batch_look *b)
{
	return ((a->addrs ^ b->addrs) | (a->others ^ b->others) | (a->by ^ b->by)) == 0;
}

/* A key for that packet, of IPv4, and where its policy may have been found of late. */
static inline void
spd_batch_see(struct worker *w, struct spd_batch *b, uint16_t k, const struct rte_mbuf *m,
	const struct spd_batch_look *look, const struct spd_batch_view *v)
{
	uint32_t mark, if_id;

	spd_batch_tag(w, pkt(m), &mark, &if_id);
	b->seen[k] = spd_seen(look->addrs, (uint8_t)look->others, mark, if_id, v->sight, v->when);
	b->place[k] = spd_recent_place(w, v->dir, &b->seen[k], v->places);
	rte_prefetch0(b->place[k]);
}

/*
 * Finds the runs of the next packets, and a key for each; views (of packets that are not ours, that are) NULL: each packet is one. A
 * packet of IPv6 always is.
 */
static inline void
spd_batch_fill(struct worker *w, struct spd_batch *b, void **objs, uint16_t n,
	const struct spd_batch_view *views)
{
	struct spd_batch_look last = {0}, look = {0};
	bool run = false; /* the last key's goes on with what is alike */
	uint16_t i, k = 0;

	b->six = b->local = b->missed = 0;
	for (i = 0; i < n; i++) {
		const struct rte_mbuf *m = objs[i];
		const struct pkt *p = pkt(m);
		bool six = ip6_is_version(m), local = p->flags & PKT_F_LOCAL;
		bool alone = unlikely(six) || unlikely(views == NULL);

		if (likely(!alone)) {
			look = spd_batch_look(m, p, views);
			if (likely(run && spd_batch_alike(&look, &last)))
				continue;
		}
		if (k > 0)
			b->end[k - 1] = i;
		if (k == SPD_BATCH)
			break;
		b->six |= (uint64_t)six << k;
		b->local |= (uint64_t)local << k;
		if (likely(!alone))
			spd_batch_see(w, b, k, m, &look, &views[local]);
		else
			b->place[k] = NULL;
		run = !alone;
		last = look;
		k++;
	}
	if (k > 0)
		b->end[k - 1] = i;
	b->n = i;
	b->n_keys = k;
}

/* What was found of late; of the other keys what policies see of a packet in full. */
static inline void
spd_batch_recall(struct worker *w, struct spd_batch *b, void **objs)
{
	uint64_t missed = 0, judged = 0;

	for (uint16_t k = 0; k < b->n_keys; k++) {
		const struct spd_found *found = likely(b->place[k] != NULL)
							? spd_recent_find(b->place[k], &b->seen[k])
							: NULL;

		if (likely(found != NULL))
			b->answer[k] = found->answer;
		else
			missed |= 1ull << k;
	}
	b->missed = missed;
	for (; unlikely(missed != 0); missed &= missed - 1) {
		unsigned int k = __builtin_ctzll(missed);
		const struct rte_mbuf *m = objs[k == 0 ? 0 : b->end[k - 1]];

		spd_batch_key(w, m, &b->key[k]);
		b->ptr[k] = &b->key[k];
		if (pkt(m)->flags & SPD_BATCH_JUDGED)
			judged |= 1ull << k;
	}
	b->judged = judged;
}

/* Keeps what was looked up, of IPv4. */
static inline void
spd_batch_keep(struct worker *w, const struct spd_batch *b)
{
	for (uint64_t left = b->missed & ~b->six & ~b->judged; left != 0; left &= left - 1) {
		unsigned int k = __builtin_ctzll(left);

		spd_recent_keep(w, b->place[k], &b->seen[k], b->answer[k]);
	}
}

/* Notes that the policy was used; one write a second is enough. */
static inline void
spd_batch_used(const struct worker *w, struct spd_policy *p)
{
	if (atomic_load_explicit(&p->used, memory_order_relaxed) != w->seconds)
		atomic_store_explicit(&p->used, w->seconds, memory_order_relaxed);
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
	for (unsigned int i = 0; i < n; i++) {
		uint64_t bit = 1ull << at[i];

		b->answer[at[i]] = (spd_answer)found[i];
		if (dir != SPD_OUT || found[i] == NULL || found[i]->action != SPD_PROTECT) {
			b->judged &= ~bit;
		} else if (!(b->judged & bit)) {
			/* Later it may not be seen any more: its SA is. */
			spd_batch_used(w, found[i]);
			b->answer[at[i]] = spd_answer_of(w->sad, found[i]);
		}
	}
	return narrow != 0;
}

static inline bool
spd_batch_lookup_which(struct worker *w, enum spd_dir dir, struct spd_batch *b, uint64_t which)
{
	bool narrow = spd_batch_lookup_some(w, dir, b, which & ~b->six, false);

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

	v.when = spd_state4(w->spd, dir) << 16 | (uint16_t)w->seconds; /* after the sight: spd.h */
	v.places = spd_recent_used(w, spd_count4(w->spd, dir));
	return v;
}

/*
 * The answers for the next packets, b->n of them (an SA in SPD_OUT alone): those of a packet that is ours are in the direction ours, the
 * others' in dir.
 */
static inline void
spd_batch_lookup(struct worker *w, struct spd_batch *b, enum spd_dir dir, enum spd_dir ours,
	void **objs, uint16_t n)
{
	const struct spd_batch_view of_dir = spd_batch_view(w, dir);
	const struct spd_batch_view views[] = {
		of_dir, ours != dir ? spd_batch_view(w, ours) : of_dir};

	spd_batch_fill(w, b, objs, n, views);
	spd_batch_recall(w, b, objs);
	if (likely(b->missed == 0))
		return;
	if (likely(!spd_batch_lookup_keys(w, b, dir, ours) &&
		    spd_sight4(w->spd, dir) == views[0].sight &&
		    spd_sight4(w->spd, ours) == views[1].sight)) {
		spd_batch_keep(w, b);
		return;
	}
	if (b->n == b->n_keys)
		return; /* each packet has a key of its own */
	spd_batch_fill(w, b, objs, b->n, NULL);
	spd_batch_recall(w, b, objs);
	spd_batch_lookup_keys(w, b, dir, ours);
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

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_BATCH_H
#define CYGNET_SPD_BATCH_H

#include "fib.h"
#include "ip4.h"
#include "ip6.h"
#include "sad.h"
#include "sockets.h"
#include "spd.h"
#include "worker.h"

/*
 * The policies of packets of both families at a time: what the two policy nodes share. Packets that policies cannot tell from
 * the one before (spd_sight4()) have its key, and only keys are looked up: up to SPD_BATCH of them.
 */

#define SPD_BATCH 32
#define SPD_BATCH_PACKETS 256

struct spd_batch {
	uint16_t n, n_keys;
	uint64_t six, local; /* a bit for each key: of IPv6; of packets that are ours */
	struct spd_key key[SPD_BATCH];
	const struct spd_key *ptr[SPD_BATCH];
	struct spd_policy *policy[SPD_BATCH];
	uint8_t which[SPD_BATCH_PACKETS]; /* the key of each packet */
};

/*
 * What packets carry beside their headers. An interface id is that of the SA that opened the packet, and counts
 * inbound alone; a mark is that SA's, or else that of the port it came in by. Our own packets have neither.
 */
static inline void
spd_batch_tag(const struct worker *w, const struct pkt *p, struct spd_key *key)
{
	key->if_id = 0;
	if (p->flags & PKT_F_PROTECTED) {
		key->mark = p->mark;
	} else if (p->flags & PKT_F_DECRYPTED) {
		key->mark = p->sa->mark;
		key->if_id = p->sa->if_id;
	} else {
		key->mark = p->in_port == PKT_PORT_HOST ? 0 : w->port[p->in_port].mark;
	}
}

/* The next packets that have none of these flags: no more than a batch. */
static inline uint16_t
spd_batch_without(void *const *objs, uint16_t n, uint16_t flags)
{
	uint16_t i = 0;

	while (i < n && i < SPD_BATCH && !(pkt(objs[i])->flags & flags))
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
	spd_batch_tag(w, pkt(m), key);
}

/* A packet as a sight shows it. */
struct spd_batch_look {
	uint64_t addrs;
	uint32_t mark, if_id;
	uint8_t proto;
	bool local;
};

static inline bool
spd_batch_same(const struct spd_batch_look *a, const struct spd_batch_look *b)
{
	return a->addrs == b->addrs && a->proto == b->proto && a->mark == b->mark &&
	       a->if_id == b->if_id && a->local == b->local;
}

static inline void
spd_batch_see(const struct worker *w, const struct rte_mbuf *m, const struct spd_sight *other,
	const struct spd_sight *ours, struct spd_batch_look *look)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	const struct pkt *p = pkt(m);
	const struct spd_sight *sight;
	struct spd_key tag;

	look->local = p->flags & PKT_F_LOCAL;
	sight = look->local ? ours : other;
	memcpy(&look->addrs, &ip->src_addr, sizeof(look->addrs));
	look->addrs &= sight->addrs;
	look->proto = ip->next_proto_id & sight->proto;
	spd_batch_tag(w, p, &tag);
	look->mark = tag.mark;
	look->if_id = tag.if_id;
}

/* Reads the selectors of the next packets. Those of the sights' alike get one key; sights NULL: each has its own. */
static inline void
spd_batch_fill(const struct worker *w, struct spd_batch *b, void **objs, uint16_t n,
	const struct spd_sight *const sights[2])
{
	struct spd_batch_look look, last = {.addrs = 0};
	uint16_t i, k = 0;
	bool seen = false; /* the packet before, in last */

	b->six = b->local = 0;
	n = RTE_MIN(n, SPD_BATCH_PACKETS);
	for (i = 0; i < n; i++) {
		bool six = ip6_is_version(objs[i]);

		if (likely(sights != NULL && !six)) {
			spd_batch_see(w, objs[i], sights[0], sights[1], &look);
			if (likely(seen && spd_batch_same(&look, &last))) {
				b->which[i] = k - 1;
				continue;
			}
			last = look;
		}
		seen = !six;
		if (k == SPD_BATCH)
			break;
		spd_batch_key(w, objs[i], &b->key[k]);
		b->ptr[k] = &b->key[k];
		b->six |= (uint64_t)six << k;
		b->local |= (uint64_t)((pkt(objs[i])->flags & PKT_F_LOCAL) != 0) << k;
		b->which[i] = k++;
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

static inline bool
spd_batch_lookup_keys(struct worker *w, struct spd_batch *b, enum spd_dir dir, enum spd_dir ours)
{
	uint64_t local = dir != ours ? b->local : 0;
	bool narrow = false;

	if (local != 0)
		narrow = spd_batch_lookup_which(w, ours, b, local);
	if (local != spd_batch_all(b))
		narrow |= spd_batch_lookup_which(w, dir, b, spd_batch_all(b) & ~local);
	return narrow;
}

/*
 * The policies of the next packets, b->n of them: those of a packet that is ours are in the direction ours, the others' in dir.
 */
static inline void
spd_batch_lookup(struct worker *w, struct spd_batch *b, enum spd_dir dir, enum spd_dir ours,
	void **objs, uint16_t n)
{
	const struct spd_sight *const sights[] = {
		spd_sight4(w->spd, dir), spd_sight4(w->spd, ours)};

	spd_batch_fill(w, b, objs, n, sights);
	if (likely(!spd_batch_lookup_keys(w, b, dir, ours) &&
		    spd_sight4(w->spd, dir) == sights[0] && spd_sight4(w->spd, ours) == sights[1]))
		return;
	if (b->n == b->n_keys)
		return; /* each packet has a key of its own */
	spd_batch_fill(w, b, objs, b->n, NULL);
	spd_batch_lookup_keys(w, b, dir, ours);
}

static inline struct spd_policy *
spd_batch_policy(const struct spd_batch *b, uint16_t i)
{
	return b->policy[b->which[i]];
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

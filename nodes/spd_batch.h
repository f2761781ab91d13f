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

/* The policies of up to 32 packets of both families at a time: what the two policy nodes share. */

#define SPD_BATCH 32

struct spd_batch {
	uint16_t n;
	uint64_t six; /* a bit for each packet: of IPv6 */
	struct spd_key key[SPD_BATCH];
	const struct spd_key *ptr[SPD_BATCH];
	struct spd_policy *policy[SPD_BATCH];
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

/* Reads the selectors of the next packets. */
static inline void
spd_batch_fill(const struct worker *w, struct spd_batch *b, void **objs, uint16_t n)
{
	b->n = RTE_MIN(n, SPD_BATCH);
	b->six = 0;
	for (uint16_t i = 0; i < b->n; i++) {
		b->ptr[i] = &b->key[i];
		if (likely(!ip6_is_version(objs[i]))) {
			ip4_selector(objs[i], &b->key[i]);
		} else {
			ip6_selector(objs[i], &b->key[i]);
			b->six |= 1ull << i;
		}
		spd_batch_tag(w, pkt(objs[i]), &b->key[i]);
	}
}

static inline uint64_t
spd_batch_all(const struct spd_batch *b)
{
	return UINT64_MAX >> (64 - b->n);
}

/* The policies of those packets alone, which are of one family. */
static inline void
spd_batch_lookup_some(
	struct worker *w, enum spd_dir dir, struct spd_batch *b, uint64_t which, bool six)
{
	struct spd_policy *found[SPD_BATCH];
	const struct spd_key *keys[SPD_BATCH];
	uint8_t at[SPD_BATCH];
	unsigned int n = 0;

	for (; which != 0; which &= which - 1) {
		at[n] = __builtin_ctzll(which);
		keys[n] = b->ptr[at[n]];
		n++;
	}
	if (n == 0)
		return;
	if (six)
		spd_lookup6(w->spd, dir, keys, n, found);
	else
		spd_lookup4(w->spd, dir, keys, n, found);
	for (unsigned int i = 0; i < n; i++)
		b->policy[at[i]] = found[i];
}

static inline void
spd_batch_lookup_which(struct worker *w, enum spd_dir dir, struct spd_batch *b, uint64_t which)
{
	if (likely(b->six == 0 && which == spd_batch_all(b))) {
		spd_lookup4(w->spd, dir, b->ptr, b->n, b->policy);
		return;
	}
	spd_batch_lookup_some(w, dir, b, which & ~b->six, false);
	spd_batch_lookup_some(w, dir, b, which & b->six, true);
}

static inline void
spd_batch_lookup(struct worker *w, enum spd_dir dir, struct spd_batch *b)
{
	spd_batch_lookup_which(w, dir, b, spd_batch_all(b));
}

/* Inbound there are two views: IN for what is ours, FWD for the rest. */
static inline void
spd_batch_lookup_in(struct worker *w, struct spd_batch *b, void **objs)
{
	uint64_t local = 0;

	for (uint16_t i = 0; i < b->n; i++)
		local |= (uint64_t)((pkt(objs[i])->flags & PKT_F_LOCAL) != 0) << i;
	if (local != 0)
		spd_batch_lookup_which(w, SPD_IN, b, local);
	if (local != spd_batch_all(b))
		spd_batch_lookup_which(w, SPD_FWD, b, spd_batch_all(b) & ~local);
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

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
 * The policies of packets of both families at a time: what the two policy nodes share. Packets in a row that policies cannot
 * tell from each other (spd_sight4()) are a run: they have one key, and only keys are looked up, up to SPD_BATCH of them.
 */

#define SPD_BATCH 32

/* What is the same in a whole run, too: so a policy says the same of all its packets. */
#define SPD_BATCH_FLAGS \
	(PKT_F_DECRYPTED | PKT_F_PROTECTED | PKT_F_LOCAL | PKT_F_OWN_L2 | PKT_F_QUOTES)

struct spd_batch {
	uint16_t n, n_keys;
	uint64_t six, local; /* a bit for each key: of IPv6; of packets that are ours */
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
	spd_batch_tag(w, pkt(m), key);
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

/* Reads the selectors of the next packets, a key for each run; sights NULL: each packet is one. */
static inline void
spd_batch_fill(const struct worker *w, struct spd_batch *b, void **objs, uint16_t n,
	const struct spd_sight *const sights[2])
{
	uint16_t i = 0, k = 0;

	b->six = b->local = 0;
	for (; i < n && k < SPD_BATCH; k++) {
		const struct rte_mbuf *m = objs[i++];
		bool six = ip6_is_version(m), local = pkt(m)->flags & PKT_F_LOCAL;

		spd_batch_key(w, m, &b->key[k]);
		b->ptr[k] = &b->key[k];
		b->six |= (uint64_t)six << k;
		b->local |= (uint64_t)local << k;
		if (likely(sights != NULL && !six))
			i += spd_batch_alike(m, &objs[i], n - i, sights[local]);
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

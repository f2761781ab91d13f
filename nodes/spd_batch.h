/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_BATCH_H
#define CYGNET_SPD_BATCH_H

#include "ip4.h"
#include "sad.h"
#include "spd.h"
#include "worker.h"

/* The policies of up to 32 packets at a time: what the two policy nodes share. */

#define SPD_BATCH 32

struct spd_batch {
	uint16_t n;
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
	for (uint16_t i = 0; i < b->n; i++) {
		ip4_selector(objs[i], &b->key[i]);
		spd_batch_tag(w, pkt(objs[i]), &b->key[i]);
		b->ptr[i] = &b->key[i];
	}
}

static inline void
spd_batch_lookup(struct worker *w, enum spd_dir dir, struct spd_batch *b)
{
	spd_lookup4(w->spd, dir, b->ptr, b->n, b->policy);
}

/* Inbound there are two views: IN for what is ours, FWD for the rest. */
static inline void
spd_batch_lookup_in(struct worker *w, struct spd_batch *b, void **objs)
{
	const struct spd_key *local[SPD_BATCH], *forward[SPD_BATCH];
	struct spd_policy *local_policy[SPD_BATCH], *forward_policy[SPD_BATCH];
	unsigned int n_local = 0, n_forward = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		if (pkt(objs[i])->flags & PKT_F_LOCAL)
			local[n_local++] = &b->key[i];
		else
			forward[n_forward++] = &b->key[i];
	}
	spd_lookup4(w->spd, SPD_IN, local, n_local, local_policy);
	spd_lookup4(w->spd, SPD_FWD, forward, n_forward, forward_policy);
	n_local = n_forward = 0;
	for (uint16_t i = 0; i < b->n; i++)
		b->policy[i] = pkt(objs[i])->flags & PKT_F_LOCAL ? local_policy[n_local++]
								 : forward_policy[n_forward++];
}

/* Notes that the policy was used; one write a second is enough. */
static inline void
spd_batch_used(const struct worker *w, struct spd_policy *p)
{
	if (atomic_load_explicit(&p->used, memory_order_relaxed) != w->seconds)
		atomic_store_explicit(&p->used, w->seconds, memory_order_relaxed);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_RECENT_H
#define CYGNET_SPD_RECENT_H

#include "sad_lookup.h"
#include "spd.h"
#include "worker.h"

#include <rte_common.h>
#include <rte_hash_crc.h>

/*
 * What a worker has found of late, for IPv4: what policies see of a packet (spd_sight4()) leads to one place of a table, which
 * answers within the same second and as long as no policy, and no SA of one, has changed since. So traffic of many SAs, packet by
 * packet in turn, takes no lookup, and each policy that is in use notes so each second. What is narrow (spd.h) is not in it.
 *
 * A place is a line, with two of them. There are as many as the configuration allows policies; few policies use few, near each other.
 */

#define SPD_RECENT_MIN 64u /* places */

/* Places of a direction's table, a power of two. Any thread. */
static inline uint32_t
spd_recent_places(uint32_t max_policies)
{
	return rte_align32pow2(RTE_MAX(max_policies, SPD_RECENT_MIN));
}

/* How many of them so many policies use. */
static inline uint32_t
spd_recent_used(const struct worker *w, uint32_t n_policies)
{
	return RTE_MIN(spd_recent_places(2 * n_policies), w->n_recent);
}

/*
 * An answer is a policy, NULL without one, or, where that has its packets sealed, their SA: with a bit that no pointer has, and another for
 * AH. So the policy is in no hand any more, nor is the SA before it is at its turn: with many of them each is a line of
 * memory. The SA may be used as one from the policy, for whoever ends it takes it from its policies before (spd_unbind_sa()).
 */
#define SPD_ANSWER_SA ((spd_answer)1)
#define SPD_ANSWER_AH ((spd_answer)2)

/* The SA that seals for a policy that protects, or NULL. */
static inline struct sa *
spd_policy_sa(const struct sad *sad, const struct spd_policy *policy)
{
	uint32_t slot = atomic_load_explicit(&policy->sa, memory_order_acquire);

	return likely(slot != SPD_NO_SA) ? sad_at(sad, slot) : NULL;
}

/* What such a policy answers. */
static inline spd_answer
spd_answer_of(const struct sad *sad, const struct spd_policy *policy)
{
	const struct sa *sa = spd_policy_sa(sad, policy);

	if (sa == NULL)
		return (spd_answer)policy;
	return (spd_answer)sa | SPD_ANSWER_SA | (sa->flags & SA_F_AH ? SPD_ANSWER_AH : 0);
}

/* Of one that is an SA. */
static inline struct sa *
spd_answer_sa(spd_answer a)
{
	return (struct sa *)(a & ~(SPD_ANSWER_SA | SPD_ANSWER_AH));
}

/* Of one that is none. */
static inline struct spd_policy *
spd_answer_policy(spd_answer a)
{
	return (struct spd_policy *)a;
}

/* What policies see of an IPv4 packet: those that agree in it have one answer, as long as when is the same. */
static inline struct spd_seen
spd_seen(uint64_t addrs, uint8_t proto, uint32_t mark, uint32_t if_id,
	const struct spd_sight *sight, uint64_t when)
{
	return (struct spd_seen){.addrs = addrs & sight->addrs,
		.tag = mark | (uint64_t)if_id << 32,
		.when = when << 8 | (proto & sight->proto)};
}

/* places: as spd_recent_used() says. */
static inline struct spd_recent *
spd_recent_place(struct worker *w, enum spd_dir dir, const struct spd_seen *seen, uint32_t places)
{
	uint32_t hash = rte_hash_crc_8byte(
		seen->addrs, (uint32_t)(seen->tag ^ seen->tag >> 32) ^ (uint8_t)seen->when);

	return &w->recent[dir][hash & (places - 1)];
}

/* Whether it is for what looked just so, in this state of the policies. */
static inline bool
spd_recent_is(const struct spd_found *f, const struct spd_seen *seen)
{
	return ((f->seen.addrs ^ seen->addrs) | (f->seen.tag ^ seen->tag) |
		       (f->seen.when ^ seen->when)) == 0;
}

/* What the place knows of it, or NULL. */
static inline const struct spd_found *
spd_recent_find(const struct spd_recent *r, const struct spd_seen *seen)
{
	if (likely(spd_recent_is(&r->found[0], seen)))
		return &r->found[0];
	return spd_recent_is(&r->found[1], seen) ? &r->found[1] : NULL;
}

/* Keeps an answer where one of another time is, or in turn. */
static inline void
spd_recent_keep(
	struct worker *w, struct spd_recent *r, const struct spd_seen *seen, spd_answer answer)
{
	unsigned int at = w->recent_turn++ & 1;

	if (r->found[0].seen.when >> 8 != seen->when >> 8)
		at = 0;
	else if (r->found[1].seen.when >> 8 != seen->when >> 8)
		at = 1;
	r->found[at] = (struct spd_found){*seen, answer};
}

#endif

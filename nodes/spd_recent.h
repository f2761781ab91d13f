/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_RECENT_H
#define CYGNET_SPD_RECENT_H

#include "spd.h"
#include "worker.h"

#include <rte_common.h>
#include <rte_hash_crc.h>

/*
 * The policies that a worker has found of late, for IPv4: what policies see of a packet (spd_sight4()) leads to one place of a table,
 * which answers as long as no policy has changed since. So traffic of many SAs, packet by packet in turn, takes no lookup.
 * What is narrow (spd.h) is not in it.
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

/* What policies see of an IPv4 packet: those that agree in it have one policy. when: the state of the policies. */
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

/* Keeps a policy where one of another state is, or in turn. */
static inline void
spd_recent_keep(struct worker *w, struct spd_recent *r, const struct spd_seen *seen,
	struct spd_policy *policy)
{
	unsigned int at = w->recent_turn++ & 1;

	if (r->found[0].seen.when >> 8 != seen->when >> 8)
		at = 0;
	else if (r->found[1].seen.when >> 8 != seen->when >> 8)
		at = 1;
	r->found[at] = (struct spd_found){*seen, policy};
}

#endif

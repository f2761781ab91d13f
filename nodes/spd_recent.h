/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_RECENT_H
#define CYGNET_SPD_RECENT_H

#include "spd.h"
#include "worker.h"

#include <rte_hash_crc.h>

/*
 * The policies that a worker has found of late, for IPv4: what policies see of a packet (spd_sight4()) leads to one place of a table,
 * which answers as long as no policy has changed since. So traffic of many SAs, packet by packet in turn, takes no lookup.
 * What is narrow (spd.h) is not in it.
 */

/* What policies see of an IPv4 packet: those that agree in it have one policy. when: the state of the policies. */
static inline struct spd_seen
spd_seen(uint64_t addrs, uint8_t proto, uint32_t mark, uint32_t if_id,
	const struct spd_sight *sight, uint64_t when)
{
	return (struct spd_seen){.addrs = addrs & sight->addrs,
		.tag = mark | (uint64_t)if_id << 32,
		.when = when << 8 | (proto & sight->proto)};
}

static inline struct spd_recent *
spd_recent_place(struct worker *w, enum spd_dir dir, const struct spd_seen *seen)
{
	uint32_t hash = rte_hash_crc_8byte(
		seen->addrs, (uint32_t)(seen->tag ^ seen->tag >> 32) ^ (uint8_t)seen->when);

	return &w->recent[dir][hash % WORKER_RECENT];
}

/* Whether the place's packet looked just so, in this state of the policies. */
static inline bool
spd_recent_is(const struct spd_recent *r, const struct spd_seen *seen)
{
	return ((r->seen.addrs ^ seen->addrs) | (r->seen.tag ^ seen->tag) |
		       (r->seen.when ^ seen->when)) == 0;
}

#endif

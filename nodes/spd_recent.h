/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_RECENT_H
#define CYGNET_SPD_RECENT_H

#include "spd.h"
#include "worker.h"

#include <string.h>

#include <rte_hash_crc.h>

/*
 * The policies that a worker has found of late, for IPv4: what policies see of a packet (spd_sight4()) leads to one place of a table,
 * which answers as long as no policy has changed since. So traffic of many SAs, packet by packet in turn, takes no lookup.
 * What is narrow (spd.h) is not in it.
 */

/* What policies see of an IPv4 packet: those that agree in it have one policy. */
struct spd_seen {
	uint64_t addrs; /* as they stand in the header */
	uint64_t tag; /* mark and interface id */
	uint8_t proto;
};

/* addrs: source and destination. */
static inline struct spd_seen
spd_seen(const uint32_t addrs[2], uint8_t proto, uint32_t mark, uint32_t if_id,
	const struct spd_sight *sight)
{
	struct spd_seen seen = {.tag = mark | (uint64_t)if_id << 32, .proto = proto & sight->proto};

	memcpy(&seen.addrs, addrs, sizeof(seen.addrs));
	seen.addrs &= sight->addrs;
	return seen;
}

static inline struct spd_recent *
spd_recent_place(struct worker *w, enum spd_dir dir, const struct spd_seen *seen)
{
	uint32_t hash = rte_hash_crc_8byte(
		seen->addrs, (uint32_t)(seen->tag ^ seen->tag >> 32) ^ seen->proto);

	return &w->recent[dir][hash % WORKER_RECENT];
}

/* Whether that is the place's packet, in this state of the policies. */
static inline bool
spd_recent_is(const struct spd_recent *r, const struct spd_seen *seen, uint64_t state)
{
	return ((r->addrs ^ seen->addrs) | (r->tag ^ seen->tag) |
		       (r->when ^ (state << 8 | seen->proto))) == 0;
}

static inline void
spd_recent_put(struct spd_recent *r, const struct spd_seen *seen, uint64_t state,
	struct spd_policy *policy)
{
	*r = (struct spd_recent){seen->addrs, seen->tag, state << 8 | seen->proto, policy};
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_REASSEMBLY_H
#define CYGNET_REASSEMBLY_H

#include "drop.h"

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

/*
 * Datagrams of either family that came in fragments (RFC 791, 3.2; RFC 8200, 4.5). One table a worker, which
 * alone touches it; fragments of one datagram meet at the worker that reassembly_worker() names.
 *
 * A fragment is copied to its place at once and its buffer freed, so what a datagram holds does not grow with
 * the number of its fragments. When there is no room the oldest incomplete datagram goes: of the same
 * source when that one has its share, else of all. Two fragments of an honest datagram come close together,
 * and a flood would have to fill the table between them. Fragments that overlap are refused with all that
 * belong to them, also those to come (RFC 5722, for IPv4 as well); an exact copy is dropped alone.
 */

#define REASSEMBLY_FIRST_MIN 16 /* payload of a first fragment: UDP and an ESP header (RFC 1858) */

struct reassembly;

struct reassembly_key {
	uint8_t src[16], dst[16]; /* an IPv4 address is the first four */
	uint32_t id;
	uint8_t proto; /* 0 for IPv6: RFC 8200 leaves it out */
	uint8_t family;
	uint8_t zero[2];
};

/* What the nodes know of a fragment: m is linear and starts at its IP header. */
struct reassembly_fragment {
	struct rte_mbuf *m;
	uint16_t header_len; /* of the first fragment: how much of it stands before the payload */
	uint16_t payload_at; /* where the payload begins; IPv6: behind the fragment header */
	uint16_t len; /* of the payload */
	uint32_t offset; /* bytes */
	bool more;
	uint8_t ecn;
	uint8_t next; /* IPv6: what follows when the fragment header is gone, as the field at next_at */
	uint16_t next_at; /* has to say; 0: there is no such field */
};

/*
 * limit: incomplete datagrams at the same time, 0 for none; timeout: TSC cycles; drops: the counters, by
 * reason, of fragments that were taken and go for nothing; seed: the same for all workers. NULL without memory.
 */
struct reassembly *reassembly_create(unsigned int limit, uint64_t timeout, uint32_t seed,
	struct rte_mempool *pool, uint64_t *drops, int socket);
/* Frees all, with the packets in it. */
void reassembly_free(struct reassembly *r);

/* Which of n workers puts the datagram together. */
uint16_t reassembly_worker(
	const struct reassembly *r, const struct reassembly_key *key, uint16_t n);

/*
 * Takes a fragment; now: TSC. DROP_NONE: it was taken, and freed; *whole is the datagram when it is complete,
 * else NULL. It has the Ethernet header, IP header and private area of the first fragment and *ecn is what
 * its fragments had, one bit for each of the four marks; lengths and the like are the caller's to mend.
 * Another reason: the fragment is the caller's to drop.
 */
enum drop_reason reassembly_add(struct reassembly *r, const struct reassembly_key *key,
	const struct reassembly_fragment *f, uint64_t now, struct rte_mbuf **whole, uint8_t *ecn);

/* Forgets datagrams whose time is over. */
void reassembly_expire(struct reassembly *r, uint64_t now);

/* Incomplete datagrams and the packet buffers that they hold. */
unsigned int reassembly_datagrams(const struct reassembly *r);
unsigned int reassembly_buffers(const struct reassembly *r);

#endif

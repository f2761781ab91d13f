/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_HOST_RIB_H
#define CYGNET_HOST_RIB_H

#include "addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * What the kernel has of routes: for each prefix the candidates in order of preference, of which the first
 * usable one goes to the FIB. Known neighbours are candidates too, behind all of the kernel's own. Control
 * thread only.
 */

/*
 * Kernel tables are consulted as local, charon's, main, default; neighbours come last. Others are not ours.
 * charon's (its option routing_table) is where strongSwan puts the routes of its policies.
 */
enum rib_rank { RIB_LOCAL, RIB_CHARON, RIB_MAIN, RIB_DEFAULT, RIB_NEIGHBOUR };
#define RIB_CHARON_TABLE 220

struct rib_hop {
	uint32_t ifindex;
	uint32_t weight; /* 1 to 256 */
	struct ip_addr gw; /* family 0: on the link */
};

struct rib_route {
	struct rib_route *next;
	uint32_t metric;
	uint32_t mtu; /* 0: of the interface */
	uint32_t generation; /* of the dump or the time that it was last seen in */
	uint8_t rank; /* enum rib_rank */
	uint8_t type; /* RTN_* of rtnetlink */
	bool encap; /* the kernel would put on a header that we do not know */
	uint16_t n_hops; /* that are alive; a unicast route without one is not usable */
	struct rib_hop hops[];
};

struct rib_prefix {
	struct rib_prefix *next; /* in its bucket */
	struct rib_route *routes; /* best first */
	struct ip_addr dst;
	uint8_t plen;
	/* The owner of the table keeps here what it made of the best route. */
	bool in_fib, refused;
	bool is_local, is_glean, is_throw;
	uint16_t glean_port;
	LIST_ENTRY(rib_prefix) local, glean, thrown;
};

enum rib_how { RIB_PREPEND, RIB_APPEND, RIB_REPLACE };

struct rib;

/*
 * The best route of a prefix changed; NULL from rib_best() when none is left. The prefix goes after the
 * call when its list is empty.
 */
typedef void (*rib_changed_t)(void *ctx, struct rib_prefix *p);

struct rib *rib_create(rib_changed_t changed, void *ctx);

/* Frees all, without telling. */
void rib_destroy(struct rib *rib);

/* A route with room for n hops, zeroed, or NULL. It is given away by rib_add(), or free()d. */
struct rib_route *rib_route_new(unsigned int n_hops);

/*
 * Takes the route in. One that equals it is only marked as seen. Among routes of the same rank and metric
 * it goes first, last, or takes the place of the first, as the kernel does with ip route prepend,
 * append and replace. Returns 0, or -ENOMEM (and frees the route).
 */
int rib_add(struct rib *rib, const struct ip_addr *dst, uint8_t plen, struct rib_route *route,
	enum rib_how how);

/*
 * Removes the route that equals this one, else one of its rank, metric and type: the first that shares a hop, or
 * the first (the kernel leaves attributes out at times). Of IPv6 the kernel names hops of a route that stays with
 * the others: they are taken out of it. Returns 0, -ENOENT, or -EAGAIN: what it means is for a new dump to tell.
 */
int rib_del(
	struct rib *rib, const struct ip_addr *dst, uint8_t plen, const struct rib_route *route);

/* The prefix, or NULL. */
struct rib_prefix *rib_find(const struct rib *rib, const struct ip_addr *dst, uint8_t plen);

/*
 * The best usable route, or NULL. A throw route of charon's table says only that this table has none: it is the
 * best when there is no other, and rib_thrown() tells what it means.
 */
const struct rib_route *rib_best(const struct rib_prefix *p);

/* The best route of the longest prefix that covers this one, charon's table left out; NULL: there is none. */
const struct rib_route *rib_thrown(const struct rib *rib, const struct rib_prefix *p);

/*
 * Removes routes of the kernel that are not of this generation, a part of the table at each call; cursor
 * begins at 0. Returns whether more is to be done. Between the calls nothing may be added.
 */
bool rib_sweep(struct rib *rib, uint32_t generation, size_t *cursor);

/* Reports each prefix that was refused once more (the FIB has room again). */
void rib_retry(struct rib *rib);

/* Reports each prefix that has a route by that interface once more: what that means has changed. */
void rib_resettle(struct rib *rib, uint32_t ifindex);

size_t rib_count(const struct rib *rib);

/*
 * Spreads a multipath route over at most max slots by weight: slots[i] for hop i, at least one each as
 * long as there are any. Returns the sum. At most max hops are looked at.
 */
unsigned int rib_spread(const struct rib_route *route, unsigned int max, unsigned int *slots);

#endif

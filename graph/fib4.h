/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_FIB4_H
#define CYGNET_FIB4_H

#include "rcu.h"

#include <stdint.h>

#include <rte_rib.h>

/*
 * The IPv4 half of the FIB (fib.h), which alone calls it: longest prefix to the index of a next hop.
 *
 * Not rte_fib: that of DPDK 22.11 hands a group out again, and clears it, within the very change that frees it, while
 * a lcore may still read it: packets went astray. The layout is the same, DIR-24-8: a table by the first 24 bits,
 * whose entry is a next hop or a group of 256 for the last eight. A /24 has a group exactly while a route longer
 * than /24 lies in it. A group that goes is used again after a grace period; an entry is changed by one store.
 */

struct fib4;

/* Memory for that many routes is taken at once. NULL without it. Control thread, as all but the lookup. */
struct fib4 *fib4_create(uint32_t max_routes, struct rcu *rcu);
void fib4_destroy(struct fib4 *f);

/* Memory that fib4_create() takes, in bytes. */
uint64_t fib4_size(uint32_t max_routes);

/*
 * dst in host order, its host part zero; nh is below 2^31 and not 0; *old: the next hop before, 0 when the route is
 * new. 0, or -ENOSPC: no room for the route, or no group is free (one may be a grace period later).
 */
int fib4_set(struct fib4 *f, uint32_t dst, uint8_t plen, uint32_t nh, uint32_t *old);
/* *old: the next hop that it had. 0 or -ENOENT. */
int fib4_del(struct fib4 *f, uint32_t dst, uint8_t plen, uint32_t *old);
/* The routes, to be read. */
struct rte_rib *fib4_rib(const struct fib4 *f);

/* Any data-plane lcore; host order. nh[i] is 0 where there is no route. */
void fib4_lookup(const struct fib4 *f, const uint32_t *dst, uint64_t *nh, unsigned int n);

#endif

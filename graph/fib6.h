/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_FIB6_H
#define CYGNET_FIB6_H

#include "rcu.h"

#include <stdint.h>

/*
 * The IPv6 half of the FIB (fib.h), which alone calls it: longest prefix to the index of a next hop.
 *
 * Not rte_fib6: in DPDK 22.11 it hands out a freed group within the very change that frees it, clears it while
 * a lcore may still follow it, reports a change that failed halfway as done, and takes 64 MiB to begin with.
 *
 * Instead a table by the first 16 bits, and below it a trie of nodes of 16 entries, each indexed by four bits of the address; bits in which all that
 * lies below agrees have no node, the node carries them as a prefix to be compared. An entry holds the best next
 * hop whose prefix ends in those bits, and the node below; a lookup takes the last next hop that it met. So a change
 * writes the entries of one node (eight bytes each, whole), and adds or takes away at most two nodes, of 192 bytes; those that
 * went are reused after a grace period. No set of routes takes more than two nodes a route.
 */

struct fib6;

/* Memory for that many routes is taken at once. NULL without it. Control thread, as all but the lookup. */
struct fib6 *fib6_create(uint32_t max_routes, struct rcu *rcu);
void fib6_destroy(struct fib6 *f);

/* Memory that fib6_create() takes, in bytes. */
uint64_t fib6_size(uint32_t max_routes);

/* nh is below 2^27 and not 0; *old: the next hop before, 0 when the route is new. 0 or -ENOSPC. */
int fib6_set(struct fib6 *f, const uint8_t addr[16], uint8_t plen, uint32_t nh, uint32_t *old);
/* *old: the next hop that it had. 0 or -ENOENT. */
int fib6_del(struct fib6 *f, const uint8_t addr[16], uint8_t plen, uint32_t *old);
/* Next hop of the very prefix; 0: no such route. */
uint32_t fib6_exact(const struct fib6 *f, const uint8_t addr[16], uint8_t plen);

/*
 * The route after the one in addr and plen, which need not be there any more; *plen 0xff: the first. Prefixes
 * come after those that lie in them. 0 or -ENOENT.
 */
#define FIB6_FIRST 0xff
int fib6_next(const struct fib6 *f, uint8_t addr[16], uint8_t *plen, uint32_t *nh);

/* Any data-plane lcore. nh[i] is 0 where there is no route. */
void fib6_lookup(const struct fib6 *f, const uint8_t *const *dst, uint64_t *nh, unsigned int n);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib6.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rib6.h>

#define MIN_NODES 1024u
#define NH_BITS 28
#define NH_MASK ((1u << NH_BITS) - 1)
#define ROOT 0u /* never below another: 0 in an entry is no node */

struct node {
	/* Line 1 never changes while lcores see the node. */
	_Alignas(RTE_CACHE_LINE_SIZE) uint64_t prefix[2]; /* as in the address; zero from byte on */
	uint64_t mask[2];
	uint32_t byte; /* of the address, that the entries are indexed by */
	uint32_t routes, children; /* the control thread's */
	/*
	 * Node below in the upper half; then four bits that say how many bits of the byte the prefix of the next
	 * hop has, and the next hop, 0 where none ends here.
	 */
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t e[256];
};

struct fib6 {
	struct node *nodes;
	_Atomic uint32_t any; /* next hop of ::/0 */
	/* The control thread's own. */
	struct rte_rib6 *rib;
	struct rcu *rcu;
	uint32_t n_free;
	uint32_t free[];
};

static uint32_t
node_count(uint32_t max_routes)
{
	return RTE_MAX(max_routes / 8, MIN_NODES);
}

uint64_t
fib6_size(uint32_t max_routes)
{
	/* A node of the RIB takes two cache lines, and a route at worst two nodes. */
	return node_count(max_routes) * (uint64_t)sizeof(struct node) + max_routes * 256ull;
}

struct fib6 *
fib6_create(uint32_t max_routes, struct rcu *rcu)
{
	uint32_t n = node_count(max_routes);
	struct fib6 *f = rte_zmalloc("fib6", sizeof(*f) + n * sizeof(f->free[0]), 64);
	struct rte_rib6_conf c = {.max_nodes = (int)RTE_MAX(2 * max_routes, 64u)};

	if (f == NULL)
		return NULL;
	f->rcu = rcu;
	f->rib = rte_rib6_create("fib6", (int)rte_socket_id(), &c);
	f->nodes = rte_zmalloc("fib6_nodes", n * sizeof(f->nodes[0]), RTE_CACHE_LINE_SIZE);
	if (f->rib == NULL || f->nodes == NULL) {
		fib6_destroy(f);
		return NULL;
	}
	while (--n > ROOT)
		f->free[f->n_free++] = n;
	return f;
}

void
fib6_destroy(struct fib6 *f)
{
	if (f == NULL)
		return;
	rte_rib6_free(f->rib);
	rte_free(f->nodes);
	rte_free(f);
}

static inline uint64_t
entry(const _Atomic uint64_t *e)
{
	return atomic_load_explicit(e, memory_order_acquire);
}

static inline uint32_t
below(uint64_t e)
{
	return e >> 32;
}

void
fib6_lookup(const struct fib6 *f, const uint8_t *const *dst, uint64_t *nh, unsigned int n)
{
	uint32_t any = atomic_load_explicit(&f->any, memory_order_relaxed);

	for (unsigned int i = 0; i < n; i++) {
		uint32_t best = any, at = ROOT;
		uint64_t a[2];

		memcpy(a, dst[i], sizeof(a));
		do {
			const struct node *node = &f->nodes[at];
			uint64_t e;

			if ((((a[0] ^ node->prefix[0]) & node->mask[0]) |
				    ((a[1] ^ node->prefix[1]) & node->mask[1])) != 0)
				break;
			e = entry(&node->e[dst[i][node->byte]]);
			if ((uint32_t)e != 0)
				best = e & NH_MASK;
			at = below(e);
		} while (at != ROOT);
		nh[i] = best;
	}
}

static void
set_below(_Atomic uint64_t *e, uint32_t node)
{
	uint64_t old = atomic_load_explicit(e, memory_order_relaxed);

	atomic_store_explicit(e, (uint64_t)node << 32 | (uint32_t)old, memory_order_release);
}

/* A node for that byte of addresses that begin so; entries empty. */
static uint32_t
make_node(struct fib6 *f, const uint8_t addr[16], unsigned int byte)
{
	uint32_t at = f->free[--f->n_free];
	struct node *node = &f->nodes[at];

	memset(node, 0, sizeof(*node));
	memcpy(node->prefix, addr, byte);
	memset(node->mask, 0xff, byte);
	node->byte = byte;
	return at;
}

static void
free_node(void *ctx, void *obj)
{
	struct fib6 *f = ctx;

	f->free[f->n_free++] = (uintptr_t)obj;
}

/* First byte before end in which they differ, or end. */
static unsigned int
common(const uint8_t *a, const uint8_t *b, unsigned int end)
{
	unsigned int i = 0;

	while (i < end && a[i] == b[i])
		i++;
	return i;
}

/* The node for that byte of the address, made where there is none. Two must be free. */
static struct node *
want_node(struct fib6 *f, const uint8_t addr[16], unsigned int byte)
{
	struct node *node = &f->nodes[ROOT], *new, *next;
	_Atomic uint64_t *e;
	uint32_t at, made;
	unsigned int same;

	for (;;) {
		if (node->byte == byte)
			return node;
		e = &node->e[addr[node->byte]];
		at = below(entry(e));
		if (at == ROOT) {
			made = make_node(f, addr, byte);
			node->children++;
			set_below(e, made);
			return &f->nodes[made];
		}
		next = &f->nodes[at];
		same = common(addr, (const uint8_t *)next->prefix, RTE_MIN(byte, next->byte));
		if (same < next->byte)
			break;
		node = next;
	}
	/* Between the two: where they part, or where the new one ends. Seen by lcores when it is complete. */
	made = make_node(f, addr, same);
	new = &f->nodes[made];
	new->children = 1;
	set_below(&new->e[((const uint8_t *)next->prefix)[same]], at);
	if (same < byte) {
		uint32_t leaf = make_node(f, addr, byte);

		new->children = 2;
		set_below(&new->e[addr[same]], leaf);
		new = &f->nodes[leaf];
	}
	set_below(e, made);
	return new;
}

/* Takes away nodes that hold nothing any more, or only one other. */
static void
prune(struct fib6 *f, const uint8_t addr[16], struct node *node)
{
	while (node != &f->nodes[ROOT] && node->routes == 0 && node->children <= 1) {
		struct node *above = &f->nodes[ROOT];
		uint32_t at = node - f->nodes, only = ROOT;
		_Atomic uint64_t *e;

		for (unsigned int i = 0; node->children > 0 && only == ROOT; i++)
			only = below(entry(&node->e[i]));
		while (below(entry(e = &above->e[addr[above->byte]])) != at)
			above = &f->nodes[below(entry(e))];
		set_below(e, only);
		above->children -= only == ROOT;
		rcu_defer(f->rcu, free_node, f, (void *)(uintptr_t)at);
		node = above;
	}
}

/* To the entries under the prefix, whose last bits bits end in this node, where none is longer. */
static void
write_entries(struct node *node, const uint8_t addr[16], unsigned int bits, uint32_t value)
{
	unsigned int n = 1u << (8 - bits), first = addr[node->byte] & ~(n - 1);

	for (unsigned int i = first; i < first + n; i++) {
		uint64_t e = atomic_load_explicit(&node->e[i], memory_order_relaxed);

		if ((uint32_t)e >> NH_BITS <= bits)
			atomic_store_explicit(&node->e[i], (e & ~(uint64_t)UINT32_MAX) | value,
				memory_order_release);
	}
}

static uint32_t
nh_of(const struct rte_rib6_node *route)
{
	uint64_t nh = 0;

	rte_rib6_get_nh(route, &nh);
	return nh;
}

static struct rte_rib6_node *
exact(const struct fib6 *f, const uint8_t addr[16], uint8_t plen)
{
	return rte_rib6_lookup_exact(f->rib, addr, plen);
}

uint32_t
fib6_exact(const struct fib6 *f, const uint8_t addr[16], uint8_t plen)
{
	struct rte_rib6_node *route = exact(f, addr, plen);

	return route != NULL ? nh_of(route) : 0;
}

int
fib6_set(struct fib6 *f, const uint8_t addr[16], uint8_t plen, uint32_t nh, uint32_t *old)
{
	struct rte_rib6_node *route = exact(f, addr, plen);
	struct node *node;

	*old = route != NULL ? nh_of(route) : 0;
	if (route == NULL) {
		if (f->n_free < 2)
			return -ENOSPC;
		route = rte_rib6_insert(f->rib, addr, plen);
		if (route == NULL)
			return -ENOSPC;
	}
	rte_rib6_set_nh(route, nh);
	if (plen == 0) {
		atomic_store_explicit(&f->any, nh, memory_order_release);
		return 0;
	}
	node = want_node(f, addr, (plen - 1) / 8);
	node->routes += *old == 0;
	plen -= 8 * node->byte;
	write_entries(node, addr, plen, (uint32_t)plen << NH_BITS | nh);
	return 0;
}

int
fib6_del(struct fib6 *f, const uint8_t addr[16], uint8_t plen, uint32_t *old)
{
	struct rte_rib6_node *route = exact(f, addr, plen), *above;
	uint32_t value = 0;
	struct node *node;
	uint8_t above_plen;

	if (route == NULL)
		return -ENOENT;
	*old = nh_of(route);
	above = rte_rib6_lookup_parent(route);
	if (plen == 0) {
		atomic_store_explicit(&f->any, 0, memory_order_release);
	} else {
		node = want_node(f, addr, (plen - 1) / 8); /* it is there */
		if (above != NULL && rte_rib6_get_depth(above, &above_plen) == 0 &&
			above_plen > 8 * node->byte)
			value = (above_plen - 8 * node->byte) << NH_BITS | nh_of(above);
		write_entries(node, addr, plen - 8 * node->byte, value);
		node->routes--;
		prune(f, addr, node);
	}
	rte_rib6_remove(f->rib, addr, plen);
	return 0;
}

/* The last of the subtree's walk is the prefix itself: rte_rib6_get_nxt() leaves that one out. */
static struct rte_rib6_node *
first_within(const struct fib6 *f, const uint8_t addr[16], uint8_t plen)
{
	struct rte_rib6_node *route =
		rte_rib6_get_nxt(f->rib, addr, plen, NULL, RTE_RIB6_GET_NXT_ALL);

	return route != NULL ? route : exact(f, addr, plen);
}

int
fib6_next(const struct fib6 *f, uint8_t addr[16], uint8_t *plen, uint32_t *nh)
{
	struct rte_rib6_node *route = NULL;
	uint8_t len = *plen;

	if (len == FIB6_FIRST) {
		memset(addr, 0, 16);
		route = first_within(f, addr, 0);
		len = 0;
	}
	/* First the other half of the prefix above, then that prefix, and so on upwards. */
	for (; route == NULL && len > 0; len--) {
		uint8_t *byte = &addr[(len - 1) / 8], bit = 0x80 >> (len - 1) % 8;

		if ((*byte & bit) == 0) {
			*byte |= bit;
			route = first_within(f, addr, len);
		}
		*byte &= ~bit;
		if (route == NULL)
			route = exact(f, addr, len - 1);
	}
	if (route == NULL)
		return -ENOENT;
	rte_rib6_get_ip(route, addr);
	rte_rib6_get_depth(route, plen);
	*nh = nh_of(route);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib6_priv.h"

#include <errno.h>
#include <string.h>

#include <rte_lcore.h>
#include <rte_malloc.h>

#define MIN_NODES 1024u
#define LARGE 4096u /* nodes: more of them are in no cache near the core */

static uint32_t
node_count(uint32_t max_routes)
{
	/* Each route takes two at most; some wait for a grace period. */
	return 2 * max_routes + MIN_NODES;
}

uint64_t
fib6_size(uint32_t max_routes)
{
	/* A node of the RIB takes two cache lines, and a route at worst two nodes. */
	return node_count(max_routes) * (uint64_t)sizeof(struct node) + max_routes * 256ull +
	       (sizeof(uint64_t) << ROOT_BITS);
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
	f->n_nodes = n;
	f->rib = rte_rib6_create("fib6", (int)rte_socket_id(), &c);
	f->nodes = rte_zmalloc("fib6_nodes", n * sizeof(f->nodes[0]), RTE_CACHE_LINE_SIZE);
	f->root = rte_zmalloc("fib6_root", sizeof(uint64_t) << ROOT_BITS, RTE_CACHE_LINE_SIZE);
	if (f->rib == NULL || f->nodes == NULL || f->root == NULL) {
		fib6_destroy(f);
		return NULL;
	}
	f->nodes[ROOT].nibble = ROOT_BITS / STRIDE - 1;
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
	rte_free((void *)f->root);
	rte_free(f);
}

/* The entry of the node above gets that one below it. */
static void
set_below(struct fib6 *f, const struct node *above, _Atomic uint64_t *e, uint32_t at)
{
	uint64_t old = atomic_load_explicit(e, memory_order_relaxed);
	uint32_t nibble = f->nodes[at].nibble, value = 0;

	if (at != ROOT)
		value = at | nibble << BELOW_NIBBLE_AT |
			(nibble > above->nibble + 1 ? BELOW_SKIPS : 0);
	atomic_store_explicit(e, (uint64_t)value << 32 | (uint32_t)old, memory_order_release);
}

static uint32_t
node_below(uint64_t e)
{
	return below(e) & BELOW_NODE;
}

/* A node for that nibble of addresses that begin so; entries empty. */
static uint32_t
make_node(struct fib6 *f, const uint8_t addr[16], unsigned int nibble)
{
	uint32_t at = f->free[--f->n_free];
	struct node *node = &f->nodes[at];
	uint8_t *mask = (uint8_t *)node->mask, *prefix = (uint8_t *)node->prefix;

	memset(node, 0, sizeof(*node));
	memset(mask, 0xff, nibble / 2);
	if (nibble % 2 != 0)
		mask[nibble / 2] = 0xf0;
	for (unsigned int i = 0; i < sizeof(node->prefix); i++)
		prefix[i] = addr[i] & mask[i];
	node->nibble = nibble;
	return at;
}

static void
free_node(void *ctx, void *obj)
{
	struct fib6 *f = ctx;

	f->free[f->n_free++] = (uintptr_t)obj;
}

/* First nibble before end in which they differ, or end. */
static unsigned int
common(const uint8_t *a, const uint8_t *b, unsigned int end)
{
	unsigned int i = 0;

	while (i < end && nibble_of(a, i) == nibble_of(b, i))
		i++;
	return i;
}

/* The entry of a node that an address has. */
static _Atomic uint64_t *
entry_of(const struct fib6 *f, struct node *node, const uint8_t addr[16])
{
	if (node == &f->nodes[ROOT])
		return &f->root[first_bits(addr)];
	return &node->e[nibble_of(addr, node->nibble)];
}

/* The node in which a prefix of that length ends, made where there is none. Two must be free. */
static struct node *
want_node(struct fib6 *f, const uint8_t addr[16], uint8_t plen)
{
	unsigned int nibble = f->nodes[ROOT].nibble;
	struct node *node = &f->nodes[ROOT], *new, *next;
	const uint8_t *prefix;
	_Atomic uint64_t *e;
	uint32_t at, made;
	unsigned int same;

	if (plen > ROOT_BITS)
		nibble = (plen - 1) / STRIDE;
	for (;;) {
		if (node->nibble == nibble)
			return node;
		e = entry_of(f, node, addr);
		at = node_below(entry(e));
		if (at == ROOT) {
			made = make_node(f, addr, nibble);
			node->children++;
			set_below(f, node, e, made);
			return &f->nodes[made];
		}
		next = &f->nodes[at];
		prefix = (const uint8_t *)next->prefix;
		same = common(addr, prefix, RTE_MIN(nibble, next->nibble));
		if (same < next->nibble)
			break;
		node = next;
	}
	/* Between the two: where they part, or where the new one ends. Seen by lcores when it is complete. */
	made = make_node(f, addr, same);
	new = &f->nodes[made];
	new->children = 1;
	set_below(f, new, &new->e[nibble_of(prefix, same)], at);
	if (same < nibble) {
		uint32_t leaf = make_node(f, addr, nibble);

		new->children = 2;
		set_below(f, new, &new->e[nibble_of(addr, same)], leaf);
		new = &f->nodes[leaf];
	}
	set_below(f, node, e, made);
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
			only = node_below(entry(&node->e[i]));
		while (node_below(entry(e = entry_of(f, above, addr))) != at)
			above = &f->nodes[node_below(entry(e))];
		set_below(f, above, e, only);
		above->children -= only == ROOT;
		rcu_defer(f->rcu, free_node, f, (void *)(uintptr_t)at);
		node = above;
	}
}

/* Bits of the address before those that the entries of the node are indexed by. */
static unsigned int
bits_before(const struct fib6 *f, const struct node *node)
{
	return node == &f->nodes[ROOT] ? 0 : STRIDE * node->nibble;
}

/* To the entries under the prefix, whose last bits bits end in this node, where none is longer. */
static void
write_entries(struct fib6 *f, struct node *node, const uint8_t addr[16], unsigned int bits,
	uint32_t value)
{
	unsigned int stride = node == &f->nodes[ROOT] ? ROOT_BITS : STRIDE,
		     n = 1u << (stride - bits);
	_Atomic uint64_t *v = node == &f->nodes[ROOT] ? f->root : node->e;
	unsigned int first = (entry_of(f, node, addr) - v) & ~(n - 1);

	for (unsigned int i = first; i < first + n; i++) {
		uint64_t e = atomic_load_explicit(&v[i], memory_order_relaxed);

		if ((uint32_t)e >> NH_BITS <= bits)
			atomic_store_explicit(
				&v[i], (e & ~(uint64_t)UINT32_MAX) | value, memory_order_release);
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
	fib_change_begins(&f->changes);
	if (plen == 0) {
		atomic_store_explicit(&f->any, nh, memory_order_release);
	} else {
		node = want_node(f, addr, plen);
		node->routes += *old == 0;
		plen -= bits_before(f, node);
		write_entries(f, node, addr, plen, (uint32_t)plen << NH_BITS | nh);
	}
	fib_change_ends(&f->changes);
	atomic_store_explicit(&f->large, f->n_nodes - f->n_free > LARGE, memory_order_relaxed);
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
	fib_change_begins(&f->changes);
	if (plen == 0) {
		atomic_store_explicit(&f->any, 0, memory_order_release);
	} else {
		node = want_node(f, addr, plen); /* it is there */
		if (above != NULL && rte_rib6_get_depth(above, &above_plen) == 0 &&
			above_plen > bits_before(f, node))
			value = (above_plen - bits_before(f, node)) << NH_BITS | nh_of(above);
		write_entries(f, node, addr, plen - bits_before(f, node), value);
		node->routes--;
		prune(f, addr, node);
	}
	fib_change_ends(&f->changes);
	atomic_store_explicit(&f->large, f->n_nodes - f->n_free > LARGE, memory_order_relaxed);
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "fib.h"

#include "fib4.h"
#include "fib6.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_rib.h>

struct adj_key {
	struct ip_addr addr;
	uint32_t port;
};

struct fib {
	struct fib_view view;
	struct fib4 *fib4;
	struct fib6 *fib6;
	uint32_t (*members)[FIB_MAX_MULTIPATH]; /* [max_nexthops] */
	struct rcu *rcu;
	uint32_t max_nexthops, max_routes, routes;
	/* The control thread's own. */
	uint32_t *refs; /* [max_nexthops] */
	uint32_t *free, n_free;
	struct rte_hash *adj;
};

static struct fib_local *
make_local(unsigned int n4, unsigned int n6)
{
	uint32_t size4 = rte_align32pow2(8 * n4 + 1), size6 = rte_align32pow2(8 * n6 + 1);
	size_t at6 = RTE_ALIGN(sizeof(struct fib_local) + size4 * sizeof(uint32_t), 16);
	struct fib_local *set = rte_zmalloc("local", at6 + size6 * sizeof(set->addr6[0]), 16);

	if (set == NULL)
		return NULL;
	set->mask = size4 - 1;
	set->mask6 = size6 - 1;
	set->addr6 = RTE_PTR_ADD(set, at6);
	return set;
}

struct fib *
fib_create(const struct fib_conf *conf)
{
	struct fib *fib = rte_zmalloc("fib", sizeof(*fib), RTE_CACHE_LINE_SIZE);
	struct rte_hash_parameters p = {
		.name = "fib_adj",
		.entries = RTE_MAX(conf->max_nexthops, 8u),
		.key_len = sizeof(struct adj_key),
		.hash_func = rte_jhash,
		.socket_id = (int)rte_socket_id(),
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	if (fib == NULL)
		return NULL;
	fib->rcu = conf->rcu;
	fib->max_nexthops = conf->max_nexthops;
	fib->max_routes = conf->max_routes;
	fib->fib4 = fib4_create(conf->max_routes, conf->rcu);
	fib->fib6 = fib6_create(conf->max_routes, conf->rcu);
	fib->view.nh = rte_zmalloc("nexthops", conf->max_nexthops * sizeof(*fib->view.nh), 64);
	fib->members = rte_zmalloc("multipath", conf->max_nexthops * sizeof(*fib->members), 64);
	fib->view.local = make_local(0, 0);
	fib->refs = calloc(conf->max_nexthops, sizeof(*fib->refs));
	fib->free = calloc(conf->max_nexthops, sizeof(*fib->free));
	fib->adj = rte_hash_create(&p);
	if (fib->fib4 == NULL || fib->fib6 == NULL || fib->view.nh == NULL ||
		fib->members == NULL || fib->view.local == NULL || fib->refs == NULL ||
		fib->free == NULL || fib->adj == NULL) {
		LOG(ERR, "not enough memory for %u routes and %u next hops", conf->max_routes,
			conf->max_nexthops);
		fib_destroy(fib);
		return NULL;
	}
	for (uint32_t i = conf->max_nexthops; i > 1; i--)
		fib->free[fib->n_free++] = i - 1; /* index 0 is "no route" */
	return fib;
}

void
fib_destroy(struct fib *fib)
{
	if (fib == NULL)
		return;
	fib4_destroy(fib->fib4);
	fib6_destroy(fib->fib6);
	rte_hash_free(fib->adj);
	rte_free(fib->view.local);
	rte_free(fib->view.nh);
	rte_free(fib->members);
	free(fib->refs);
	free(fib->free);
	rte_free(fib);
}

int
fib_nh_new(struct fib *fib, enum nh_type type, uint16_t port, uint16_t mtu, uint32_t *nh)
{
	struct nexthop *n;

	if (fib->n_free == 0)
		return -ENOSPC;
	*nh = fib->free[--fib->n_free];
	fib->refs[*nh] = 1;
	n = &fib->view.nh[*nh];
	memset(n, 0, sizeof(*n));
	n->type = type;
	n->port = port;
	n->mtu = mtu;
	return 0;
}

static void
adj_key(struct adj_key *key, uint16_t port, const struct ip_addr *addr)
{
	memset(key, 0, sizeof(*key));
	key->addr.family = addr->family;
	memcpy(key->addr.b, addr->b, sizeof(key->addr.b));
	key->port = port;
}

int
fib_nh_find(const struct fib *fib, uint16_t port, const struct ip_addr *addr, uint32_t *nh)
{
	struct adj_key key;
	void *data;

	adj_key(&key, port, addr);
	if (rte_hash_lookup_data(fib->adj, &key, &data) < 0)
		return -ENOENT;
	*nh = (uintptr_t)data;
	return 0;
}

int
fib_nh_adj(struct fib *fib, uint16_t port, const struct ip_addr *addr, const uint8_t src_mac[6],
	uint16_t mtu, uint32_t *nh)
{
	struct rte_ether_hdr *eth;
	struct adj_key key;
	int rc;

	if (fib_nh_find(fib, port, addr, nh) == 0) {
		fib->refs[*nh]++;
		return 0;
	}
	rc = fib_nh_new(fib, NH_ADJ, port, mtu, nh);
	if (rc < 0)
		return rc;
	fib->view.nh[*nh].addr = *addr;
	eth = (struct rte_ether_hdr *)fib->view.nh[*nh].eth;
	memcpy(&eth->src_addr, src_mac, 6);
	eth->ether_type =
		rte_cpu_to_be_16(addr->family == 6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	adj_key(&key, port, addr);
	rc = rte_hash_add_key_data(fib->adj, &key, (void *)(uintptr_t)*nh);
	if (rc < 0)
		fib_nh_put(fib, *nh);
	return rc;
}

int
fib_nh_multipath(struct fib *fib, const uint32_t *members, unsigned int n, uint32_t *nh)
{
	int rc;

	if (n == 0 || n > FIB_MAX_MULTIPATH)
		return -EINVAL;
	rc = fib_nh_new(fib, NH_MULTIPATH, 0, 0, nh);
	if (rc < 0)
		return rc;
	fib->view.nh[*nh].n = n;
	for (unsigned int i = 0; i < n; i++) {
		fib->members[*nh][i] = members[i];
		fib->refs[members[i]]++;
	}
	return 0;
}

static void
free_nh(void *ctx, void *obj)
{
	struct fib *fib = ctx;
	uint32_t nh = (uintptr_t)obj;

	if (fib->view.nh[nh].type == NH_MULTIPATH)
		for (unsigned int i = 0; i < fib->view.nh[nh].n; i++)
			fib_nh_put(fib, fib->members[nh][i]);
	memset(&fib->view.nh[nh], 0, sizeof(fib->view.nh[nh]));
	fib->free[fib->n_free++] = nh;
}

void
fib_nh_put(struct fib *fib, uint32_t nh)
{
	struct adj_key key;

	if (nh == 0 || --fib->refs[nh] > 0)
		return;
	if (fib->view.nh[nh].type == NH_ADJ) {
		adj_key(&key, fib->view.nh[nh].port, &fib->view.nh[nh].addr);
		rte_hash_del_key(fib->adj, &key);
	}
	rcu_defer(fib->rcu, free_nh, fib, (void *)(uintptr_t)nh);
}

void
fib_nh_resolve(struct fib *fib, uint32_t nh, const uint8_t mac[6])
{
	struct nexthop *n = &fib->view.nh[nh];
	union {
		uint8_t b[8];
		uint64_t u;
	} first;

	if (mac == NULL) {
		atomic_store_explicit(&n->resolved, 0, memory_order_release);
		return;
	}
	/* Six bytes of destination, two of source: a lcore reads the old MAC or the new one. */
	memcpy(first.b, mac, 6);
	memcpy(first.b + 6, n->eth + 6, 2);
	__atomic_store_n((uint64_t *)n->eth, first.u, __ATOMIC_RELEASE);
	atomic_store_explicit(&n->resolved, 1, memory_order_release);
}

uint32_t
fib_nh_count(const struct fib *fib)
{
	return fib->max_nexthops;
}

static uint32_t
prefix_mask(uint8_t plen)
{
	return plen == 0 || plen > 32 ? 0 : UINT32_MAX << (32 - plen);
}

/* Next hop of the very prefix; 0: no such route. */
static uint32_t
exact(const struct fib *fib, const struct ip_addr *dst, uint8_t plen)
{
	uint32_t ip = rte_be_to_cpu_32(dst->v4) & prefix_mask(plen);
	struct rte_rib_node *node;
	uint64_t nh = 0;

	if (dst->family == 6)
		return fib6_exact(fib->fib6, dst->b, plen);
	node = rte_rib_lookup_exact(fib4_rib(fib->fib4), ip, plen);
	if (node != NULL)
		rte_rib_get_nh(node, &nh);
	return nh;
}

int
fib_route_set(struct fib *fib, const struct ip_addr *dst, uint8_t plen, uint32_t nh)
{
	uint32_t old;
	int rc;

	if (plen > addr_bits(dst) || nh == 0 || nh >= fib->max_nexthops)
		return -EINVAL;
	if (fib->routes >= fib->max_routes && exact(fib, dst, plen) == 0)
		return -ENOSPC;
	if (dst->family == 6)
		rc = fib6_set(fib->fib6, dst->b, plen, nh, &old);
	else
		rc = fib4_set(
			fib->fib4, rte_be_to_cpu_32(dst->v4) & prefix_mask(plen), plen, nh, &old);
	if (rc < 0)
		return rc;
	fib->refs[nh]++;
	fib->routes += old == 0;
	fib_nh_put(fib, old);
	return 0;
}

int
fib_route_del(struct fib *fib, const struct ip_addr *dst, uint8_t plen)
{
	uint32_t old;
	int rc;

	if (plen > addr_bits(dst))
		return -ENOENT;
	if (dst->family == 6)
		rc = fib6_del(fib->fib6, dst->b, plen, &old);
	else
		rc = fib4_del(fib->fib4, rte_be_to_cpu_32(dst->v4) & prefix_mask(plen), plen, &old);
	if (rc < 0)
		return rc;
	fib->routes--;
	fib_nh_put(fib, old);
	return 0;
}

static void
foreach6(const struct fib *fib,
	void (*fn)(void *ctx, const struct ip_addr *dst, uint8_t plen, uint32_t nh), void *ctx)
{
	struct ip_addr dst = {.family = 6};
	uint8_t plen = FIB6_FIRST;
	uint32_t nh;

	while (fib6_next(fib->fib6, dst.b, &plen, &nh) == 0)
		fn(ctx, &dst, plen, nh);
}

void
fib_route_foreach(const struct fib *fib,
	void (*fn)(void *ctx, const struct ip_addr *dst, uint8_t plen, uint32_t nh), void *ctx)
{
	struct rte_rib *rib = fib4_rib(fib->fib4);
	struct rte_rib_node *node = NULL;
	struct ip_addr dst = {.family = 4};
	uint32_t ip;
	uint64_t nh;
	uint8_t plen;

	/* 0/0 has no node above it in the walk: it comes first. */
	node = rte_rib_lookup_exact(rib, 0, 0);
	if (node != NULL && rte_rib_get_nh(node, &nh) == 0)
		fn(ctx, &dst, 0, nh);
	node = NULL;
	while ((node = rte_rib_get_nxt(rib, 0, 0, node, RTE_RIB_GET_NXT_ALL)) != NULL) {
		rte_rib_get_ip(node, &ip);
		rte_rib_get_depth(node, &plen);
		rte_rib_get_nh(node, &nh);
		if (plen == 0)
			continue;
		dst.v4 = rte_cpu_to_be_32(ip);
		fn(ctx, &dst, plen, nh);
	}
	foreach6(fib, fn, ctx);
}

/*
 * The route after ip/plen where those within a prefix come before it, as the RIB walks: the first in the
 * other half of the prefix above, else that prefix itself, and so on upwards.
 */
static struct rte_rib_node *
route_after(struct rte_rib *rib, uint32_t ip, uint8_t plen)
{
	struct rte_rib_node *node;

	for (; plen > 0; plen--) {
		uint32_t bit = 1u << (32 - plen);

		if ((ip & bit) == 0) {
			node = rte_rib_get_nxt(rib, ip | bit, plen, NULL, RTE_RIB_GET_NXT_ALL);
			if (node == NULL)
				node = rte_rib_lookup_exact(rib, ip | bit, plen);
			if (node != NULL)
				return node;
		}
		ip &= ~bit;
		node = rte_rib_lookup_exact(rib, ip, plen - 1);
		if (node != NULL)
			return node;
	}
	return NULL;
}

/* IPv6 comes after all of IPv4. */
static unsigned int
page6(const struct fib *fib, const struct fib_route *after, struct fib_route *v, unsigned int max)
{
	struct fib_route at = {.dst = {.family = 6}, .plen = FIB6_FIRST};
	unsigned int n = 0;

	if (after != NULL && after->dst.family == 6)
		at = *after;
	while (n < max && fib6_next(fib->fib6, at.dst.b, &at.plen, &at.nh) == 0)
		v[n++] = at;
	return n;
}

unsigned int
fib_route_page(
	const struct fib *fib, const struct fib_route *after, struct fib_route *v, unsigned int max)
{
	struct rte_rib *rib = fib4_rib(fib->fib4);
	struct rte_rib_node *node;
	unsigned int n = 0;
	uint32_t ip;
	uint64_t nh;

	if (after != NULL && after->dst.family == 6)
		return page6(fib, after, v, max);
	if (after != NULL) {
		node = route_after(rib, rte_be_to_cpu_32(after->dst.v4), after->plen);
	} else {
		node = rte_rib_get_nxt(rib, 0, 0, NULL, RTE_RIB_GET_NXT_ALL);
		if (node == NULL)
			node = rte_rib_lookup_exact(rib, 0, 0);
	}
	for (; node != NULL && n < max; n++) {
		rte_rib_get_ip(node, &ip);
		rte_rib_get_depth(node, &v[n].plen);
		rte_rib_get_nh(node, &nh);
		v[n].dst = (struct ip_addr){.family = 4, .v4 = rte_cpu_to_be_32(ip)};
		v[n].nh = nh;
		node = route_after(rib, ip, v[n].plen);
	}
	return n + page6(fib, NULL, v + n, max - n);
}

uint32_t
fib_route_count(const struct fib *fib)
{
	return fib->routes;
}

uint32_t
fib_lookup(const struct fib *fib, const struct ip_addr *dst)
{
	uint32_t ip = rte_be_to_cpu_32(dst->v4);
	uint64_t nh = 0;

	const uint8_t *addr = dst->b;

	if (dst->family == 4)
		fib4_lookup(fib->fib4, &ip, &nh, 1);
	else if (dst->family == 6)
		fib6_lookup(fib->fib6, &addr, &nh, 1);
	return nh;
}

void
fib_lookup4_bulk(const struct fib *fib, const uint32_t *dst, uint64_t *nh, unsigned int n)
{
	fib4_lookup(fib->fib4, dst, nh, n);
}

void
fib_lookup6_bulk(const struct fib *fib, const uint8_t *const *dst, uint64_t *nh, unsigned int n)
{
	fib6_lookup(fib->fib6, dst, nh, n);
}

uint16_t
fib_nh_mtu(const struct fib *fib, uint32_t nh)
{
	const struct nexthop *n = &fib->view.nh[nh];
	uint16_t mtu = n->mtu;

	for (unsigned int i = 0; n->type == NH_MULTIPATH && i < n->n; i++) {
		uint16_t member = fib->view.nh[fib->members[nh][i]].mtu;

		/* 0: not known, or by an interface that is not ours. */
		if (member != 0 && (mtu == 0 || member < mtu))
			mtu = member;
	}
	return mtu;
}

uint32_t
fib_multipath(const struct fib *fib, const struct nexthop *nh, uint32_t hash)
{
	return fib->members[nh - fib->view.nh][(uint64_t)hash * nh->n >> 32];
}

static void
free_local(void *ctx, void *obj)
{
	(void)ctx;
	rte_free(obj);
}

static void
add_local(struct fib_local *set, const struct ip_addr *a)
{
	uint64_t v6[2];
	uint32_t at;

	memcpy(v6, a->b, sizeof(v6));
	if (a->family == 4 && a->v4 != 0) {
		for (at = fib_local_hash4(a->v4) & set->mask; set->addr[at] != 0;)
			at = (at + 1) & set->mask;
		set->addr[at] = a->v4;
	} else if (a->family == 6 && (v6[0] | v6[1]) != 0) {
		for (at = fib_local_hash6(v6) & set->mask6;
			(set->addr6[at][0] | set->addr6[at][1]) != 0;)
			at = (at + 1) & set->mask6;
		memcpy(set->addr6[at], v6, sizeof(v6));
	}
}

int
fib_local_set(struct fib *fib, const struct ip_addr *addrs, unsigned int n)
{
	struct fib_local *set, *old = fib->view.local;
	unsigned int n6 = 0;

	for (unsigned int i = 0; i < n; i++)
		n6 += addrs[i].family == 6;
	set = make_local(n - n6, n6);
	if (set == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		add_local(set, &addrs[i]);
	atomic_store_explicit(&fib->view.local, set, memory_order_release);
	rcu_defer(fib->rcu, free_local, NULL, old);
	return 0;
}

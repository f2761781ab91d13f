/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_rib.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#define MIN_BUCKETS 1024
#define SWEEP_BUCKETS 4096 /* a turn: at worst some milliseconds, when all goes */

struct rib {
	struct rib_prefix **buckets;
	size_t n_buckets; /* a power of two */
	size_t n;
	rib_changed_t changed;
	void *ctx;
};

struct rib *
rib_create(rib_changed_t changed, void *ctx)
{
	struct rib *rib = calloc(1, sizeof(*rib));

	if (rib == NULL)
		return NULL;
	rib->buckets = calloc(MIN_BUCKETS, sizeof(*rib->buckets));
	if (rib->buckets == NULL) {
		free(rib);
		return NULL;
	}
	rib->n_buckets = MIN_BUCKETS;
	rib->changed = changed;
	rib->ctx = ctx;
	return rib;
}

void
rib_destroy(struct rib *rib)
{
	if (rib == NULL)
		return;
	for (size_t i = 0; i < rib->n_buckets; i++) {
		struct rib_prefix *p, *next;

		for (p = rib->buckets[i]; p != NULL; p = next) {
			next = p->next;
			while (p->routes != NULL) {
				struct rib_route *r = p->routes;

				p->routes = r->next;
				free(r);
			}
			free(p);
		}
	}
	free(rib->buckets);
	free(rib);
}

struct rib_route *
rib_route_new(unsigned int n_hops)
{
	struct rib_route *r = calloc(1, sizeof(*r) + n_hops * sizeof(r->hops[0]));

	if (r != NULL)
		r->n_hops = n_hops;
	return r;
}

size_t
rib_count(const struct rib *rib)
{
	return rib->n;
}

static size_t
bucket_of(const struct ip_addr *dst, uint8_t plen, size_t n_buckets)
{
	uint64_t h = dst->v6[0] ^ (dst->v6[1] * 0x9e3779b97f4a7c15u) ^ plen;

	/* The finisher of MurmurHash3. */
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
	return (h ^ (h >> 33)) & (n_buckets - 1);
}

struct rib_prefix *
rib_find(const struct rib *rib, const struct ip_addr *dst, uint8_t plen)
{
	struct rib_prefix *p = rib->buckets[bucket_of(dst, plen, rib->n_buckets)];

	while (p != NULL && (p->plen != plen || !addr_equal(&p->dst, dst)))
		p = p->next;
	return p;
}

static bool
usable(const struct rib_route *r)
{
	return r->type != RTN_UNICAST || r->n_hops > 0;
}

/* Whether it ends the lookup in charon's table alone. */
static bool
thrown(const struct rib_route *r)
{
	return r->rank == RIB_CHARON && r->type == RTN_THROW;
}

const struct rib_route *
rib_best(const struct rib_prefix *p)
{
	const struct rib_route *r, *last = NULL;

	for (r = p->routes; r != NULL; r = r->next) {
		if (usable(r) && !thrown(r))
			return r;
		if (thrown(r))
			last = r;
	}
	return last;
}

const struct rib_route *
rib_thrown(const struct rib *rib, const struct rib_prefix *p)
{
	for (int plen = p->plen - 1; plen >= 0; plen--) {
		const struct rib_prefix *covering;
		struct ip_addr net = p->dst;

		addr_mask(&net, plen);
		covering = rib_find(rib, &net, plen);
		if (covering == NULL)
			continue;
		for (const struct rib_route *r = covering->routes; r != NULL; r = r->next)
			if (r->rank != RIB_CHARON && usable(r))
				return r;
	}
	return NULL;
}

static bool
same_key(const struct rib_route *a, const struct rib_route *b)
{
	return a->rank == b->rank && a->metric == b->metric;
}

static bool
same_route(const struct rib_route *a, const struct rib_route *b)
{
	return same_key(a, b) && a->type == b->type && a->mtu == b->mtu && a->encap == b->encap &&
	       a->n_hops == b->n_hops &&
	       memcmp(a->hops, b->hops, a->n_hops * sizeof(a->hops[0])) == 0;
}

/* Doubles the table; without memory it stays as it is, only slower. */
static void
grow(struct rib *rib)
{
	size_t n = rib->n_buckets * 2;
	struct rib_prefix **v = calloc(n, sizeof(*v));

	if (v == NULL)
		return;
	for (size_t i = 0; i < rib->n_buckets; i++) {
		struct rib_prefix *p, *next;

		for (p = rib->buckets[i]; p != NULL; p = next) {
			size_t b = bucket_of(&p->dst, p->plen, n);

			next = p->next;
			p->next = v[b];
			v[b] = p;
		}
	}
	free(rib->buckets);
	rib->buckets = v;
	rib->n_buckets = n;
}

static struct rib_prefix *
find_or_add(struct rib *rib, const struct ip_addr *dst, uint8_t plen)
{
	struct rib_prefix *p = rib_find(rib, dst, plen);
	size_t b;

	if (p != NULL)
		return p;
	if (rib->n >= rib->n_buckets)
		grow(rib);
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->dst = *dst;
	p->plen = plen;
	b = bucket_of(dst, plen, rib->n_buckets);
	p->next = rib->buckets[b];
	rib->buckets[b] = p;
	rib->n++;
	return p;
}

/* Tells of a new best route, and frees the prefix when nothing is left. */
static void
settle(struct rib *rib, struct rib_prefix *p, bool changed)
{
	struct rib_prefix **link;

	if (changed)
		rib->changed(rib->ctx, p);
	if (p->routes != NULL)
		return;
	link = &rib->buckets[bucket_of(&p->dst, p->plen, rib->n_buckets)];
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	rib->n--;
	free(p);
}

static bool
before(const struct rib_route *a, const struct rib_route *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->metric < b->metric;
}

int
rib_add(struct rib *rib, const struct ip_addr *dst, uint8_t plen, struct rib_route *route,
	enum rib_how how)
{
	struct rib_prefix *p = find_or_add(rib, dst, plen);
	struct rib_route **link, *replaced = NULL, *r;
	const struct rib_route *best;
	bool changed;

	if (p == NULL) {
		free(route);
		return -ENOMEM;
	}
	for (r = p->routes; r != NULL; r = r->next)
		if (how == RIB_REPLACE ? same_key(r, route) : same_route(r, route))
			break;
	if (r != NULL && same_route(r, route)) {
		r->generation = route->generation;
		free(route);
		return 0;
	}

	best = rib_best(p);
	link = &p->routes;
	while (*link != NULL && before(*link, route))
		link = &(*link)->next;
	if (how == RIB_REPLACE && *link != NULL && same_key(*link, route)) {
		replaced = *link;
		*link = replaced->next;
	}
	if (how == RIB_APPEND)
		while (*link != NULL && same_key(*link, route))
			link = &(*link)->next;
	route->next = *link;
	*link = route;
	changed = rib_best(p) != best;
	free(replaced);
	settle(rib, p, changed);
	return 0;
}

static bool
has_hop(const struct rib_route *r, const struct rib_hop *hop)
{
	for (unsigned int i = 0; i < r->n_hops; i++)
		if (r->hops[i].ifindex == hop->ifindex && addr_equal(&r->hops[i].gw, &hop->gw))
			return true;
	return false;
}

/* Of the first route's hops, those that the second names too, whatever their weights. */
static unsigned int
shared_hops(const struct rib_route *r, const struct rib_route *named)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->n_hops; i++)
		n += has_hop(named, &r->hops[i]);
	return n;
}

static void
take_out_hops(struct rib_route *r, const struct rib_route *named)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->n_hops; i++)
		if (!has_hop(named, &r->hops[i]))
			r->hops[n++] = r->hops[i];
	r->n_hops = n;
	if (n == 1)
		r->hops[0].weight = 1;
}

int
rib_del(struct rib *rib, const struct ip_addr *dst, uint8_t plen, const struct rib_route *route)
{
	struct rib_prefix *p = rib_find(rib, dst, plen);
	struct rib_route **link, **near = NULL, *gone;
	const struct rib_route *best;
	unsigned int shared = 0;
	bool changed;

	if (p == NULL)
		return -ENOENT;
	for (link = &p->routes; *link != NULL; link = &(*link)->next) {
		unsigned int n;

		if (same_route(*link, route))
			break;
		if (!same_key(*link, route) || (*link)->type != route->type)
			continue;
		n = shared_hops(*link, route);
		if (near == NULL || (shared == 0 && n > 0)) {
			near = link;
			shared = n;
		}
	}
	if (*link == NULL && near == NULL)
		return -ENOENT;
	best = rib_best(p);
	if (*link == NULL && dst->family == 6 && shared < (*near)->n_hops) {
		if (shared == 0)
			return -EAGAIN;
		take_out_hops(*near, route);
		settle(rib, p, *near == best);
		return 0;
	}
	if (*link == NULL)
		link = near;
	gone = *link;
	*link = gone->next;
	changed = rib_best(p) != best;
	free(gone);
	settle(rib, p, changed);
	return 0;
}

static void
sweep_prefix(struct rib *rib, struct rib_prefix *p, uint32_t generation)
{
	const struct rib_route *best = rib_best(p);
	struct rib_route **link = &p->routes, *gone = NULL, *r;
	bool changed;

	while (*link != NULL) {
		r = *link;
		if (r->rank == RIB_NEIGHBOUR || r->generation == generation) {
			link = &r->next;
			continue;
		}
		*link = r->next;
		r->next = gone;
		gone = r;
	}
	if (gone == NULL)
		return;
	changed = rib_best(p) != best;
	while (gone != NULL) {
		r = gone;
		gone = r->next;
		free(r);
	}
	settle(rib, p, changed);
}

bool
rib_sweep(struct rib *rib, uint32_t generation, size_t *cursor)
{
	size_t end = *cursor + SWEEP_BUCKETS;

	if (end > rib->n_buckets)
		end = rib->n_buckets;
	for (; *cursor < end; (*cursor)++) {
		struct rib_prefix *p, *next;

		for (p = rib->buckets[*cursor]; p != NULL; p = next) {
			next = p->next;
			sweep_prefix(rib, p, generation);
		}
	}
	return *cursor < rib->n_buckets;
}

void
rib_retry(struct rib *rib)
{
	for (size_t i = 0; i < rib->n_buckets; i++)
		for (struct rib_prefix *p = rib->buckets[i]; p != NULL; p = p->next)
			if (p->refused)
				rib->changed(rib->ctx, p);
}

static bool
leads_by(const struct rib_prefix *p, uint32_t ifindex)
{
	for (const struct rib_route *r = p->routes; r != NULL; r = r->next)
		for (unsigned int i = 0; i < r->n_hops; i++)
			if (r->hops[i].ifindex == ifindex)
				return true;
	return false;
}

void
rib_resettle(struct rib *rib, uint32_t ifindex)
{
	for (size_t i = 0; i < rib->n_buckets; i++)
		for (struct rib_prefix *p = rib->buckets[i]; p != NULL; p = p->next)
			if (leads_by(p, ifindex))
				rib->changed(rib->ctx, p);
}

unsigned int
rib_spread(const struct rib_route *route, unsigned int max, unsigned int *slots)
{
	unsigned int n = route->n_hops < max ? route->n_hops : max;
	uint64_t sum = 0;
	unsigned int used = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += route->hops[i].weight;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t share = route->hops[i].weight;

		if (sum > max)
			share = (share * max + sum / 2) / sum;
		slots[i] = share > 0 ? share : 1;
		used += slots[i];
	}
	/* Rounded up too often: the largest gives. */
	while (used > max) {
		unsigned int most = 0;

		for (unsigned int i = 1; i < n; i++)
			if (slots[i] > slots[most])
				most = i;
		slots[most]--;
		used--;
	}
	return used;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

/* From the kernel's routes, as host_rib.c orders them, to the FIB's. */

void
host_route_msg(struct host *h, struct nlmsghdr *nlh, bool in_dump)
{
	enum rib_how how = RIB_PREPEND;
	struct rib_route *r;
	struct ip_addr dst;
	uint8_t plen;

	r = host_route_parse(nlh, &dst, &plen);
	if (r == NULL)
		return;
	r->generation = h->generation;
	if (nlh->nlmsg_type == RTM_DELROUTE) {
		if (rib_del(h->rib, &dst, plen, r) == -EAGAIN)
			host_netlink_reread(h);
		free(r);
		return;
	}
	if (in_dump || (nlh->nlmsg_flags & NLM_F_APPEND) != 0)
		how = RIB_APPEND;
	/* IPv6 tells of an added hop with the whole route. */
	if ((nlh->nlmsg_flags & NLM_F_REPLACE) != 0 ||
		(!in_dump && how == RIB_APPEND && dst.family == 6))
		how = RIB_REPLACE;
	if (rib_add(h->rib, &dst, plen, r, how) < 0)
		LOG(ERR, "out of memory: a route of the kernel is missing");
}

/* The next hop of one hop; *put: with a reference that the caller gives back. */
static int
hop_nh(struct host *h, const struct rib_prefix *p, const struct rib_route *r,
	const struct rib_hop *hop, uint32_t *nh, bool *put)
{
	struct host_tap *tap = host_tap_of_ifindex(h, hop->ifindex);
	const struct ip_addr *neighbour = hop->gw.family != 0 ? &hop->gw : &p->dst;

	*put = false;
	if (tap == NULL || r->encap || (hop->gw.family != 0 && hop->gw.family != p->dst.family)) {
		*nh = h->nh_foreign;
		return 0;
	}
	if (hop->gw.family == 0 && p->plen < addr_bits(&p->dst)) {
		*nh = tap->glean;
		return 0;
	}
	*put = true;
	return fib_nh_adj(h->fib, tap->port_id, neighbour, tap->mac, tap->mtu, nh);
}

/*
 * Several hops, or one with an MTU of the route's own: adjacencies are shared by all routes to a neighbour,
 * so that MTU stands in the multipath next hop before them.
 */
static int
multipath_nh(struct host *h, const struct rib_prefix *p, const struct rib_route *r, uint32_t *nh)
{
	uint32_t members[FIB_MAX_MULTIPATH], refs[FIB_MAX_MULTIPATH];
	unsigned int slots[FIB_MAX_MULTIPATH], n = 0, n_refs = 0, hops;
	int ret = 0;

	rib_spread(r, FIB_MAX_MULTIPATH, slots);
	hops = r->n_hops < FIB_MAX_MULTIPATH ? r->n_hops : FIB_MAX_MULTIPATH;
	for (unsigned int i = 0; ret == 0 && i < hops; i++) {
		uint32_t member;
		bool put;

		ret = hop_nh(h, p, r, &r->hops[i], &member, &put);
		if (ret < 0)
			break;
		if (put)
			refs[n_refs++] = member;
		for (unsigned int j = 0; j < slots[i]; j++)
			members[n++] = member;
	}
	if (ret == 0)
		ret = fib_nh_multipath(h->fib, members, n, nh);
	if (ret == 0)
		fib_nh(h->fib, *nh)->mtu = r->mtu < UINT16_MAX ? r->mtu : 0;
	for (unsigned int i = 0; i < n_refs; i++)
		fib_nh_put(h->fib, refs[i]);
	return ret;
}

static int
route_nh(struct host *h, const struct rib_prefix *p, const struct rib_route *r, uint32_t *nh,
	bool *put)
{
	const struct host_tap *tap;

	*put = false;
	switch (r->type) {
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
		*nh = h->nh_local;
		return 0;
	case RTN_BLACKHOLE:
		*nh = h->nh_blackhole;
		return 0;
	case RTN_UNICAST:
		break;
	default:
		/* Throw ends the lookup in the last table that we have: Linux says unreachable too. */
		*nh = h->nh_unreachable;
		return 0;
	}
	tap = host_tap_of_ifindex(h, r->hops[0].ifindex);
	if (r->n_hops == 1 &&
		(r->mtu == 0 || tap == NULL || r->mtu >= tap->mtu || r->hops[0].gw.family == 0))
		return hop_nh(h, p, r, &r->hops[0], nh, put);
	*put = true;
	return multipath_nh(h, p, r, nh);
}

static bool
in_glean(const struct host *h, const struct rib_prefix *p)
{
	const struct rib_prefix *g;

	LIST_FOREACH (g, &h->gleans, glean) {
		if (g->plen < p->plen && addr_in(&p->dst, &g->dst, g->plen))
			return true;
	}
	return false;
}

/* Keeps the lists of our own addresses and of connected subnets. */
static void
classify(struct host *h, struct rib_prefix *p, const struct rib_route *r)
{
	bool host_route = p->plen == addr_bits(&p->dst);
	bool local = r != NULL && host_route &&
		     (r->type == RTN_LOCAL || r->type == RTN_BROADCAST || r->type == RTN_ANYCAST);
	const struct host_tap *tap = NULL;
	bool glean;

	if (r != NULL && r->type == RTN_UNICAST && r->n_hops == 1 && !r->encap && !host_route &&
		r->hops[0].gw.family == 0)
		tap = host_tap_of_ifindex(h, r->hops[0].ifindex);
	glean = tap != NULL;

	if (local != p->is_local) {
		if (local)
			LIST_INSERT_HEAD(&h->locals, p, local);
		else
			LIST_REMOVE(p, local);
		p->is_local = local;
		h->locals_changed = true;
	}
	/* What a /32 does to neighbours is only its own and settled in its prefix. */
	if (!host_route && (glean || p->is_glean || in_glean(h, p)))
		h->neigh_check = true;
	if (glean != p->is_glean) {
		if (glean)
			LIST_INSERT_HEAD(&h->gleans, p, glean);
		else
			LIST_REMOVE(p, glean);
		p->is_glean = glean;
	}
	if (glean)
		p->glean_port = tap->port_id;
}

static bool
is_thrown(const struct rib_route *r)
{
	return r != NULL && r->rank == RIB_CHARON && r->type == RTN_THROW;
}

/* The route as the FIB shall have it. A throw that nothing covers stays what it is: unreachable. */
static const struct rib_route *
effective(const struct host *h, const struct rib_prefix *p)
{
	const struct rib_route *r = rib_best(p), *covering;

	if (!is_thrown(r))
		return r;
	covering = rib_thrown(h->rib, p);
	return covering != NULL ? covering : r;
}

static void
keep_throw(struct host *h, struct rib_prefix *p)
{
	bool is_throw = is_thrown(rib_best(p));

	if (is_throw == p->is_throw)
		return;
	if (is_throw)
		LIST_INSERT_HEAD(&h->throws, p, thrown);
	else
		LIST_REMOVE(p, thrown);
	p->is_throw = is_throw;
}

static void
settle_route(struct host *h, struct rib_prefix *p)
{
	const struct rib_route *r = effective(h, p);
	char buf[ADDR_STRLEN];
	uint32_t nh = 0;
	bool put = false;
	int ret = 0;

	classify(h, p, r);
	p->refused = false;
	if (r != NULL) {
		ret = route_nh(h, p, r, &nh, &put);
		if (ret == 0) {
			ret = fib_route_set(h->fib, &p->dst, p->plen, nh);
			if (put)
				fib_nh_put(h->fib, nh);
		}
		if (ret == 0) {
			p->in_fib = true;
			return;
		}
	}
	if (p->in_fib)
		fib_route_del(h->fib, &p->dst, p->plen);
	p->in_fib = false;
	if (ret == 0 || ret == -ENOTSUP)
		return;
	p->refused = true;
	if (!h->fib_full)
		LOG(ERR, "route %s (and others) cannot be added: %s",
			addr_prefix_str(&p->dst, p->plen, buf), strerror(-ret));
	h->fib_full = true;
	h->fib_count = fib_route_count(h->fib);
	h->fib_waited = 0;
}

static void
route_changed(void *ctx, struct rib_prefix *p)
{
	struct host *h = ctx;
	struct rib_prefix *t;

	keep_throw(h, p);
	settle_route(h, p);
	/* What charon lets pass follows the route that covers it. */
	LIST_FOREACH (t, &h->throws, thrown)
		if (t != p && t->plen > p->plen && addr_in(&t->dst, &p->dst, p->plen))
			settle_route(h, t);
}

void
host_routes_retry(struct host *h)
{
	/* Routes went, or perhaps only next hops: that is not seen, so now and then. */
	if (!h->fib_full || (fib_route_count(h->fib) >= h->fib_count && ++h->fib_waited < 10))
		return;
	h->fib_full = false;
	rib_retry(h->rib);
}

void
host_routes_flush(struct host *h)
{
	const struct rib_prefix *p;
	struct ip_addr *addrs;
	unsigned int n = 0;

	if (!h->locals_changed)
		return;
	LIST_FOREACH (p, &h->locals, local)
		n++;
	addrs = calloc(n + 1, sizeof(*addrs));
	if (addrs == NULL)
		return; /* the flag stands: tried again with the next message */
	n = 0;
	LIST_FOREACH (p, &h->locals, local)
		addrs[n++] = p->dst;
	if (fib_local_set(h->fib, addrs, n) == 0)
		h->locals_changed = false;
	else
		LOG(ERR, "our own addresses cannot be set: out of memory");
	free(addrs);
}

void
host_route_neighbour(
	struct host *h, const struct host_tap *tap, const struct ip_addr *addr, bool add)
{
	struct rib_route *r = rib_route_new(1);

	if (r == NULL)
		return;
	r->rank = RIB_NEIGHBOUR;
	r->type = RTN_UNICAST;
	r->hops[0] = (struct rib_hop){.ifindex = tap->ifindex, .weight = 1};
	if (add) {
		rib_add(h->rib, addr, addr_bits(addr), r, RIB_PREPEND);
	} else {
		rib_del(h->rib, addr, addr_bits(addr), r);
		free(r);
	}
}

bool
host_route_on_link(const struct host *h, const struct host_tap *tap, const struct ip_addr *addr)
{
	for (int plen = addr_bits(addr) - 1; plen >= 0; plen--) {
		const struct rib_prefix *p;
		struct ip_addr net = *addr;

		addr_mask(&net, plen);
		p = rib_find(h->rib, &net, plen);
		if (p != NULL && rib_best(p) != NULL)
			return p->is_glean && p->glean_port == tap->port_id;
	}
	return false;
}

int
host_routes_start(struct host *h)
{
	int ret;

	LIST_INIT(&h->locals);
	LIST_INIT(&h->gleans);
	LIST_INIT(&h->throws);
	h->rib = rib_create(route_changed, h);
	if (h->rib == NULL) {
		LOG(ERR, "Linux mirror: out of memory");
		return -ENOMEM;
	}
	ret = fib_nh_new(h->fib, NH_LOCAL, 0, 0, &h->nh_local);
	if (ret == 0)
		ret = fib_nh_new(h->fib, NH_BLACKHOLE, 0, 0, &h->nh_blackhole);
	if (ret == 0)
		ret = fib_nh_new(h->fib, NH_UNREACHABLE, 0, 0, &h->nh_unreachable);
	if (ret == 0)
		ret = fib_nh_new(h->fib, NH_FOREIGN, 0, 0, &h->nh_foreign);
	for (unsigned int i = 0; ret == 0 && i < h->n_taps; i++)
		ret = fib_nh_new(
			h->fib, NH_GLEAN, h->taps[i].port_id, h->taps[i].mtu, &h->taps[i].glean);
	if (ret < 0)
		LOG(ERR, "next hops of the mirror: %s", strerror(-ret));
	return ret;
}

void
host_routes_stop(struct host *h)
{
	rib_destroy(h->rib);
	h->rib = NULL;
	fib_nh_put(h->fib, h->nh_local);
	fib_nh_put(h->fib, h->nh_blackhole);
	fib_nh_put(h->fib, h->nh_unreachable);
	fib_nh_put(h->fib, h->nh_foreign);
	for (unsigned int i = 0; i < h->n_taps; i++)
		if (h->taps[i].fd >= 0)
			fib_nh_put(h->fib, h->taps[i].glean);
}

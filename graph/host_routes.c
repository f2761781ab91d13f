/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/attr.h>

/*
 * From the kernel's routes to the FIB's. Messages are read with libnl's attribute functions instead of its
 * route objects, which in 3.7 refuse routes with an encapsulation they do not know and would hide
 * them from us, and which cost several times the memory of a full table.
 *
 * The kernel asks its tables one after the other; here one prefix has one route, of the first table that has
 * it. That differs only when a shorter prefix of an earlier table covers a longer one of a later.
 */

static bool
parse_addr(const struct nlattr *a, uint8_t family, struct ip_addr *addr)
{
	int len = family == AF_INET ? 4 : 16;

	memset(addr, 0, sizeof(*addr));
	if (nla_len(a) != len)
		return false;
	addr->family = family == AF_INET ? 4 : 6;
	memcpy(addr->b, nla_data(a), len);
	return true;
}

/* RTA_GATEWAY, or RTA_VIA: a gateway of the other family. */
static bool
parse_gateway(struct nlattr **tb, uint8_t family, struct ip_addr *gw)
{
	const struct rtvia *via;

	if (tb[RTA_GATEWAY] != NULL)
		return parse_addr(tb[RTA_GATEWAY], family, gw);
	if (tb[RTA_VIA] == NULL)
		return true;
	via = nla_data(tb[RTA_VIA]);
	memset(gw, 0, sizeof(*gw));
	if (nla_len(tb[RTA_VIA]) != (int)sizeof(*via) + 16 || via->rtvia_family != AF_INET6)
		return false;
	gw->family = 6;
	memcpy(gw->b, via->rtvia_addr, 16);
	return true;
}

/* RTA_MULTIPATH: only the hops that are alive. */
static bool
parse_multipath(const struct nlattr *a, uint8_t family, struct rib_route **route)
{
	const struct rtnexthop *nh = nla_data(a);
	unsigned int n = 0;
	int left = nla_len(a);
	struct rib_route *r;

	*route = r = rib_route_new(left / sizeof(*nh));
	if (r == NULL)
		return false;
	r->n_hops = 0;
	for (; RTNH_OK(nh, left); left -= NLMSG_ALIGN(nh->rtnh_len), nh = RTNH_NEXT(nh)) {
		struct nlattr *tb[RTA_MAX + 1];

		if (nla_parse(tb, RTA_MAX, (struct nlattr *)RTNH_DATA(nh),
			    nh->rtnh_len - sizeof(*nh), NULL) < 0 ||
			!parse_gateway(tb, family, &r->hops[n].gw))
			return false;
		if (nh->rtnh_flags & RTNH_F_DEAD) {
			memset(&r->hops[n], 0, sizeof(r->hops[n]));
			continue;
		}
		if (tb[RTA_ENCAP] != NULL)
			r->encap = true;
		r->hops[n].ifindex = nh->rtnh_ifindex;
		r->hops[n].weight = nh->rtnh_hops + 1u;
		n++;
	}
	r->n_hops = n;
	return true;
}

static int
rank_of(const struct rtmsg *rtm, struct nlattr **tb)
{
	uint32_t table = rtm->rtm_table;

	if (tb[RTA_TABLE] != NULL && nla_len(tb[RTA_TABLE]) == sizeof(uint32_t))
		table = nla_get_u32(tb[RTA_TABLE]);
	switch (table) {
	case RT_TABLE_LOCAL:
		return RIB_LOCAL;
	case RT_TABLE_MAIN:
		return RIB_MAIN;
	case RT_TABLE_DEFAULT:
		return RIB_DEFAULT;
	default:
		return -1;
	}
}

/* Whether routes of that kind are mirrored. Routes by TOS are not: no lookup here knows it. */
static bool
wanted(const struct rtmsg *rtm)
{
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return false;
	if (rtm->rtm_dst_len > (rtm->rtm_family == AF_INET ? 32 : 128))
		return false;
	if (rtm->rtm_tos != 0 || (rtm->rtm_flags & RTM_F_CLONED) != 0)
		return false;
	switch (rtm->rtm_type) {
	case RTN_UNICAST:
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
	case RTN_THROW:
		return true;
	default:
		return false;
	}
}

static bool
loopback(const struct ip_addr *a)
{
	static const struct ip_addr one6 = {.family = 6, .b = {[15] = 1}};

	return a->family == 4 ? a->b[0] == 127 : addr_equal(a, &one6);
}

static void
parse_metrics(const struct nlattr *a, struct rib_route *r)
{
	struct nlattr *tb[RTAX_MAX + 1];

	if (nla_parse_nested(tb, RTAX_MAX, (struct nlattr *)(uintptr_t)a, NULL) == 0 &&
		tb[RTAX_MTU] != NULL && nla_len(tb[RTAX_MTU]) == sizeof(uint32_t))
		r->mtu = nla_get_u32(tb[RTAX_MTU]);
}

/* Returns the route, or NULL for one that is not mirrored or not understood. */
static struct rib_route *
parse(struct nlmsghdr *nlh, struct ip_addr *dst, uint8_t *plen)
{
	const struct rtmsg *rtm = nlmsg_data(nlh);
	struct rib_route *r = NULL;
	struct nlattr *tb[RTA_MAX + 1];
	int rank;

	if (nlmsg_parse(nlh, sizeof(*rtm), tb, RTA_MAX, NULL) < 0 || !wanted(rtm))
		return NULL;
	rank = rank_of(rtm, tb);
	*plen = rtm->rtm_dst_len;
	memset(dst, 0, sizeof(*dst));
	dst->family = rtm->rtm_family == AF_INET ? 4 : 6;
	if (rank < 0 || (tb[RTA_DST] != NULL && !parse_addr(tb[RTA_DST], rtm->rtm_family, dst)))
		return NULL;
	addr_mask(dst, *plen);
	if (loopback(dst) && *plen >= 8)
		return NULL;
	if (rtm->rtm_type == RTN_UNICAST && tb[RTA_MULTIPATH] != NULL) {
		if (!parse_multipath(tb[RTA_MULTIPATH], rtm->rtm_family, &r)) {
			free(r);
			return NULL;
		}
	} else {
		bool hop = rtm->rtm_type == RTN_UNICAST && (rtm->rtm_flags & RTNH_F_DEAD) == 0 &&
			   tb[RTA_OIF] != NULL && nla_len(tb[RTA_OIF]) == sizeof(uint32_t);

		r = rib_route_new(hop);
		if (r == NULL)
			return NULL;
		if (hop) {
			r->hops[0].ifindex = nla_get_u32(tb[RTA_OIF]);
			r->hops[0].weight = 1;
			if (!parse_gateway(tb, rtm->rtm_family, &r->hops[0].gw)) {
				free(r);
				return NULL;
			}
		}
	}
	r->rank = rank;
	r->type = rtm->rtm_type;
	r->encap |= tb[RTA_ENCAP] != NULL;
	if (tb[RTA_PRIORITY] != NULL && nla_len(tb[RTA_PRIORITY]) == sizeof(uint32_t))
		r->metric = nla_get_u32(tb[RTA_PRIORITY]);
	if (tb[RTA_METRICS] != NULL)
		parse_metrics(tb[RTA_METRICS], r);
	return r;
}

void
host_route_msg(struct host *h, struct nlmsghdr *nlh, bool in_dump)
{
	enum rib_how how = RIB_PREPEND;
	struct rib_route *r;
	struct ip_addr dst;
	uint8_t plen;

	r = parse(nlh, &dst, &plen);
	if (r == NULL)
		return;
	r->generation = h->generation;
	if (nlh->nlmsg_type == RTM_DELROUTE) {
		rib_del(h->rib, &dst, plen, r);
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

static void
route_changed(void *ctx, struct rib_prefix *p)
{
	struct host *h = ctx;
	const struct rib_route *r = rib_best(p);
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
	h->rib = rib_create(route_changed, h);
	if (h->rib == NULL)
		return -ENOMEM;
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
		fib_nh_put(h->fib, h->taps[i].glean);
}

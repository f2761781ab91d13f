/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/attr.h>

/*
 * Messages are read attribute by attribute, not as libnl's route objects: a route whose encapsulation or
 * nexthop object libnl does not know has to be here too, so that no shorter prefix is used instead.
 *
 * The kernel asks its tables one after the other; here one prefix has one route, of the first table that
 * has it. That differs only when a shorter prefix of an earlier table covers a longer one of a later.
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
	case RIB_CHARON_TABLE:
		return RIB_CHARON;
	case RT_TABLE_MAIN:
		return RIB_MAIN;
	case RT_TABLE_DEFAULT:
		return RIB_DEFAULT;
	default:
		return -1;
	}
}

/* Whether routes of that kind are mirrored. Routes by TOS, and IPv6's by source, are not: no lookup here knows them. */
static bool
wanted(const struct rtmsg *rtm)
{
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return false;
	if (rtm->rtm_dst_len > (rtm->rtm_family == AF_INET ? 32 : 128))
		return false;
	if (rtm->rtm_tos != 0 || rtm->rtm_src_len != 0 || (rtm->rtm_flags & RTM_F_CLONED) != 0)
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

struct rib_route *
host_route_parse(struct nlmsghdr *nlh, struct ip_addr *dst, uint8_t *plen)
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

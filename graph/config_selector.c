/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Which packets a policy is for. */

#define PROTO_ANY 0

static const struct {
	const char *name;
	uint8_t proto;
	uint16_t port_max; /* of its port numbers, or ICMP's type and code; 0: it has none */
} protocols[] = {
	{"any", PROTO_ANY, 0},
	{"tcp", IPPROTO_TCP, 65535},
	{"udp", IPPROTO_UDP, 65535},
	{"sctp", IPPROTO_SCTP, 65535},
	{"dccp", IPPROTO_DCCP, 65535},
	{"udplite", IPPROTO_UDPLITE, 65535},
	{"icmp", IPPROTO_ICMP, 255},
	{"icmpv6", IPPROTO_ICMPV6, 255},
	{"esp", IPPROTO_ESP, 0},
	{"ah", IPPROTO_AH, 0},
	{"gre", IPPROTO_GRE, 0},
	{"ipip", IPPROTO_IPIP, 0},
	{"ospf", 89, 0},
	{"vrrp", 112, 0},
};

/* A number of decimal digits and what ends it; -1 when there is none. */
static long
number(const char *s, char **end)
{
	if (!isdigit((unsigned char)*s))
		return -1;
	errno = 0;
	return strtol(s, end, 10);
}

static int
read_protocol(struct config_load *l, const struct config_where *w, const char *value,
	struct spd_selector *sel, uint16_t *port_max)
{
	char *end = NULL;
	long v;

	*port_max = 0;
	if (value == NULL)
		return 0;
	for (unsigned int i = 0; i < RTE_DIM(protocols); i++)
		if (strcmp(value, protocols[i].name) == 0) {
			sel->proto = protocols[i].proto;
			*port_max = protocols[i].port_max;
			return 0;
		}
	v = number(value, &end);
	if (v < 1 || v > 255 || *end != '\0')
		return config_fail(l, w, "protocol",
			"'%s' is neither any, a known name nor a number from 1 to 255", value);
	sel->proto = v;
	for (unsigned int i = 0; i < RTE_DIM(protocols); i++)
		if (protocols[i].proto == v)
			*port_max = protocols[i].port_max;
	return 0;
}

/* "any", "443", "1024-65535" */
static int
read_ports(struct config_load *l, const struct config_where *w, const char *key, const char *value,
	uint16_t port_max, uint16_t *lo, uint16_t *hi)
{
	char *end = NULL;
	long a, b;

	*lo = 0;
	*hi = 65535;
	if (value == NULL || strcmp(value, "any") == 0)
		return 0;
	a = b = number(value, &end);
	if (a >= 0 && *end == '-')
		b = number(end + 1, &end);
	if (a < 0 || b < 0 || *end != '\0')
		return config_fail(
			l, w, key, "'%s' is not any, a port, or a range like 1024-65535", value);
	if (a > b || b > 65535)
		return config_fail(l, w, key, "'%s' is not a range within 0-65535", value);
	if (a == 0 && b == 65535)
		return 0;
	if (port_max == 0)
		return config_fail(l, w, key,
			"needs a protocol that has ports (tcp, udp, sctp, dccp, udplite, icmp, "
			"icmpv6)");
	if (b > port_max)
		return config_fail(l, w, key, "'%s' is not a range within 0-%u (ICMP type or code)",
			value, port_max);
	*lo = a;
	*hi = b;
	return 0;
}

/* "10.1.0.0/16", "10.1.0.5-10.1.0.20" */
static int
read_addresses(struct config_load *l, const struct config_where *w, const char *key,
	const char *value, struct ip_addr *addr, struct ip_addr *last, uint8_t *plen)
{
	const char *dash = strchr(value, '-');
	char text[ADDR_STRLEN];
	struct ip_addr masked;

	if (dash != NULL) {
		snprintf(text, sizeof(text), "%.*s", (int)(dash - value), value);
		if (addr_parse(text, addr) < 0 || addr_parse(dash + 1, last) < 0)
			return config_fail(l, w, key,
				"'%s' is not a range of addresses (10.1.0.5-10.1.0.20)", value);
		if (addr->family != last->family || memcmp(addr->b, last->b, sizeof(addr->b)) > 0)
			return config_fail(l, w, key,
				"'%s' does not end after it begins, in one family", value);
		return 0;
	}
	if (addr_parse_prefix(value, addr, plen) < 0)
		return config_fail(l, w, key,
			"'%s' is neither a prefix (10.1.0.0/16) nor a range (10.1.0.5-10.1.0.20)",
			value);
	masked = *addr;
	addr_mask(&masked, *plen);
	if (!addr_equal(&masked, addr))
		return config_fail(l, w, key, "'%s' has bits set after its length: %s?", value,
			addr_prefix_str(&masked, *plen, text));
	return 0;
}

int
config_read_selector(struct config_load *l, const struct config_where *w,
	const struct raw_policy *raw, struct spd_selector *sel)
{
	uint16_t port_max;
	int ret;

	ret = read_addresses(
		l, w, "source", raw->source, &sel->src, &sel->src_last, &sel->src_plen);
	if (ret == 0)
		ret = read_addresses(l, w, "destination", raw->destination, &sel->dst,
			&sel->dst_last, &sel->dst_plen);
	if (ret < 0)
		return ret;
	if (sel->src.family != sel->dst.family)
		return config_fail(l, w, "destination", "source and destination differ in family");
	ret = read_protocol(l, w, raw->protocol, sel, &port_max);
	if (ret == 0)
		ret = read_ports(l, w, "source-ports", raw->source_ports, port_max,
			&sel->src_port_lo, &sel->src_port_hi);
	if (ret == 0)
		ret = read_ports(l, w, "destination-ports", raw->destination_ports, port_max,
			&sel->dst_port_lo, &sel->dst_port_hi);
	return ret < 0 ? ret : spd_selector_canonical(sel);
}

/* "5", "0x10/0xff": what packets carry in the bits of the mask; without one all bits count. */
int
config_read_mark(struct config_load *l, const struct config_where *w, const char *value,
	uint32_t *mark, uint32_t *mask)
{
	uint64_t v = 0, m = UINT32_MAX;
	const char *slash;
	char text[32];
	int ret;

	if (value == NULL)
		return 0;
	slash = strchr(value, '/');
	snprintf(text, sizeof(text), "%.*s", slash != NULL ? (int)(slash - value) : 31, value);
	ret = config_number(l, w, "mark", text, &v);
	if (ret == 0 && slash != NULL)
		ret = config_number(l, w, "mark", slash + 1, &m);
	if (ret < 0)
		return ret;
	if (v > UINT32_MAX || m > UINT32_MAX || m == 0 || (v & ~m) != 0)
		return config_fail(l, w, "mark",
			"'%s' is not a mark of 32 bits within its mask (0x10/0xff)", value);
	*mark = v;
	*mask = m;
	return 0;
}

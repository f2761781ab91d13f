/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

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

static int
read_prefix(struct config_load *l, const struct config_where *w, const char *key, const char *value,
	struct ip_addr *addr, uint8_t *plen)
{
	struct ip_addr masked;
	char text[ADDR_STRLEN];

	if (addr_parse_prefix(value, addr, plen) < 0)
		return config_fail(l, w, key, "'%s' is not a prefix (10.1.0.0/16)", value);
	masked = *addr;
	addr_mask(&masked, *plen);
	if (!addr_equal(&masked, addr))
		return config_fail(l, w, key, "'%s' has bits set after its length: %s?", value,
			addr_prefix_str(&masked, *plen, text));
	return 0;
}

static int
read_selector(struct config_load *l, const struct config_where *w, const struct raw_policy *raw,
	struct spd_selector *sel)
{
	uint16_t port_max;
	int ret;

	ret = read_prefix(l, w, "source", raw->source, &sel->src, &sel->src_plen);
	if (ret == 0)
		ret = read_prefix(l, w, "destination", raw->destination, &sel->dst, &sel->dst_plen);
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
	return ret;
}

static int
read_end_point(struct config_load *l, const struct config_where *w, const char *key,
	const char *value, const struct config_sa *sa, const struct ip_addr *of_sa,
	struct ip_addr *out)
{
	if (value == NULL) {
		if (sa != NULL)
			*out = *of_sa;
		return 0;
	}
	if (addr_parse(value, out) < 0)
		return config_fail(l, w, key, "'%s' is not an address", value);
	if (sa != NULL && !addr_equal(out, of_sa))
		return config_fail(l, w, key, "'%s' is not what SA '%s' has", value, sa->name);
	return 0;
}

/* What PROTECT says of the SA; what it leaves out is taken from the static SA that it means. */
static int
read_protection(struct config_load *l, const struct config_where *w, const struct raw_policy *raw,
	struct spd_policy_conf *p)
{
	static const char *const modes[] = {"transport", "tunnel", NULL};
	const struct config_sa *sa;
	unsigned int mode, spi = 0;
	char text[16] = "";
	int ret;

	if (raw->reqid == NULL)
		return config_fail(l, w, "reqid", "is missing: protect means the SAs of a reqid");
	ret = config_uint(l, w, "reqid", raw->reqid, 0, 1, UINT32_MAX, &p->reqid);
	if (ret == 0)
		ret = config_uint(l, w, "spi", raw->spi, 0, 256, UINT32_MAX, &spi);
	if (ret < 0)
		return ret;
	if (spi != 0 && p->dir != SPD_OUT)
		return config_fail(
			l, w, "spi", "is for the direction out: what comes in is matched by reqid");
	p->spi = htonl(spi);
	sa = config_sa_of(l, p->dir == SPD_OUT ? SA_DIR_OUT : SA_DIR_IN, p->reqid, p->spi);
	if (spi != 0)
		snprintf(text, sizeof(text), "0x%x", spi);
	if (sa == NULL && l->config->static_only)
		return config_fail(l, w, spi != 0 ? "spi" : "reqid",
			"ipsec.static-only is set, and no SA %s has reqid %u%s%s",
			p->dir == SPD_OUT ? "out" : "in", p->reqid, spi != 0 ? " and SPI " : "",
			text);
	ret = config_choice(l, w, "mode", raw->mode, modes,
		sa == NULL || sa->conf.mode == SA_MODE_TUNNEL, &mode);
	if (ret < 0)
		return ret;
	p->mode = mode == 0 ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL;
	p->proto = sa != NULL ? sa->conf.proto : IPPROTO_ESP;
	if (sa != NULL && sa->conf.mode != p->mode)
		return config_fail(
			l, w, "mode", "'%s' is not the mode of SA '%s'", raw->mode, sa->name);
	ret = read_end_point(l, w, "tunnel-source", raw->tunnel_source, sa,
		sa != NULL ? &sa->conf.src : NULL, &p->sa_src);
	if (ret == 0)
		ret = read_end_point(l, w, "tunnel-destination", raw->tunnel_destination, sa,
			sa != NULL ? &sa->conf.dst : NULL, &p->sa_dst);
	if (ret == 0 && p->mode == SA_MODE_TRANSPORT &&
		(raw->tunnel_source != NULL || raw->tunnel_destination != NULL))
		return config_fail(l, w, "mode", "transport has no tunnel-source or -destination");
	return ret;
}

static int
read_policy(struct config_load *l, const struct config_where *w, const struct raw_policy *raw,
	struct spd_policy_conf *p)
{
	static const char *const directions[] = {"in", "out", "fwd", NULL}; /* enum spd_dir */
	static const char *const actions[] = {"protect", "bypass", "discard", NULL};
	const struct {
		const char *key;
		bool given;
	} of_sa[] = {
		{"reqid", raw->reqid != NULL},
		{"spi", raw->spi != NULL},
		{"mode", raw->mode != NULL},
		{"tunnel-source", raw->tunnel_source != NULL},
		{"tunnel-destination", raw->tunnel_destination != NULL},
	};
	unsigned int dir, action;
	int ret;

	ret = config_choice(l, w, "direction", raw->direction, directions, 0, &dir);
	if (ret == 0)
		ret = config_choice(l, w, "action", raw->action, actions, 0, &action);
	if (ret == 0)
		ret = config_uint(
			l, w, "priority", raw->priority, 1000, 0, UINT32_MAX, &p->priority);
	if (ret < 0)
		return ret;
	p->dir = dir;
	p->action = SPD_PROTECT + action;
	ret = read_selector(l, w, raw, &p->sel);
	if (ret < 0)
		return ret;
	if (p->action == SPD_PROTECT)
		return read_protection(l, w, raw, p);
	for (unsigned int i = 0; i < RTE_DIM(of_sa); i++)
		if (of_sa[i].given)
			return config_fail(l, w, of_sa[i].key, "is for the action protect, not %s",
				raw->action);
	return 0;
}

static int
compare_selectors(const void *va, const void *vb)
{
	const struct spd_policy_conf *a = va, *b = vb;
	const struct spd_selector *x = &a->sel, *y = &b->sel;
	int ret = a->dir - b->dir;

	if (ret == 0)
		ret = memcmp(&x->src, &y->src, sizeof(x->src));
	if (ret == 0)
		ret = memcmp(&x->dst, &y->dst, sizeof(x->dst));
	if (ret == 0)
		ret = x->src_plen - y->src_plen;
	if (ret == 0)
		ret = x->dst_plen - y->dst_plen;
	if (ret == 0)
		ret = x->proto - y->proto;
	if (ret == 0)
		ret = x->src_port_lo - y->src_port_lo;
	if (ret == 0)
		ret = x->src_port_hi - y->src_port_hi;
	if (ret == 0)
		ret = x->dst_port_lo - y->dst_port_lo;
	if (ret == 0)
		ret = x->dst_port_hi - y->dst_port_hi;
	return ret;
}

static void
keep(void *node)
{
	(void)node;
}

int
config_read_policies(struct config_load *l)
{
	struct config *c = l->config;
	unsigned int n = l->raw->n_policies;
	void *root = NULL;
	int ret;

	if (n > c->limits.policies)
		return config_fail(l, AT("policies", -1), NULL,
			"%u policies, and limits.policies is %u", n, c->limits.policies);
	ret = config_alloc(&c->policies, n, sizeof(*c->policies));
	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		struct spd_policy_conf *p = &c->policies[i], **same;

		c->n_policies++;
		ret = read_policy(l, AT("policies", i), &l->raw->policies[i], p);
		if (ret < 0)
			break;
		same = tsearch(p, &root, compare_selectors);
		if (same == NULL)
			ret = -ENOMEM;
		else if (*same != p)
			ret = config_fail(l, AT("policies", i), NULL,
				"policies[%td] has the same direction and selector",
				*same - c->policies);
	}
	tdestroy(root, keep);
	return ret;
}

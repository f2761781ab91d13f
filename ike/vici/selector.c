/* SPDX-License-Identifier: BSD-3-Clause */
#include "selector.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct parts {
	char prefix[96], protocol[32], port[32];
};

static bool
parse_prefix(const char *text, struct selector *s, const char **why)
{
	char buf[96], *second, *end;
	unsigned long plen;
	unsigned int bits;
	int sep = 0;

	if (strcmp(text, "dynamic") == 0)
		return true;
	snprintf(buf, sizeof(buf), "%s", text);
	second = strpbrk(buf, "/-");
	if (second != NULL) {
		sep = *second;
		*second++ = '\0';
	}
	s->family = strchr(buf, ':') != NULL ? AF_INET6 : AF_INET;
	bits = s->family == AF_INET ? 32 : 128;
	*why = "is not a prefix (10.1.0.0/16), a range (10.1.0.1-10.1.0.9) or dynamic";
	if (inet_pton(s->family, buf, s->from) != 1)
		return false;
	memcpy(s->to, s->from, sizeof(s->to));
	if (sep == '-') {
		if (inet_pton(s->family, second, s->to) != 1)
			return false;
		*why = "is a range from a larger address to a smaller one";
		return memcmp(s->from, s->to, bits / 8) <= 0;
	}
	if (sep == 0)
		return true;
	plen = strtoul(second, &end, 10);
	if (!isdigit((unsigned char)*second) || *end != '\0' || plen > bits)
		return false;
	for (unsigned int i = (unsigned int)plen; i < bits; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i & 7));

		if ((s->from[i / 8] & bit) != 0) {
			*why = "has bits set after its length";
			return false;
		}
		s->to[i / 8] |= bit;
	}
	return true;
}

static bool
parse_protocol(const char *text, struct selector *s)
{
	/* charon asks getprotobyname(), and a machine may lack /etc/protocols. */
	static const struct {
		const char *name;
		uint8_t number;
	} known[] = {{"any", 0}, {"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"gre", 47}, {"icmpv6", 58},
		{"ipv6-icmp", 58}, {"ospf", 89}, {"sctp", 132}, {"udplite", 136}};
	const struct protoent *ent;
	unsigned long v;
	char *end;

	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text, known[i].name) == 0) {
			s->protocol = known[i].number;
			return true;
		}
	v = strtoul(text, &end, 10);
	if (isdigit((unsigned char)*text) && *end == '\0' && v <= 255) {
		s->protocol = (uint8_t)v;
		return true;
	}
	ent = getprotobyname(text);
	if (ent != NULL)
		s->protocol = (uint8_t)ent->p_proto;
	return ent != NULL;
}

static bool
parse_port(const char *text, struct selector *s)
{
	unsigned long from, to;
	char *end;

	s->port_from = 0;
	s->port_to = 65535;
	if (*text == '\0' || strcmp(text, "any") == 0)
		return true;
	if (strcmp(text, "opaque") == 0) {
		s->port_from = 65535;
		s->port_to = 0;
		return true;
	}
	if (!isdigit((unsigned char)*text)) {
		const struct servent *ent = getservbyname(text, NULL);

		if (ent != NULL)
			s->port_from = s->port_to = ntohs((uint16_t)ent->s_port);
		return ent != NULL;
	}
	from = to = strtoul(text, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		to = strtoul(end + 1, &end, 10);
	if (*end != '\0' || from > to || to > 65535)
		return false;
	s->port_from = (uint16_t)from;
	s->port_to = (uint16_t)to;
	return true;
}

/* "prefix[protocol/port]" or a mapping, taken apart. */
static bool
split(const struct ike_file *f, size_t node, struct parts *p)
{
	const struct config_node *n = &f->t.nodes[node];
	const char *v, *open, *slash, *close;

	*p = (struct parts){.protocol = "any"};
	if (n->kind == CONFIG_MAPPING) {
		v = ike_file_text(f, node, "prefix");
		snprintf(p->prefix, sizeof(p->prefix), "%s", v != NULL ? v : "");
		v = ike_file_text(f, node, "protocol");
		if (v != NULL)
			snprintf(p->protocol, sizeof(p->protocol), "%s", v);
		v = ike_file_text(f, node, "port");
		if (v != NULL)
			snprintf(p->port, sizeof(p->port), "%s", v);
		return *p->prefix != '\0';
	}
	open = strchr(n->value, '[');
	if (open == NULL) {
		snprintf(p->prefix, sizeof(p->prefix), "%s", n->value);
		return true;
	}
	snprintf(p->prefix, sizeof(p->prefix), "%.*s", (int)(open - n->value), n->value);
	close = strchr(open, ']');
	slash = strchr(open, '/');
	if (close == NULL || close[1] != '\0')
		return false;
	if (slash == NULL)
		slash = close;
	snprintf(p->protocol, sizeof(p->protocol), "%.*s", (int)(slash - open - 1), open + 1);
	if (slash < close)
		snprintf(p->port, sizeof(p->port), "%.*s", (int)(close - slash - 1), slash + 1);
	return *p->protocol != '\0';
}

int
selector_read(
	struct ike_file *f, size_t node, bool tell, struct selector *s, char text[SELECTOR_MAX])
{
	const char *why = "is not of the form prefix[protocol/port]";
	struct parts p;

	*s = (struct selector){.port_to = 65535};
	if (f->t.nodes[node].kind == CONFIG_LIST || !split(f, node, &p)) {
		if (tell && f->t.nodes[node].kind == CONFIG_SCALAR)
			ike_file_fail(f, node, "'%s' %s", f->t.nodes[node].value, why);
		return -EINVAL;
	}
	if (!parse_prefix(p.prefix, s, &why)) {
		if (tell)
			ike_file_fail(f, node, "'%s' %s", p.prefix, why);
		return -EINVAL;
	}
	if (!parse_protocol(p.protocol, s)) {
		if (tell)
			ike_file_fail(f, node,
				"'%s' is neither any, a known protocol nor a number up to 255",
				p.protocol);
		return -EINVAL;
	}
	if (!parse_port(p.port, s)) {
		if (tell)
			ike_file_fail(f, node,
				"'%s' is not a port, a range (1024-65535), any or opaque", p.port);
		return -EINVAL;
	}
	if (*p.port != '\0' && s->protocol == 0) {
		if (tell)
			ike_file_fail(f, node, "a port needs a protocol: tcp/%s", p.port);
		return -EINVAL;
	}
	if (s->protocol == 0)
		snprintf(text, SELECTOR_MAX, "%s", p.prefix);
	else if (*p.port == '\0')
		snprintf(text, SELECTOR_MAX, "%s[%u]", p.prefix, s->protocol);
	else if (s->port_from > s->port_to)
		snprintf(text, SELECTOR_MAX, "%s[%u/opaque]", p.prefix, s->protocol);
	else if (s->port_from == s->port_to)
		snprintf(text, SELECTOR_MAX, "%s[%u/%u]", p.prefix, s->protocol, s->port_from);
	else
		snprintf(text, SELECTOR_MAX, "%s[%u/%u-%u]", p.prefix, s->protocol, s->port_from,
			s->port_to);
	return 0;
}

bool
selector_host(const char *address, struct selector *s)
{
	*s = (struct selector){.port_to = 65535};
	s->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(s->family, address, s->from) != 1)
		return false;
	memcpy(s->to, s->from, sizeof(s->to));
	return true;
}

bool
selector_overlap(const struct selector *a, const struct selector *b)
{
	if (a->family == 0 || a->family != b->family || memcmp(a->from, b->to, 16) > 0 ||
		memcmp(b->from, a->to, 16) > 0)
		return false;
	if (a->protocol != 0 && b->protocol != 0 && a->protocol != b->protocol)
		return false;
	if (a->port_from > a->port_to || b->port_from > b->port_to)
		return a->port_from == b->port_from; /* opaque meets opaque alone */
	return a->port_from <= b->port_to && b->port_from <= a->port_to;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *buf;
	size_t at;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->at, PACKET_TEXT - t->at, fmt, ap);
	va_end(ap);
	t->at += n < 0 ? 0 : (size_t)n;
	if (t->at >= PACKET_TEXT)
		t->at = PACKET_TEXT - 1;
}

static unsigned int
be16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static void
mac(struct text *t, const uint8_t *m)
{
	put(t, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void
icmp4(struct text *t, const uint8_t *p, size_t len)
{
	static const char *const unreachable[] = {"network unreachable", "host unreachable",
		"protocol unreachable", "port unreachable", "fragmentation needed"};

	put(t, " ICMP");
	if (len < 8)
		return;
	if (p[0] == 8 || p[0] == 0)
		put(t, " echo %s %u.%u", p[0] == 8 ? "request" : "reply", be16(p + 4), be16(p + 6));
	else if (p[0] == 3 && p[1] < sizeof(unreachable) / sizeof(unreachable[0]))
		put(t, " %s", unreachable[p[1]]);
	else if (p[0] == 11)
		put(t, " time exceeded");
	else
		put(t, " type %u code %u", p[0], p[1]);
	if (p[0] == 3 && p[1] == 4)
		put(t, ", MTU %u", be16(p + 6));
}

static void
icmp6(struct text *t, const uint8_t *p, size_t len)
{
	static const char *const nd[] = {"router solicitation", "router advertisement",
		"neighbour solicitation", "neighbour advertisement", "redirect"};

	put(t, " ICMPv6");
	if (len < 8)
		return;
	if (p[0] == 128 || p[0] == 129)
		put(t, " echo %s %u.%u", p[0] == 128 ? "request" : "reply", be16(p + 4),
			be16(p + 6));
	else if (p[0] >= 133 && p[0] <= 137)
		put(t, " %s", nd[p[0] - 133]);
	else if (p[0] == 2)
		put(t, " packet too big, MTU %u", be32(p + 4));
	else
		put(t, " type %u code %u", p[0], p[1]);
}

static void
esp(struct text *t, const char *what, const uint8_t *p, size_t len)
{
	put(t, " %s", what);
	if (len >= 8)
		put(t, " SPI 0x%08x sequence %u", be32(p), be32(p + 4));
}

static void
udp(struct text *t, const uint8_t *p, size_t len)
{
	unsigned int from, to;

	if (len < 8) {
		put(t, " UDP");
		return;
	}
	from = be16(p);
	to = be16(p + 2);
	put(t, " UDP %u > %u", from, to);
	if ((from == 4500 || to == 4500) && len >= 16 && be32(p + 8) != 0)
		esp(t, "ESP", p + 8, len - 8);
	else if (from == 500 || to == 500 || from == 4500 || to == 4500)
		put(t, len > 8 && len < 12 ? " keepalive" : " IKE");
}

static void
tcp(struct text *t, const uint8_t *p, size_t len)
{
	static const char names[] = "FSRPAU";

	put(t, " TCP");
	if (len < 14)
		return;
	put(t, " %u > %u ", be16(p), be16(p + 2));
	for (unsigned int i = 0; names[i] != '\0'; i++)
		if (p[13] & 1u << i)
			put(t, "%c", names[i]);
	put(t, " sequence %u", be32(p + 4));
}

static void
upper(struct text *t, unsigned int proto, const uint8_t *p, size_t len)
{
	switch (proto) {
	case IPPROTO_ICMP:
		icmp4(t, p, len);
		break;
	case IPPROTO_ICMPV6:
		icmp6(t, p, len);
		break;
	case IPPROTO_TCP:
		tcp(t, p, len);
		break;
	case IPPROTO_UDP:
		udp(t, p, len);
		break;
	case IPPROTO_ESP:
		esp(t, "ESP", p, len);
		break;
	case IPPROTO_AH:
		esp(t, "AH", len >= 12 ? p + 4 : p, len >= 12 ? len - 4 : 0);
		break;
	case IPPROTO_IPIP:
		put(t, " IPv4 in IP");
		break;
	default:
		put(t, " protocol %u", proto);
	}
}

static void
ip4(struct text *t, const uint8_t *p, size_t len)
{
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	size_t header = len > 0 ? (p[0] & 15u) * 4 : 0;

	if (len < 20 || header < 20) {
		put(t, "IPv4, cut off");
		return;
	}
	inet_ntop(AF_INET, p + 12, src, sizeof(src));
	inet_ntop(AF_INET, p + 16, dst, sizeof(dst));
	put(t, "%s > %s", src, dst);
	if ((be16(p + 6) & 0x1fff) != 0)
		put(t, " fragment at %u, protocol %u", (be16(p + 6) & 0x1fff) * 8, p[9]);
	else
		upper(t, p[9], p + header, len > header ? len - header : 0);
	if ((be16(p + 6) & 0x3fff) == 0x2000)
		put(t, ", first fragment");
}

static void
ip6(struct text *t, const uint8_t *p, size_t len)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	unsigned int next;
	size_t at = 40;

	if (len < 40) {
		put(t, "IPv6, cut off");
		return;
	}
	inet_ntop(AF_INET6, p + 8, src, sizeof(src));
	inet_ntop(AF_INET6, p + 24, dst, sizeof(dst));
	put(t, "%s > %s", src, dst);
	/* Hop-by-hop, routing and destination options; each is eight bytes and more. */
	for (next = p[6]; (next == 0 || next == 43 || next == 60) && at + 8 <= len;) {
		next = p[at];
		at += 8 + (size_t)p[at + 1] * 8;
	}
	if (next == 44)
		put(t, " fragment");
	else
		upper(t, next, p + (at < len ? at : len), at < len ? len - at : 0);
}

static void
arp(struct text *t, const uint8_t *p, size_t len)
{
	char who[INET_ADDRSTRLEN], of[INET_ADDRSTRLEN];

	put(t, "ARP");
	if (len < 28)
		return;
	inet_ntop(AF_INET, p + 24, who, sizeof(who));
	inet_ntop(AF_INET, p + 14, of, sizeof(of));
	if (be16(p + 6) == 1)
		put(t, " who has %s, tell %s", who, of);
	else {
		put(t, " %s is at ", of);
		mac(t, p + 8);
	}
}

static void
network(struct text *t, unsigned int type, const uint8_t *p, size_t len)
{
	if (type == 0x0800)
		ip4(t, p, len);
	else if (type == 0x86dd)
		ip6(t, p, len);
	else if (type == 0x0806)
		arp(t, p, len);
	else
		put(t, "EtherType 0x%04x", type);
}

const char *
packet_text(char buf[PACKET_TEXT], const uint8_t *data, size_t len, bool frame)
{
	struct text t = {.buf = buf};
	unsigned int type;

	buf[0] = '\0';
	if (!frame) {
		network(&t, len > 0 && data[0] >> 4 == 6 ? 0x86dd : 0x0800, data, len);
		return buf;
	}
	if (len < 14) {
		put(&t, "Ethernet, cut off");
		return buf;
	}
	type = be16(data + 12);
	data += 14;
	len -= 14;
	if (type == 0x8100 && len >= 4) {
		put(&t, "VLAN %u ", be16(data) & 0xfff);
		type = be16(data + 2);
		data += 4;
		len -= 4;
	}
	network(&t, type, data, len);
	return buf;
}

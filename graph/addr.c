/* SPDX-License-Identifier: BSD-3-Clause */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void
addr_mask(struct ip_addr *a, uint8_t plen)
{
	for (unsigned int i = 0; i < sizeof(a->b); i++) {
		int keep = (int)plen - (int)i * 8;

		if (keep <= 0)
			a->b[i] = 0;
		else if (keep < 8)
			a->b[i] &= 0xff << (8 - keep);
	}
}

void
addr_fill(struct ip_addr *a, uint8_t plen)
{
	for (unsigned int i = 0; i < addr_bits(a) / 8; i++) {
		int keep = (int)plen - (int)i * 8;

		if (keep <= 0)
			a->b[i] = 0xff;
		else if (keep < 8)
			a->b[i] |= 0xff >> keep;
	}
}

bool
addr_in(const struct ip_addr *a, const struct ip_addr *net, uint8_t plen)
{
	struct ip_addr masked = *a, net_masked = *net;

	addr_mask(&masked, plen);
	addr_mask(&net_masked, plen);
	return addr_equal(&masked, &net_masked);
}

int
addr_parse(const char *s, struct ip_addr *a)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, s, a->b) == 1)
		a->family = 4;
	else if (inet_pton(AF_INET6, s, a->b) == 1)
		a->family = 6;
	else
		return -EINVAL;
	return 0;
}

int
addr_parse_prefix(const char *s, struct ip_addr *a, uint8_t *plen)
{
	char buf[ADDR_STRLEN];
	const char *slash = strchr(s, '/');
	size_t len = slash != NULL ? (size_t)(slash - s) : strlen(s);
	unsigned long bits;
	char *end;

	if (len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, s, len);
	buf[len] = '\0';
	if (addr_parse(buf, a) < 0)
		return -EINVAL;
	if (slash == NULL) {
		*plen = addr_bits(a);
		return 0;
	}
	if (slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || bits > addr_bits(a))
		return -EINVAL;
	*plen = bits;
	return 0;
}

const char *
addr_str(const struct ip_addr *a, char *buf)
{
	if (a->family == 0)
		return strcpy(buf, "any");
	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, buf, ADDR_STRLEN);
	return buf;
}

const char *
addr_prefix_str(const struct ip_addr *a, uint8_t plen, char *buf)
{
	addr_str(a, buf);
	snprintf(buf + strlen(buf), ADDR_STRLEN - strlen(buf), "/%u", plen);
	return buf;
}

const char *
addr_range_str(const struct ip_addr *a, const struct ip_addr *last, char *buf)
{
	size_t n;

	addr_str(a, buf);
	n = strlen(buf);
	buf[n] = '-';
	addr_str(last, buf + n + 1);
	return buf;
}

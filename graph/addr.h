/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ADDR_H
#define CYGNET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ADDR_STRLEN 64
#define ADDR_RANGE_STRLEN (2 * ADDR_STRLEN)

/* An IPv4 or IPv6 address in network byte order; v4 fills the first four bytes, the rest is zero. */
struct ip_addr {
	uint8_t family; /* 4, 6, or 0 for none */
	uint8_t pad[3];
	union {
		uint8_t b[16];
		uint32_t v4;
		uint64_t v6[2];
	} __attribute__((packed, aligned(4)));
};

static inline bool
addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline unsigned int
addr_bits(const struct ip_addr *a)
{
	return a->family == 4 ? 32 : 128;
}

/* Clears the host part: all bits after the first plen. */
void addr_mask(struct ip_addr *a, uint8_t plen);

/* Sets the host part: the last address of a/plen. */
void addr_fill(struct ip_addr *a, uint8_t plen);

/* Whether a lies in net/plen; false when the families differ. */
bool addr_in(const struct ip_addr *a, const struct ip_addr *net, uint8_t plen);

/* Parses "192.0.2.1" or "2001:db8::1". Returns 0 or -EINVAL. */
int addr_parse(const char *s, struct ip_addr *a);

/* Parses "192.0.2.0/24"; without a length the whole address. Returns 0 or -EINVAL. */
int addr_parse_prefix(const char *s, struct ip_addr *a, uint8_t *plen);

/* Writes the text form to buf (ADDR_STRLEN bytes) and returns buf. */
const char *addr_str(const struct ip_addr *a, char *buf);
const char *addr_prefix_str(const struct ip_addr *a, uint8_t plen, char *buf);
/* "192.0.2.5-192.0.2.9"; buf has ADDR_RANGE_STRLEN bytes. */
const char *addr_range_str(const struct ip_addr *a, const struct ip_addr *last, char *buf);

#endif

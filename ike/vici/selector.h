/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_SELECTOR_H
#define CYGNET_IKE_SELECTOR_H

#include "ike_file.h"

#define SELECTOR_MAX 160

/* A traffic selector: addresses from..to in network byte order, IPv4 in the first four bytes. */
struct selector {
	int family; /* AF_INET, AF_INET6, or 0: dynamic, unknown until it is negotiated */
	uint8_t from[16], to[16];
	uint8_t protocol; /* 0: any */
	uint16_t port_from, port_to; /* 0..65535: any; 65535..0: opaque */
};

/*
 * Reads a selector, text or mapping. text is it as charon takes it. Returns 0, or -EINVAL; then the error is
 * told if tell is set.
 */
int selector_read(
	struct ike_file *f, size_t node, bool tell, struct selector *s, char text[SELECTOR_MAX]);

/* An address as a selector of it alone, for "dynamic"; false when it is none. */
bool selector_host(const char *address, struct selector *s);

bool selector_overlap(const struct selector *a, const struct selector *b);

#endif

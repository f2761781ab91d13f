/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AUDIT_H
#define CYGNET_AUDIT_H

#include "addr.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Auditable events (RFC 4301, 4.4; RFC 4303, 3.3.3, 3.4.2 to 3.4.4; RFC 4302 likewise). Workers put them into a ring, at most
 * so many a second each, and never wait; the control thread writes them to the log, at most so many a second in
 * all. What is not told is counted, and the counts are told.
 */

enum audit_kind {
	AUDIT_UNKNOWN_SPI,
	AUDIT_ICV,
	AUDIT_REPLAY,
	AUDIT_SELECTOR,
	AUDIT_OVERFLOW,
	AUDIT_KINDS,
};
extern const char *const audit_names[AUDIT_KINDS];

struct audit_event {
	struct ip_addr src,
		dst; /* SELECTOR, OVERFLOW: of the packet inside; else of the outer one */
	uint32_t spi; /* network order */
	uint64_t sqn;
	uint16_t in_port; /* DPDK port, or 0xffff: from Linux */
	uint8_t kind; /* enum audit_kind */
	uint8_t proto; /* of the SA: 50 or 51 */
	uint32_t reserved;
};

#define AUDIT_RING 256 /* events; a power of two */
#define AUDIT_LINE 320

/* The event as the log has it, without a newline; port: name of in_port. Any thread. Returns buf. */
const char *audit_line(const struct audit_event *e, const char *port, char *buf, size_t size);

#endif

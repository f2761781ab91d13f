/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AUDIT_H
#define CYGNET_AUDIT_H

#include "addr.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Auditable events (RFC 4301, 4.4; RFC 4303, 3.3.3, 3.4.1 to 3.4.4; RFC 4302 likewise). Workers put them into a ring, at most
 * so many a second of each kind, and never wait; the control thread writes them to the log, at most so many a second
 * of each kind, so that a flood of one does not hide another. What is not told is counted, and the counts are told.
 */

enum audit_kind {
	AUDIT_UNKNOWN_SPI,
	AUDIT_ICV,
	AUDIT_REPLAY,
	AUDIT_SELECTOR,
	AUDIT_OVERFLOW,
	AUDIT_CLEAR,
	AUDIT_MALFORMED,
	AUDIT_FRAGMENT,
	AUDIT_PATH_MTU,
	AUDIT_KINDS,
};
extern const char *const audit_names[AUDIT_KINDS];

struct audit_event {
	struct ip_addr src,
		dst; /* SELECTOR, OVERFLOW: of the packet inside; else of the outer one */
	uint32_t label; /* of the same, IPv6: flow label, host order */
	uint32_t spi; /* network order */
	uint64_t sqn;
	uint16_t in_port; /* DPDK port, or 0xffff: from Linux */
	uint8_t kind; /* enum audit_kind */
	uint8_t proto; /* of the SA: 50 or 51; CLEAR, FRAGMENT: of the packet */
};

#define AUDIT_RING 256 /* events; a power of two */
#define AUDIT_LINE 320

/* The event as the log has it, without a newline; port: name of in_port. Any thread. Returns buf. */
const char *audit_line(const struct audit_event *e, const char *port, char *buf, size_t size);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

#include <rte_byteorder.h>

const char *const audit_names[AUDIT_KINDS] = {
	[AUDIT_UNKNOWN_SPI] = "unknown-spi",
	[AUDIT_ICV] = "icv",
	[AUDIT_REPLAY] = "replay",
	[AUDIT_SELECTOR] = "selector",
	[AUDIT_OVERFLOW] = "overflow",
};

const char *
audit_line(const struct audit_event *e, const char *port, char *buf, size_t size)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	snprintf(buf, size,
		"audit: event=%s protocol=%s spi=0x%08" PRIx32 " sqn=%" PRIu64
		" source=%s destination=%s port=%s",
		audit_names[e->kind], e->proto == IPPROTO_AH ? "ah" : "esp",
		rte_be_to_cpu_32(e->spi), e->sqn, addr_str(&e->src, src), addr_str(&e->dst, dst),
		port);
	return buf;
}

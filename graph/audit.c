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
	[AUDIT_CLEAR] = "clear",
	[AUDIT_MALFORMED] = "malformed",
	[AUDIT_FRAGMENT] = "fragment",
	[AUDIT_PATH_MTU] = "path-mtu",
};

static const char *
protocol(uint8_t proto, char buf[4])
{
	if (proto == IPPROTO_ESP)
		return "esp";
	if (proto == IPPROTO_AH)
		return "ah";
	snprintf(buf, 4, "%u", proto);
	return buf;
}

const char *
audit_line(const struct audit_event *e, const char *port, char *buf, size_t size)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN], number[4], flow[16] = "";

	if (e->src.family == 6)
		snprintf(flow, sizeof(flow), " flow=0x%05" PRIx32, e->label);
	snprintf(buf, size,
		"audit: event=%s protocol=%s spi=0x%08" PRIx32 " sqn=%" PRIu64
		" source=%s destination=%s%s port=%s",
		audit_names[e->kind], protocol(e->proto, number), rte_be_to_cpu_32(e->spi), e->sqn,
		addr_str(&e->src, src), addr_str(&e->dst, dst), flow, port);
	return buf;
}

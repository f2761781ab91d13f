/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_audit.h"

#include "log.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <rte_ring_elem.h>

#define TELL_SUPPRESSED 10 /* seconds */

static const char *
port_name(const struct router *r, uint16_t id)
{
	for (unsigned int i = 0; i < r->config->n_ports; i++)
		if (r->port_ids[i] == id)
			return r->config->ports[i].name;
	return "host";
}

/* How many events of each kind nobody was told of since the last time. */
static void
tell_suppressed(struct router *r)
{
	uint64_t now[AUDIT_KINDS], any = 0;
	char text[AUDIT_KINDS * 40];
	size_t len = 0;

	for (unsigned int k = 0; k < AUDIT_KINDS; k++) {
		now[k] = r->audit.suppressed[k];
		for (unsigned int i = 0; i < r->n_workers; i++)
			now[k] += *(volatile uint64_t *)&r->lcores[i]->audit_suppressed[k];
		any |= now[k] - r->audit.told[k];
		len += snprintf(text + len, sizeof(text) - len, " %s=%" PRIu64, audit_names[k],
			now[k] - r->audit.told[k]);
		r->audit.told[k] = now[k];
	}
	if (any != 0)
		LOG(WARNING, "audit: suppressed%s", text);
}

void
router_audit(struct router *r)
{
	struct audit_event e;
	char line[AUDIT_LINE];
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (r->audit.second != (uint64_t)ts.tv_sec) {
		r->audit.second = ts.tv_sec;
		memset(r->audit.lines, 0, sizeof(r->audit.lines));
	}
	for (unsigned int n = 0;
		n < AUDIT_RING && rte_ring_sc_dequeue_elem(r->audit.ring, &e, sizeof(e)) == 0;
		n++) {
		if (r->audit.lines[e.kind]++ < r->config->audit_rate)
			LOG(WARNING, "%s",
				audit_line(&e, port_name(r, e.in_port), line, sizeof(line)));
		else
			r->audit.suppressed[e.kind]++;
	}
	if ((uint64_t)ts.tv_sec >= r->audit.tell_at) {
		tell_suppressed(r);
		r->audit.tell_at = ts.tv_sec + TELL_SUPPRESSED;
	}
}

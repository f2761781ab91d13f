/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_METRICS_H
#define CYGNET_METRICS_H

#include <stdbool.h>

#include <event2/buffer.h>

struct ctl;
struct metrics_ike;

/*
 * Metrics for Prometheus and what reads its formats, by HTTP: GET /metrics. Control thread. There is no access control:
 * whoever reaches the port sees counters, addresses of peers and SPIs, never a packet or a key.
 */

struct metrics;

/* Listens on the configuration's metrics.listen; NULL after one log line. */
/* vici: charon's socket, of which its metrics come; NULL: none do. */
struct metrics *metrics_start(
	struct ctl *ctl, const char *address, unsigned int port, const char *vici);
void metrics_stop(struct metrics *m);

/* ike: charon's own, or NULL. All of them, as OpenMetrics 1.0 or as Prometheus' text format 0.0.4. Returns 0 or -ENOMEM. */
int metrics_write(const struct ctl *ctl, const struct metrics_ike *ike, struct evbuffer *out,
	bool openmetrics);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_METRICS_IKE_H
#define CYGNET_METRICS_IKE_H

#include <stdbool.h>

#include <event2/event.h>

/*
 * What charon says of itself, for the metrics: asked every 5 seconds by a program of its own ("cygnetctl ike metrics"), which
 * may hang with charon while the router goes on. Control thread.
 */

struct metrics_ike;

/* uri: of charon's VICI socket. NULL after one log line. */
struct metrics_ike *metrics_ike_start(struct event_base *base, const char *uri);
void metrics_ike_stop(struct metrics_ike *m);

/* The newest answer, of at most 15 seconds ago; NULL: charon does not answer. */
const char *metrics_ike_text(const struct metrics_ike *m, bool openmetrics);

#endif

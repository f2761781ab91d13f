/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_IKE_DAEMON_H
#define CYGNETCTL_IKE_DAEMON_H

#include "ike.h"

#include "ike_plan.h"

#include <signal.h>

/* What the commands that talk to charon share. */

/* Connects; CTL_OK, or CTL_NO_ROUTER after one line on stderr. */
int ike_connect(const struct ike_options *o, struct vici **v);

/* A file, what charon shall be told of it, and what it knows. */
struct ike_session {
	struct ike_file *file;
	struct vici *v;
	struct ike_state *state;
	struct ike_wanted *wanted;
	struct ike_plan *plan;
};

/* All of it, up to the plan; a code after one line on stderr, or after the file's errors. To be ended in any case. */
int ike_session_begin(const struct ike_options *o, bool write, struct ike_session *s);
void ike_session_end(struct ike_session *s);

/* A signal asks to end: a load takes back what it did. */
extern volatile sig_atomic_t ike_ended;

/* The differences, a line each. */
void ike_print_plan(const struct ike_options *o, const struct ike_plan *p);

/* The tunnel's gateway as it was loaded, or NULL; all of state's connections by name. */
const char *ike_gateway_of(const json_t *conns, const char *tunnel);

/* A string of an object, or "". */
const char *ike_text(const json_t *o, const char *key);

/* One line of charon's events for people, into buf; NULL for one that says nothing to them. */
const char *ike_event_text(const char *event, const json_t *message, char *buf, size_t size);

#endif

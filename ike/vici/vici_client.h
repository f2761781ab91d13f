/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_VICI_CLIENT_H
#define CYGNET_VICI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/*
 * charon by VICI: strongSwan's libvici, loaded when it is needed, with JSON for its messages: sections are
 * objects, lists are arrays, values are strings. One connection, one thread; events come on another thread
 * of libvici's, one at a time, while that one waits in vici_call().
 */

#define VICI_DEFAULT "/run/charon.vici"
#define VICI_MESSAGE_MAX (512 * 1024) /* charon's limit */

struct vici;

/*
 * uri: "unix:///path", "tcp://host:port", or a path; NULL: the usual one. NULL after a failure, or after ten seconds in
 * which nobody took the connection: *why is a line without the end.
 */
struct vici *vici_open(const char *uri, const char **why);
void vici_close(struct vici *v);

/* The socket's path; NULL when it is none. What it was opened with, with its "tcp://" or the like. */
const char *vici_path(const struct vici *v);
const char *vici_uri(const struct vici *v);

/*
 * A command. args (may be NULL) is taken over; data is a value of its own named "data", wiped by nobody but the
 * caller. NULL after a failure of the connection; charon's own refusals are in vici_refusal(). When charon lives and does
 * not answer within seconds, the process ends with code 3 and a line on stderr: libvici's waits cannot be ended.
 */
json_t *vici_call_data(struct vici *v, const char *command, json_t *args, const void *data,
	size_t len, unsigned int seconds);

static inline json_t *
vici_call(struct vici *v, const char *command, json_t *args, unsigned int seconds)
{
	return vici_call_data(v, command, args, NULL, 0, seconds);
}

/* What charon says against it ("success = no"), or NULL. Lives as long as the answer. */
const char *vici_refusal(const json_t *answer);

/* A command whose answer comes as events: each is given to row. False after a failure. */
typedef void vici_event(void *ctx, const char *event, json_t *message);
bool vici_stream(struct vici *v, const char *command, json_t *args, const char *event,
	vici_event *row, void *ctx);

/* Events from now on; false when charon has no such event. */
bool vici_listen(struct vici *v, const char *event, vici_event *row, void *ctx);

/* Bytes of a message. */
size_t vici_size(const json_t *args);

#endif

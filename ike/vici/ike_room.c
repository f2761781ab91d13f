/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_room.h"

#include <stdint.h>
#include <string.h>

/* Bytes of charon's list of SAs. */
#define LISTED_IKE 8192
#define LISTED_CHILD 440 /* without name and selectors, with counters of a long life */
#define LISTED_DYNAMIC 43 /* a host's address: IPv6 and its prefix length */
#define LISTED_NAME 3 /* a name's place in a list */
#define LISTED_REST 8 /* of a selector: its place in a list, ".." for "-" */

static size_t
selectors(const json_t *child, const char *key)
{
	size_t n = 0, i;
	json_t *v;

	json_array_foreach (json_object_get(child, key), i, v)
		n += LISTED_REST + (strncmp(json_string_value(v), "dynamic", 7) == 0
						   ? LISTED_DYNAMIC
						   : json_string_length(v));
	return n;
}

/* What charon tells of the connection's SAs at most, with an eighth of them twice: their keys are being changed. */
static size_t
listed(const json_t *conn)
{
	size_t n = 0;
	const char *name, *mode;
	json_t *child;

	json_object_foreach (json_object_get(conn, "children"), name, child) {
		mode = json_string_value(json_object_get(child, "mode"));
		if (mode != NULL && (strcmp(mode, "pass") == 0 || strcmp(mode, "drop") == 0))
			continue;
		n += LISTED_CHILD + 2 * strlen(name) + selectors(child, "local_ts") +
		     selectors(child, "remote_ts");
	}
	return LISTED_IKE + n + n / 8;
}

bool
ike_has_room(const json_t *conn)
{
	return vici_size(conn) + 1024 < VICI_MESSAGE_MAX && listed(conn) < VICI_MESSAGE_MAX;
}

bool
ike_names_fit(const json_t *names)
{
	size_t n = 0, i;
	json_t *v;

	json_array_foreach (names, i, v)
		n += LISTED_NAME + json_string_length(v);
	return n < VICI_MESSAGE_MAX / 2;
}

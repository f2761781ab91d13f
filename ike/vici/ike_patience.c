/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_patience.h"

#include <ctype.h>
#include <string.h>

#define SECONDS 30
#define NAME_SECONDS 30 /* for a name: three silent servers, asked twice for 5 seconds */

/* Whether one of the addresses must be looked up: those of IP end in a number, or have what names have not. */
static bool
has_name(const json_t *addresses)
{
	const json_t *v;
	size_t i;

	json_array_foreach (addresses, i, v) {
		const char *s = json_string_value(v), *dot = strrchr(s, '.');

		if (strpbrk(s, ":/%") == NULL &&
			!isdigit((unsigned char)*(dot != NULL ? dot + 1 : s)))
			return true;
	}
	return false;
}

static unsigned int
seconds_for(const json_t *conn)
{
	bool named = has_name(json_object_get(conn, "remote_addrs")) ||
		     has_name(json_object_get(conn, "local_addrs"));

	return SECONDS + (unsigned int)json_object_size(json_object_get(conn, "children")) *
				 (named ? NAME_SECONDS : 1);
}

unsigned int
ike_patience(const struct ike_plan *p, const struct ike_wanted *w, json_t *known)
{
	unsigned int seconds = SECONDS, n;
	const char *name;
	json_t *e;

	json_object_foreach (p->conns, name, e) {
		n = seconds_for(json_object_get(w->conns, name));
		seconds = n > seconds ? n : seconds;
		n = seconds_for(json_object_get(json_object_get(known, name), "config"));
		seconds = n > seconds ? n : seconds;
	}
	return seconds;
}

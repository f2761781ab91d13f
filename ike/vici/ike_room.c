/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_room.h"

#include <stdint.h>
#include <string.h>

/* Bytes of charon's list of SAs: of a CHILD_SA without its name and selectors, with counters of a long life; of the IKE SA. */
#define LISTED_CHILD 440
#define LISTED_IKE 8192
#define LISTED_PREFIX 40 /* dynamic: an address of IPv6 */

static size_t
selectors(const json_t *child, const char *key)
{
	size_t n = 0, i;
	json_t *v;

	json_array_foreach (json_object_get(child, key), i, v) {
		size_t len = json_string_length(v);

		n += 3 + (len > LISTED_PREFIX ? len : LISTED_PREFIX);
	}
	return n;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_RELOAD_DIFF_H
#define CYGNET_RELOAD_DIFF_H

#include "config.h"

/* What a reload has to do: how one configuration differs from another. Any thread; it touches nothing else. */

#define RELOAD_NONE (-1)

struct reload_diff {
	char *lines; /* one a change: "+ port lan2: …", "- …", "~ …", and "! …" for what needs a restart */
	size_t lines_len;
	unsigned int changes; /* that can be made while running */
	unsigned int restarts; /* that cannot */
	unsigned int
		fixed; /* of those: of ports and SAs, which are taken over whole or not at all */
	/* By index, RELOAD_NONE: there is none. A static SA that differs in anything has no counterpart. */
	int *port_before, *port_after; /* [new n_ports], [old n_ports] */
	int *sa_before, *sa_after;
	int *policy_before,
		*policy_after; /* those of the same selector, which may differ otherwise */
};

/*
 * now is as the router runs; next is changed where the file left a choice that the router has made already (workers of ports).
 * Both have their SAs' digests. Returns 0 or -ENOMEM; reload_diff_free() in both cases.
 */
int reload_diff(struct reload_diff *d, const struct config *now, struct config *next);
void reload_diff_free(struct reload_diff *d);

bool reload_same_text(const char *a, const char *b); /* NULL is like NULL alone */
bool reload_same_policy(const struct spd_policy_conf *a, const struct spd_policy_conf *b);

#endif

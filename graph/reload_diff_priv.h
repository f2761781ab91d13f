/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_RELOAD_DIFF_PRIV_H
#define CYGNET_RELOAD_DIFF_PRIV_H

#include "reload_diff.h"

#include <inttypes.h>

/* What reload_diff*.c share. */

struct diff {
	FILE *out;
	struct reload_diff *to;
};

/* mark: '+', '-', '~', or '!' for what needs a restart. */
void reload_line(struct diff *d, char mark, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void reload_compare_ports(struct diff *d, const struct config *now, struct config *next);
void reload_compare_sas(struct diff *d, const struct config *now, const struct config *next);
int reload_compare_policies(struct diff *d, const struct config *now, const struct config *next);

#endif

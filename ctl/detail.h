/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_DETAIL_H
#define CYGNETCTL_DETAIL_H

#include "table.h"

#include <jansson.h>

/* One thing with all that is known of it, a line for each. */
void detail_sa(const struct view *view, const json_t *row);
void detail_status(const struct view *view, const json_t *status);

#endif

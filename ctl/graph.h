/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_GRAPH_H
#define CYGNETCTL_GRAPH_H

#include "table.h"

#include <jansson.h>

/*
 * The graph's statistics, a table of nodes and one of drops. before: the same a while ago, for figures per
 * second, or NULL for the totals. all: also nodes that were never called and drops that never happened.
 */
void graph_print(const struct view *view, const json_t *now, const json_t *before, bool all);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_TOP_H
#define CYGNETCTL_TOP_H

#include "screen.h"

#include <jansson.h>

#define TOP_SAS_MAX 1000 /* with more, tunnels are not listed */

/* What the router said at one moment. */
struct top_sample {
	double seconds; /* CLOCK_MONOTONIC */
	json_t *status, *lcores, *graph, *ports, *sas; /* sas: NULL when there are too many */
};

/* Adds the page of what happened between two samples. */
void top_page(struct screen *s, const struct top_sample *now, const struct top_sample *before);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CTL_PROBE_H
#define CYGNET_CTL_PROBE_H

#include "ctl.h"
#include "probe.h"

/* What the trace and the capture command share. Each takes its arguments out of args. */

/* Makes ctl->probe at the first use. */
int ctl_probe_make(struct ctl *ctl, struct ctl_reply *reply);
/* "frame" and "inner", programs as probe_filter_parse() reads them. */
int ctl_filter_args(json_t *args, struct probe_filter *f, struct ctl_reply *reply);
/* *v stays as it is when the argument is not there. */
int ctl_int_arg(json_t *args, const char *key, json_int_t min, json_int_t max, json_int_t *v,
	struct ctl_reply *reply);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_IKE_H
#define CYGNETCTL_IKE_H

#include "client.h"
#include "table.h"

#include <stdbool.h>

/* What "cygnetctl ike" was asked for. */
struct ike_options {
	const char *uri; /* of charon's VICI socket; NULL: the usual one */
	struct view view;
	bool allow_open, force, keep, others, secrets, quiet, markdown, man, child_logs,
		openmetrics;
	unsigned int timeout; /* s */
	const char **words; /* after the command */
	unsigned int n_words;
};

/* All of the command line, options before "ike" included. Returns the exit code. */
int ike_main(int argc, char **argv);

/* The commands. Each returns an exit code (CTL_*). */
int ike_check_command(const struct ike_options *o);
int ike_export_command(const struct ike_options *o);
int ike_schema_command(const struct ike_options *o);
int ike_diff_command(const struct ike_options *o);
int ike_load_command(const struct ike_options *o);
int ike_status_command(const struct ike_options *o);
int ike_up_command(const struct ike_options *o);
int ike_down_command(const struct ike_options *o);
int ike_rekey_command(const struct ike_options *o);
int ike_watch_command(const struct ike_options *o);
int ike_metrics_command(const struct ike_options *o);
int ike_run_command(const struct ike_options *o);

/* Loads a file; after errors they are printed, and *out is NULL. Returns CTL_OK or CTL_REFUSED. */
struct ike_file;
int ike_open(const struct ike_options *o, struct ike_file **out);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAILURE_LOG_H
#define FAILURE_LOG_H

/*
 * Hears charon's log and its CHILD_SAs, keeps the last failures (failures.h), and tells them who connects to the
 * socket beside VICI's, "/run/charon.vici.cygnet-failures": failures_text(), and the end.
 */

typedef struct failure_log_t failure_log_t;

/* NULL when it cannot be; why is in the log, and charon goes on without. */
failure_log_t *failure_log_create(void);

void failure_log_destroy(failure_log_t *this);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_RELOAD_H
#define CYGNET_RELOAD_H

#include "router.h"

/*
 * Reading router.yaml again while the router runs. Control thread.
 *
 * A reload is one job, in four steps. A thread that may wait reads the file, says what differs, and makes what is new
 * outside of the tables: devices, taps. The control thread then changes the tables, in one turn of its loop: first all that
 * can fail, and what fails takes back what was done. When nobody can hold a port that goes any more, the thread
 * closes it. What needs a restart stops all of it before anything is made, unless RELOAD_PARTIAL is said.
 */

#define RELOAD_CHECK (1u << 0) /* say what would be done, and do nothing */
#define RELOAD_PARTIAL (1u << 1) /* do what can be done, though something else needs a restart */

struct reload;

/*
 * Begins one. *job is the caller's as well until reload_put(); it may be NULL. Returns 0, -EBUSY when one runs, or another
 * negative errno.
 */
int reload_start(struct router *r, unsigned int flags, struct reload **job);
void reload_put(struct reload *job);

/*
 * How it goes: what differs (lines, or NULL as long as it is not known), whether it has ended, and how: 0; -EINVAL for a file
 * that is wrong, -EAGAIN when something needs a restart, or another negative errno; *why says it in one line.
 */
const char *reload_lines(const struct reload *job);
bool reload_done(const struct reload *job, int *rc, const char **why);

/* Waits for one that runs: no lcore runs any more. */
void reload_stop(struct router *r);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_RELOAD_PRIV_H
#define CYGNET_RELOAD_PRIV_H

#include "reload.h"
#include "reload_diff.h"

#include <pthread.h>
#include <stdatomic.h>

/* What reload*.c share. */

enum reload_phase { RELOAD_PREPARE, RELOAD_SETTLE, RELOAD_RETIRE, RELOAD_END };

/* A port that the lcores do not know yet, or shall know no more. */
struct reload_port {
	const struct config_port *conf; /* of next, or of what was before */
	uint16_t id;
	bool made; /* its device is */
	bool added; /* the tables have it */
	struct host_tap *tap;
};

struct reload {
	struct router *r;
	unsigned int flags, refs;
	enum reload_phase phase;
	int rc;
	char why[320];
	struct config *next; /* after the change: what is left of the one before */
	struct reload_diff diff;
	struct {
		bool done;
		uint32_t sa; /* of the policy whose place it took */
	} * placed; /* [next->n_policies] */
	struct sqn_entry **numbers; /* [n_numbers], of next->sas, until they have them */
	unsigned int n_numbers;
	uint16_t ids[CONFIG_MAX_PORTS]; /* of next->ports */
	struct reload_port in[CONFIG_MAX_PORTS], out[CONFIG_MAX_PORTS];
	unsigned int n_in, n_out;
	struct event *tick;
	pthread_t thread;
	bool threaded;
	_Atomic bool thread_done;
	bool grace; /* the grace period after the change is over */
	uint64_t hold_until; /* nanoseconds: packets parked here and there are gone */
};

/* Keeps the first thing that went wrong; returns rc. */
int reload_fail(struct reload *job, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* reload_ports.c. prepare, close: on the thread that may wait. */
int reload_ports_prepare(struct reload *job);
int reload_ports_add(struct reload *job);
void reload_ports_reject(
	struct reload *job); /* after a failure: those that were to come are to go */
void reload_ports_back(struct reload *job); /* after a failure: addresses of ports that stay */
void reload_ports_commit(struct reload *job, struct worker_sources *const *sources);
void reload_ports_drop(struct reload *job); /* of the tables: those in job->out */
void reload_ports_take(struct reload *job); /* nobody sees them any more */
void reload_ports_close(struct reload *job);

/* reload_sas.c: static SAs and policies. prepare: on the thread that may wait. The first three can fail, and then have done nothing. */
int reload_sas_prepare(struct reload *job); /* takes the state files */
int reload_sas_add(struct reload *job);
int reload_policies_add(struct reload *job); /* all of them or none */
void reload_sas_undo(struct reload *job);
void reload_sas_commit(struct reload *job); /* after both: what goes */
void reload_sas_close(struct reload *job); /* state files that no SA has got */

#endif

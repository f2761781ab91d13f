/* SPDX-License-Identifier: BSD-3-Clause */
#include "reload_priv.h"

#include "config_text.h"
#include "ctl.h"
#include "lcore_ports.h"
#include "log.h"
#include "metrics.h"
#include "ports.h"
#include "router_sas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#define TICK_US 5000
#define NSEC 1000000000ull

int
reload_fail(struct reload *job, int rc, const char *fmt, ...)
{
	va_list ap;

	if (job->rc < 0)
		return rc;
	job->rc = rc;
	va_start(ap, fmt);
	vsnprintf(job->why, sizeof(job->why), fmt, ap);
	va_end(ap);
	return rc;
}

/* What is wrong with the file is its one line. */
static int
read_file(struct reload *job)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size), *plan = fopen("/dev/null", "w");
	int rc = -ENOMEM;

	if (out != NULL && plan != NULL) {
		config_complaints_to = out;
		job->next = config_load(job->r->config->path);
		rc = job->next != NULL ? config_plan(job->next, plan) : -EINVAL;
		config_complaints_to = NULL;
	}
	if (plan != NULL)
		fclose(plan);
	if (out != NULL)
		fclose(out);
	if (rc < 0)
		reload_fail(job, -EINVAL, "%.*s", text != NULL ? (int)strcspn(text, "\n") : 9,
			text != NULL ? text : "no memory");
	free(text);
	return rc;
}

static int
compare(struct reload *job)
{
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < job->next->n_sas; i++)
		rc = router_sa_digest(&job->next->sas[i]);
	if (rc == 0)
		rc = reload_diff(&job->diff, job->r->config, job->next);
	if (rc < 0)
		return reload_fail(job, rc, "%s", strerror(-rc));
	/* A port or an SA that was taken over in part would be neither what the file says nor what runs. */
	if (job->diff.fixed > 0 || (job->diff.restarts > 0 && !(job->flags & RELOAD_PARTIAL)))
		return reload_fail(job, -EAGAIN, "%u of the changes need a restart (!)%s: %s",
			job->diff.restarts,
			job->flags & RELOAD_PARTIAL ? ", and ports and SAs cannot be left out" : "",
			job->flags & RELOAD_CHECK ? "nothing would be changed"
						  : "nothing was changed");
	return 0;
}

/* A block of numbers is lost with each file that was taken in vain: so ports, which fail sooner, come first. */
static void
prepare(struct reload *job)
{
	if (reload_ports_prepare(job) < 0 || reload_sas_prepare(job) == 0)
		return;
	reload_ports_back(job);
	reload_ports_reject(job);
	reload_ports_close(job);
}

static void *
work(void *arg)
{
	struct reload *job = arg;

	if (job->phase == RELOAD_RETIRE)
		reload_ports_close(job);
	else if (read_file(job) == 0 && compare(job) == 0 && !(job->flags & RELOAD_CHECK))
		prepare(job);
	atomic_store(&job->thread_done, true);
	return NULL;
}

static int
start_thread(struct reload *job)
{
	int rc;

	atomic_store(&job->thread_done, false);
	rc = pthread_create(&job->thread, NULL, work, job);
	job->threaded = rc == 0;
	if (rc == 0)
		pthread_setname_np(job->thread, "cygnet-reload");
	return -rc;
}

static void
tell(const struct reload *job)
{
	const char *line = reload_lines(job);

	for (; line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1)
		LOG(NOTICE, "reload: %.*s", (int)strcspn(line, "\n"), line);
	if (job->rc < 0)
		LOG(ERR, "reload: %s", job->why);
	else
		LOG(NOTICE, "%s is reloaded", job->r->config->path);
}

static void
finish(struct reload *job)
{
	job->phase = RELOAD_END;
	event_free(job->tick);
	job->tick = NULL;
	if (!(job->flags & RELOAD_CHECK))
		tell(job);
	for (unsigned int i = 0; i < job->n_in; i++)
		free(job->in[i].tap);
	reload_sas_close(job);
	config_free(job->next);
	job->next = NULL;
	job->r->reload = NULL;
	reload_put(job);
}

static void
grace_over(void *ctx, void *obj)
{
	struct reload *job = obj;

	(void)ctx;
	job->grace = true;
	reload_put(job);
}

/* Those in job->out are to go: what holds them is waited for. */
static void
settle(struct reload *job)
{
	const struct config *c = job->r->config;

	if (job->n_out == 0) {
		finish(job);
		return;
	}
	reload_ports_drop(job);
	/* Packets that wait for fragments, an SA or a neighbour know by which port they came. */
	job->hold_until = ctl_now() + (c->reassembly_timeout + NEIGH_HOLD_SECONDS) * NSEC;
	job->grace = false;
	job->phase = RELOAD_SETTLE;
	job->refs++; /* the grace period's */
	rcu_defer(job->r->rcu, grace_over, NULL, job);
}

static bool
same_metrics(const struct config *a, const struct config *b)
{
	return a->metrics.port == b->metrics.port &&
	       reload_same_text(a->metrics.address, b->metrics.address) &&
	       reload_same_text(a->metrics.vici, b->metrics.vici);
}

/* The metrics of one configuration instead of another's; false: nobody can listen there, and nobody does. */
static bool
set_metrics(struct router *r, const struct config *from, const struct config *to)
{
	if (r->ctl == NULL || same_metrics(from, to))
		return true;
	metrics_stop(r->metrics);
	r->metrics = NULL;
	if (to->metrics.address == NULL)
		return true;
	r->metrics = metrics_start(r->ctl, to->metrics.address, to->metrics.port, to->metrics.vici);
	return r->metrics != NULL;
}

/* From here on nothing fails. The lists of what is replaced stay in job->next until the end. */
static void
set_config(struct reload *job)
{
	struct config *now = job->r->config, *next = job->next;
	struct config before = *now;

	now->ports = next->ports;
	now->n_ports = next->n_ports;
	now->pairs = next->pairs;
	now->n_pairs = next->n_pairs;
	now->sas = next->sas;
	now->n_sas = next->n_sas;
	now->policies = next->policies;
	now->n_policies = next->n_policies;
	now->metrics = next->metrics;
	now->idle = next->idle;
	now->log_level = next->log_level;
	now->local_action = next->local_action;
	now->policies_timeout = next->policies_timeout;
	now->orphan_grace = next->orphan_grace;
	now->fragment = next->fragment;
	now->audit_rate = next->audit_rate;
	now->path_mtu_discovery = next->path_mtu_discovery;
	next->ports = before.ports;
	next->n_ports = before.n_ports;
	next->pairs = before.pairs;
	next->n_pairs = before.n_pairs;
	next->sas = before.sas;
	next->n_sas = before.n_sas;
	next->policies = before.policies;
	next->n_policies = before.n_policies;
	next->metrics = before.metrics;
}

static void
set_settings(struct router *r)
{
	const struct config *c = r->config;

	rte_log_set_level(cygnet_logtype, c->log_level);
	ports_pairs(c, r->port_ids, r->pair_bypass);
	for (unsigned int i = 0; i < r->n_lcores; i++) {
		struct worker *w = r->lcores[i];

		w->idle_poll = c->idle == IDLE_POLL;
		w->local_bypass = c->local_action == DEFAULT_BYPASS;
		w->audit_rate = c->audit_rate;
		w->path_mtus = w->worker && c->path_mtu_discovery ? r->path_mtus : NULL;
	}
	if (r->channel != NULL)
		channel_settings(r->channel);
}

static int
make_sources(struct reload *job, struct worker_sources *sources[WORKER_MAX_CRYPTO])
{
	const struct router *r = job->r;

	for (unsigned int i = 0; i < r->n_workers; i++) {
		sources[i] = lcore_sources_make(r, r->lcores[i], job->next, job->ids);
		if (sources[i] != NULL)
			continue;
		while (i-- > 0)
			rte_free(sources[i]);
		return reload_fail(job, -ENOMEM, "no memory for the workers' lists of ports");
	}
	return 0;
}

/* What packets go by. The policies come last: they count at once, and what is not to stay shall not have counted. */
static int
change_tables(struct reload *job)
{
	struct router *r = job->r;
	int rc = reload_sas_add(job);

	if (rc < 0)
		return rc;
	if (!set_metrics(r, r->config, job->next))
		rc = reload_fail(job, -EADDRINUSE, "metrics: nobody can listen on %s port %u",
			job->next->metrics.address, job->next->metrics.port);
	else
		rc = reload_policies_add(job);
	if (rc < 0) {
		set_metrics(r, job->next, r->config);
		reload_sas_undo(job);
	}
	return rc;
}

/* All that can fail first; what was done until then is taken back. */
static void
change(struct reload *job)
{
	struct worker_sources *sources[WORKER_MAX_CRYPTO];
	struct router *r = job->r;
	int rc = reload_ports_add(job);

	if (rc == 0)
		rc = make_sources(job, sources);
	if (rc == 0) {
		rc = change_tables(job);
		for (unsigned int i = 0; rc < 0 && i < r->n_workers; i++)
			rte_free(sources[i]);
	}
	if (rc < 0) {
		reload_ports_reject(job);
		reload_ports_back(job);
		settle(job);
		return;
	}
	reload_sas_commit(job);
	reload_ports_commit(job, sources);
	memcpy(r->port_ids, job->ids, sizeof(r->port_ids));
	set_config(job);
	set_settings(r);
	settle(job);
}

static void
advance(evutil_socket_t fd, short what, void *arg)
{
	struct reload *job = arg;

	(void)fd;
	(void)what;
	if (job->threaded) {
		if (!atomic_load(&job->thread_done))
			return;
		pthread_join(job->thread, NULL);
		job->threaded = false;
	}
	if (job->phase == RELOAD_PREPARE) {
		if (job->rc < 0 || job->flags & RELOAD_CHECK)
			finish(job);
		else
			change(job);
	} else if (job->phase == RELOAD_SETTLE) {
		if (!job->grace || !host_port_left(job->r->host) || ctl_now() < job->hold_until)
			return;
		reload_ports_take(job);
		job->phase = RELOAD_RETIRE;
		if (start_thread(job) < 0)
			reload_ports_close(job);
	} else {
		finish(job);
	}
}

int
reload_start(struct router *r, unsigned int flags, struct reload **out)
{
	const struct timeval tick = {.tv_usec = TICK_US};
	struct reload *job;

	if (r->reload != NULL)
		return -EBUSY;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return -ENOMEM;
	job->r = r;
	job->flags = flags;
	job->refs = 1;
	job->tick = event_new(r->base, -1, EV_PERSIST, advance, job);
	if (job->tick == NULL || event_add(job->tick, &tick) != 0 || start_thread(job) < 0) {
		if (job->tick != NULL)
			event_free(job->tick);
		free(job);
		return -ENOMEM;
	}
	r->reload = job;
	if (out != NULL) {
		job->refs++;
		*out = job;
	}
	return 0;
}

void
reload_put(struct reload *job)
{
	if (--job->refs > 0)
		return;
	reload_diff_free(&job->diff);
	free(job->placed);
	free(job);
}

const char *
reload_lines(const struct reload *job)
{
	return job->phase == RELOAD_PREPARE ? NULL : job->diff.lines;
}

bool
reload_done(const struct reload *job, int *rc, const char **why)
{
	*rc = job->rc;
	*why = job->why;
	return job->phase == RELOAD_END;
}

void
reload_stop(struct router *r)
{
	struct reload *job = r->reload;

	if (job == NULL)
		return;
	if (job->threaded)
		pthread_join(job->thread, NULL);
	/* What was prepared, or was to go, is stopped with everything else; taps stay, as at every end. */
	event_free(job->tick);
	for (unsigned int i = 0; i < job->n_in; i++)
		host_port_forget(job->in[i].tap, job->in[i].added);
	for (unsigned int i = 0; i < job->n_out; i++)
		host_port_forget(job->out[i].tap, job->out[i].added && job->phase != RELOAD_RETIRE);
	reload_sas_close(job);
	config_free(job->next);
	r->reload = NULL;
	reload_put(job);
}

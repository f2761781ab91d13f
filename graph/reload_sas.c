/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto.h"
#include "log_sink.h"
#include "reload_priv.h"
#include "router_sas.h"
#include "sa_setup.h"
#include "sqn_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

/* Static SAs and policies that a reload brings, takes away and changes. */

static bool
same_place(const struct sa_conf *a, const struct sa_conf *b)
{
	return a->dir == b->dir && a->proto == b->proto && a->spi == b->spi &&
	       (a->dir == SA_DIR_IN || addr_equal(&a->dst, &b->dst));
}

/* Another one, which goes, has its SPI: it cannot come before that has gone. */
static bool
waits_for_place(const struct reload *job, const struct config_sa *sa)
{
	const struct config *now = job->r->config;

	for (unsigned int i = 0; i < now->n_sas; i++)
		if (job->diff.sa_after[i] == RELOAD_NONE &&
			same_place(&now->sas[i].conf, &sa->conf))
			return true;
	return false;
}

/* Whether it could be added if its place were free. */
static int
rehearse(struct reload *job, const struct config_sa *sa)
{
	struct sad_crypto ops = crypto_sad_ops(job->r->crypto);
	struct sa trial = {0};
	const char *why = "";
	int rc = sa_check(&sa->conf, &why);

	if (rc == 0)
		rc = ops.create(ops.ctx, &trial, &sa->conf, sa->key);
	if (rc < 0)
		return reload_fail(job, rc, "SA %s: %s (%s)", sa->name,
			*why != '\0' ? why : "no crypto device takes it", strerror(-rc));
	ops.destroy(ops.ctx, &trial);
	return 0;
}

static void
remove_sa(struct router *r, const struct sa_conf *conf)
{
	uint32_t slot;

	if (sad_find(r->sad, conf->dir, conf->proto, conf->spi, &conf->dst, &slot) < 0 ||
		sad_cold(r->sad, slot)->conf.owner != 0)
		return;
	spd_unbind_sa(r->spd, r->sad, slot);
	sqn_store_release(r->sqn_store, slot);
	sad_del(r->sad, slot);
}

static void
undo_sas(struct reload *job, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (job->diff.sa_before[i] == RELOAD_NONE &&
			!waits_for_place(job, &job->next->sas[i]))
			remove_sa(job->r, &job->next->sas[i].conf);
}

/* What goes keeps its slot and its session for a grace period, which is after what takes its place has come. */
static int
check_room(struct reload *job, unsigned int n)
{
	unsigned int room =
		RTE_MIN(sad_count(job->r->sad, SA_FREE), crypto_sessions_left(job->r->crypto));
	if (n <= room)
		return 0;
	return reload_fail(job, -ENOSPC,
		"%u SAs take the place of others of their SPI, and limits.sas leaves room for %u "
		"at a time",
		n, room);
}

int
reload_sas_prepare(struct reload *job)
{
	const struct config *next = job->next;
	int rc = 0;

	job->numbers = calloc(next->n_sas + 1, sizeof(struct sqn_entry *));
	if (job->numbers == NULL)
		return reload_fail(job, -ENOMEM, "no memory");
	job->n_numbers = next->n_sas;
	log_sink_keep();
	for (unsigned int i = 0; rc == 0 && i < next->n_sas; i++)
		if (job->diff.sa_before[i] == RELOAD_NONE)
			rc = router_open_state(job->r, &next->sas[i], &job->numbers[i]);
	if (rc == 0) {
		log_sink_kept();
		return 0;
	}
	return reload_fail(job, rc, "%s", log_sink_kept());
}

void
reload_sas_close(struct reload *job)
{
	for (unsigned int i = 0; i < job->n_numbers; i++)
		sqn_store_close(job->numbers[i]);
	free(job->numbers);
	job->numbers = NULL;
	job->n_numbers = 0;
}

static int
add_sa(struct reload *job, unsigned int i)
{
	struct sqn_entry *numbers = job->numbers[i];

	job->numbers[i] = NULL;
	return router_add_static_sa(job->r, &job->next->sas[i], numbers);
}

int
reload_sas_add(struct reload *job)
{
	struct config *next = job->next;
	unsigned int waiting = 0;
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < next->n_sas; i++)
		if (job->diff.sa_before[i] == RELOAD_NONE && waits_for_place(job, &next->sas[i])) {
			rc = rehearse(job, &next->sas[i]);
			waiting++;
		}
	for (unsigned int i = 0; rc == 0 && i < next->n_sas; i++) {
		if (job->diff.sa_before[i] != RELOAD_NONE || waits_for_place(job, &next->sas[i]))
			continue;
		log_sink_keep();
		rc = add_sa(job, i);
		if (rc < 0) {
			reload_fail(job, rc, "%s", log_sink_kept());
			undo_sas(job, i);
		}
	}
	if (rc == 0) {
		rc = check_room(job, waiting);
		if (rc < 0)
			undo_sas(job, next->n_sas);
	}
	return rc;
}

void
reload_sas_undo(struct reload *job)
{
	undo_sas(job, job->next->n_sas);
}

/* Whether it takes the place of one that differs. */
static bool
replaces(const struct reload *job, unsigned int i)
{
	int k = job->diff.policy_before[i];

	return k != RELOAD_NONE &&
	       !reload_same_policy(&job->r->config->policies[k], &job->next->policies[i]);
}

static void
undo_policies(struct reload *job)
{
	struct spd *spd = job->r->spd;

	for (unsigned int i = 0; i < job->next->n_policies; i++) {
		const struct spd_policy_conf *before;

		if (!job->placed[i].done)
			continue;
		if (job->diff.policy_before[i] == RELOAD_NONE) {
			spd_del(spd, &job->next->policies[i]);
			continue;
		}
		/* Room for what was there a moment ago. */
		before = &job->r->config->policies[job->diff.policy_before[i]];
		if (spd_add(spd, before, NULL) == 0)
			spd_bind(spd, spd_find(spd, before), job->placed[i].sa);
	}
}

/* The new ones, or those in the place of another. */
static int
add_policies(struct reload *job, bool new)
{
	const struct config *next = job->next;
	struct spd *spd = job->r->spd;
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < next->n_policies; i++) {
		const struct spd_policy *p =
			replaces(job, i) ? spd_find(spd, &next->policies[i]) : NULL;

		if (new ? job->diff.policy_before[i] != RELOAD_NONE : p == NULL)
			continue;
		job->placed[i].sa = p != NULL ? p->sa : SPD_NO_SA;
		rc = spd_add(spd, &next->policies[i], NULL);
		job->placed[i].done = rc == 0;
	}
	return rc;
}

int
reload_policies_add(struct reload *job)
{
	int rc;

	job->placed = calloc(job->next->n_policies + 1, sizeof(*job->placed));
	if (job->placed == NULL)
		return reload_fail(job, -ENOMEM, "no memory");
	/* New ones may have no room: before that is known, those that are there say what they said. */
	rc = add_policies(job, true);
	if (rc == 0)
		rc = add_policies(job, false);
	if (rc == 0)
		return 0;
	undo_policies(job);
	return reload_fail(job, rc, "the policies do not fit: %s", spd_strerror(rc));
}

void
reload_sas_commit(struct reload *job)
{
	struct router *r = job->r;
	const struct config *now = r->config;

	for (unsigned int i = 0; i < now->n_policies; i++)
		if (job->diff.policy_after[i] == RELOAD_NONE)
			spd_del(r->spd, &now->policies[i]);
	for (unsigned int i = 0; i < now->n_sas; i++)
		if (job->diff.sa_after[i] == RELOAD_NONE)
			remove_sa(r, &now->sas[i].conf);
	/* It was rehearsed, and there is room. */
	for (unsigned int i = 0; i < job->next->n_sas; i++) {
		struct config_sa *sa = &job->next->sas[i];

		log_sink_keep();
		if (job->diff.sa_before[i] == RELOAD_NONE && waits_for_place(job, sa) &&
			add_sa(job, i) < 0)
			reload_fail(job, -EIO, "%s", log_sink_kept());
		explicit_bzero(sa->key, sizeof(sa->key));
	}
	/* In its place a policy kept the SA of the one before, which may be of another reqid or peer. */
	router_bind_policies(r, job->next);
}

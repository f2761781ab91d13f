/* SPDX-License-Identifier: BSD-3-Clause */
#include "reload_diff.h"

#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_log.h>

#include "reload_diff_priv.h"

void
reload_line(struct diff *d, char mark, const char *fmt, ...)
{
	va_list ap;

	fprintf(d->out, "%c ", mark);
	va_start(ap, fmt);
	vfprintf(d->out, fmt, ap);
	va_end(ap);
	fputs(mark == '!' ? " (needs a restart)\n" : "\n", d->out);
	if (mark == '!')
		d->to->restarts++;
	else
		d->to->changes++;
}

bool
reload_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void
compare_number(struct diff *d, char mark, const char *key, uint64_t a, uint64_t b)
{
	if (a != b)
		reload_line(d, mark, "%s: %" PRIu64 " -> %" PRIu64, key, a, b);
}

static void
compare_text(struct diff *d, char mark, const char *key, const char *a, const char *b)
{
	if (!reload_same_text(a, b))
		reload_line(d, mark, "%s: %s -> %s", key, a != NULL ? a : "none",
			b != NULL ? b : "none");
}

static bool
same_list(char *const *a, unsigned int n, char *const *b, unsigned int m)
{
	for (unsigned int i = 0; i < n && i < m; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return n == m;
}

static bool
same_lcores(const struct config *a, const struct config *b)
{
	for (unsigned int i = 0; i < a->n_lcores && i < b->n_lcores; i++)
		if (a->lcores[i].lcore != b->lcores[i].lcore ||
			a->lcores[i].cpu != b->lcores[i].cpu ||
			a->lcores[i].role != b->lcores[i].role)
			return false;
	return a->n_lcores == b->n_lcores;
}

static bool
same_plugins(const struct config *a, const struct config *b)
{
	for (unsigned int i = 0; i < a->n_plugins && i < b->n_plugins; i++)
		if (strcmp(a->plugins[i].library, b->plugins[i].library) != 0 ||
			strcmp(a->plugins[i].node, b->plugins[i].node) != 0 ||
			strcmp(a->plugins[i].from, b->plugins[i].from) != 0 ||
			strcmp(a->plugins[i].to, b->plugins[i].to) != 0)
			return false;
	return a->n_plugins == b->n_plugins;
}

/* What is built once: memory, lcores, devices, tables. */
static void
compare_fixed(struct diff *d, const struct config *a, const struct config *b)
{
	static const char *const modes[] = {"dedicated", "inline"};

	compare_text(d, '!', "name", a->name, b->name);
	compare_text(d, '!', "socket", a->socket, b->socket);
	compare_text(d, '!', "eal.file-prefix", a->eal.file_prefix, b->eal.file_prefix);
	compare_number(d, '!', "eal.memory", a->eal.memory, b->eal.memory);
	if (!same_list(a->eal.options, a->eal.n_options, b->eal.options, b->eal.n_options))
		reload_line(d, '!', "eal.options");
	if (!same_lcores(a, b))
		reload_line(d, '!', "lcores");
	compare_text(d, '!', "crypto.mode", modes[a->crypto.mode], modes[b->crypto.mode]);
	compare_number(d, '!', "crypto.frames", a->crypto.frames, b->crypto.frames);
	if (!same_list(
		    a->crypto.devices, a->crypto.n_devices, b->crypto.devices, b->crypto.n_devices))
		reload_line(d, '!', "crypto.devices");
	if (a->static_only != b->static_only)
		reload_line(d, '!', "ipsec.static-only");
	if (a->keep_keys != b->keep_keys)
		reload_line(d, '!', "ipsec.keep-keys");
	compare_number(
		d, '!', "ipsec.reassembly-timeout", a->reassembly_timeout, b->reassembly_timeout);
	compare_number(d, '!', "limits.sas", a->limits.sas, b->limits.sas);
	compare_number(d, '!', "limits.policies", a->limits.policies, b->limits.policies);
	compare_number(d, '!', "limits.routes", a->limits.routes, b->limits.routes);
	compare_number(d, '!', "limits.nexthops", a->limits.nexthops, b->limits.nexthops);
	compare_number(d, '!', "limits.mbufs", a->limits.mbufs, b->limits.mbufs);
	compare_number(d, '!', "limits.punt-rate", a->limits.punt_rate, b->limits.punt_rate);
	compare_number(
		d, '!', "limits.reassemblies", a->limits.reassemblies, b->limits.reassemblies);
	if (!same_plugins(a, b))
		reload_line(d, '!', "plugins");
}

static const char *const actions[] = {"discard", "bypass"};

static void
compare_settings(struct diff *d, const struct config *a, const struct config *b)
{
	static const char *const idles[] = {"back-off", "poll"};
	static const char *const fragments[] = {"before", "after", "never"};
	static const char *const truth[] = {"false", "true"};
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};

	compare_text(d, '~', "idle", idles[a->idle], idles[b->idle]);
	compare_text(d, '~', "log-level", levels[a->log_level - RTE_LOG_ERR],
		levels[b->log_level - RTE_LOG_ERR]);
	compare_text(
		d, '~', "ipsec.local-action", actions[a->local_action], actions[b->local_action]);
	compare_number(d, '~', "ipsec.policies-timeout", a->policies_timeout, b->policies_timeout);
	compare_number(d, '~', "ipsec.orphan-grace", a->orphan_grace, b->orphan_grace);
	compare_text(d, '~', "ipsec.fragment", fragments[a->fragment], fragments[b->fragment]);
	compare_number(d, '~', "ipsec.audit-rate", a->audit_rate, b->audit_rate);
	compare_text(d, '~', "ipsec.path-mtu-discovery", truth[a->path_mtu_discovery],
		truth[b->path_mtu_discovery]);
	compare_text(d, '~', "metrics.address", a->metrics.address, b->metrics.address);
	compare_text(d, '~', "metrics.vici", a->metrics.vici, b->metrics.vici);
	compare_number(d, '~', "metrics.port", a->metrics.port, b->metrics.port);
}

static int
pair_of(const struct config *c, const char *from, const char *to)
{
	for (unsigned int i = 0; i < c->n_pairs; i++)
		if (strcmp(c->ports[c->pairs[i].from].name, from) == 0 &&
			strcmp(c->ports[c->pairs[i].to].name, to) == 0)
			return (int)i;
	return RELOAD_NONE;
}

static void
compare_pairs(struct diff *d, const struct config *a, const struct config *b)
{
	for (unsigned int i = 0; i < b->n_pairs; i++) {
		const char *from = b->ports[b->pairs[i].from].name,
			   *to = b->ports[b->pairs[i].to].name;
		int k = pair_of(a, from, to);

		if (k == RELOAD_NONE)
			reload_line(d, '+', "port-pair %s -> %s: %s", from, to,
				actions[b->pairs[i].action]);
		else if (a->pairs[k].action != b->pairs[i].action)
			reload_line(d, '~', "port-pair %s -> %s: %s -> %s", from, to,
				actions[a->pairs[k].action], actions[b->pairs[i].action]);
	}
	for (unsigned int i = 0; i < a->n_pairs; i++) {
		const char *from = a->ports[a->pairs[i].from].name,
			   *to = a->ports[a->pairs[i].to].name;

		if (pair_of(b, from, to) == RELOAD_NONE)
			reload_line(d, '-', "port-pair %s -> %s", from, to);
	}
}

static int
make_index(int **v, unsigned int n)
{
	*v = malloc((n + 1) * sizeof(**v));
	for (unsigned int i = 0; *v != NULL && i < n; i++)
		(*v)[i] = RELOAD_NONE;
	return *v != NULL ? 0 : -ENOMEM;
}

int
reload_diff(struct reload_diff *to, const struct config *now, struct config *next)
{
	struct diff d = {.to = to};
	int rc;

	memset(to, 0, sizeof(*to));
	rc = make_index(&to->port_before, next->n_ports);
	rc = rc == 0 ? make_index(&to->port_after, now->n_ports) : rc;
	rc = rc == 0 ? make_index(&to->sa_before, next->n_sas) : rc;
	rc = rc == 0 ? make_index(&to->sa_after, now->n_sas) : rc;
	rc = rc == 0 ? make_index(&to->policy_before, next->n_policies) : rc;
	rc = rc == 0 ? make_index(&to->policy_after, now->n_policies) : rc;
	if (rc < 0)
		return rc;
	d.out = open_memstream(&to->lines, &to->lines_len);
	if (d.out == NULL)
		return -ENOMEM;
	reload_compare_ports(&d, now, next);
	reload_compare_sas(&d, now, next);
	to->fixed = to->restarts;
	compare_fixed(&d, now, next);
	compare_pairs(&d, now, next);
	compare_settings(&d, now, next);
	rc = reload_compare_policies(&d, now, next);
	return fclose(d.out) == 0 ? rc : -ENOMEM;
}

void
reload_diff_free(struct reload_diff *d)
{
	free(d->lines);
	free(d->port_before);
	free(d->port_after);
	free(d->sa_before);
	free(d->sa_after);
	free(d->policy_before);
	free(d->policy_after);
	memset(d, 0, sizeof(*d));
}

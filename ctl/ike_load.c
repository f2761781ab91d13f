/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_daemon.h"

#include "list.h"

#include "ike_apply.h"
#include "ike_file.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "ike load" and "ike diff". */

#define CTL_DIFFERENT 4

const char *
ike_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

int
ike_connect(const struct ike_options *o, struct vici **v)
{
	const char *why;

	*v = vici_open(o->uri, &why);
	return *v != NULL ? CTL_OK : client_fail(CTL_NO_ROUTER, "%s", why);
}

int
ike_session_begin(const struct ike_options *o, bool write, struct ike_session *s)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = ike_open(o, &s->file);
	if (rc == CTL_OK)
		rc = ike_connect(o, &s->v);
	if (rc != CTL_OK)
		return rc;
	s->state = ike_state_open(s->v, write);
	if (s->state == NULL)
		return CTL_REFUSED;
	s->wanted = ike_wanted_make(s->file, s->state->salt);
	if (s->wanted == NULL) {
		ike_file_print_errors(s->file, stderr);
		return CTL_REFUSED;
	}
	s->plan = ike_plan_make(s->v, s->wanted, s->state);
	return s->plan != NULL ? CTL_OK : CTL_NO_ROUTER;
}

void
ike_session_end(struct ike_session *s)
{
	ike_plan_free(s->plan);
	ike_wanted_free(s->wanted);
	ike_state_close(s->state);
	vici_close(s->v);
	ike_file_free(s->file);
	memset(s, 0, sizeof(*s));
}

static char
sign(const json_t *e)
{
	const char *change = ike_text(e, "change");

	return strcmp(change, "add") == 0 ? '+' : strcmp(change, "remove") == 0 ? '-' : '~';
}

static void
print_why(FILE *out, const json_t *e)
{
	json_t *why;
	size_t i;

	json_array_foreach (json_object_get(e, "why"), i, why)
		fprintf(out, "      %s\n", json_string_value(why));
}

static void
print_named(FILE *out, const char *what, const json_t *entries)
{
	const char *name;
	json_t *e;

	json_object_foreach ((json_t *)(uintptr_t)entries, name, e)
		fprintf(out, "%c %s %s\n", sign(e), what, name);
}

/* "cygnet-ike-GATEWAY-0011…" names the gateway. */
static void
print_secrets(FILE *out, char mark, const json_t *ids)
{
	json_t *v;
	size_t i;

	json_array_foreach (ids, i, v) {
		const char *id = json_string_value(v) + strlen("cygnet-");
		const char *end = strrchr(id, '-'), *name = strchr(id, '-');

		if (name != NULL && end > name)
			fprintf(out, "%c %s of gateway %.*s\n", mark,
				strncmp(id, "ppk", 3) == 0 ? "post-quantum key" : "pre-shared key",
				(int)(end - name - 1), name + 1);
	}
}

void
ike_print_plan(const struct ike_options *o, const struct ike_plan *p)
{
	FILE *out = o->view.out;
	const char *name, *tunnel;
	json_t *e, *t;

	print_named(out, "authority", p->authorities);
	print_named(out, "pool", p->pools);
	json_object_foreach (p->conns, name, e) {
		if (sign(e) != '~' || json_array_size(json_object_get(e, "why")) > 0) {
			fprintf(out, "%c gateway %s\n", sign(e), name);
			print_why(out, e);
		}
		json_object_foreach (json_object_get(e, "tunnels"), tunnel, t) {
			fprintf(out, "%c tunnel %s (gateway %s)\n", sign(t), tunnel, name);
			print_why(out, t);
		}
	}
	print_secrets(out, '+', p->secrets_add);
	print_secrets(out, '-', p->secrets_remove);
	for (size_t i = 0; i < json_array_size(p->keys_add); i++)
		fputs("+ private key\n", out);
	for (size_t i = 0; i < json_array_size(p->keys_remove); i++)
		fputs("- private key\n", out);
}

static void
print_summary(FILE *out, const struct ike_plan *p, const char *did)
{
	fprintf(out, "%s%zu added, %zu changed, %zu removed, %zu unchanged\n", did, p->added,
		p->changed, p->removed, p->unchanged);
	if (json_array_size(p->others) > 0)
		fprintf(out, "(%zu connection%s of others left alone)\n",
			json_array_size(p->others), json_array_size(p->others) == 1 ? "" : "s");
}

int
ike_diff_command(const struct ike_options *o)
{
	struct ike_session s;
	int rc = ike_session_begin(o, false, &s);

	if (rc == CTL_OK && o->view.json) {
		json_t *v = ike_plan_json(s.plan);

		json_print(o->view.out, v);
		fputc('\n', o->view.out);
		json_decref(v);
	} else if (rc == CTL_OK) {
		ike_print_plan(o, s.plan);
		print_summary(o->view.out, s.plan, "tunnels: ");
	}
	if (rc == CTL_OK && !ike_plan_empty(s.plan))
		rc = CTL_DIFFERENT;
	ike_session_end(&s);
	return rc;
}

volatile sig_atomic_t ike_ended;

static void
interrupt(int sig)
{
	(void)sig;
	ike_ended = 1;
}

struct meter {
	size_t shown; /* percent */
	bool terminal, quiet;
};

/* On a terminal a line that changes; else a line every tenth, when there is much to do. */
static bool
progress(void *ctx, size_t done, size_t all)
{
	struct meter *m = ctx;
	size_t percent = all > 0 ? done * 100 / all : 100;

	if (!m->quiet && m->terminal && all >= 200 && percent != m->shown) {
		fprintf(stderr, "\rcygnetctl: loading: %zu %%%s", percent,
			percent == 100 ? "\r\033[K" : "");
		m->shown = percent;
	} else if (!m->quiet && !m->terminal && all >= 2000 && percent / 10 != m->shown / 10) {
		fprintf(stderr, "cygnetctl: loading: %zu %%\n", percent);
		m->shown = percent;
	}
	return !ike_ended;
}

/* Up to a handful of names: "a, b, c and 17 others". */
static void
list_names(const json_t *names, char *buf, size_t size)
{
	size_t n = json_object_size(names), i = 0, len = 0;
	const char *name;
	json_t *v;

	buf[0] = '\0';
	json_object_foreach ((json_t *)(uintptr_t)names, name, v)
		if (i++ < 5 && len < size)
			len += (size_t)snprintf(
				buf + len, size - len, "%s%s", i > 1 ? ", " : "", name);
	if (n > 5 && len < size)
		snprintf(buf + len, size - len, " and %zu others", n - 5);
}

/* What was loaded, and went otherwise than the file or the options say. */
static void
say_what_differs(const struct ike_options *o, const struct ike_apply *a)
{
	json_t *kept = json_object(), *v;
	const char *name;
	char names[512];
	size_t i;

	json_object_foreach (a->closed, name, v)
		if (json_is_false(v))
			json_object_set(kept, name, v);
	list_names(kept, names, sizeof(names));
	if (o->keep && json_object_size(kept) > 0)
		client_fail(0,
			"--keep keeps no tunnel with start-action start: charon has closed %s, and "
			"begins anew",
			names);
	json_decref(kept);
	json_array_foreach (a->left, i, v)
		if (!o->quiet)
			client_fail(0,
				"charon keeps pool '%s' while peers have addresses of it: a later "
				"load removes it",
				json_string_value(v));
}

static int
say_failure(const struct ike_apply *a, int rc)
{
	char names[512];

	list_names(a->closed, names, sizeof(names));
	if (rc == -ENOTCONN)
		return client_fail(CTL_NO_ROUTER, "%s: load again when it is there", a->error);
	if (a->loaded)
		return client_fail(
			CTL_REFUSED, "%s, but that cannot be written down: load again", a->error);
	if (!a->restored)
		return client_fail(CTL_REFUSED,
			"%s; and what charon had could not all be restored: load again", a->error);
	if (*names != '\0')
		return client_fail(CTL_REFUSED,
			"%s; all is configured as before, but charon has closed tunnels with "
			"start-action start: %s",
			a->error, names);
	return client_fail(CTL_REFUSED, "%s; nothing has changed", a->error);
}

static int
apply(const struct ike_options *o, struct ike_session *s)
{
	struct meter m = {.terminal = isatty(STDERR_FILENO), .quiet = o->quiet};
	struct ike_apply a = {
		.v = s->v,
		.w = s->wanted,
		.s = s->state,
		.p = s->plan,
		.keep = o->keep,
		.progress = progress,
		.ctx = &m,
	};
	const struct sigaction act = {.sa_handler = interrupt};
	struct sigaction old_int, old_term;
	int rc;

	sigaction(SIGINT, &act, &old_int);
	sigaction(SIGTERM, &act, &old_term);
	rc = ike_apply(&a);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	if (rc != 0 && m.terminal && m.shown > 0)
		fputs("\r\033[K", stderr);
	if (rc == 0)
		say_what_differs(o, &a);
	else
		rc = say_failure(&a, rc);
	ike_apply_end(&a);
	return rc;
}

/* The names of those that others have loaded: theirs are not ours to replace. */
static int
refuse_foreign(const struct ike_options *o, const struct ike_plan *p)
{
	const char *name = ike_plan_foreign(p);

	if (name == NULL || o->others)
		return CTL_OK;
	return client_fail(CTL_REFUSED,
		"charon has a connection '%s' that cygnetctl has not loaded: remove it (swanctl), "
		"rename the gateway, or "
		"replace it with --take-over",
		name);
}

static int
load_once(const struct ike_options *o, struct ike_session *s)
{
	int rc = ike_session_begin(o, true, s);

	if (rc == CTL_OK)
		rc = refuse_foreign(o, s->plan);
	if (rc == CTL_OK && !ike_plan_empty(s->plan))
		rc = apply(o, s);
	else if (rc == CTL_OK && s->plan->forgot && !ike_state_save(s->state))
		rc = CTL_REFUSED;
	return rc;
}

int
ike_load_command(const struct ike_options *o)
{
	struct ike_session s;
	int rc = load_once(o, &s);

	if (rc == CTL_OK && o->view.json) {
		json_t *v = ike_plan_json(s.plan);

		json_print(o->view.out, v);
		fputc('\n', o->view.out);
		json_decref(v);
	} else if (rc == CTL_OK && !o->quiet) {
		if (s.plan->added + s.plan->changed + s.plan->removed <= 20)
			ike_print_plan(o, s.plan);
		print_summary(o->view.out, s.plan, "tunnels: ");
	}
	ike_session_end(&s);
	return rc;
}

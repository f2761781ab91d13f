/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_apply.h"

#include "ike_explain.h"
#include "ike_intent.h"
#include "ike_patience.h"
#include "ike_renew.h"
#include "ike_room.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TRIAL "cygnet-trial" /* no gateway of a file has this name by chance */

/* What is to be taken back: a command and its arguments, the newest last. */
struct undo {
	const char *command;
	json_t *args;
};

struct run {
	struct ike_apply *a;
	struct undo *undo;
	size_t n_undo, done, all;
	unsigned int seconds; /* that charon may take for a command */
	json_t *before; /* the state as it was */
	json_t *ran; /* tunnels that ran: {gateway: {tunnel: true}} */
	json_t *if_undone; /* as closed: those that charon closes when this is taken back */
	bool lost; /* charon hung up */
	bool lossy; /* something was replaced that we cannot give back */
};

static bool
step(struct run *r)
{
	struct ike_apply *a = r->a;

	r->done++;
	if (a->progress == NULL || a->progress(a->ctx, r->done, r->all))
		return true;
	snprintf(a->error, sizeof(a->error), "interrupted");
	return false;
}

/* One command; what and name say in an error whose it was. */
static json_t *
call(struct run *r, const char *command, json_t *args, const void *data, size_t len,
	const char *what, const char *name)
{
	json_t *answer = vici_call_data(r->a->v, command, args, data, len, r->seconds);
	const char *why = answer != NULL ? vici_refusal(answer) : NULL;

	if (answer != NULL && why == NULL)
		return answer;
	r->lost = answer == NULL;
	if (r->lost)
		snprintf(r->a->error, sizeof(r->a->error), "%s '%s': charon hung up", what, name);
	else
		snprintf(r->a->error, sizeof(r->a->error), "%s '%s': charon says: %s", what, name,
			why);
	json_decref(answer);
	return NULL;
}

static bool
call_plain(struct run *r, const char *command, json_t *args, const char *what, const char *name)
{
	json_t *answer = call(r, command, args, NULL, 0, what, name);

	json_decref(answer);
	return answer != NULL;
}

static void
later_undo(struct run *r, const char *command, json_t *args)
{
	struct undo *v = ike_grow(r->undo, r->n_undo, sizeof(*v));

	if (v == NULL) {
		json_decref(args);
		r->lossy = true;
		return;
	}
	r->undo = v;
	v[r->n_undo++] = (struct undo){command, args};
}

static bool
undo_all(struct run *r)
{
	bool good = true;

	while (r->n_undo > 0) {
		struct undo *u = &r->undo[--r->n_undo];
		json_t *answer = vici_call(r->a->v, u->command, u->args, r->seconds);

		r->lost = r->lost || answer == NULL;
		good = good && answer != NULL && vici_refusal(answer) == NULL;
		json_decref(answer);
	}
	return good;
}

static json_t *
named(const char *name, json_t *config)
{
	return json_pack("{sO}", name, config);
}

static json_t *
by_key(const char *key, const char *value)
{
	return json_pack("{ss}", key, value);
}

static bool
change_is(const json_t *e, const char *what)
{
	return strcmp(json_string_value(json_object_get(e, "change")), what) == 0;
}

static bool
has_room(struct run *r, const char *name, const json_t *conn)
{
	if (ike_has_room(conn))
		return true;
	snprintf(r->a->error, sizeof(r->a->error),
		"gateway '%s' has %zu tunnels, which is more than fits into one message of "
		"charon's "
		"(512 KiB, the list of their SAs too): part them among several gateways",
		name, json_object_size(json_object_get(conn, "children")));
	return false;
}

/* A copy that nobody can meet and that starts nothing. */
static json_t *
trial_of(json_t *conn)
{
	json_t *copy = json_copy(conn), *children = json_object(), *v;
	const char *name;

	json_object_set_new(copy, "local_addrs", json_pack("[s]", "127.255.255.254"));
	json_object_set_new(copy, "remote_addrs", json_pack("[s]", "127.255.255.253"));
	json_object_foreach (json_object_get(conn, "children"), name, v) {
		json_t *child = json_copy(v);

		json_object_set_new(child, "start_action", json_string("none"));
		json_object_set_new(children, name, child);
	}
	json_object_set_new(copy, "children", children);
	return json_pack("{so}", TRIAL, copy);
}

/* Whether charon takes them all, before anything of it changes. */
static bool
try_conns(struct run *r)
{
	bool good = true, any = false;
	const char *name;
	json_t *e, *conn;
	char why[256];

	json_object_foreach (r->a->p->conns, name, e) {
		if (change_is(e, "remove"))
			continue;
		conn = json_object_get(r->a->w->conns, name);
		good = has_room(r, name, conn) &&
		       call_plain(r, "load-conn", trial_of(conn), "gateway", name) && step(r);
		if (!good && strstr(r->a->error, "proposals") != NULL &&
			ike_explain_proposals(r->a->v, conn, why, sizeof(why)))
			snprintf(r->a->error, sizeof(r->a->error), "gateway '%s': %s", name, why);
		any = true;
		if (!good)
			break;
	}
	if (any)
		json_decref(vici_call(r->a->v, "unload-conn", by_key("name", TRIAL), r->seconds));
	return good;
}

static bool
add_secrets(struct run *r)
{
	const struct ike_wanted *w = r->a->w;
	json_t *wanted = json_object(), *had = json_object(), *e, *answer;
	bool good = true;
	size_t i;

	json_array_foreach (r->a->p->secrets_add, i, e)
		json_object_set_new(wanted, json_string_value(e), json_true());
	json_array_foreach (json_object_get(r->before, "secrets"), i, e)
		json_object_set_new(had, json_string_value(e), json_true());
	for (i = 0; good && i < w->n_secrets; i++) {
		const struct wanted_secret *s = &w->secrets[i];

		if (json_object_get(wanted, s->id) == NULL)
			continue;
		answer = call(r, "load-shared",
			json_pack("{sssssO}", "id", s->id, "type", s->type, "owners", s->owners),
			s->data, s->len, "secret", s->section);
		good = answer != NULL;
		json_decref(answer);
		/* What was to be there is not taken away. */
		if (good && json_object_get(had, s->id) == NULL)
			later_undo(r, "unload-shared", by_key("id", s->id));
		good = good && step(r);
	}
	json_decref(had);
	json_decref(wanted);
	return good;
}

/*
 * charon knows a key by its public half: one that it has already, from another file, it has once. That is not taken back.
 */
static void
key_loaded(struct run *r, json_t *had, const char *id)
{
	if (json_object_get(had, id) != NULL)
		return;
	json_object_set_new(had, id, json_true());
	later_undo(r, "unload-key", by_key("id", id));
}

static bool
add_keys(struct run *r)
{
	const struct ike_wanted *w = r->a->w;
	json_t *e, *answer, *known = ike_state_get(r->a->s, "keys"), *had = r->a->p->keys_loaded;
	size_t i, j;

	json_array_foreach (r->a->p->keys_add, i, e) {
		const char *fingerprint = json_string_value(e), *id;

		for (j = 0; j < w->n_keys && strcmp(w->keys[j].fingerprint, fingerprint) != 0; j++)
			;
		if (j == w->n_keys)
			continue;
		answer = call(r, "load-key", by_key("type", "any"), w->keys[j].data, w->keys[j].len,
			"private key", w->keys[j].file);
		if (answer == NULL)
			return false;
		id = json_string_value(json_object_get(answer, "id"));
		if (id != NULL) {
			key_loaded(r, had, id);
			json_object_set_new(known, fingerprint,
				json_pack("{ssss}", "id", id, "file", w->keys[j].file));
		}
		json_decref(answer);
		if (!step(r))
			return false;
	}
	return true;
}

/* What a load that is cut off leaves in charon: of secrets more than charon can be asked for. */
static bool
intend_secrets(struct run *r)
{
	if (ike_intend_secrets(r->a->s, r->a->p))
		return true;
	snprintf(r->a->error, sizeof(r->a->error), "what is loaded could not be written down");
	return false;
}

static bool
intend(struct run *r)
{
	if (ike_intend(r->a->s, r->a->p, r->a->w))
		return true;
	snprintf(r->a->error, sizeof(r->a->error), "what is loaded could not be written down");
	return false;
}

/*
 * Pools and authorities: the same commands under two names. What is taken back is noted when charon has agreed, before
 * anything can end it.
 */
static bool
load_named(struct run *r, const json_t *plan, const json_t *want, const char *section,
	const char *load, const char *unload, const char *what)
{
	json_t *known = json_object_get(r->before, section), *e, *old;
	const char *name;

	json_object_foreach ((json_t *)(uintptr_t)plan, name, e) {
		if (change_is(e, "remove"))
			continue;
		old = json_object_get(known, name);
		if (!call_plain(r, load, named(name, json_object_get(want, name)), what, name))
			return false;
		if (json_is_true(json_object_get(e, "foreign")) ||
			(change_is(e, "change") && json_object_size(old) == 0))
			r->lossy = true;
		else if (change_is(e, "change"))
			later_undo(r, load, named(name, old));
		else
			later_undo(r, unload, by_key("name", name));
		if (!step(r))
			return false;
	}
	return true;
}

/* What becomes of its tunnels; old is what we know of it. */
static void
conn_changes(struct run *r, const char *name, const json_t *e, const json_t *old)
{
	const json_t *ran = json_object_get(r->ran, name);

	if (json_is_true(json_object_get(e, "foreign")) ||
		json_is_true(json_object_get(e, "altered")))
		r->lossy = true;
	ike_closed(r->a->closed, e, old, ran);
	ike_closed(r->if_undone, e, json_object_get(r->a->w->conns, name), ran);
}

/*
 * charon knows a tunnel again by what it says, not by its name: one that takes the place of another leaves a trap or
 * bypass under a name that is no longer there, and does not start.
 */
static bool
may_swap(const json_t *e)
{
	const json_t *tunnels = json_object_get(e, "tunnels");
	size_t before = 0, after = 0;
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)tunnels, name, v) {
		before += !change_is(v, "add");
		after += !change_is(v, "remove");
	}
	return before > 0 && after > 0 && json_object_size(tunnels) > 1;
}

/* A connection with those of its tunnels that stay as they are. */
static json_t *
unchanged_of(json_t *conn, const json_t *e)
{
	json_t *copy = json_copy(conn), *children = json_object(), *v;
	const char *name;

	json_object_foreach (json_object_get(conn, "children"), name, v)
		if (json_object_get(json_object_get(e, "tunnels"), name) == NULL)
			json_object_set(children, name, v);
	json_object_set_new(copy, "children", children);
	return copy;
}

/* What charon does not look at when it compares a connection with the one that it has. */
static bool
differs_unseen(const json_t *old, const json_t *new)
{
	static const char *const keys[] = {"dscp", "dpd_timeout"};

	for (unsigned int i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *a = json_object_get(old, keys[i]), *b = json_object_get(new, keys[i]);

		/* What neither has is the same, which json_equal() does not say. */
		if (a != b && !json_equal(a, b))
			return true;
	}
	return false;
}

/* What makes charon drop all that it would not tell from what is to come; no command where there is nothing of that. */
static struct undo
first_of(const struct run *r, const char *name, const json_t *e, const json_t *old)
{
	json_t *want = json_object_get(r->a->w->conns, name);

	if (json_is_true(json_object_get(e, "foreign")) ||
		json_is_true(json_object_get(e, "altered")) ||
		(change_is(e, "change") && differs_unseen(old, want)))
		return (struct undo){"unload-conn", by_key("name", name)};
	if (may_swap(e))
		return (struct undo){"load-conn", json_pack("{so}", name, unchanged_of(want, e))};
	return (struct undo){NULL, NULL};
}

static bool
load_conn(struct run *r, const char *name, const json_t *e, json_t *old)
{
	struct undo first = first_of(r, name, e, old);
	bool good = true;

	if (first.command != NULL) {
		/* That somebody else has unloaded it meanwhile is no failure. */
		good = call_plain(r, first.command, json_incref(first.args), "gateway", name) ||
		       (!r->lost && strcmp(first.command, "unload-conn") == 0);
		if (good)
			conn_changes(r, name, e, old);
		if (good && old != NULL)
			later_undo(r, "load-conn", named(name, old));
	}
	good = good && call_plain(r, "load-conn",
			       named(name, json_object_get(r->a->w->conns, name)), "gateway", name);
	if (good && change_is(e, "add"))
		later_undo(r, "unload-conn", by_key("name", name));
	else if (good && old != NULL && first.command == NULL)
		later_undo(r, "load-conn", named(name, old));
	else if (good && old != NULL)
		later_undo(r, first.command, json_incref(first.args));
	json_decref(first.args);
	return good;
}

static bool
load_conns(struct run *r)
{
	json_t *known = json_object_get(r->before, "conns"), *e, *old;
	const char *name;
	bool good;

	json_object_foreach (r->a->p->conns, name, e) {
		old = json_object_get(json_object_get(known, name), "config");
		if (!change_is(e, "remove"))
			good = load_conn(r, name, e, old);
		else if ((good = call_plain(
				  r, "unload-conn", by_key("name", name), "gateway", name)) &&
			 old != NULL)
			later_undo(r, "load-conn", named(name, old));
		if (!good)
			return false;
		conn_changes(r, name, e, old);
		if (!step(r))
			return false;
	}
	return true;
}

/* charon finds nothing new in them, and takes their certificates. */
static bool
load_again(struct run *r)
{
	const char *name;
	json_t *v;
	size_t i;

	json_array_foreach (r->a->p->again, i, v) {
		name = json_string_value(v);
		if (!call_plain(r, "load-conn", named(name, json_object_get(r->a->w->conns, name)),
			    "gateway", name) ||
			!step(r))
			return false;
	}
	return true;
}

/* A pool whose addresses peers have stays: charon says no. */
static void
drop_pool(struct run *r, const char *name)
{
	json_t *answer = vici_call(r->a->v, "unload-pool", by_key("name", name), r->seconds);

	if (answer == NULL || vici_refusal(answer) != NULL)
		json_array_append_new(r->a->left, json_string(name));
	json_decref(answer);
}

/* Keys of files that are no longer named, but for those that another file holds as well: in other bytes, say. */
static void
drop_keys(struct run *r)
{
	json_t *known = ike_state_get(r->a->s, "keys"), *gone = json_object(), *e;
	const char *name, *id;
	size_t i;

	json_array_foreach (r->a->p->keys_remove, i, e) {
		name = json_string_value(e);
		id = json_string_value(json_object_get(json_object_get(known, name), "id"));
		if (id != NULL)
			json_object_set_new(gone, id, json_true());
		json_object_del(known, name);
	}
	json_object_foreach (known, name, e) {
		id = json_string_value(json_object_get(e, "id"));
		if (id != NULL)
			json_object_del(gone, id);
	}
	json_object_foreach (gone, id, e)
		json_decref(vici_call(r->a->v, "unload-key", by_key("id", id), r->seconds));
	json_decref(gone);
}

/* What the new state no longer needs. What else charon refuses to drop it does not have. */
static void
drop_old(struct run *r)
{
	const struct ike_plan *p = r->a->p;
	const char *name;
	json_t *e;
	size_t i;

	json_array_foreach (p->secrets_remove, i, e)
		json_decref(vici_call(
			r->a->v, "unload-shared", by_key("id", json_string_value(e)), r->seconds));
	drop_keys(r);
	json_object_foreach (p->pools, name, e)
		if (change_is(e, "remove"))
			drop_pool(r, name);
	json_object_foreach (p->authorities, name, e)
		if (change_is(e, "remove"))
			json_decref(vici_call(
				r->a->v, "unload-authority", by_key("name", name), r->seconds));
}

/* All that charon has now. False when it has gone meanwhile. */
static bool
remember(struct run *r)
{
	json_t *conns = json_object(), *listed = ike_listings(r->a->v, NULL),
	       *secrets = json_array(), *pools = json_copy(r->a->w->pools), *v;
	const char *name;
	size_t i;

	for (i = 0; i < r->a->w->n_secrets; i++)
		json_array_append_new(secrets, json_string(r->a->w->secrets[i].id));
	json_object_set_new(r->a->s->json, "secrets", secrets);
	json_object_del(r->a->s->json, "secrets_unsure");

	json_object_foreach (r->a->w->conns, name, v)
		json_object_set_new(conns, name,
			json_pack("{sOsO*}", "config", v, "listed", json_object_get(listed, name)));
	json_object_set_new(r->a->s->json, "conns", conns);
	json_array_foreach (r->a->left, i, v) {
		name = json_string_value(v);
		json_object_set(
			pools, name, json_object_get(json_object_get(r->before, "pools"), name));
	}
	json_object_set_new(r->a->s->json, "pools", pools);
	json_object_set(r->a->s->json, "authorities", r->a->w->authorities);
	json_decref(listed);
	return listed != NULL;
}

/* After the last change; what fails now takes nothing back. */
static int
end(struct run *r, json_t *running)
{
	struct ike_apply *a = r->a;

	a->renewed = ike_renew(a->v, a->w, a->p, running, a->keep);
	drop_old(r);
	r->lost = !remember(r);
	a->loaded = true;
	a->restored = false;
	if (!ike_state_save(a->s)) {
		snprintf(a->error, sizeof(a->error), "everything is loaded");
		return -ECANCELED;
	}
	snprintf(a->error, sizeof(a->error), "charon hung up");
	return r->lost ? -ENOTCONN : 0;
}

/* Takes back what was done; what cannot be stays noted as ours. */
static int
give_up(struct run *r)
{
	struct ike_apply *a = r->a;

	if (r->n_undo > 0)
		json_object_update(a->closed, r->if_undone);
	a->restored = !r->lost && undo_all(r) && !r->lossy;
	if (a->restored) {
		json_decref(a->s->json);
		a->s->json = json_incref(r->before);
		ike_state_save(a->s);
	}
	return r->lost ? -ENOTCONN : -ECANCELED;
}

/* The state becomes another one, which may be changed and written; that of before stays. */
static void
begin(struct run *r)
{
	json_t *copy = json_object(), *v;
	const char *key;

	r->before = r->a->s->json;
	json_object_foreach (r->before, key, v)
		json_object_set_new(copy, key, json_copy(v));
	r->a->s->json = copy;
}

int
ike_apply(struct ike_apply *a)
{
	struct run r = {.a = a, .if_undone = json_object()};
	const struct ike_plan *p = a->p;
	json_t *running = NULL;
	bool good;
	int rc;

	r.all = 2 * json_object_size(p->conns) + json_array_size(p->again) +
		json_array_size(p->secrets_add) + json_array_size(p->keys_add);
	a->closed = json_object();
	a->left = json_array();
	begin(&r);
	r.seconds = ike_patience(p, a->w, json_object_get(r.before, "conns"));
	running = ike_running(a->v, p);
	r.lost = running == NULL;
	r.ran = ike_ran(running);
	snprintf(a->error, sizeof(a->error), "charon hung up");
	good = !r.lost && try_conns(&r) && intend_secrets(&r) && add_secrets(&r) && add_keys(&r) &&
	       intend(&r) &&
	       load_named(&r, p->authorities, a->w->authorities, "authorities", "load-authority",
		       "unload-authority", "authority") &&
	       load_named(&r, p->pools, a->w->pools, "pools", "load-pool", "unload-pool", "pool") &&
	       load_conns(&r) && load_again(&r);
	rc = good ? end(&r, running) : give_up(&r);
	for (size_t i = 0; i < r.n_undo; i++)
		json_decref(r.undo[i].args);
	free(r.undo);
	json_decref(r.before);
	json_decref(r.ran);
	json_decref(r.if_undone);
	json_decref(running);
	return rc;
}

void
ike_apply_end(struct ike_apply *a)
{
	json_decref(a->closed);
	json_decref(a->left);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_plan.h"

#include "ike_room.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void
hash_listing(void *ctx, const char *event, json_t *message)
{
	const char *name;
	char hash[65];
	json_t *v;

	(void)event;
	json_object_foreach (message, name, v) {
		ike_fingerprint(v, hash);
		json_object_set_new(ctx, name, json_string(hash));
	}
}

json_t *
ike_listings(struct vici *v, const char *name)
{
	json_t *hashes = json_object();

	if (vici_stream(v, "list-conns", name != NULL ? json_pack("{ss}", "ike", name) : NULL,
		    "list-conn", hash_listing, hashes))
		return hashes;
	json_decref(hashes);
	return NULL;
}

static json_t *
entry(const char *change)
{
	return json_pack("{sss[]}", "change", change, "why");
}

/* A value for people: lists with commas, certificates by their files. */
static void
show(const json_t *v, char out[96])
{
	const char *s = json_string_value(v), *file;
	size_t len = 0, i;
	json_t *e;

	snprintf(out, 96, "%s", s != NULL ? s : v == NULL ? "(default)" : "");
	json_array_foreach (v, i, e) {
		file = json_string_value(json_object_get(e, "file"));
		s = file != NULL ? file : json_string_value(e);
		if (len < 96)
			len += (size_t)snprintf(
				out + len, 96 - len, "%s%s", i > 0 ? "," : "", s != NULL ? s : "");
	}
}

/* Adds "key old -> new" for each that differs; children are looked at elsewhere. */
static void
compare(json_t *why, const char *prefix, json_t *old, json_t *new)
{
	char before[96], after[96], name[64];
	const char *key;
	json_t *v, *all = json_object();

	json_object_update(all, old);
	json_object_update(all, new);
	json_object_foreach (all, key, v) {
		const json_t *a = json_object_get(old, key), *b = json_object_get(new, key);

		if (strcmp(key, "children") == 0 || json_equal(a, b))
			continue;
		snprintf(name, sizeof(name), "%s%s", prefix, key);
		if (json_is_object(v) && json_object_get(v, "pem") == NULL) {
			strncat(name, " ", sizeof(name) - strlen(name) - 1);
			compare(why, name, json_object_get(old, key), json_object_get(new, key));
			continue;
		}
		show(a, before);
		show(b, after);
		for (char *s = name; *s != '\0'; s++)
			if (*s == '_')
				*s = '-';
		if (strcmp(before, after) == 0)
			json_array_append_new(
				why, json_sprintf("%s: other contents of %s", name, after));
		else
			json_array_append_new(
				why, json_sprintf("%s: %s -> %s", name, before, after));
	}
	json_decref(all);
}

static void
all_tunnels(struct ike_plan *p, json_t *tunnels, const json_t *config, const char *change,
	size_t *count)
{
	const char *name;
	json_t *v;

	(void)p;
	json_object_foreach (json_object_get(config, "children"), name, v) {
		json_object_set_new(tunnels, name, entry(change));
		++*count;
	}
}

static void
compare_tunnels(struct ike_plan *p, json_t *tunnels, const json_t *old, const json_t *new)
{
	json_t *before = json_object_get(old, "children"),
	       *after = json_object_get(new, "children"), *v, *w;
	const char *name;

	json_object_foreach (after, name, v) {
		w = json_object_get(before, name);
		if (w == NULL) {
			json_object_set_new(tunnels, name, entry("add"));
			p->added++;
		} else if (!json_equal(v, w)) {
			json_object_set_new(tunnels, name, entry("change"));
			compare(json_object_get(json_object_get(tunnels, name), "why"), "", w, v);
			p->changed++;
		} else {
			p->unchanged++;
		}
	}
	json_object_foreach (before, name, v)
		if (json_object_get(after, name) == NULL) {
			json_object_set_new(tunnels, name, entry("remove"));
			p->removed++;
		}
}

/* One connection of the file against what is known of charon's. */
static void
plan_conn(struct ike_plan *p, const char *name, json_t *want, const json_t *record)
{
	const char *listed = json_string_value(json_object_get(p->listed, name));
	const char *known = json_string_value(json_object_get(record, "listed"));
	json_t *config = json_object_get(record, "config");
	json_t *e = entry("change"), *tunnels = json_object();

	json_object_set_new(e, "tunnels", tunnels);
	if (listed == NULL) {
		json_object_set_new(e, "change", json_string("add"));
		all_tunnels(p, tunnels, want, "add", &p->added);
	} else if (record == NULL) {
		json_object_set_new(e, "foreign", json_true());
		json_array_append_new(
			json_object_get(e, "why"), json_string("somebody else has loaded it"));
		all_tunnels(p, tunnels, want, "change", &p->changed);
	} else if (known == NULL || strcmp(known, listed) != 0) {
		json_object_set_new(e, "altered", json_true());
		json_array_append_new(json_object_get(e, "why"),
			json_string(known == NULL ? "a load that was cut off may have changed it"
						  : "somebody else has changed it"));
		all_tunnels(p, tunnels, want, "change", &p->changed);
	} else {
		compare(json_object_get(e, "why"), "", config, want);
		compare_tunnels(p, tunnels, config, want);
	}
	/* Nothing of it differs. */
	if (json_array_size(json_object_get(e, "why")) == 0 && json_object_size(tunnels) == 0)
		json_decref(e);
	else
		json_object_set_new(p->conns, name, e);
}

/* Pools and authorities: what we remember counts where charon has it. */
static void
plan_named(json_t *out, const json_t *want, const json_t *known, const json_t *loaded)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)want, name, v) {
		const json_t *old = json_object_get(known, name);

		if (json_object_get(loaded, name) == NULL)
			json_object_set_new(out, name, entry("add"));
		else if (old == NULL)
			json_object_set_new(out, name,
				json_pack("{sss[]sb}", "change", "change", "why", "foreign", 1));
		else if (!json_equal(old, v))
			json_object_set_new(out, name, entry("change"));
	}
	json_object_foreach ((json_t *)(uintptr_t)known, name, v)
		if (json_object_get(want, name) == NULL && json_object_get(loaded, name) != NULL)
			json_object_set_new(out, name, entry("remove"));
}

/* What has left both the file and charon is nothing that charon has lost. */
static void
forget_named(struct ike_plan *p, json_t *known, const json_t *want, const json_t *have)
{
	const char *name;
	json_t *e;
	void *next;

	json_object_foreach_safe (known, next, name, e)
		if (json_object_get(want, name) == NULL && json_object_get(have, name) == NULL) {
			json_object_del(known, name);
			p->forgot = true;
		}
}

/* Noted are those whose loading was done with, if there was an end of it. */
static void
look_for_lost(struct ike_plan *p, const struct ike_state *s, const json_t *have)
{
	json_t *v;
	size_t i;

	if (json_object_get(s->json, "secrets_unsure") == NULL)
		json_array_foreach (json_object_get(s->json, "secrets"), i, v)
			p->lost = p->lost || json_object_get(have, json_string_value(v)) == NULL;
}

static void
forget_secrets(struct ike_plan *p, json_t *known, const json_t *want, const json_t *have)
{
	for (size_t i = json_array_size(known); i-- > 0;) {
		const char *id = json_string_value(json_array_get(known, i));

		if (json_object_get(want, id) == NULL && json_object_get(have, id) == NULL) {
			json_array_remove(known, i);
			p->forgot = true;
		}
	}
}

static bool
plan_pools(struct ike_plan *p, struct vici *v, const struct ike_wanted *w, struct ike_state *s)
{
	json_t *pools = vici_call(v, "get-pools", NULL, 30), *loaded = json_object(), *e;
	json_t *authorities = vici_call(v, "get-authorities", NULL, 30);
	size_t i;

	json_array_foreach (json_object_get(authorities, "authorities"), i, e)
		json_object_set_new(loaded, json_string_value(e), json_true());
	plan_named(p->pools, w->pools, ike_state_get(s, "pools"), pools);
	plan_named(p->authorities, w->authorities, ike_state_get(s, "authorities"), loaded);
	if (authorities != NULL && pools != NULL) {
		forget_named(p, ike_state_get(s, "pools"), w->pools, pools);
		forget_named(p, ike_state_get(s, "authorities"), w->authorities, loaded);
	}
	json_decref(loaded);
	json_decref(authorities);
	json_decref(pools);
	return authorities != NULL && pools != NULL;
}

/*
 * The ids of our secrets that charon has, as a set. charon names them all in one message, which has an end, and nobody hears
 * of a longer one: where there are very many, our own list stands in. *sure: it can be told from that what charon lacks.
 */
static json_t *
loaded_secrets(const struct ike_plan *p, struct vici *v, struct ike_state *s, const json_t *want,
	bool *sure)
{
	json_t *have = json_object(), *all = ike_state_secrets(s, want), *answer = NULL, *e;
	const json_t *ids = json_object_get(s->json, "secrets");
	const char *conn = json_object_iter_key(json_object_iter(ike_state_get(s, "conns")));
	bool fit = ike_names_fit(all);
	size_t i;

	json_decref(all);
	*sure = fit || (conn != NULL && json_object_get(p->listed, conn) != NULL &&
			       json_object_get(s->json, "secrets_unsure") == NULL);
	if (fit) {
		answer = vici_call(v, "get-shared", NULL, 30);
		ids = json_object_get(answer, "keys");
		if (answer == NULL) {
			json_decref(have);
			return NULL;
		}
	}
	json_array_foreach (ids, i, e)
		if (strncmp(json_string_value(e), "cygnet-", 7) == 0)
			json_object_set_new(have, json_string_value(e), json_true());
	json_decref(answer);
	return have;
}

/* One that charon has already is replaced by itself. */
static bool
plan_secrets(struct ike_plan *p, struct vici *v, const struct ike_wanted *w, struct ike_state *s)
{
	json_t *ids = json_array(), *want = json_object(), *have, *e;
	const char *id;
	bool sure;
	size_t i;

	for (i = 0; i < w->n_secrets; i++)
		json_array_append_new(ids, json_string(w->secrets[i].id));
	have = loaded_secrets(p, v, s, ids, &sure);
	json_decref(ids);
	if (have == NULL) {
		json_decref(want);
		return false;
	}
	for (i = 0; i < w->n_secrets; i++) {
		json_object_set_new(want, w->secrets[i].id, json_true());
		if (!sure || json_object_get(have, w->secrets[i].id) == NULL)
			json_array_append_new(p->secrets_add, json_string(w->secrets[i].id));
	}
	json_object_foreach (have, id, e)
		if (json_object_get(want, id) == NULL)
			json_array_append_new(p->secrets_remove, json_string(id));
	look_for_lost(p, s, have);
	forget_secrets(p, json_object_get(s->json, "secrets"), want, have);
	json_decref(have);
	json_decref(want);
	return true;
}

static bool
plan_keys(struct ike_plan *p, struct vici *v, const struct ike_wanted *w, struct ike_state *s)
{
	json_t *answer = vici_call(v, "get-keys", NULL, 30), *known = ike_state_get(s, "keys"), *e;
	const char *fingerprint;
	size_t i;

	json_array_foreach (json_object_get(answer, "keys"), i, e)
		json_object_set_new(p->keys_loaded, json_string_value(e), json_true());
	for (i = 0; i < w->n_keys; i++) {
		const char *id = json_string_value(
			json_object_get(json_object_get(known, w->keys[i].fingerprint), "id"));

		if (id == NULL || json_object_get(p->keys_loaded, id) == NULL)
			json_array_append_new(p->keys_add, json_string(w->keys[i].fingerprint));
	}
	json_object_foreach (known, fingerprint, e) {
		const char *id = json_string_value(json_object_get(e, "id"));

		p->lost = p->lost || (id != NULL && json_object_get(p->keys_loaded, id) == NULL);
		for (i = 0; i < w->n_keys && strcmp(w->keys[i].fingerprint, fingerprint) != 0; i++)
			;
		if (i == w->n_keys)
			json_array_append_new(p->keys_remove, json_string(fingerprint));
	}
	json_decref(answer);
	return answer != NULL;
}

static bool
has_certificates(const json_t *conn)
{
	const json_t *local = json_object_get(conn, "local"),
		     *remote = json_object_get(conn, "remote");

	return json_object_get(local, "certs") != NULL ||
	       json_object_get(remote, "certs") != NULL ||
	       json_object_get(remote, "cacerts") != NULL;
}

struct ike_plan *
ike_plan_make(struct vici *v, const struct ike_wanted *w, struct ike_state *s)
{
	struct ike_plan *p = calloc(1, sizeof(*p));
	json_t *known = ike_state_get(s, "conns"), *e;
	const char *name;

	if (p == NULL)
		return NULL;
	p->conns = json_object();
	p->pools = json_object();
	p->authorities = json_object();
	p->secrets_add = json_array();
	p->secrets_remove = json_array();
	p->keys_add = json_array();
	p->keys_remove = json_array();
	p->keys_loaded = json_object();
	p->again = json_array();
	p->others = json_array();
	p->listed = ike_listings(v, NULL);
	if (p->listed == NULL || !plan_secrets(p, v, w, s) || !plan_keys(p, v, w, s) ||
		!plan_pools(p, v, w, s)) {
		fprintf(stderr, "cygnetctl: charon hung up\n");
		ike_plan_free(p);
		return NULL;
	}
	forget_named(p, known, w->conns, p->listed);
	json_object_foreach (w->conns, name, e) {
		plan_conn(p, name, e, json_object_get(known, name));
		if (p->lost && json_object_get(p->conns, name) == NULL && has_certificates(e))
			json_array_append_new(p->again, json_string(name));
	}
	json_object_foreach (p->listed, name, e) {
		const json_t *record = json_object_get(known, name);
		json_t *gone, *tunnels;

		if (json_object_get(w->conns, name) != NULL)
			continue;
		if (record == NULL) {
			json_array_append_new(p->others, json_string(name));
			continue;
		}
		gone = entry("remove");
		tunnels = json_object();
		all_tunnels(p, tunnels, json_object_get(record, "config"), "remove", &p->removed);
		json_object_set_new(gone, "tunnels", tunnels);
		json_object_set_new(p->conns, name, gone);
	}
	return p;
}

void
ike_plan_free(struct ike_plan *p)
{
	if (p == NULL)
		return;
	json_decref(p->conns);
	json_decref(p->pools);
	json_decref(p->authorities);
	json_decref(p->secrets_add);
	json_decref(p->secrets_remove);
	json_decref(p->keys_add);
	json_decref(p->keys_remove);
	json_decref(p->keys_loaded);
	json_decref(p->again);
	json_decref(p->others);
	json_decref(p->listed);
	free(p);
}

bool
ike_plan_empty(const struct ike_plan *p)
{
	return json_object_size(p->conns) == 0 && json_object_size(p->pools) == 0 &&
	       json_object_size(p->authorities) == 0 && json_array_size(p->secrets_add) == 0 &&
	       json_array_size(p->secrets_remove) == 0 && json_array_size(p->keys_add) == 0 &&
	       json_array_size(p->keys_remove) == 0;
}

const char *
ike_plan_foreign(const struct ike_plan *p)
{
	const char *name;
	json_t *e;

	json_object_foreach (p->conns, name, e)
		if (json_is_true(json_object_get(e, "foreign")))
			return name;
	return NULL;
}

json_t *
ike_plan_json(const struct ike_plan *p)
{
	return json_pack("{sOsOsOsIsIsIsIsIsIsO}", "gateways", p->conns, "pools", p->pools,
		"authorities", p->authorities, "added", (json_int_t)p->added, "changed",
		(json_int_t)p->changed, "removed", (json_int_t)p->removed, "unchanged",
		(json_int_t)p->unchanged, "secrets_added",
		(json_int_t)json_array_size(p->secrets_add), "secrets_removed",
		(json_int_t)json_array_size(p->secrets_remove), "others", p->others);
}

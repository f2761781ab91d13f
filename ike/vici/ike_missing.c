/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_missing.h"

#include "ike_plan.h"
#include "ike_room.h"

#include <errno.h>
#include <string.h>

#define NAMES_MANY 7000 /* of 64 bytes: more do not fit one message */
#define SECONDS 30

/* The names of an answer's list as a set; NULL: charon is gone. */
static json_t *
names(struct vici *v, const char *command, const char *list)
{
	json_t *answer = vici_call(v, command, NULL, SECONDS), *set, *e;
	size_t i;

	if (answer == NULL)
		return NULL;
	set = json_object();
	json_array_foreach (json_object_get(answer, list), i, e)
		json_object_set_new(set, json_string_value(e), json_true());
	json_decref(answer);
	return set;
}

/* Where there are very many, the first stands for all. */
static int
missing_conn(struct vici *v, json_t *known, char *what, size_t size)
{
	const char *name = json_object_iter_key(json_object_iter(known));
	json_t *have, *e;
	int rc = 0;

	if (name == NULL)
		return 0;
	have = json_object_size(known) > NAMES_MANY ? ike_listings(v, name)
						    : names(v, "get-conns", "conns");
	if (have == NULL)
		return -ENOTCONN;
	json_object_foreach (known, name, e) {
		rc = json_object_get(have, name) == NULL;
		if (rc != 0)
			snprintf(what, size, "gateway '%s'", name);
		if (rc != 0 || json_object_size(known) > NAMES_MANY)
			break;
	}
	json_decref(have);
	return rc;
}

static int
missing_secret(struct vici *v, const json_t *ids, char *what, size_t size)
{
	json_t *have, *e;
	int rc = 0;
	size_t i;

	if (json_array_size(ids) == 0 || !ike_names_fit(ids))
		return 0;
	have = names(v, "get-shared", "keys");
	if (have == NULL)
		return -ENOTCONN;
	json_array_foreach (ids, i, e) {
		rc = json_object_get(have, json_string_value(e)) == NULL;
		if (rc != 0)
			break;
	}
	if (rc != 0)
		snprintf(what, size, "a pre-shared key");
	json_decref(have);
	return rc;
}

static int
missing_key(struct vici *v, json_t *known, char *what, size_t size)
{
	const char *fingerprint;
	json_t *have, *e;
	int rc = 0;

	if (json_object_size(known) == 0)
		return 0;
	have = names(v, "get-keys", "keys");
	if (have == NULL)
		return -ENOTCONN;
	json_object_foreach (known, fingerprint, e) {
		const char *id = json_string_value(json_object_get(e, "id"));

		rc = id != NULL && json_object_get(have, id) == NULL;
		if (rc != 0)
			break;
	}
	if (rc != 0)
		snprintf(what, size, "a private key");
	json_decref(have);
	return rc;
}

/* Pools are the members of an answer, authorities a list of names. */
static int
missing_named(struct vici *v, json_t *known, const char *command, const char *list,
	const char *kind, char *what, size_t size)
{
	json_t *have, *e;
	const char *name;
	int rc = 0;

	if (json_object_size(known) == 0 || json_object_size(known) > NAMES_MANY)
		return 0;
	have = list != NULL ? names(v, command, list) : vici_call(v, command, NULL, SECONDS);
	if (have == NULL)
		return -ENOTCONN;
	json_object_foreach (known, name, e) {
		rc = json_object_get(have, name) == NULL;
		if (rc != 0) {
			snprintf(what, size, "%s '%s'", kind, name);
			break;
		}
	}
	json_decref(have);
	return rc;
}

int
ike_missing(struct vici *v, char *what, size_t size)
{
	struct ike_state *s = ike_state_try(v);
	int rc;

	if (s == NULL)
		return 0; /* a load goes on, or the next one says why */
	rc = missing_conn(v, ike_state_get(s, "conns"), what, size);
	if (rc == 0)
		rc = missing_secret(v, json_object_get(s->json, "secrets"), what, size);
	if (rc == 0)
		rc = missing_key(v, ike_state_get(s, "keys"), what, size);
	if (rc == 0)
		rc = missing_named(
			v, ike_state_get(s, "pools"), "get-pools", NULL, "pool", what, size);
	if (rc == 0)
		rc = missing_named(v, ike_state_get(s, "authorities"), "get-authorities",
			"authorities", "authority", what, size);
	ike_state_close(s);
	return rc;
}

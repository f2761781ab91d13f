/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_explain.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* "ECP_384" and "ML_KEM_768" as a proposal writes them. */
static void
as_word(const char *name, char out[48])
{
	size_t n = 0;

	for (; *name != '\0' && n < 47; name++)
		if (isalnum((unsigned char)*name))
			out[n++] = (char)tolower((unsigned char)*name);
	out[n] = '\0';
}

static void
collect(json_t *have, const json_t *section)
{
	const char *name;
	char word[48];
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)section, name, v) {
		as_word(name, word);
		json_object_set_new(have, word, json_true());
	}
}

static bool
is_key_exchange(const char *word)
{
	static const char *const begins[] = {"modp", "ecp", "curve", "mlkem"};

	for (unsigned int i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (strncmp(word, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

/* Adds the words of a list of proposals that are key exchanges and not there. */
static void
missing(json_t *absent, const json_t *proposals, const json_t *have)
{
	char copy[512], *rest, *word;
	json_t *v;
	size_t i;

	json_array_foreach (proposals, i, v) {
		snprintf(copy, sizeof(copy), "%s", json_string_value(v));
		rest = copy;
		while ((word = strsep(&rest, "-")) != NULL) {
			if (strncmp(word, "ke", 2) == 0 && word[2] != '\0' && word[3] == '_')
				word += 4;
			if (strcmp(word, "x25519") == 0)
				word = "curve25519";
			else if (strcmp(word, "x448") == 0)
				word = "curve448";
			if (is_key_exchange(word) && json_object_get(have, word) == NULL)
				json_object_set_new(absent, word, json_true());
		}
	}
}

bool
ike_explain_proposals(struct vici *v, const json_t *conn, char *buf, size_t size)
{
	json_t *algorithms = vici_call(v, "get-algorithms", NULL, 30),
	       *version = vici_call(v, "version", NULL, 30);
	json_t *have = json_object(), *absent = json_object(), *child;
	size_t len = 0;
	const char *name;

	/* Version 6 calls them ke. */
	collect(have, json_object_get(algorithms, "dh"));
	collect(have, json_object_get(algorithms, "ke"));
	if (json_object_size(have) > 0) {
		missing(absent, json_object_get(conn, "proposals"), have);
		json_object_foreach (json_object_get(conn, "children"), name, child)
			missing(absent, json_object_get(child, "esp_proposals"), have);
	}
	buf[0] = '\0';
	json_object_foreach (absent, name, child)
		if (len < size)
			len += (size_t)snprintf(
				buf + len, size - len, "%s%s", len > 0 ? ", " : "", name);
	if (len > 0 && len < size)
		snprintf(buf + len, size - len, " is not in this charon (strongSwan %s)",
			json_string_value(json_object_get(version, "version")));
	json_decref(absent);
	json_decref(have);
	json_decref(version);
	json_decref(algorithms);
	return len > 0;
}

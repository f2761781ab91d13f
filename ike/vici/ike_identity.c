/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_identity.h"

#include "selector.h"

#include <stdlib.h>
#include <string.h>

/* The one address of a gateway's end, or NULL. */
static const char *
one_address(const struct ike_file *f, size_t gateway, const char *key)
{
	size_t node = ike_file_get(f, gateway, key), first;
	struct selector host;

	if (node == 0)
		return NULL;
	first = ike_file_each(f, node, 0);
	if (first == 0 || ike_file_each(f, node, first) != 0 ||
		!selector_host(f->t.nodes[first].value, &host))
		return NULL;
	return f->t.nodes[first].value;
}

void
ike_identities(const struct ike_file *f, size_t g, struct ike_identities *id)
{
	const char *address;

	memset(id, 0, sizeof(*id));
	if (ike_file_auth_value(f, g, "method", id->method, sizeof(id->method)) == NULL)
		snprintf(id->method, sizeof(id->method), "psk");
	if (ike_file_auth_value(
		    f, g, "remote-method", id->remote_method, sizeof(id->remote_method)) == NULL)
		snprintf(id->remote_method, sizeof(id->remote_method), "%s", id->method);
	address = one_address(f, g, "local-address");
	if (ike_file_auth_value(f, g, "local-id", id->local, sizeof(id->local)) == NULL &&
		address != NULL && strcmp(id->method, "psk") == 0)
		snprintf(id->local, sizeof(id->local), "%s", address);
	address = one_address(f, g, "remote-address");
	if (ike_file_auth_value(f, g, "remote-id", id->remote, sizeof(id->remote)) == NULL)
		snprintf(id->remote, sizeof(id->remote), "%s",
			address != NULL && strcmp(id->remote_method, "psk") == 0 ? address
										 : "%any");
}

/* charon's words for "anybody". */
static bool
is_anybody(const char *id)
{
	static const char *const words[] = {"%any", "%any6", "*", "0.0.0.0", "::", "0::0"};

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(id, words[i]) == 0)
			return true;
	return false;
}

/* Whom we call without saying his name: his key is found by our own. */
static bool
is_unnamed(const struct ike_file *f, size_t gateway, const char *id)
{
	const char *type = ike_file_text(f, gateway, "connection-type");

	if (is_anybody(id))
		return true;
	return strchr(id, '*') != NULL && (type == NULL || strcmp(type, "responder") != 0);
}

json_t *
ike_key_owners(const struct ike_file *f, size_t gateway)
{
	struct ike_identities id;
	json_t *owners;

	ike_identities(f, gateway, &id);
	if (strcmp(id.method, "psk") != 0 && strcmp(id.remote_method, "psk") != 0)
		return NULL;
	owners = json_array();
	if (*id.local != '\0' && is_unnamed(f, gateway, id.remote))
		json_array_append_new(owners, json_string(id.local));
	json_array_append_new(owners, json_string(id.remote));
	return owners;
}

static bool
same_key(struct ike_file *f, size_t a, size_t b)
{
	unsigned char *v, *w = NULL;
	size_t len, w_len = 0;
	bool same;

	/* What cannot be read was told. */
	if (ike_secret(f, a, "pre-shared-key", false, &v, &len, NULL) != 0)
		return true;
	same = ike_secret(f, b, "pre-shared-key", false, &w, &w_len, NULL) != 0 ||
	       (len == w_len && memcmp(v, w, len) == 0);
	explicit_bzero(v, len);
	free(v);
	if (w != NULL)
		explicit_bzero(w, w_len);
	free(w);
	return same;
}

/* first: owners, as text, to the first gateway that has them. */
static void
check_key(struct ike_file *f, json_t *first, size_t g)
{
	json_t *owners = ike_key_owners(f, g);
	char *who = owners != NULL ? json_dumps(owners, JSON_COMPACT) : NULL;
	size_t other, n = json_array_size(owners), i;
	json_t *v;

	json_array_foreach (owners, i, v)
		if (json_string_length(v) > OWNER_MAX)
			ike_file_fail_key(f, g,
				i + 1 == n ? "authentication.remote-id" : "authentication.local-id",
				"is longer than %d bytes", OWNER_MAX);
	json_decref(owners);
	if (who == NULL)
		return;
	other = (size_t)json_integer_value(json_object_get(first, who));
	if (other == 0)
		json_object_set_new(first, who, json_integer((json_int_t)g));
	else if (!same_key(f, g, other))
		ike_file_fail_key(f, g, "authentication.remote-id",
			"%s: its key cannot be told from that of gateway '%s'",
			ike_file_auth(f, g, "remote-id") == 0 ? "is missing" : "is not its alone",
			ike_file_text(f, other, "name"));
	free(who);
}

void
ike_check_keys(struct ike_file *f)
{
	json_t *first = json_object(), *seen = json_object();

	for (size_t i = 0; i < f->tunnels.n; i++) {
		const char *name = ike_file_text(f, f->tunnels.nodes[i], "gateway");
		size_t g = ike_file_named(&f->gateways, name);

		if (g == 0 || json_object_get(seen, name) != NULL ||
			!ike_file_true(f, f->tunnels.nodes[i], "enable", true))
			continue;
		json_object_set_new(seen, name, json_true());
		check_key(f, first, g);
	}
	json_decref(first);
	json_decref(seen);
}

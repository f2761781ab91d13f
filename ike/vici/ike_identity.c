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

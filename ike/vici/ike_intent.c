/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_intent.h"

#include <stdint.h>
#include <string.h>

static const char *
change_of(const json_t *e)
{
	return json_string_value(json_object_get(e, "change"));
}

/* What leaves the file keeps its record until charon has dropped it. */
static void
intend_conns(json_t *known, const json_t *plan, const json_t *want)
{
	const char *name;
	json_t *e;

	json_object_foreach ((json_t *)(uintptr_t)plan, name, e) {
		json_t *config = json_object_get(json_object_get(known, name), "config");

		if (strcmp(change_of(e), "remove") == 0)
			continue;
		if (config == NULL || strcmp(change_of(e), "add") == 0)
			config = json_object_get(want, name);
		json_object_set_new(known, name, json_pack("{sO}", "config", config));
	}
}

static void
intend_named(json_t *known, const json_t *plan)
{
	const char *name;
	json_t *e;

	json_object_foreach ((json_t *)(uintptr_t)plan, name, e)
		if (strcmp(change_of(e), "remove") != 0)
			json_object_set_new(known, name, json_object());
}

bool
ike_intend_secrets(struct ike_state *s, const struct ike_plan *p)
{
	if (json_array_size(p->secrets_add) == 0)
		return true;
	json_object_set_new(s->json, "secrets", ike_state_secrets(s, p->secrets_add));
	json_object_set_new(s->json, "secrets_unsure", json_true());
	return ike_state_save(s);
}

bool
ike_intend(struct ike_state *s, const struct ike_plan *p, const struct ike_wanted *w)
{
	intend_conns(ike_state_get(s, "conns"), p->conns, w->conns);
	intend_named(ike_state_get(s, "pools"), p->pools);
	intend_named(ike_state_get(s, "authorities"), p->authorities);
	return ike_state_save(s);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_renew.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#define SECONDS 30
#define WAIT_MS 3000

static void
keep_message(void *ctx, const char *event, json_t *message)
{
	(void)event;
	json_array_append(ctx, message);
}

json_t *
ike_running(struct vici *v, const struct ike_plan *p)
{
	json_t *all = json_array();

	/* For few connections they are asked for one by one: a gateway has thousands of others. */
	if (json_object_size(p->conns) > 8) {
		if (vici_stream(v, "list-sas", NULL, "list-sa", keep_message, all))
			return all;
	} else {
		const char *name;
		json_t *e;
		bool good = true;

		json_object_foreach (p->conns, name, e)
			good = good && vici_stream(v, "list-sas", json_pack("{ss}", "ike", name),
					       "list-sa", keep_message, all);
		if (good)
			return all;
	}
	json_decref(all);
	return NULL;
}

static void
terminate(struct vici *v, const char *key, const char *id)
{
	json_decref(
		vici_call(v, "terminate", json_pack("{ssss}", key, id, "timeout", "-1"), SECONDS));
}

/* Counts child SAs: charon lists an IKE SA also when none of its children is asked for. */
static void
count_children(void *ctx, const char *event, json_t *message)
{
	const char *ike;
	json_t *sa;

	(void)event;
	json_object_foreach (message, ike, sa)
		*(size_t *)ctx += json_object_size(json_object_get(sa, "child-sas"));
}

static void
count_ikes(void *ctx, const char *event, json_t *message)
{
	(void)event;
	(void)message;
	++*(size_t *)ctx;
}

static bool
is_gone(struct vici *v, const char *key, const char *id)
{
	vici_event *count = strcmp(key, "child-id") == 0 ? count_children : count_ikes;
	json_t *args = json_pack("{ssss}", key, id, "noblock", "yes");
	size_t n = 0;

	return vici_stream(v, "list-sas", args, "list-sa", count, &n) && n == 0;
}

static const char *
text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

json_t *
ike_ran(const json_t *running)
{
	json_t *ran = json_object(), *message, *sa, *child, *of;
	const char *ike, *key;
	size_t i;

	json_array_foreach (running, i, message)
		json_object_foreach (message, ike, sa) {
			of = json_object_get(ran, ike);
			if (of == NULL) {
				of = json_object();
				json_object_set_new(ran, ike, of);
			}
			json_object_foreach (json_object_get(sa, "child-sas"), key, child)
				json_object_set_new(of, text(child, "name"), json_true());
		}
	return ran;
}

/* Of a connection, as it is told to charon. */
static bool
starts(const json_t *conn, const char *child)
{
	return strstr(text(json_object_get(json_object_get(conn, "children"), child),
			      "start_action"),
		       "start") != NULL;
}

void
ike_closed(json_t *closed, const json_t *plan, const json_t *config, const json_t *ran)
{
	bool removed = strcmp(text(plan, "change"), "remove") == 0;
	bool whole = removed || json_array_size(json_object_get(plan, "why")) > 0;
	json_t *v;
	const char *name;

	json_object_foreach ((json_t *)(uintptr_t)ran, name, v) {
		const char *change =
			text(json_object_get(json_object_get(plan, "tunnels"), name), "change");

		if (starts(config, name) && (whole || *change != '\0'))
			json_object_set_new(closed, name,
				json_boolean(removed || strcmp(change, "remove") == 0));
	}
}

struct closing {
	json_t *list; /* {"key": ike-id or child-id, "id": …, "ike": name, "child": name or absent, "again": bool} */
};

static void
close_child(struct closing *c, const char *ike, const json_t *child, bool again)
{
	json_array_append_new(
		c->list, json_pack("{sssssssssb}", "key", "child-id", "id", text(child, "uniqueid"),
				 "ike", ike, "child", text(child, "name"), "again", (int)again));
}

/* Which SAs of an IKE SA go, by the plan of its connection. */
static void
choose(struct closing *c, const char *ike, const json_t *sa, const json_t *plan, bool keep)
{
	bool removed = strcmp(text(plan, "change"), "remove") == 0;
	bool whole = removed || (json_array_size(json_object_get(plan, "why")) > 0 && !keep);
	json_t *children = json_object_get(sa, "child-sas"), *child;
	json_t *tunnels = json_object_get(plan, "tunnels");
	const char *key;

	json_object_foreach (children, key, child) {
		const char *change = text(json_object_get(tunnels, text(child, "name")), "change");

		if (strcmp(change, "remove") == 0 || (strcmp(change, "change") == 0 && !keep))
			close_child(c, ike, child, strcmp(change, "change") == 0);
		else if (whole && !removed)
			close_child(c, ike, child, true);
	}
	if (whole)
		json_array_append_new(c->list, json_pack("{ssssss}", "key", "ike-id", "id",
						       text(sa, "uniqueid"), "ike", ike));
}

static void
wait_until_gone(struct vici *v, const json_t *list)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	unsigned int left = WAIT_MS / 50;
	json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		while (left > 0 && !is_gone(v, text(e, "key"), text(e, "id"))) {
			nanosleep(&pause, NULL);
			left--;
		}
}

size_t
ike_renew(struct vici *v, const struct ike_wanted *w, const struct ike_plan *p, json_t *running,
	bool keep)
{
	struct closing c = {.list = json_array()};
	json_t *message, *sa, *e;
	const char *ike;
	size_t i, n = 0;

	json_array_foreach (running, i, message)
		json_object_foreach (message, ike, sa) {
			const json_t *plan = json_object_get(p->conns, ike);

			if (plan != NULL)
				choose(&c, ike, sa, plan, keep);
		}
	json_array_foreach (c.list, i, e)
		if (strcmp(text(e, "key"), "ike-id") == 0)
			terminate(v, "ike-id", text(e, "id"));
	json_array_foreach (c.list, i, e)
		if (strcmp(text(e, "key"), "child-id") == 0) {
			terminate(v, "child-id", text(e, "id"));
			n++;
		}
	wait_until_gone(v, c.list);
	json_array_foreach (c.list, i, e)
		/* charon itself begins anew what it is to start; a peer that we only answer comes again by itself. */
		if (json_is_true(json_object_get(e, "again")) &&
			json_object_get(w->responders, text(e, "ike")) == NULL &&
			!starts(json_object_get(w->conns, text(e, "ike")), text(e, "child")))
			json_decref(vici_call(v, "initiate",
				json_pack("{ssssssss}", "ike", text(e, "ike"), "child",
					text(e, "child"), "timeout", "-1", "init-limits", "no"),
				SECONDS));
	json_decref(c.list);
	return n;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_daemon.h"

#include "ike_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "ike up", "ike down", "ike rekey": one tunnel, or all of a gateway. */

const char *
ike_gateway_of(const json_t *conns, const char *tunnel)
{
	const char *name;
	json_t *e;

	json_object_foreach ((json_t *)(uintptr_t)conns, name, e) {
		const json_t *config = json_object_get(e, "config");

		if (json_object_get(json_object_get(config, "children"), tunnel) != NULL)
			return name;
	}
	return NULL;
}

struct listing {
	const char *name; /* looked for */
	char ike[80]; /* found: its connection */
	bool is_ike, shunt; /* shunt: the tunnel is none, but a bypass or discard */
	json_t *children; /* of a connection */
};

/* As charon lists a child. */
static bool
is_shunt(const json_t *child)
{
	const char *mode = ike_text(child, "mode");

	return strcmp(mode, "PASS") == 0 || strcmp(mode, "DROP") == 0;
}

static void
find_name(void *ctx, const char *event, json_t *message)
{
	struct listing *l = ctx;
	const char *ike;
	json_t *conn;

	(void)event;
	json_object_foreach (message, ike, conn) {
		json_t *children = json_object_get(conn, "children");

		if (strcmp(ike, l->name) == 0) {
			snprintf(l->ike, sizeof(l->ike), "%s", ike);
			l->is_ike = true;
			l->children = json_incref(children);
		} else if (*l->ike == '\0' && json_object_get(children, l->name) != NULL) {
			snprintf(l->ike, sizeof(l->ike), "%s", ike);
			l->shunt = is_shunt(json_object_get(children, l->name));
		}
	}
}

/* Where the log of a command tells what went wrong: the heaviest line. */
struct cause {
	char words[256];
	unsigned int weight;
	bool print;
	FILE *out;
};

static void
on_log(void *ctx, const char *event, json_t *message)
{
	struct cause *c = ctx;
	const char *line = ike_text(message, "msg");
	struct ike_words w;

	(void)event;
	if (c->print)
		fprintf(c->out, "  %s\n", line);
	if (ike_words(line, &w) && w.weight >= c->weight) {
		snprintf(c->words, sizeof(c->words), "%s", w.words);
		c->weight = w.weight;
	}
}

static int
find(const struct ike_options *o, struct vici **v, struct listing *l)
{
	int rc = ike_connect(o, v);

	if (rc != CTL_OK)
		return rc;
	l->name = o->words[0];
	if (!vici_stream(*v, "list-conns", NULL, "list-conn", find_name, l))
		return client_fail(CTL_NO_ROUTER, "charon hung up");
	if (*l->ike == '\0')
		return client_fail(CTL_REFUSED,
			"charon knows no tunnel and no gateway '%s': cygnetctl ike status lists "
			"them",
			l->name);
	return CTL_OK;
}

static int
up_one(const struct ike_options *o, struct vici *v, const char *ike, const char *child,
	struct cause *c)
{
	char timeout[16];
	json_t *answer;
	const char *why;

	c->words[0] = '\0';
	c->weight = 0;
	snprintf(timeout, sizeof(timeout), "%u", o->timeout * 1000);
	answer = vici_call(v, "initiate",
		json_pack("{ssssssss}", "ike", ike, "child", child, "timeout", timeout, "loglevel",
			"1"),
		o->timeout + 30);
	if (answer == NULL)
		return client_fail(CTL_NO_ROUTER, "charon hung up");
	why = vici_refusal(answer);
	if (why != NULL && *c->words == '\0' && strstr(why, "not established after") != NULL)
		snprintf(c->words, sizeof(c->words), "the peer does not answer");
	if (why != NULL && *c->words == '\0')
		snprintf(c->words, sizeof(c->words), "%s", why);
	if (why != NULL && !o->view.json)
		client_fail(0, "%s: %s", child, c->words);
	else if (!o->view.json && !o->quiet)
		fprintf(o->view.out, "%s is up\n", child);
	if (o->view.json) {
		json_t *line = json_pack("{sssbss*}", "tunnel", child, "up", why == NULL, "error",
			why != NULL ? c->words : NULL);
		char *text = json_dumps(line, JSON_COMPACT);

		fprintf(o->view.out, "%s\n", text != NULL ? text : "");
		json_decref(line);
		free(text);
	}
	json_decref(answer);
	return why == NULL ? CTL_OK : CTL_REFUSED;
}

int
ike_up_command(const struct ike_options *o)
{
	struct listing l = {0};
	struct cause c = {.print = o->child_logs, .out = stderr};
	struct vici *v = NULL;
	const char *child;
	json_t *e;
	int rc = find(o, &v, &l), one;

	if (rc == CTL_OK && !vici_listen(v, "control-log", on_log, &c))
		rc = client_fail(CTL_NO_ROUTER, "charon hung up");
	if (rc == CTL_OK && !l.is_ike && l.shunt)
		rc = client_fail(CTL_REFUSED,
			"%s is a bypass or discard: it is there since it was loaded, and nothing "
			"of it "
			"is negotiated",
			l.name);
	else if (rc == CTL_OK && !l.is_ike)
		rc = up_one(o, v, l.ike, l.name, &c);
	if (rc == CTL_OK && l.is_ike)
		json_object_foreach (l.children, child, e) {
			if (is_shunt(e))
				continue;
			one = up_one(o, v, l.ike, child, &c);
			if (one != CTL_OK)
				rc = one;
		}
	json_decref(l.children);
	vici_close(v);
	return rc;
}

/* IKE SAs of a connection, or CHILD_SAs of a tunnel. */
struct count {
	bool ikes;
	unsigned int n;
};

static void
count_sas(void *ctx, const char *event, json_t *message)
{
	struct count *c = ctx;
	const char *name;
	json_t *sa;

	(void)event;
	json_object_foreach (message, name, sa)
		c->n += c->ikes ? 1u
				: (unsigned int)json_object_size(json_object_get(sa, "child-sas"));
}

/* How long charon may take: it goes through the SAs one after the other, each of which may take the time-out. */
static unsigned int
patience(const struct ike_options *o, struct vici *v, const struct listing *l)
{
	struct count c = {.ikes = l->is_ike};
	json_t *args = json_pack("{ssss}", "ike", l->ike, "noblock", "yes");

	/* Of an IKE SA its children are not wanted: thousands do not fit a message. No tunnel has this name. */
	json_object_set_new(args, "child", json_string(l->is_ike ? "-" : l->name));
	if (!vici_stream(v, "list-sas", args, "list-sa", count_sas, &c) || c.n == 0)
		c.n = 1;
	return c.n < 1000 ? c.n * o->timeout + 30 : 1000 * o->timeout;
}

static int
say_result(const struct ike_options *o, const char *name, const char *done, const json_t *answer)
{
	const char *why = vici_refusal(answer);

	if (strcmp(ike_text(answer, "matches"), "0") == 0)
		return client_fail(CTL_REFUSED, "%s is not up", name);
	if (why != NULL)
		return client_fail(CTL_REFUSED, "%s: %s", name, why);
	if (!o->quiet)
		fprintf(o->view.out, "%s %s\n", name, done);
	return CTL_OK;
}

/* down and rekey: of the SAs that there are. only_ike: what is said where a tunnel is named; NULL: it may be. */
static int
control(const struct ike_options *o, const char *command, const char *done, const char *only_ike,
	json_t *args)
{
	struct listing l = {0};
	struct vici *v = NULL;
	json_t *answer = NULL;
	int rc = find(o, &v, &l);

	if (rc == CTL_OK && !l.is_ike && only_ike != NULL)
		rc = client_fail(CTL_REFUSED, "%s is a tunnel of gateway %s, and %s", l.name, l.ike,
			only_ike);
	if (rc == CTL_OK) {
		if (!l.is_ike)
			json_object_set_new(args, "child", json_string(l.name));
		json_object_set_new(args, "ike", json_string(l.ike));
		answer = vici_call(v, command, json_incref(args), patience(o, v, &l));
		rc = answer != NULL ? say_result(o, l.name, done, answer)
				    : client_fail(CTL_NO_ROUTER, "charon hung up");
	}
	json_decref(args);
	json_decref(answer);
	json_decref(l.children);
	vici_close(v);
	return rc;
}

/* With a time-out charon forces only when that is over, and then calls it a failure: -1 is at once. */
int
ike_down_command(const struct ike_options *o)
{
	char timeout[16];
	json_t *args;

	snprintf(timeout, sizeof(timeout), "%u", o->timeout * 1000);
	args = json_pack("{ssss}", "timeout", o->force ? "-1" : timeout, "loglevel", "-1");
	if (o->force)
		json_object_set_new(args, "force", json_string("yes"));
	return control(o, "terminate", "is down",
		o->force ? "charon waits for the peer with those: --force closes gateways" : NULL,
		args);
}

int
ike_rekey_command(const struct ike_options *o)
{
	json_t *args = json_object();

	if (o->force)
		json_object_set_new(args, "reauth", json_string("yes"));
	return control(o, "rekey", "gets new keys", NULL, args);
}

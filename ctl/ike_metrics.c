/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_daemon.h"

#include <stdio.h>
#include <string.h>

/*
 * "ike metrics": charon's state in Prometheus' formats. The router runs it for its own /metrics, so that a charon that
 * hangs holds up a program that nobody waits for.
 */

#define CONNECTIONS_MAX 1000 /* with more, none has a metric of its own */

struct totals {
	json_t *ikes, *children; /* by state, numbers */
	json_t *up; /* established IKE SAs by connection */
	json_t *child_up; /* installed CHILD_SAs by connection and name */
};

/* States in small letters: "ESTABLISHED" as vici says it. */
static void
count(json_t *by, const char *name, bool lower)
{
	char key[256];

	snprintf(key, sizeof(key), "%s", name);
	for (char *p = key; lower && *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	json_object_set_new(
		by, key, json_integer(json_integer_value(json_object_get(by, key)) + 1));
}

static void
count_sa(void *ctx, const char *event, json_t *message)
{
	struct totals *t = ctx;
	const char *name, *key;
	json_t *sa, *child, *of;

	(void)event;
	json_object_foreach (message, name, sa) {
		count(t->ikes, ike_text(sa, "state"), true);
		if (strcmp(ike_text(sa, "state"), "ESTABLISHED") == 0)
			count(t->up, name, false);
		json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
			count(t->children, ike_text(child, "state"), true);
			of = json_object_get(t->child_up, name);
			if (of == NULL)
				json_object_set_new(t->child_up, name, of = json_object());
			if (strcmp(ike_text(child, "state"), "INSTALLED") == 0)
				count(of, ike_text(child, "name"), false);
		}
	}
}

static void
keep(void *ctx, const char *event, json_t *message)
{
	(void)event;
	json_object_update(ctx, message);
}

/* A label's value: names are others', and may hold anything. */
static void
print_label(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		fputc((unsigned char)*s < ' ' ? '?' : *s, out);
	}
}

static void
family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP cygnet_ike_%s %s\n# TYPE cygnet_ike_%s %s\n", name, help, name, type);
}

static void
print_states(FILE *out, const char *name, const char *help, const char *const *states, json_t *by)
{
	family(out, name, "gauge", help);
	for (; *states != NULL; states++)
		fprintf(out, "cygnet_ike_%s{state=\"%s\"} %" JSON_INTEGER_FORMAT "\n", name,
			*states, json_integer_value(json_object_get(by, *states)));
}

static void
print_connections(FILE *out, const json_t *listed, const struct totals *t)
{
	const char *name, *child;
	json_t *conn, *config;

	family(out, "connections", "gauge", "Connections that charon has loaded");
	fprintf(out, "cygnet_ike_connections %zu\n", json_object_size(listed));
	if (json_object_size(listed) > CONNECTIONS_MAX)
		return;
	family(out, "connection_up", "gauge", "Whether a connection has an established IKE SA");
	json_object_foreach ((json_t *)(uintptr_t)listed, name, conn) {
		fputs("cygnet_ike_connection_up{connection=\"", out);
		print_label(out, name);
		fprintf(out, "\"} %d\n", json_object_get(t->up, name) != NULL);
	}
	family(out, "tunnel_up", "gauge",
		"Whether a tunnel of a connection has an installed CHILD_SA");
	json_object_foreach ((json_t *)(uintptr_t)listed, name, conn)
		json_object_foreach (json_object_get(conn, "children"), child, config) {
			const char *mode = ike_text(config, "mode");

			/* Bypass and discard are policies, and never have a CHILD_SA. */
			if (strcmp(mode, "PASS") == 0 || strcmp(mode, "DROP") == 0)
				continue;
			fputs("cygnet_ike_tunnel_up{connection=\"", out);
			print_label(out, name);
			fputs("\",tunnel=\"", out);
			print_label(out, child);
			fprintf(out, "\"} %d\n",
				json_object_get(json_object_get(t->child_up, name), child) != NULL);
		}
}

/* Of charon's counters plugin; without it there are none. format: OpenMetrics names families without "_total". */
static void
print_counters(FILE *out, const json_t *answer, bool openmetrics)
{
	static const struct {
		const char *name, *help;
		struct {
			const char *counter, *label;
		} of[2];
	} counters[] = {
		{"rekeys", "Rekeyings", {{"child-rekey", "child"}, {"ike-rekey-init", "ike"}}},
		{"failures", "Messages that were not understood",
			{{"invalid", "invalid"}, {"invalid-spi", "invalid_spi"}}},
	};
	const json_t *all = json_object_get(json_object_get(answer, "counters"), "");

	if (all == NULL)
		return;
	for (unsigned int i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s", counters[i].name, openmetrics ? "" : "_total");
		family(out, name, "counter", counters[i].help);
		for (unsigned int k = 0; k < 2; k++) {
			long long n = atoll(ike_text(all, counters[i].of[k].counter));

			if (i == 0 && k == 1) /* by whoever began them */
				n += atoll(ike_text(all, "ike-rekey-resp"));
			fprintf(out, "cygnet_ike_%s_total{kind=\"%s\"} %lld\n", counters[i].name,
				counters[i].of[k].label, n);
		}
	}
}

static void
print(const struct ike_options *o, const json_t *stats, const json_t *listed,
	const json_t *counters, const struct totals *t)
{
	static const char *const ikes[] = {"created", "connecting", "established", "passive",
		"rekeying", "rekeyed", "deleting", "destroying", NULL};
	static const char *const children[] = {"created", "routed", "installing", "installed",
		"updating", "rekeying", "rekeyed", "retrying", "deleting", "deleted", "destroying",
		NULL};
	FILE *out = o->view.out;

	print_states(out, "sas", "IKE SAs by state", ikes, t->ikes);
	print_states(out, "child_sas", "CHILD_SAs by state", children, t->children);
	family(out, "half_open", "gauge", "IKE SAs that wait for their peer's next message");
	fprintf(out, "cygnet_ike_half_open %s\n",
		ike_text(json_object_get(stats, "ikesas"), "half-open"));
	print_connections(out, listed, t);
	print_counters(out, counters, o->openmetrics);
	fputs("# EOF\n", out); /* a comment to the older format */
}

int
ike_metrics_command(const struct ike_options *o)
{
	struct totals t = {json_object(), json_object(), json_object(), json_object()};
	json_t *stats = NULL, *counters = NULL, *listed = json_object();
	struct vici *v = NULL;
	int rc = ike_connect(o, &v);

	if (rc == CTL_OK)
		stats = vici_call(v, "stats", NULL, 5);
	if (rc == CTL_OK && (stats == NULL ||
				    !vici_stream(v, "list-sas", json_pack("{ss}", "noblock", "yes"),
					    "list-sa", count_sa, &t) ||
				    !vici_stream(v, "list-conns", NULL, "list-conn", keep, listed)))
		rc = client_fail(CTL_NO_ROUTER, "charon hung up");
	if (rc == CTL_OK) {
		counters = vici_call(v, "get-counters", NULL, 5);
		print(o, stats, listed, counters, &t);
	}
	json_decref(stats);
	json_decref(counters);
	json_decref(listed);
	json_decref(t.ikes);
	json_decref(t.children);
	json_decref(t.up);
	json_decref(t.child_up);
	vici_close(v);
	return rc;
}

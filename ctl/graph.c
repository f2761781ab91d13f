/* SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"

#include "list.h"
#include "units.h"

#include <string.h>

static const struct column node_totals[] = {
	{"LCORE", true, 0},
	{"ROLE", false, 2},
	{"NODE", false, 0},
	{"CALLS", true, 1},
	{"PACKETS", true, 0},
	{"PACKETS/CALL", true, 0},
	{"CYCLES/PACKET", true, 0},
};

static const struct column node_rates[] = {
	{"LCORE", true, 0},
	{"ROLE", false, 2},
	{"NODE", false, 0},
	{"CALLS/s", true, 1},
	{"PACKETS/s", true, 0},
	{"PACKETS/CALL", true, 0},
	{"CYCLES/PACKET", true, 0},
};

static const struct column drop_totals[] = {
	{"LCORE", true, 0},
	{"DROPPED", true, 0},
	{"REASON", false, 0},
	{"MEANING", false, 1},
};

static const struct column drop_rates[] = {
	{"LCORE", true, 0},
	{"DROPPED/s", true, 0},
	{"REASON", false, 0},
	{"MEANING", false, 1},
};

static double
number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* The element of an array whose member is the same string as in like; NULL when there is none. */
static const json_t *
same(const json_t *array, const char *key, const json_t *like)
{
	const char *name = json_string_value(json_object_get(like, key));
	const json_t *o;
	size_t i;

	json_array_foreach (array, i, o) {
		const char *s = json_string_value(json_object_get(o, key));

		if (s != NULL && name != NULL && strcmp(s, name) == 0)
			return o;
	}
	return NULL;
}

/* What a counter grew by; all of it when the router began anew in between. */
static double
grown(const json_t *now, const json_t *before, const char *key)
{
	double v = number(now, key), old = number(before, key);

	return v >= old ? v - old : v;
}

struct figures {
	double seconds; /* 0: totals */
	const json_t *lcore;
};

static void
count_cell(struct table *t, double v, double seconds, const struct view *view)
{
	char buf[UNITS_MAX];

	table_cell(t, "%s", units_count(buf, seconds > 0 ? v / seconds : v, view->human));
}

/* Those of a node that is asked often and seldom has a packet are many a packet. */
static void
ratio_cell(struct table *t, double a, double b, const struct view *view)
{
	char buf[UNITS_MAX];

	if (b > 0 && view->human && a / b >= 100000)
		table_cell(t, "%s", units_count(buf, a / b, true));
	else if (b > 0)
		table_cell(t, "%.1f", a / b);
	else
		table_cell(t, "-");
}

static void
node_rows(struct table *t, const struct figures *f, const json_t *before, const struct view *view,
	bool all)
{
	const json_t *node, *old_nodes = json_object_get(before, "nodes");
	size_t i;

	json_array_foreach (json_object_get(f->lcore, "nodes"), i, node) {
		const json_t *old = same(old_nodes, "node", node);
		double calls = grown(node, old, "calls"), packets = grown(node, old, "packets");

		if (calls == 0 && !all)
			continue;
		table_row(t);
		table_cell(t, "%.0f", number(f->lcore, "lcore"));
		table_cell(t, "%s", list_str(f->lcore, "role"));
		table_cell(t, "%s", list_str(node, "node"));
		count_cell(t, calls, f->seconds, view);
		count_cell(t, packets, f->seconds, view);
		ratio_cell(t, packets, calls, view);
		ratio_cell(t, grown(node, old, "cycles"), packets, view);
	}
}

static void
drop_rows(struct table *t, const struct figures *f, const json_t *before, const struct view *view,
	bool all)
{
	const json_t *drop, *old_drops = json_object_get(before, "drops");
	size_t i;

	json_array_foreach (json_object_get(f->lcore, "drops"), i, drop) {
		double packets = grown(drop, same(old_drops, "reason", drop), "packets");

		if (packets == 0 && !all)
			continue;
		table_row(t);
		table_cell(t, "%.0f", number(f->lcore, "lcore"));
		count_cell(t, packets, f->seconds, view);
		table_cell(t, "%s", list_str(drop, "reason"));
		table_cell(t, "%s", list_str(drop, "text"));
	}
}

typedef void (*rows_t)(struct table *t, const struct figures *f, const json_t *before,
	const struct view *view, bool all);

static void
print(const struct view *view, const json_t *now, const json_t *before, bool all,
	const struct column *columns, unsigned int n, rows_t rows, const char *empty)
{
	struct table *t = table_new(columns, n, view);
	const json_t *lcore;
	size_t i;

	json_array_foreach (now, i, lcore) {
		const json_t *old = before != NULL ? same(before, "graph", lcore) : NULL;
		double ns = number(lcore, "time_ns") - number(old, "time_ns");
		struct figures f = {.lcore = lcore};

		/* In a rate view a lcore that was not there before has no rate yet. */
		if (before != NULL && old == NULL)
			continue;
		f.seconds = old != NULL && ns > 0 ? ns / 1e9 : 0;
		rows(t, &f, old, view, all);
	}
	if (table_rows(t) > 0)
		table_print(t);
	else
		fprintf(view->out, "%s\n", empty);
	table_free(t);
}

void
graph_print(const struct view *view, const json_t *now, const json_t *before, bool all)
{
	print(view, now, before, all, before != NULL ? node_rates : node_totals, 7, node_rows,
		before != NULL ? "no node was called" : "no node was called yet");
	fputc('\n', view->out);
	print(view, now, before, all, before != NULL ? drop_rates : drop_totals, 4, drop_rows,
		before != NULL ? "no drops" : "no packet was dropped");
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "detail.h"

#include "list.h"
#include "units.h"

#include <stdarg.h>
#include <string.h>

static const struct column pair[] = {{"", false, 0}, {"", false, 0}};

static struct table *
begin(const struct view *view)
{
	struct table *t = table_new(pair, 2, view);

	table_no_headings(t);
	return t;
}

static void
end(struct table *t)
{
	table_print(t);
	table_free(t);
}

static void line(struct table *t, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void
line(struct table *t, const char *name, const char *fmt, ...)
{
	char text[TABLE_CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_row(t);
	table_cell(t, "%s", name);
	table_cell(t, "%s", text);
}

/* A member that is an age: without units of its own it says that it is seconds. */
static const char *
seconds(char *buf, const json_t *o, const char *key, bool human)
{
	const json_t *v = json_object_get(o, key);

	units_age(buf, v, human);
	if (!human && json_is_integer(v))
		strcat(buf, " s"); /* 20 digits at most: there is room */
	return buf;
}

/* "replay 3, icv 1": the members of an object that are not zero. */
static void
members(char *text, size_t size, const json_t *o, bool human)
{
	char buf[UNITS_MAX];
	const char *key;
	json_t *v;
	size_t n = 0;

	text[0] = '\0';
	json_object_foreach ((json_t *)(uintptr_t)o, key, v)
		if (json_integer_value(v) != 0 && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s %s", n > 0 ? ", " : "", key,
				units_count(buf, (double)json_integer_value(v), human));
}

/* "soft 2m10s, 40.0M bytes; hard 3m00s"; "none" without any. */
static void
lifetimes(char *text, size_t size, const json_t *left, bool human)
{
	static const char *const which[] = {"soft", "hard"};
	char buf[UNITS_MAX];
	size_t n = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < 2; i++) {
		const json_t *l = json_object_get(left, which[i]);
		const char *sep = "";
		size_t before = n;

		if (n > 0 && n < size)
			n += (size_t)snprintf(text + n, size - n, "; ");
		if (n < size)
			n += (size_t)snprintf(text + n, size - n, "%s ", which[i]);
		if (json_is_integer(json_object_get(l, "seconds")) && n < size) {
			seconds(buf, l, "seconds", human);
			n += (size_t)snprintf(text + n, size - n, "%s", buf);
			sep = ", ";
		}
		if (json_is_integer(json_object_get(l, "bytes")) && n < size) {
			units_member(buf, l, "bytes", human);
			n += (size_t)snprintf(text + n, size - n, "%s%s bytes", sep, buf);
			sep = ", ";
		}
		if (json_is_integer(json_object_get(l, "packets")) && n < size) {
			units_member(buf, l, "packets", human);
			n += (size_t)snprintf(text + n, size - n, "%s%s packets", sep, buf);
			sep = ", ";
		}
		if (*sep == '\0') {
			n = before;
			text[n < size ? n : size - 1] = '\0';
		}
	}
	if (n == 0)
		snprintf(text, size, "none");
}

static void
flags(char *text, size_t size, const json_t *v)
{
	const json_t *flag;
	size_t i, n = 0;

	snprintf(text, size, "none");
	json_array_foreach (v, i, flag)
		if (n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n > 0 ? ", " : "",
				json_string_value(flag));
}

static void
sa_keyed(struct table *t, const json_t *row, const struct view *view)
{
	const json_t *encap = json_object_get(row, "encapsulation");
	char text[TABLE_CELL_MAX], buf[UNITS_MAX], more[UNITS_MAX];
	const json_t *left = json_object_get(row, "sequence_left");

	line(t, "encryption", "%s", list_str(row, "encryption"));
	line(t, "integrity", "%s", list_str(row, "integrity"));
	if (json_is_object(encap))
		line(t, "encapsulation", "UDP, port %s to %s",
			units_member(buf, encap, "source_port", false),
			units_member(more, encap, "destination_port", false));
	flags(text, sizeof(text), json_object_get(row, "flags"));
	line(t, "flags", "%s", text);
	if (json_is_integer(left))
		line(t, "sequence", "%s, %s left", units_member(buf, row, "sequence", false),
			units_member(more, row, "sequence_left", view->human));
	else
		line(t, "sequence", "%s", units_member(buf, row, "sequence", false));
	line(t, "window", "%s packets", units_member(buf, row, "window", false));
	line(t, "MTU", "%s", units_member(buf, row, "mtu", false));
	if (json_is_integer(json_object_get(row, "path_mtu_left")))
		line(t, "path MTU", "%s, by an ICMP error, for %s",
			units_member(buf, row, "path_mtu", false),
			seconds(more, row, "path_mtu_left", view->human));
	else
		line(t, "path MTU", "%s", units_member(buf, row, "path_mtu", false));
	lifetimes(text, sizeof(text), json_object_get(row, "left"), view->human);
	line(t, "lifetime left", "%s", text);
	if (json_is_integer(json_object_get(row, "worker")))
		line(t, "worker", "%s", units_member(buf, row, "worker", false));
	if (json_is_string(json_object_get(row, "mark")))
		line(t, "mark", "%s", list_str(row, "mark"));
	if (json_integer_value(json_object_get(row, "if_id")) != 0)
		line(t, "interface id", "%s", units_member(buf, row, "if_id", false));
}

void
detail_sa(const struct view *view, const json_t *row)
{
	struct table *t = begin(view);
	char text[TABLE_CELL_MAX], buf[UNITS_MAX], more[UNITS_MAX];

	line(t, "SPI", "%s", list_str(row, "spi"));
	line(t, "direction", "%s", list_str(row, "direction"));
	line(t, "from", "%s", list_str(row, "source"));
	line(t, "to", "%s", list_str(row, "destination"));
	line(t, "protocol", "%s, %s", list_str(row, "protocol"), list_str(row, "mode"));
	line(t, "reqid", "%s", units_member(buf, row, "reqid", false));
	line(t, "state", "%s", list_str(row, "state"));
	line(t, "owner", "%s (%s)", list_str(row, "owner"), list_str(row, "owner_state"));
	if (json_object_get(row, "encryption") != NULL)
		sa_keyed(t, row, view);
	line(t, "traffic", "%s packets, %s bytes", units_member(buf, row, "packets", view->human),
		units_member(more, row, "bytes", view->human));
	members(text, sizeof(text), json_object_get(row, "errors_by_reason"), view->human);
	line(t, "errors", "%s%s%s%s", units_member(buf, row, "errors", view->human),
		text[0] != '\0' ? " (" : "", text, text[0] != '\0' ? ")" : "");
	line(t, "last use", "%s", seconds(buf, row, "last_use_age", view->human));
	line(t, "age", "%s", seconds(buf, row, "age", view->human));
	end(t);
}

static void
status_counts(struct table *t, const json_t *counts, const struct view *view)
{
	const json_t *sas = json_object_get(counts, "sas");
	const json_t *policies = json_object_get(counts, "policies");
	char a[UNITS_MAX], b[UNITS_MAX], c[UNITS_MAX], d[UNITS_MAX];

	line(t, "SAs", "%s live, %s reserved, %s on their way out; room for %s",
		units_member(a, sas, "live", view->human),
		units_member(b, sas, "larval", view->human),
		units_member(c, sas, "dying", view->human),
		units_member(d, sas, "limit", view->human));
	line(t, "policies", "%s in, %s out, %s fwd; room for %s each",
		units_member(a, policies, "in", view->human),
		units_member(b, policies, "out", view->human),
		units_member(c, policies, "fwd", view->human),
		units_member(d, policies, "limit", view->human));
	line(t, "routes", "%s; room for %s",
		units_member(a, json_object_get(counts, "routes"), "count", view->human),
		units_member(b, json_object_get(counts, "routes"), "limit", view->human));
	line(t, "next hops", "%s; room for %s",
		units_member(a, json_object_get(counts, "nexthops"), "count", view->human),
		units_member(b, json_object_get(counts, "nexthops"), "limit", view->human));
	line(t, "packet buffers", "%s free of %s",
		units_member(a, json_object_get(counts, "mbufs"), "free", view->human),
		units_member(b, json_object_get(counts, "mbufs"), "total", view->human));
}

static void
status_host(struct table *t, const json_t *host, const struct view *view)
{
	char text[TABLE_CELL_MAX], buf[UNITS_MAX], more[UNITS_MAX];

	if (!json_is_object(host))
		return;
	members(text, sizeof(text), json_object_get(host, "to_linux"), view->human);
	line(t, "packets to Linux", "%s", text[0] != '\0' ? text : "0");
	members(text, sizeof(text), json_object_get(host, "rationed"), view->human);
	line(t, "over their ration", "%s", text[0] != '\0' ? text : "0");
	line(t, "refused by Linux", "%s", units_member(buf, host, "refused_by_linux", view->human));
	line(t, "packets from Linux", "%s, %s dropped",
		units_member(buf, host, "from_linux", view->human),
		units_member(more, host, "from_linux_dropped", view->human));
	line(t, "netlink", "read anew %s times", units_member(buf, host, "resyncs", false));
}

void
detail_status(const struct view *view, const json_t *status)
{
	struct table *t = begin(view);
	char buf[UNITS_MAX], more[UNITS_MAX], lost[UNITS_MAX];
	const json_t *owner;
	size_t i;

	line(t, "router", "%s", list_str(status, "name"));
	line(t, "version", "%s (%s)", list_str(status, "version"), list_str(status, "dpdk"));
	line(t, "up for", "%s", seconds(buf, status, "uptime", view->human));
	line(t, "process", "%s", units_member(buf, status, "pid", false));
	line(t, "epoch", "%s", list_str(status, "epoch"));
	line(t, "configuration", "%s", list_str(status, "config"));
	line(t, "crypto", "%s", list_str(status, "crypto"));
	line(t, "policies complete", "%s",
		json_is_true(json_object_get(status, "policies_complete"))
			? "yes"
			: "no: nothing is forwarded yet");
	json_array_foreach (json_object_get(status, "owners"), i, owner)
		line(t, "owner", "%s, %s: agent %s, %s SAs, %s policies%s%s",
			list_str(owner, "owner"),
			json_is_true(json_object_get(owner, "alive")) ? "alive" : "gone",
			units_member(buf, owner, "pid", false),
			units_count(more, json_number_value(json_object_get(owner, "sas")), false),
			units_count(more + 16,
				json_number_value(json_object_get(owner, "policies")), false),
			json_number_value(json_object_get(owner, "lost_events")) > 0
				? ", events lost: "
				: "",
			json_number_value(json_object_get(owner, "lost_events")) > 0
				? units_member(lost, owner, "lost_events", false)
				: "");
	if (i == 0)
		line(t, "owner", "none: no charon is connected");
	status_counts(t, json_object_get(status, "counts"), view);
	line(t, "waiting for RCU", "%s", units_member(buf, status, "rcu_pending", false));
	status_host(t, json_object_get(status, "host"), view);
	end(t);
}

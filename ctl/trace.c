/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter.h"
#include "list.h"
#include "options.h"
#include "packet.h"
#include "stream.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* cygnetctl trace: the router's records, put together packet by packet. */

#define PACKETS_MAX 200 /* of one trace, as the router allows */
#define QUIET_MS 100 /* after its last node a packet is over */
#define PARKED_MS 2500 /* one that waits, for a neighbour or for its fragments, for that long */

struct packet {
	json_t *records; /* array; NULL: not seen yet */
	uint64_t last; /* milliseconds: its newest record came */
	bool told;
};

struct trace {
	struct options *o;
	int count, told;
	double seconds; /* 0: as long as it takes */
	json_int_t lost; /* records, as the router counts */
	uint64_t last; /* milliseconds: its newest line came */
	struct packet packets[PACKETS_MAX];
};

static uint64_t
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static json_int_t
integer(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *
string(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static bool
flag(const json_t *o, const char *name)
{
	const json_t *v;
	size_t i;

	json_array_foreach (json_object_get(o, "flags"), i, v)
		if (strcmp(json_string_value(v), name) == 0)
			return true;
	return false;
}

static const char *
head_text(const json_t *r, char buf[PACKET_TEXT])
{
	const char *hex = string(r, "head");
	uint8_t data[256];
	size_t n = 0;
	unsigned int byte;

	while (hex != NULL && n < sizeof(data) && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		data[n++] = (uint8_t)byte;
	return packet_text(buf, data, n, json_is_true(json_object_get(r, "frame")));
}

static void
comma(FILE *out, bool *first)
{
	fputs(*first ? ": " : ", ", out);
	*first = false;
}

static void
print_hop(FILE *out, const json_t *hop, bool *first)
{
	const char *kind = string(hop, "kind"), *gateway = string(hop, "gateway");

	if (kind == NULL)
		return;
	comma(out, first);
	if (gateway != NULL)
		fprintf(out, "next hop %s", gateway);
	else
		fprintf(out, "%s", kind);
	if (string(hop, "port") != NULL)
		fprintf(out, " by %s", string(hop, "port"));
}

/* What the next node sees and this one did not: that is what this one did. */
static void
print_changes(FILE *out, const json_t *r, const json_t *next)
{
	char before[PACKET_TEXT], after[PACKET_TEXT];
	bool first = true;

	if (!json_equal(json_object_get(r, "next_hop"), json_object_get(next, "next_hop")))
		print_hop(out, json_object_get(next, "next_hop"), &first);
	if (string(next, "spi") != NULL && string(r, "spi") == NULL &&
		strcmp(string(r, "node"), "crypto-complete") != 0) {
		comma(out, &first);
		fprintf(out, "SA 0x%08lx", strtoul(string(next, "spi"), NULL, 16));
	}
	if (json_object_get(next, "sequence") != NULL && json_object_get(r, "sequence") == NULL) {
		comma(out, &first);
		fprintf(out, "sequence number %" JSON_INTEGER_FORMAT, integer(next, "sequence"));
	}
	if (flag(next, "protected") && !flag(r, "protected")) {
		comma(out, &first);
		fprintf(out, "allowed by a policy of reqid %" JSON_INTEGER_FORMAT,
			integer(next, "reqid"));
	}
	if (json_is_object(json_object_get(next, "icmp"))) {
		comma(out, &first);
		fprintf(out, "ICMP type %d code %d",
			(int)integer(json_object_get(next, "icmp"), "type"),
			(int)integer(json_object_get(next, "icmp"), "code"));
	}
	head_text(r, before);
	head_text(next, after);
	if (strcmp(before, after) != 0) {
		comma(out, &first);
		fprintf(out, "%s, %d bytes", after, (int)integer(next, "length"));
	}
}

static void
print_record(FILE *out, const json_t *r, const json_t *next, json_int_t since)
{
	const char *node = string(r, "node");
	char buf[PACKET_TEXT];

	fprintf(out, "%9.1f  %s %-2d  %-19s ", (double)(integer(r, "ns") - since) / 1e3,
		string(r, "role"), (int)integer(r, "lcore"), node);
	if (json_is_true(json_object_get(r, "entry"))) {
		if (strcmp(node, "host-rx") == 0)
			fprintf(out, "from Linux by %s", string(r, "out_port"));
		else if (flag(r, "decrypted"))
			fprintf(out, "out of SA %s", string(r, "spi"));
		else
			fprintf(out, "from port %s", string(r, "in_port"));
		fprintf(out, ": %s, %d bytes", head_text(r, buf), (int)integer(r, "length"));
	} else if (strcmp(node, "drop") == 0) {
		fprintf(out, "dropped: %s (%s)", string(r, "drop"), string(r, "text"));
	} else if (strcmp(node, "port-tx") == 0) {
		fprintf(out, "sent by port %s: %s, %d bytes", string(r, "out_port"),
			head_text(r, buf), (int)integer(r, "length"));
	} else if (strcmp(node, "host-tx") == 0) {
		fprintf(out, "to Linux, class %s: %s", string(r, "class"), head_text(r, buf));
	} else if (strcmp(node, "crypto-submit") == 0) {
		fputs("in a frame to a crypto lcore", out);
	} else if (strcmp(node, "crypto-enqueue") == 0) {
		fputs("to the crypto device", out);
	} else if (strcmp(node, "crypto-dequeue") == 0) {
		fprintf(out, "operation: %s", string(r, "operation"));
	} else if (next == NULL) {
		fputs("kept here", out);
	}
	if (next != NULL && strcmp(node, "crypto-submit") != 0 &&
		strcmp(node, "crypto-enqueue") != 0 && strcmp(node, "crypto-dequeue") != 0) {
		bool sink = strcmp(node, "port-tx") == 0 || strcmp(node, "host-tx") == 0;

		fprintf(out, "%s-> %s",
			json_is_true(json_object_get(r, "entry")) || sink ? " " : "",
			string(next, "node"));
		print_changes(out, r, next);
	}
	fputc('\n', out);
}

static int
by_time(const void *a, const void *b)
{
	json_int_t x = integer(*(json_t *const *)a, "ns"), y = integer(*(json_t *const *)b, "ns");

	return (x > y) - (x < y);
}

static void
tell(struct trace *t, struct packet *p, int number)
{
	size_t n = json_array_size(p->records);
	json_t **v = calloc(n + 1, sizeof(*v));
	json_t *r;
	size_t i;

	p->told = true;
	t->told++;
	if (v == NULL)
		return;
	json_array_foreach (p->records, i, r)
		v[i] = r;
	/* Lcores are read in turn: what one did is in order, and all of it is by the clock. */
	qsort(v, n, sizeof(*v), by_time);
	fprintf(t->o->view.out, "%spacket %d\n", t->told > 1 ? "\n" : "", number);
	for (i = 0; i < n; i++)
		print_record(t->o->view.out, v[i], v[i + 1], integer(v[0], "ns"));
	fflush(t->o->view.out);
	free(v);
}

static bool
is(const json_t *r, const char *node)
{
	return strcmp(string(r, "node"), node) == 0;
}

/* Whether it has come to its end, and nothing of it for a while. Lcores are read in turn: what a crypto lcore did may be still to come. */
static bool
is_over(const struct packet *p, uint64_t now)
{
	const json_t *last = NULL, *r;
	int awaited = 0;
	size_t i;

	json_array_foreach (p->records, i, r) {
		if (last == NULL || integer(r, "ns") >= integer(last, "ns"))
			last = r;
		awaited += is(r, "crypto-complete") - is(r, "crypto-dequeue");
	}
	if (last == NULL)
		return false;
	if (awaited <= 0 && (is(last, "drop") || is(last, "port-tx") || is(last, "host-tx")))
		return now - p->last >= QUIET_MS;
	return now - p->last >= PARKED_MS;
}

static void
tell_what_is_over(struct trace *t, bool all)
{
	uint64_t now = milliseconds();

	for (int i = 0; i < t->count; i++) {
		struct packet *p = &t->packets[i];

		if (p->records != NULL && !p->told && (all || is_over(p, now)))
			tell(t, p, i + 1);
	}
}

static void
take(struct trace *t, const char *line)
{
	json_t *r = json_loads(line, 0, NULL);
	json_int_t n = integer(r, "packet");
	struct packet *p;

	t->last = milliseconds();
	if (json_object_get(r, "lost") != NULL)
		t->lost = integer(r, "lost");
	/* A packet that is not known to have begun bears what another trace left in its buffer. */
	if (n >= 1 && n <= t->count && string(r, "node") != NULL) {
		p = &t->packets[n - 1];
		if (p->records == NULL && json_is_true(json_object_get(r, "entry")))
			p->records = json_array();
		p->last = t->last;
		if (p->records != NULL)
			json_array_append(p->records, r);
	}
	json_decref(r);
}

/* Of a packet whose first record was lost nothing is told, and it is waited for in vain. */
static bool
is_cut_short(const struct trace *t)
{
	return t->lost > 0 && milliseconds() - t->last >= PARKED_MS;
}

/* As many packets as were asked for, or until the user has enough. */
static int
follow(struct trace *t, int fd)
{
	uint64_t end = t->seconds > 0 ? milliseconds() + (uint64_t)(t->seconds * 1000) : UINT64_MAX;
	struct stream_lines lines;
	char *line;
	int rc;

	stream_lines_begin(&lines, fd);
	while ((rc = stream_line(&lines, 20, &line)) == CTL_OK && t->told < t->count &&
		milliseconds() < end && !stream_interrupted && !is_cut_short(t)) {
		if (line != NULL)
			take(t, line);
		if (line != NULL && strcmp(line, "{\"ready\":true}") == 0)
			fputs("waiting for packets\n", stderr);
		else if (line != NULL && t->o->view.json)
			fprintf(t->o->view.out, "%s\n", line);
		if (t->o->view.json)
			for (int i = 0; i < t->count; i++) {
				struct packet *p = &t->packets[i];

				if (!p->told && is_over(p, milliseconds())) {
					p->told = true;
					t->told++;
				}
			}
		else
			tell_what_is_over(t, false);
		fflush(t->o->view.out);
	}
	if (!t->o->view.json)
		tell_what_is_over(t, true);
	stream_lines_end(&lines);
	if (t->lost > 0)
		fprintf(stderr,
			"%" JSON_INTEGER_FORMAT " records were lost, and nodes are missing above: "
			"ask for fewer packets, or filter\n",
			t->lost);
	if (rc == CTL_OK && t->told < t->count && !t->o->view.json)
		fprintf(stderr, "%d of %d packets came\n", t->told, t->count);
	return rc;
}

static int
run(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {OPTIONS_LONG, {"count", required_argument, NULL, 'n'},
		{"duration", required_argument, NULL, 'd'}, {0}};
	struct trace t = {.o = o, .count = 1};
	json_t *args = json_object(), *data = NULL;
	double v = 1;
	int opt, fd, rc;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT "n:d:", longs, NULL)) != -1) {
		rc = CTL_OK;
		if (opt == 'n')
			rc = options_number("the count", optarg, 1, PACKETS_MAX, &v);
		else if (opt == 'd')
			rc = options_number("the duration", optarg, 0.1, 86400, &t.seconds);
		else if (!options_take(o, opt, optarg))
			rc = CTL_USAGE;
		if (rc != CTL_OK)
			return rc;
	}
	if (o->help) {
		options_tool_help(&tool_trace);
		return CTL_OK;
	}
	options_view(o);
	t.count = (int)v;
	json_object_set_new(args, "count", json_integer(t.count));
	rc = filter_compile(argv + optind, argc - optind, args);
	if (rc == CTL_OK)
		rc = options_connect(o, &fd);
	if (rc != CTL_OK) {
		json_decref(args);
		return rc;
	}
	rc = client_ask_all(fd, "trace", args, &data);
	json_decref(data);
	if (rc == CTL_OK) {
		stream_begin(fd);
		rc = follow(&t, fd);
	}
	close(fd);
	for (int i = 0; i < t.count; i++)
		json_decref(t.packets[i].records);
	return rc;
}

const struct tool tool_trace = {"trace", "[-n COUNT] [-d SECONDS] [FILTER]",
	"the next packets, node by node",
	"Follows the next packets that match FILTER through the graph, and shows what each node "
	"made of "
	"them:\n"
	"microseconds since the packet came, lcore, node, and the way on with what is new. FILTER "
	"is\n"
	"tcpdump's language (man pcap-filter); a packet that came sealed is tried again when it is "
	"open.\n"
	"Without FILTER every packet matches.\n\n"
	"  -n, --count COUNT      packets, up to 200 (default: 1)\n"
	"  -d, --duration SECONDS end after that time, whatever came (default: wait)\n\n"
	"  cygnetctl trace -n 3 icmp and host 10.2.0.2\n",
	run};

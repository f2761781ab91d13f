/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"
#include "stream.h"
#include "units.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

/* cygnetctl graph picture: the graphs as graphviz draws them, with what flows on each edge. */

extern char **environ;

struct picture {
	FILE *out;
	const json_t *before, *now;
	double seconds, most; /* most: packets per second of the busiest edge */
	bool all;
};

static double
number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static const char *
string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "?";
}

/* The edge or node at the same place of the document before. */
static double
rate(const struct picture *p, const json_t *now, const json_t *before, const char *key)
{
	double v = number(now, key) - number(before, key);

	return v > 0 && p->seconds > 0 ? v / p->seconds : 0;
}

/* Graphviz's names of colours: a scale from cold to hot for the share of the cycles. */
static const char *
heat(double share)
{
	static const char *const colours[] = {
		"#ffffff", "#eef6fb", "#d9ecf7", "#fdf3d8", "#fde2b8", "#fbc79a", "#f7a58a"};
	unsigned int n = sizeof(colours) / sizeof(colours[0]);
	unsigned int i = share <= 0.001 ? 0 : 1 + (unsigned int)(share * 2 * (n - 1));

	return colours[i < n ? i : n - 1];
}

static void
print_edge(const struct picture *p, const char *from, const char *to, double pps, const char *style)
{
	char buf[UNITS_MAX];

	if (pps <= 0 && !p->all)
		return;
	fprintf(p->out, "\t\"%s\" -> \"%s\" [", from, to);
	if (pps > 0) {
		fprintf(p->out, "label=\" %s/s\", penwidth=%.2f, color=\"%s\"",
			units_count(buf, round(pps), true),
			0.8 + 3 * log1p(pps) / log1p(p->most > 1 ? p->most : 1),
			strstr(to, ":drop") != NULL ? "#c0392b" : "#1f6f8b");
	} else {
		fputs("color=\"#c8c8c8\", penwidth=0.6, arrowsize=0.5", p->out);
	}
	fprintf(p->out, "%s];\n", style);
}

static bool
quiet(const struct picture *p, const json_t *node, const json_t *before)
{
	return !p->all && rate(p, node, before, "packets") <= 0;
}

static void
print_node(const struct picture *p, const json_t *lcore, const json_t *node, const json_t *before,
	double cycles)
{
	double pps = rate(p, node, before, "packets"), spent = rate(p, node, before, "cycles");
	bool drop = strcmp(string(node, "node"), "drop") == 0;
	char buf[UNITS_MAX];

	fprintf(p->out, "\t\t\"%g:%s\" [label=<<b>%s</b>", number(lcore, "lcore"),
		string(node, "node"), string(node, "node"));
	if (pps > 0) {
		double at_once = pps / fmax(rate(p, node, before, "calls"), 1e-9);

		fprintf(p->out, "<br/><font point-size=\"9\" color=\"#555555\">%s cycles a packet",
			units_count(buf, round(spent / pps), true));
		/* Those that look for work are called in vain, too. */
		if (at_once >= 0.95)
			fprintf(p->out, ", %.0f a call", at_once);
		fputs("</font>", p->out);
	}
	fprintf(p->out, ">, fillcolor=\"%s\", color=\"%s\"%s];\n",
		heat(cycles > 0 && pps > 0 ? spent / cycles : 0), drop ? "#c0392b" : "#666666",
		pps > 0 ? "" : ", fontcolor=\"#999999\"");
}

static void
print_lcore(const struct picture *p, const json_t *lcore, const json_t *before)
{
	const json_t *node, *old = json_object_get(before, "nodes");
	double cycles = 0;
	size_t i;

	json_array_foreach (json_object_get(lcore, "nodes"), i, node)
		if (rate(p, node, json_array_get(old, i), "packets") > 0)
			cycles += rate(p, node, json_array_get(old, i), "cycles");
	fprintf(p->out,
		"\tsubgraph \"cluster_%g\" {\n\t\tlabel=<<b>lcore %g</b>  %s>; "
		"style=\"rounded,filled\"; "
		"color=\"#bbbbbb\"; fillcolor=\"%s\";\n",
		number(lcore, "lcore"), number(lcore, "lcore"), string(lcore, "role"),
		strcmp(string(lcore, "role"), "crypto") == 0 ? "#f4f0fa" : "#f7f9fa");
	json_array_foreach (json_object_get(lcore, "nodes"), i, node)
		if (!quiet(p, node, json_array_get(old, i)))
			print_node(p, lcore, node, json_array_get(old, i), cycles);
	fputs("\t}\n", p->out);
}

static void
print_edges(struct picture *p, const json_t *lcore, const json_t *before, bool measure)
{
	const json_t *node, *edge, *old_node, *old = json_object_get(before, "nodes");
	char from[128], to[128];
	size_t i, k;

	json_array_foreach (json_object_get(lcore, "nodes"), i, node) {
		old_node = json_array_get(old, i);
		json_array_foreach (json_object_get(node, "edges"), k, edge) {
			double pps = rate(p, edge,
				json_array_get(json_object_get(old_node, "edges"), k), "packets");

			/* The crypto nodes have an edge to drop because rte_graph wants one. */
			if (strcmp(string(node, "node"), "crypto-enqueue") == 0 ||
				strcmp(string(node, "node"), "crypto-dequeue") == 0)
				continue;
			p->most = fmax(p->most, pps);
			snprintf(from, sizeof(from), "%g:%s", number(lcore, "lcore"),
				string(node, "node"));
			snprintf(to, sizeof(to), "%g:%s", number(lcore, "lcore"),
				string(edge, "to"));
			if (!measure)
				print_edge(p, from, to, pps, "");
		}
	}
}

/* Packets per second of a lcore's node; negative when it has none. */
static double
node_rate(const struct picture *p, size_t lcore, const char *name)
{
	const json_t *node,
		*nodes = json_object_get(
			json_array_get(json_object_get(p->now, "lcores"), lcore), "nodes");
	const json_t *old = json_object_get(
		json_array_get(json_object_get(p->before, "lcores"), lcore), "nodes");
	size_t i;

	json_array_foreach (nodes, i, node)
		if (strcmp(string(node, "node"), name) == 0)
			return rate(p, node, json_array_get(old, i), "packets");
	return -1;
}

/* Between lcores packets travel in frames; which crypto lcore gets how many of which worker is not counted. */
static void
print_frames(const struct picture *p)
{
	const json_t *lcores = json_object_get(p->now, "lcores");
	size_t n = json_array_size(lcores);
	double crypto = 0;
	char from[64], to[64];

	for (size_t i = 0; i < n; i++)
		crypto += fmax(node_rate(p, i, "crypto-enqueue"), 0);
	for (size_t w = 0; w < n; w++) {
		for (size_t c = 0; c < n; c++) {
			double in = node_rate(p, w, "crypto-submit"),
			       out = node_rate(p, w, "crypto-complete"),
			       done = node_rate(p, c, "crypto-enqueue");

			if (in < 0 || done < 0)
				continue;
			snprintf(from, sizeof(from), "%g:crypto-submit",
				number(json_array_get(lcores, w), "lcore"));
			snprintf(to, sizeof(to), "%g:crypto-enqueue",
				number(json_array_get(lcores, c), "lcore"));
			print_edge(
				p, from, to, crypto > 0 ? in * done / crypto : 0, ", style=dashed");
			/* What needs no queue of a device is done when it is taken up. */
			snprintf(from, sizeof(from), "%g:%s",
				number(json_array_get(lcores, c), "lcore"),
				node_rate(p, c, "crypto-dequeue") > 0 ? "crypto-dequeue"
								      : "crypto-enqueue");
			snprintf(to, sizeof(to), "%g:crypto-complete",
				number(json_array_get(lcores, w), "lcore"));
			print_edge(p, from, to, crypto > 0 ? out * done / crypto : 0,
				", style=dashed");
		}
	}
	for (size_t c = 0; c < n; c++) {
		if (node_rate(p, c, "crypto-enqueue") < 0)
			continue;
		snprintf(from, sizeof(from), "%g:crypto-enqueue",
			number(json_array_get(lcores, c), "lcore"));
		snprintf(to, sizeof(to), "%g:crypto-dequeue",
			number(json_array_get(lcores, c), "lcore"));
		print_edge(p, from, to, node_rate(p, c, "crypto-dequeue"), ", style=dotted");
	}
}

static void
draw(struct picture *p, const char *name)
{
	const json_t *lcore, *old = json_object_get(p->before, "lcores");
	size_t i;

	fprintf(p->out,
		"digraph cygnet {\n\tlabel=<<b>%s</b>: packets per second, over %.1f s>; "
		"labelloc=t; "
		"fontname=\"sans-serif\"; fontsize=14;\n"
		"\tgraph [nodesep=0.25, ranksep=0.4, bgcolor=white];\n"
		"\tnode [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", "
		"fontsize=11, "
		"margin=\"0.12,0.05\"];\n"
		"\tedge [fontname=\"sans-serif\", fontsize=9, arrowsize=0.7];\n",
		name, p->seconds);
	json_array_foreach (json_object_get(p->now, "lcores"), i, lcore)
		print_edges(p, lcore, json_array_get(old, i), true);
	json_array_foreach (json_object_get(p->now, "lcores"), i, lcore)
		print_lcore(p, lcore, json_array_get(old, i));
	json_array_foreach (json_object_get(p->now, "lcores"), i, lcore)
		print_edges(p, lcore, json_array_get(old, i), false);
	print_frames(p);
	fputs("}\n", p->out);
}

/* The graphs at two moments. */
static int
ask(int fd, double seconds, json_t **before, json_t **now)
{
	struct stream_lines lines;
	double first = 0;
	char *line;
	int rc = CTL_OK;

	*before = *now = NULL;
	stream_lines_begin(&lines, fd);
	while (rc == CTL_OK && !stream_interrupted) {
		rc = stream_line(&lines, 100, &line);
		if (rc != CTL_OK || line == NULL)
			continue;
		json_decref(*now);
		*now = json_loads(line, 0, NULL);
		if (*before == NULL) {
			*before = json_incref(*now);
			first = number(*now, "time_ns");
		} else if (number(*now, "time_ns") - first >= (seconds - 0.05) * 1e9) {
			break;
		}
	}
	stream_lines_end(&lines);
	return *now != NULL ? rc : rc != CTL_OK ? rc : CTL_REFUSED;
}

/* "x.svg" is drawn by dot -Tsvg; NULL for what dot need not draw. */
static const char *
format_of(const char *path)
{
	static const char *const known[] = {"svg", "png", "pdf"};
	const char *end = path != NULL ? strrchr(path, '.') : ".svg";

	for (unsigned int i = 0; end != NULL && i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(end + 1, known[i]) == 0)
			return known[i];
	return NULL;
}

static int
run_dot(const char *dot_file, const char *format, const char *path)
{
	static char dot[] = "dot", to[] = "-o";
	char type[16], *file = (char *)(uintptr_t)dot_file, *out = (char *)(uintptr_t)path;
	char *argv[] = {dot, type, file, path != NULL ? to : NULL, out, NULL};
	pid_t pid;
	int status, rc;

	snprintf(type, sizeof(type), "-T%s", format);
	rc = posix_spawnp(&pid, "dot", NULL, NULL, argv, environ);
	if (rc != 0)
		return -rc;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int
copy_out(FILE *from, const char *path)
{
	FILE *to = path != NULL ? fopen(path, "w") : stdout;
	char buf[4096];
	size_t n;

	if (to == NULL)
		return client_fail(CTL_REFUSED, "%s: %s", path, strerror(errno));
	rewind(from);
	while ((n = fread(buf, 1, sizeof(buf), from)) > 0)
		fwrite(buf, 1, n, to);
	if ((path != NULL ? fclose(to) : fflush(to)) != 0)
		return client_fail(CTL_REFUSED, "the picture cannot be written");
	return CTL_OK;
}

static int
write_picture(struct picture *p, const char *name, const char *path)
{
	char file[] = "/tmp/cygnetctl-XXXXXX";
	const char *format = format_of(path);
	int fd = mkstemp(file), rc;

	p->out = fd >= 0 ? fdopen(fd, "w+") : NULL;
	if (p->out == NULL)
		return client_fail(CTL_REFUSED, "%s: %s", file, strerror(errno));
	draw(p, name);
	fflush(p->out);
	rc = format != NULL ? run_dot(file, format, path) : -ENOENT;
	if (rc == -ENOENT) {
		if (format != NULL)
			fputs("cygnetctl: graphviz is not installed: this is its input (dot "
			      "-Tsvg)\n",
				stderr);
		rc = copy_out(p->out, path);
	} else if (rc < 0) {
		rc = client_fail(CTL_REFUSED, "graphviz failed");
	}
	fclose(p->out);
	unlink(file);
	return rc;
}

static int
run(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {OPTIONS_LONG,
		{"output", required_argument, NULL, 'o'},
		{"duration", required_argument, NULL, 'd'}, {"all", no_argument, NULL, 'a'}, {0}};
	struct picture p = {.seconds = 1};
	json_t *answer = NULL, *before = NULL, *now = NULL;
	const char *path = NULL;
	int opt, fd, rc;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT "o:d:a", longs, NULL)) != -1) {
		rc = CTL_OK;
		if (opt == 'o')
			path = optarg;
		else if (opt == 'a')
			p.all = true;
		else if (opt == 'd')
			rc = options_number("the duration", optarg, 1, 3600, &p.seconds);
		else if (!options_take(o, opt, optarg))
			rc = CTL_USAGE;
		if (rc != CTL_OK)
			return rc;
	}
	if (o->help) {
		options_tool_help(&tool_picture);
		return CTL_OK;
	}
	if (optind < argc)
		return options_usage("graph picture takes no", argv[optind]);
	rc = options_connect(o, &fd);
	if (rc != CTL_OK)
		return rc;
	rc = client_ask_all(fd, "edges", NULL, &answer);
	if (rc == CTL_OK) {
		stream_begin(fd);
		rc = ask(fd, p.seconds, &before, &now);
	}
	close(fd);
	if (rc == CTL_OK) {
		p.before = before;
		p.now = now;
		p.seconds = (number(now, "time_ns") - number(before, "time_ns")) / 1e9;
		rc = write_picture(&p, string(answer, "name"), path);
	}
	json_decref(before);
	json_decref(now);
	json_decref(answer);
	return rc;
}

const struct tool tool_picture = {"graph picture", "[-o FILE] [-d SECONDS] [-a]",
	"the graph with its traffic, as SVG",
	"Draws the graph of each lcore with graphviz: nodes with cycles a packet and packets a "
	"call, "
	"the warmer\nthe more of the lcore's work they take, and edges with packets per second. "
	"What did "
	"nothing meanwhile\nis left out. Edges are counted while this runs, and not otherwise.\n\n"
	"  -o, --output FILE      .svg, .png or .pdf; else graphviz's own language (default: SVG "
	"to\n"
	"                         standard output)\n"
	"  -d, --duration SECONDS how long packets are counted (default: 1)\n"
	"  -a, --all              with nodes and edges that nothing took\n",
	run};

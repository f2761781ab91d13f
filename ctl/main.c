/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"
#include "detail.h"
#include "graph.h"
#include "ike.h"
#include "list.h"
#include "options.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cygnetctl: asks a running router and shows what it says. */

/* The options of the commands that show tables. */
struct shown {
	struct options common;
	bool all, watch;
	double interval;
	const char *spi;
};

struct command {
	const char *words; /* "graph stats" */
	const char *arguments;
	const char *summary;
	const char *help;
	const struct list *list;
	int (*run)(const struct shown *o, int fd);
	bool watches; /* takes --watch and --all */
};

static int
show_list(const struct list *list, const struct shown *o, int fd)
{
	struct list_show s;
	int rc;

	list_begin(&s, list, &o->common.view);
	rc = client_ask(fd, list->command, NULL, list_page, &s);
	list_end(&s, rc == CTL_OK);
	return rc;
}

/* One SPI can be in use in both directions, and outbound at several peers. */
static int
show_sa(const struct shown *o, int fd)
{
	json_t *rows, *row;
	struct list_show s;
	size_t i;
	int rc;

	if (o->spi == NULL)
		return show_list(&list_sa, o, fd);
	rc = client_ask_all(fd, "sa", json_pack("{ss}", "spi", o->spi), &rows);
	if (rc != CTL_OK)
		return rc;
	if (json_array_size(rows) == 0)
		rc = client_fail(CTL_REFUSED, "no SA has the SPI %s", o->spi);
	if (o->common.view.json && rc == CTL_OK) {
		list_begin(&s, &list_sa, &o->common.view);
		rc = list_page(&s, rows);
		list_end(&s, rc == CTL_OK);
	} else {
		json_array_foreach (rows, i, row) {
			if (i > 0)
				fputc('\n', o->common.view.out);
			detail_sa(&o->common.view, row);
		}
	}
	json_decref(rows);
	return rc;
}

static int
show_status(const struct shown *o, int fd)
{
	json_t *status;
	int rc = client_ask_all(fd, "status", NULL, &status);

	if (rc != CTL_OK)
		return rc;
	if (o->common.view.json) {
		json_print(o->common.view.out, status);
		fputc('\n', o->common.view.out);
	} else {
		detail_status(&o->common.view, status);
	}
	json_decref(status);
	return CTL_OK;
}

/* The data as it is, an object a lcore; while watching, an array a line. */
static void
print_graph(const struct shown *o, json_t *now, json_t *before)
{
	struct list_show s;

	if (o->common.view.json && o->watch) {
		json_print(o->common.view.out, now);
		fputc('\n', o->common.view.out);
	} else if (o->common.view.json) {
		list_begin(&s, &list_lcores, &o->common.view);
		list_page(&s, now);
		list_end(&s, true);
	} else {
		if (o->watch && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", o->common.view.out);
		else if (o->watch)
			fputc('\n', o->common.view.out);
		graph_print(&o->common.view, now, before, o->all);
	}
	fflush(o->common.view.out);
}

static int
ask_graph(const struct shown *o, int fd, json_t **data)
{
	return client_ask_all(fd, "graph", o->all ? json_pack("{sb}", "all", 1) : NULL, data);
}

/* After an interval, by a connection of its own: the router hangs up on those that are long silent. */
static int
ask_graph_again(const struct shown *o, json_t **data)
{
	int fd, rc;

	*data = NULL;
	usleep((useconds_t)(o->interval * 1e6));
	rc = client_connect(o->common.path, &fd);
	if (rc == CTL_OK) {
		rc = ask_graph(o, fd, data);
		close(fd);
	}
	return rc;
}

static int
show_graph(const struct shown *o, int fd)
{
	json_t *now, *before = NULL;
	int rc = ask_graph(o, fd, &now);

	if (rc == CTL_OK && (!o->watch || o->common.view.json))
		print_graph(o, now, NULL);
	while (rc == CTL_OK && o->watch && !ferror(o->common.view.out)) {
		json_decref(before);
		before = now;
		rc = ask_graph_again(o, &now);
		if (rc == CTL_OK)
			print_graph(o, now, before);
	}
	json_decref(before);
	json_decref(now);
	return rc;
}

static int
say_complete(const struct shown *o, int fd)
{
	json_t *data;
	int rc = client_ask_all(fd, "complete", NULL, &data);

	if (rc == CTL_OK && !o->common.view.json)
		fputs("The policies are complete: what they let pass, passes.\n",
			o->common.view.out);
	json_decref(data);
	return rc;
}

static const struct command commands[] = {
	{"graph stats", "[--watch [SECONDS]] [--all]",
		"what each graph node does, and drops by reason",
		"Shows for each lcore and node its calls, packets, packets a call and cycles a "
		"packet,\n"
		"and the dropped packets by reason. Nodes that were never called and reasons that "
		"never\n"
		"occurred are left out.\n\n"
		"  -w, --watch [SECONDS]  show figures per second, again and again (default: every "
		"second)\n"
		"  -a, --all              show nodes and reasons that have nothing to say as "
		"well\n",
		NULL, show_graph, true},
	{"sa", "[SPI]", "security associations",
		"Lists the SAs, those of a tunnel together; with an SPI (0xc1234567, or decimal) "
		"all that\n"
		"is known of that one, and exit code 1 when there is none.\n\n"
		"STATE is live, larval (an SPI that charon reserved) or dying (its last packets "
		"are in\n"
		"flight). OWNER is alive (a charon that answers), orphan (its charon died) or "
		"static\n"
		"(the configuration).\n",
		NULL, show_sa, false},
	{"policy", "", "security policies",
		"Lists the policies in the order in which they are tried: by direction, then "
		"priority\n"
		"(the smaller wins). SA is the SPI that an outbound policy uses, or \"trap\" when "
		"its first\n"
		"packet will make charon negotiate one.\n",
		&list_policy, NULL, false},
	{"route", "", "routes and neighbours",
		"Lists the routes as the data plane has them, with the next hop of each. KIND is "
		"local\n"
		"(ours), connected (neighbour not known yet), neighbour, blackhole, unreachable, "
		"foreign\n"
		"(by an interface that is no port) or multipath, whose members follow with a +.\n",
		&list_route, NULL, false},
	{"port", "", "ports with their counters",
		"Lists the ports. LOST counts what was missed, refused for want of a buffer, or "
		"broken.\n"
		"TAP is the interface index of the port's mirror in Linux.\n",
		&list_port, NULL, false},
	{"lcores", "", "lcores with role, place and load",
		"Lists the lcores: role, cpu, NUMA node, whether the kernel keeps other work away, "
		"how\n"
		"busy it was and how long it slept in the last second, graph walks, frames of "
		"packets\n"
		"that it has at crypto lcores, operations that its crypto devices have.\n",
		&list_lcores, NULL, false},
	{"complete", "", "says that the policies are complete",
		"After its start a router forwards nothing in clear until charon's policies are "
		"complete.\n"
		"This says that they are, at once: for a charon that protects nothing, or after "
		"swanctl --load-all.\n",
		NULL, say_complete, false},
	{"status", "", "the router as a whole",
		"Shows version, age, owners (the charons), the sizes of the tables and their "
		"limits, and\n"
		"what went to and came from Linux.\n",
		NULL, show_status, false},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct tool *const tools[] = {
	&tool_doctor, &tool_picture, &tool_reload, &tool_top, &tool_trace, &tool_capture};

#define N_TOOLS (sizeof(tools) / sizeof(tools[0]))

static void
help_line(const char *words, const char *arguments, const char *summary)
{
	printf("  %-14s %-34s %s\n", words, arguments, summary);
}

static void
help(const struct command *c)
{
	if (c != NULL) {
		printf("usage: cygnetctl [OPTION...] %s%s%s\n\n%s\nOptions of all commands:\n%s",
			c->words, *c->arguments != '\0' ? " " : "", c->arguments, c->help,
			options_help);
		return;
	}
	puts("usage: cygnetctl [OPTION...] COMMAND\n\nShows what a running cygnet does.\n");
	for (unsigned int i = 0; i < N_COMMANDS; i++)
		help_line(commands[i].words, commands[i].arguments, commands[i].summary);
	help_line("ike", "COMMAND", "tunnels from one YAML file: cygnetctl ike --help");
	for (unsigned int i = 0; i < N_TOOLS; i++)
		help_line(tools[i]->name, tools[i]->arguments, tools[i]->summary);
	printf("\n%s\nExit codes: 0 it is shown; 1 the router refused, or has no such thing; 2 the "
	       "command line\nis wrong; 3 no router answers.\n",
		options_help);
}

static bool
goes_on(const char *words, const char *first)
{
	size_t n = strlen(first);

	return strncmp(words, first, n) == 0 && words[n] == ' ';
}

/* What a word goes on with that is no command by itself, as "graph"; false: with nothing. */
static bool
help_group(const char *first)
{
	bool any = false;

	for (unsigned int i = 0; i < N_COMMANDS + N_TOOLS; i++) {
		const struct tool *tool = i < N_COMMANDS ? NULL : tools[i - N_COMMANDS];
		const struct command *c = tool == NULL ? &commands[i] : NULL;
		const char *words = tool != NULL ? tool->name : c->words;

		if (!goes_on(words, first))
			continue;
		if (!any)
			printf("usage: cygnetctl [OPTION...] %s COMMAND\n\n", first);
		any = true;
		help_line(words, tool != NULL ? tool->arguments : c->arguments,
			tool != NULL ? tool->summary : c->summary);
	}
	if (any)
		printf("\nEach of them has a --help of its own.\n");
	return any;
}

/* The command that the words begin with; *n is how many of them it took. */
static const struct command *
find(char **words, int n_words, int *n)
{
	char two[64];

	for (unsigned int i = 0; i < N_COMMANDS; i++) {
		*n = strchr(commands[i].words, ' ') != NULL ? 2 : 1;
		if (n_words < *n)
			continue;
		snprintf(two, sizeof(two), "%s%s%s", words[0], *n == 2 ? " " : "",
			*n == 2 ? words[1] : "");
		if (strcmp(two, commands[i].words) == 0)
			return &commands[i];
	}
	return NULL;
}

static int
parse_interval(const char *s, double *interval)
{
	char *end;

	*interval = strtod(s, &end);
	if (end == s || *end != '\0' || !(*interval >= 0.1 && *interval <= 3600))
		return options_usage("seconds are a number from 0.1 to 3600, not", s);
	return CTL_OK;
}

static int
parse_spi(const char *s)
{
	unsigned long long v;
	char *end;

	v = strtoull(s, &end, strncmp(s, "0x", 2) == 0 ? 16 : 10);
	if (*s < '0' || *s > '9' || *end != '\0' || v > UINT32_MAX)
		return options_usage("an SPI is a number like 0xc1234567, not", s);
	return CTL_OK;
}

/* What follows the command's own words. */
static int
parse_arguments(const struct command *c, struct shown *o, char **words, int n)
{
	int rc = CTL_OK;

	if ((o->watch || o->all) && !c->watches)
		return options_usage("--watch and --all belong to graph stats, not to", c->words);
	if (n > 0 && c->run == show_sa) {
		o->spi = words[0];
		rc = parse_spi(o->spi);
		n--;
	} else if (n > 0 && o->watch) {
		rc = parse_interval(words[0], &o->interval);
		n--;
	}
	if (rc != CTL_OK)
		return rc;
	return n > 0 ? options_usage("too many arguments after", c->words) : CTL_OK;
}

static int
run(const struct command *c, struct shown *o)
{
	int fd, rc;

	rc = options_connect(&o->common, &fd);
	if (rc != CTL_OK)
		return rc;
	rc = c->list != NULL ? show_list(c->list, o, fd) : c->run(o, fd);
	close(fd);
	if (fflush(stdout) != 0 && rc == CTL_OK)
		rc = client_fail(CTL_REFUSED, "the output cannot be written");
	return rc;
}

/* Whether the first word that is no option is "ike": that has options of its own. */
static bool
is_ike(char **argv)
{
	static const char *const with_value[] = {
		"-u", "--uri", "-t", "--timeout", "-n", "--name", "-s", "--socket"};

	for (char **arg = argv + 1; *arg != NULL; arg++) {
		bool value = false;

		if ((*arg)[0] != '-')
			return strcmp(*arg, "ike") == 0;
		for (unsigned int i = 0; i < sizeof(with_value) / sizeof(with_value[0]); i++)
			value = value || strcmp(*arg, with_value[i]) == 0;
		if (value && *++arg == NULL)
			break;
	}
	return false;
}

/* The tool whose name the words begin with; *n is how many of them it has. */
static const struct tool *
find_tool(char **words, int n_words, int *n)
{
	for (unsigned int i = 0; i < N_TOOLS; i++) {
		const char *space = strchr(tools[i]->name, ' ');

		*n = space != NULL ? 2 : 1;
		if (n_words < *n)
			continue;
		if (space == NULL && strcmp(tools[i]->name, words[0]) == 0)
			return tools[i];
		if (space != NULL && strlen(words[0]) == (size_t)(space - tools[i]->name) &&
			strncmp(tools[i]->name, words[0], strlen(words[0])) == 0 &&
			strcmp(space + 1, words[1]) == 0)
			return tools[i];
	}
	return NULL;
}

static const struct option longs[] = {OPTIONS_LONG, {"watch", optional_argument, NULL, 'w'},
	{"all", no_argument, NULL, 'a'}, {0}};

static int
parse_option(struct shown *o, int opt)
{
	switch (opt) {
	case 'n':
		o->common.name = optarg;
		return CTL_OK;
	case 'w':
		o->watch = true;
		return optarg != NULL ? parse_interval(optarg, &o->interval) : CTL_OK;
	case 'a':
		o->all = true;
		return CTL_OK;
	default:
		/* getopt has said what is wrong */
		return options_take(&o->common, opt, optarg) ? CTL_OK : CTL_USAGE;
	}
}

/* Options up to the first word, or ("" for plus) wherever they stand. */
static int
parse_options(struct shown *o, int argc, char **argv, const char *plus)
{
	char shorts[32];
	int opt, rc = CTL_OK;

	snprintf(shorts, sizeof(shorts), "%s" OPTIONS_SHORT "n:w::a", plus);
	optind = 0;
	while (rc == CTL_OK && (opt = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		rc = parse_option(o, opt);
	return rc;
}

int
main(int argc, char **argv)
{
	static char self[] = "cygnetctl"; /* in getopt's messages, without a path */
	struct shown o = {.interval = 1};
	const struct command *c;
	const struct tool *tool;
	int n = 0, rc;

	if (is_ike(argv))
		return ike_main(argc, argv);
	argv[0] = self;
	/* What the router says is UTF-8, whatever the locale of a service or a rescue shell is. */
	setlocale(LC_CTYPE, "");
	if (MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	rc = parse_options(&o, argc, argv, "+");
	if (rc != CTL_OK)
		return rc;
	tool = find_tool(argv + optind, argc - optind, &n);
	if (tool != NULL) {
		argc -= optind + n - 1;
		argv += optind + n - 1;
		argv[0] = self;
		optind = 0;
		return tool->run(argc, argv, &o.common);
	}
	if (optind < argc) {
		argc -= optind - 1;
		argv += optind - 1;
		argv[0] = self;
		rc = parse_options(&o, argc, argv, "");
		if (rc != CTL_OK)
			return rc;
	}
	c = find(argv + optind, argc - optind, &n);
	if (o.common.help && (c != NULL || optind == argc)) {
		help(c);
		return CTL_OK;
	}
	if (optind == argc)
		return options_usage("a command is missing", NULL);
	if (o.common.help && c == NULL && help_group(argv[optind]))
		return CTL_OK;
	if (c == NULL && strcmp(argv[optind], "graph") == 0)
		return options_usage(
			"graph takes one more word: graph stats or graph picture", NULL);
	if (c == NULL)
		return options_usage("there is no command", argv[optind]);
	rc = parse_arguments(c, &o, argv + optind + n, argc - optind - n);
	if (rc != CTL_OK)
		return rc;
	options_view(&o.common);
	return run(c, &o);
}

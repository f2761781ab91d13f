/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"
#include "options.h"
#include "stream.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Has the router read its configuration again, and shows what that changes. */

#define EXIT_RESTART 4

static int
usage(const struct tool *tool)
{
	options_tool_help(tool);
	return CTL_OK;
}

/* One line of the stream; *done: it was the last. */
static int
show(const struct options *o, const char *line, bool check, unsigned int *changes, bool *waiting,
	bool *done)
{
	json_t *doc = json_loads(line, 0, NULL);
	const char *change = json_string_value(json_object_get(doc, "line"));
	const char *error = json_string_value(json_object_get(doc, "error"));
	bool restart = json_is_true(json_object_get(doc, "restart"));
	int rc = CTL_OK;

	*done = json_is_true(json_object_get(doc, "done"));
	if (o->view.json) {
		puts(line);
	} else if (change != NULL) {
		puts(change);
		*waiting |= *change == '!';
		++*changes;
	} else if (*done && error == NULL) {
		puts(*changes == 0 ? "Nothing differs."
			: check	   ? "Nothing was changed: this was a check."
			: *waiting ? "Done. What is marked ! waits for a restart."
				   : "Done.");
	}
	fflush(stdout);
	if (*done && error != NULL)
		rc = client_fail(restart ? EXIT_RESTART : CTL_REFUSED, "%s", error);
	json_decref(doc);
	return rc;
}

static int
follow(const struct options *o, int fd, bool check)
{
	unsigned int changes = 0;
	struct stream_lines s;
	bool done = false, waiting = false;
	char *line;
	int rc;

	stream_lines_begin(&s, fd);
	do {
		rc = stream_line(&s, 1000, &line);
		if (rc == CTL_OK && line != NULL)
			rc = show(o, line, check, &changes, &waiting, &done);
	} while (rc == CTL_OK && !done);
	stream_lines_end(&s);
	return rc;
}

static int
run(int argc, char **argv, struct options *o)
{
	enum { CHECK = 2000, PARTIAL };
	static const struct option longs[] = {OPTIONS_LONG, {"check", no_argument, NULL, CHECK},
		{"diff", no_argument, NULL, CHECK}, {"partial", no_argument, NULL, PARTIAL}, {0}};
	bool check = false, partial = false;
	json_t *data = NULL;
	int opt, fd, rc;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT "n:", longs, NULL)) != -1) {
		if (opt == CHECK)
			check = true;
		else if (opt == PARTIAL)
			partial = true;
		else if (opt == 'n')
			o->name = optarg;
		else if (!options_take(o, opt, optarg))
			return CTL_USAGE;
	}
	if (o->help)
		return usage(&tool_reload);
	if (optind < argc)
		return options_usage("reload takes no argument", argv[optind]);
	options_view(o);
	rc = options_connect(o, &fd);
	if (rc != CTL_OK)
		return rc;
	rc = client_ask_all(
		fd, "reload", json_pack("{sb sb}", "check", check, "partial", partial), &data);
	json_decref(data);
	if (rc == CTL_OK)
		rc = follow(o, fd, check);
	close(fd);
	return rc;
}

const struct tool tool_reload = {
	.name = "reload",
	.arguments = "[--check] [--partial]",
	.summary = "reads router.yaml again",
	.help = "Has the router read its configuration again and make what differs: ports, static "
		"SAs\n"
		"and policies, defaults, metrics, audit and log level. A line a change: + comes, - "
		"goes,\n"
		"~ changes, ! needs a restart. Ports and SAs that do not differ lose no packet. It "
		"is all\n"
		"or nothing: a file that is wrong, or a change that needs a restart, changes "
		"nothing.\n\n"
		"      --check, --diff    say what would be done, and do nothing\n"
		"      --partial          do what can be done, though the rest needs a restart\n\n"
		"Exit codes also: 4 something needs a restart.\n",
	.run = run,
};

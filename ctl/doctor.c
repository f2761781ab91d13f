/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include "options.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"ok", "note", "WRONG"};

void
doctor_say(struct doctor *d, const char *check, enum finding finding, const char *advice,
	const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	d->wrong += finding == DOCTOR_WRONG;
	json_array_append_new(
		d->findings, json_pack("{ss ss ss ss*}", "check", check, "state",
				     finding == DOCTOR_WRONG ? "wrong" : names[finding], "what",
				     what, "do", advice));
}

bool
doctor_read(const struct doctor *d, const char *path, char *text, size_t size)
{
	char full[512];
	size_t len = 0;
	ssize_t n;
	int fd;

	if (snprintf(full, sizeof(full), "%s%s", d->root, path) >= (int)sizeof(full))
		return false;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* Files of the kernel give a page at a time, however large they are. */
	while ((n = read(fd, text + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	return n == 0;
}

void
doctor_print(const struct doctor *d, const struct view *view)
{
	const json_t *f, *advice;
	size_t i;

	if (view->json) {
		json_dumpf(d->findings, view->out, JSON_INDENT(2));
		fputc('\n', view->out);
		return;
	}
	json_array_foreach (d->findings, i, f) {
		const char *state = list_str(f, "state");

		fprintf(view->out, "%-6s %-12s %s\n",
			strcmp(state, "wrong") == 0 ? names[DOCTOR_WRONG] : state,
			list_str(f, "check"), list_str(f, "what"));
		advice = json_object_get(f, "do");
		if (advice != NULL)
			fprintf(view->out, "%-6s %-12s -> %s\n", "", "", json_string_value(advice));
	}
	if (d->wrong == 0)
		fputs("Nothing is wrong.\n", view->out);
	else
		fprintf(view->out, "%u %s wrong.\n", d->wrong,
			d->wrong == 1 ? "thing is" : "things are");
}

/* One answer of the router; NULL: it gave none, which is a finding. */
static json_t *
ask(struct doctor *d, int fd, const char *command)
{
	json_t *data;

	if (client_ask_all(fd, command, NULL, &data) == CTL_OK)
		return data;
	doctor_say(d, "router", DOCTOR_WRONG,
		"is its control thread stopped (ps -o stat), or is cygnetctl of another version?",
		"it did not answer \"%s\"", command);
	return NULL;
}

static void
examine_router(struct doctor *d, int fd)
{
	json_t *status = ask(d, fd, "status"), *v;

	if (status == NULL)
		return;
	doctor_status(d, status);
	doctor_charon(d, json_string_value(json_object_get(status, "file_prefix")));
	v = ask(d, fd, "lcores");
	if (v != NULL)
		doctor_lcores(d, v);
	json_decref(v);
	v = ask(d, fd, "port");
	if (v != NULL)
		doctor_ports(d, v, json_integer_value(json_object_get(status, "pid")));
	if (v != NULL && json_array_size(json_object_get(status, "owners")) > 0)
		doctor_interfaces(d, v);
	json_decref(v);
	json_decref(status);
}

/* What kept us from asking the router. */
static void
no_router(struct doctor *d, int rc)
{
	if (rc == CTL_USAGE)
		doctor_say(d, "router", DOCTOR_WRONG, "choose one with --name NAME",
			"several run here");
	else if (rc == CTL_REFUSED)
		doctor_say(d, "router", DOCTOR_WRONG, "run this as root", "it may not be asked");
	else
		doctor_say(d, "router", DOCTOR_WRONG,
			"start it: systemctl start cygnet@NAME, or cygnet -c FILE; the last lines "
			"of "
			"its log say why it ended",
			"none answers");
}

static int
run(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"name", required_argument, NULL, 'n'}, OPTIONS_LONG, {0}};
	struct doctor d = {.root = ""};
	int opt, rc, fd;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT "n:", longs, NULL)) != -1)
		if (!options_take(o, opt == 'n' ? OPTION_NAME : opt, optarg))
			return CTL_USAGE;
	if (o->help) {
		options_tool_help(&tool_doctor);
		return CTL_OK;
	}
	if (optind != argc)
		return options_usage("too many arguments after", "doctor");
	options_view(o);
	d.findings = json_array();
	doctor_machine(&d);
	rc = options_connect(o, &fd);
	if (rc == CTL_OK) {
		examine_router(&d, fd);
		close(fd);
	} else {
		no_router(&d, rc);
		doctor_charon(&d, NULL);
	}
	doctor_print(&d, &o->view);
	json_decref(d.findings);
	return d.wrong > 0 ? CTL_REFUSED : CTL_OK;
}

const struct tool tool_doctor = {"doctor", "", "what is wrong, and what to do",
	"Looks at huge pages and their mounts, AppArmor and the clock, at charon, its interfaces "
	"and the\n"
	"plugin's file, and at the router: versions, charon's connection, policies, limits, "
	"lcores, ports,\n"
	"taps. Each line is ok, a note, or WRONG, and says what to do. Run it where the router "
	"runs: as root\n"
	"and in its network namespace. It changes nothing. Exit code 1 when something is wrong.\n",
	run};

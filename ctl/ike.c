/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* "cygnetctl ike": from one YAML file to negotiated tunnels. */

struct command {
	const char *word, *arguments, *summary, *help;
	int (*run)(const struct ike_options *o);
	unsigned int least, most; /* arguments */
};

static const struct command commands[] = {
	{"check", "FILE", "say all that is wrong with a file",
		"Reads an ike file and prints every error of it, a line each: file, line, key, "
		"what is wrong.\n"
		"Nothing is asked of charon. Exit code 0: the file is good; 1: it is not.\n\n"
		"      --allow-open-files  accept secrets in files that others than root can "
		"read\n",
		ike_check_command, 1, 1},
	{"export", "FILE", "print the equivalent swanctl.conf",
		"Prints what swanctl.conf would say. Secrets are left out.\n\n"
		"      --with-secrets      print them: whoever sees the output has the keys\n"
		"      --allow-open-files  accept secrets in files that others than root can "
		"read\n",
		ike_export_command, 1, 1},
	{"schema", "", "print the JSON Schema of ike files, for editors",
		"Prints the JSON Schema that editors complete and check ike files with. It is "
		"installed as\n"
		"/usr/share/cygnet/ike.schema.json too; a file's first line may name it:\n"
		"# yaml-language-server: $schema=/usr/share/cygnet/ike.schema.json\n\n"
		"      --markdown          print the reference of docs/ike.md instead\n",
		ike_schema_command, 0, 0},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char common_help[] =
	"  -u, --uri URI          charon's VICI socket (default: unix:///run/charon.vici)\n"
	"  -j, --json             print the data as JSON\n"
	"  -H, --human            numbers with k, M, G, ages with s, m, h, d (default on a "
	"terminal)\n"
	"  -x, --exact            plain numbers and seconds (default elsewhere)\n"
	"  -W, --wide             all columns, however narrow the terminal\n"
	"  -h, --help             this text; after a command the text about it\n";

static void
help(const struct command *c)
{
	if (c != NULL) {
		printf("usage: cygnetctl ike %s%s%s [OPTION...]\n\n%s\nOptions of all "
		       "commands:\n%s",
			c->word, *c->arguments != '\0' ? " " : "", c->arguments, c->help,
			common_help);
		return;
	}
	puts("usage: cygnetctl ike COMMAND [OPTION...]\n\nFrom one YAML file to negotiated "
	     "tunnels. The file: "
	     "docs/ike.md, cygnet-ike(5).\n");
	for (unsigned int i = 0; i < N_COMMANDS; i++)
		printf("  %-7s %-14s %s\n", commands[i].word, commands[i].arguments,
			commands[i].summary);
	printf("\n%s\nExit codes: 0 done; 1 refused, or it failed; 2 the command line is wrong; 3 "
	       "charon does not "
	       "answer;\n4 (diff) there are differences.\n",
		common_help);
}

static int
usage(const char *what, const char *arg)
{
	return client_fail(CTL_USAGE, "%s%s%s%s: try cygnetctl ike --help", what,
		arg != NULL ? " '" : "", arg != NULL ? arg : "", arg != NULL ? "'" : "");
}

static int
run(const char *word, struct ike_options *o, bool want_help)
{
	const struct command *c = NULL;
	int rc;

	for (unsigned int i = 0; word != NULL && i < N_COMMANDS; i++)
		if (strcmp(commands[i].word, word) == 0)
			c = &commands[i];
	if (want_help && (c != NULL || word == NULL)) {
		help(c);
		return CTL_OK;
	}
	if (word == NULL)
		return usage("a command is missing", NULL);
	if (c == NULL)
		return usage("ike has no command", word);
	if (o->n_words < c->least)
		return client_fail(CTL_USAGE, "usage: cygnetctl ike %s %s", c->word, c->arguments);
	if (o->n_words > c->most)
		return usage("too many arguments after ike", word);
	rc = c->run(o);
	if (fflush(o->view.out) != 0 && rc == CTL_OK)
		rc = client_fail(CTL_REFUSED, "the output cannot be written");
	return rc;
}

static void
set_view(struct view *view, bool human, bool exact, bool wide)
{
	bool tty = isatty(STDOUT_FILENO);
	struct winsize w;

	view->out = stdout;
	view->human = human || (tty && !exact);
	if (tty && !wide && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		view->width = w.ws_col;
}

int
ike_main(int argc, char **argv)
{
	enum { OPEN_FILES = 256, SECRETS, MARKDOWN };
	static const struct option longs[] = {
		{"uri", required_argument, NULL, 'u'},
		{"json", no_argument, NULL, 'j'},
		{"human", no_argument, NULL, 'H'},
		{"exact", no_argument, NULL, 'x'},
		{"wide", no_argument, NULL, 'W'},
		{"help", no_argument, NULL, 'h'},
		{"allow-open-files", no_argument, NULL, OPEN_FILES},
		{"with-secrets", no_argument, NULL, SECRETS},
		{"markdown", no_argument, NULL, MARKDOWN},
		{0},
	};
	static char self[] = "cygnetctl";
	bool human = false, exact = false, wide = false, want_help = false;
	struct ike_options o = {.timeout = 30};
	int opt;

	argv[0] = self;
	setlocale(LC_CTYPE, "");
	if (MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	while ((opt = getopt_long(argc, argv, "u:jHxWh", longs, NULL)) != -1) {
		switch (opt) {
		case 'u':
			o.uri = optarg;
			break;
		case 'j':
			o.view.json = true;
			break;
		case 'H':
			human = true;
			break;
		case 'x':
			exact = true;
			break;
		case 'W':
			wide = true;
			break;
		case 'h':
			want_help = true;
			break;
		case OPEN_FILES:
			o.allow_open = true;
			break;
		case SECRETS:
			o.secrets = true;
			break;
		case MARKDOWN:
			o.markdown = true;
			break;
		default:
			return CTL_USAGE; /* getopt has said what */
		}
	}
	/* argv[optind] is "ike". */
	set_view(&o.view, human, exact, wide);
	o.words = (const char **)(uintptr_t)&argv[optind + 2];
	o.n_words = argc > optind + 2 ? (unsigned int)(argc - optind - 2) : 0;
	return run(optind + 1 < argc ? argv[optind + 1] : NULL, &o, want_help);
}

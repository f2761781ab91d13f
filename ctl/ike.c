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
	{"load", "FILE", "make charon as the file says",
		"Changes what differs between the file and charon, and nothing else: tunnels that "
		"are the same stay\n"
		"up, changed ones are negotiated anew, those that left the file are closed. All or "
		"nothing: when\n"
		"charon refuses anything, it keeps what it had. To load a file twice does nothing "
		"the second time.\n\n"
		"  -q, --quiet             print errors only\n"
		"      --keep              changed tunnels run on as they are until they end by "
		"themselves, but\n"
		"                          for those with start-action start: charon begins them "
		"anew\n"
		"      --take-over         replace connections of the same name that others "
		"(swanctl) have loaded\n"
		"      --allow-open-files  accept secrets in files that others than root can "
		"read\n",
		ike_load_command, 1, 1},
	{"diff", "FILE", "show what load would change",
		"Prints the differences between the file and charon: + is added, - removed, ~ "
		"changed. Exit code 0:\n"
		"there are none; 4: there are some.\n\n"
		"      --allow-open-files  accept secrets in files that others than root can "
		"read\n",
		ike_diff_command, 1, 1},
	{"status", "[NAME...]", "a line for each tunnel",
		"Lists tunnels: all, or those with these names or gateways. STATE is up, rekeying, "
		"connecting, waiting\n"
		"(its first packet brings it up), down, closing, or bypass and discard for what "
		"has no tunnel. AGE and\n"
		"REKEY IN are those of its present keys, bytes too; LAST USE is the time since a "
		"packet. LAST ERROR is\n"
		"what went wrong when it was tried last, by whoever.\n",
		ike_status_command, 0, 1000},
	{"up", "NAME", "bring a tunnel, or all of a gateway, up",
		"Negotiates and waits for the result. When it fails, says why in plain words.\n\n"
		"  -t, --timeout SECONDS   how long to wait (default: 30)\n"
		"  -l, --log               print what charon does meanwhile\n",
		ike_up_command, 1, 1},
	{"down", "NAME", "close a tunnel, or a gateway's IKE SA",
		"Closes it and waits until the peer knows. A tunnel with start-action: trap comes "
		"up again with its\n"
		"next packet.\n\n"
		"  -t, --timeout SECONDS   how long to wait for each SA (default: 30)\n"
		"  -f, --force             of a gateway: close it with its tunnels at once, "
		"whether the "
		"peer knows or not\n",
		ike_down_command, 1, 1},
	{"rekey", "NAME", "give a tunnel, or a gateway's IKE SA, new keys",
		"Has charon negotiate new keys; traffic goes on meanwhile.\n\n"
		"  -f, --force             of a gateway: authenticate anew, too\n",
		ike_rekey_command, 1, 1},
	{"watch", "", "events as they come",
		"Prints what happens to tunnels and gateways until it is ended: a line each, or "
		"with --json an object a\n"
		"line.\n\n"
		"  -l, --log               charon's own log as well\n",
		ike_watch_command, 0, 0},
	{"run", "FILE", "load, then watch; what the systemd unit does",
		"Waits for charon, loads the file, and prints events. The file is loaded again at "
		"SIGHUP, when charon\n"
		"was started anew, and when it has lost what was loaded: swanctl --load-all "
		"unloads "
		"what is not in\n"
		"its own file. Takes the options of load.\n",
		ike_run_command, 1, 1},
	{"export", "FILE", "print the equivalent swanctl.conf",
		"Prints what swanctl.conf would say. Secrets are left out.\n\n"
		"      --with-secrets      print them: whoever sees the output has the keys\n"
		"      --allow-open-files  accept secrets in files that others than root can "
		"read\n",
		ike_export_command, 1, 1},
	{"metrics", "", "charon's state for Prometheus",
		"Prints IKE SAs and CHILD_SAs by state, which connections and tunnels are up, and "
		"rekeyings (of charon's\n"
		"counters plugin, where it is loaded). The router's own /metrics has the same when "
		"metrics.vici is set.\n\n"
		"      --openmetrics       OpenMetrics 1.0 instead of Prometheus' older format\n",
		ike_metrics_command, 0, 0},
	{"schema", "", "print the JSON Schema of ike files, for editors",
		"Prints the JSON Schema that editors complete and check ike files with. It is "
		"installed as\n"
		"/usr/share/cygnet/ike.schema.json too; a file's first line may name it:\n"
		"# yaml-language-server: $schema=/usr/share/cygnet/ike.schema.json\n\n"
		"      --markdown          print the reference of docs/ike.md instead\n"
		"      --man               print the manual page cygnet-ike(5) instead\n",
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

static bool
parse_timeout(const char *s, unsigned int *seconds)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	*seconds = (unsigned int)v;
	return end != s && *end == '\0' && v >= 1 && v <= 600;
}

int
ike_main(int argc, char **argv)
{
	enum { OPEN_FILES = 256, SECRETS, MARKDOWN, MAN_PAGE, KEEP, TAKE_OVER, OPENMETRICS };
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
		{"man", no_argument, NULL, MAN_PAGE},
		{"keep", no_argument, NULL, KEEP},
		{"take-over", no_argument, NULL, TAKE_OVER},
		{"openmetrics", no_argument, NULL, OPENMETRICS},
		{"quiet", no_argument, NULL, 'q'},
		{"force", no_argument, NULL, 'f'},
		{"log", no_argument, NULL, 'l'},
		{"timeout", required_argument, NULL, 't'},
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
	while ((opt = getopt_long(argc, argv, "u:jHxWhqflt:", longs, NULL)) != -1) {
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
		case 'q':
			o.quiet = true;
			break;
		case 'f':
			o.force = true;
			break;
		case 'l':
			o.child_logs = true;
			break;
		case 't':
			if (!parse_timeout(optarg, &o.timeout))
				return usage("seconds are a number from 1 to 600, not", optarg);
			break;
		case KEEP:
			o.keep = true;
			break;
		case TAKE_OVER:
			o.others = true;
			break;
		case OPEN_FILES:
			o.allow_open = true;
			break;
		case SECRETS:
			o.secrets = true;
			break;
		case MAN_PAGE:
			o.man = true;
			break;
		case OPENMETRICS:
			o.openmetrics = true;
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

const char options_help[] =
	"  -s, --socket PATH      socket of the router (default: the only one in " CLIENT_RUN_DIR
	")\n"
	"  -n, --name NAME        name of the router: " CLIENT_RUN_DIR "/NAME.sock\n"
	"  -j, --json             print the data as JSON\n"
	"  -H, --human            numbers with k, M, G, ages with s, m, h, d (default on a "
	"terminal)\n"
	"  -x, --exact            plain numbers and seconds (default elsewhere)\n"
	"  -W, --wide             all columns, however narrow the terminal\n"
	"  -h, --help             this text; after a command the text about it\n"
	"  -V, --version          print the version\n";

bool
options_take(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case 's':
		o->socket = arg;
		return true;
	case OPTION_NAME:
		o->name = arg;
		return true;
	case 'j':
		o->view.json = true;
		return true;
	case 'H':
		o->human = true;
		return true;
	case 'x':
		o->exact = true;
		return true;
	case 'W':
		o->wide = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	case 'V':
		puts("cygnetctl " CYGNET_VERSION);
		exit(CTL_OK);
	default:
		return false;
	}
}

void
options_view(struct options *o)
{
	bool tty = isatty(STDOUT_FILENO);
	struct winsize w;

	o->view.out = stdout;
	o->view.human = o->human || (tty && !o->exact);
	if (tty && !o->wide && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		o->view.width = w.ws_col;
}

int
options_connect(struct options *o, int *fd)
{
	int rc = client_find(CLIENT_RUN_DIR, o->socket, o->name, o->path);

	return rc == CTL_OK ? client_connect(o->path, fd) : rc;
}

int
options_usage(const char *what, const char *arg)
{
	return client_fail(CTL_USAGE, "%s%s%s%s: try cygnetctl --help", what,
		arg != NULL ? " '" : "", arg != NULL ? arg : "", arg != NULL ? "'" : "");
}

int
options_number(const char *what, const char *arg, double min, double max, double *v)
{
	char *end;

	*v = strtod(arg, &end);
	if (end != arg && *end == '\0' && *v >= min && *v <= max)
		return CTL_OK;
	return client_fail(
		CTL_USAGE, "%s is a number from %g to %g, not '%s'", what, min, max, arg);
}

void
options_tool_help(const struct tool *tool)
{
	printf("usage: cygnetctl [OPTION...] %s%s%s\n\n%s\nOptions of all commands (--name without "
	       "its "
	       "short form):\n%s",
		tool->name, *tool->arguments != '\0' ? " " : "", tool->arguments, tool->help,
		options_help);
}

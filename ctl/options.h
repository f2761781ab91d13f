/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_OPTIONS_H
#define CYGNETCTL_OPTIONS_H

#include "client.h"
#include "table.h"

#include <getopt.h>
#include <stdbool.h>

/* What all commands understand. */
struct options {
	const char *socket, *name;
	char path[CLIENT_PATH_MAX]; /* of the router's socket, once it is known */
	bool human, exact, wide, help;
	struct view view;
};

/* For getopt_long(): a command adds its own behind them. -n is left to them where it means a number. */
#define OPTIONS_SHORT "s:jHxWhV"
/* clang-format off */
#define OPTIONS_LONG \
	{"socket", required_argument, NULL, 's'}, \
	{"name", required_argument, NULL, OPTION_NAME}, \
	{"json", no_argument, NULL, 'j'}, \
	{"human", no_argument, NULL, 'H'}, \
	{"exact", no_argument, NULL, 'x'}, \
	{"wide", no_argument, NULL, 'W'}, \
	{"help", no_argument, NULL, 'h'}, \
	{"version", no_argument, NULL, 'V'}
/* clang-format on */
enum { OPTION_NAME = 1000 };

/* Takes an option that is one of them; false: it is none. --version ends the program. */
bool options_take(struct options *o, int opt, const char *arg);

/* After the last option: how things are shown here. */
void options_view(struct options *o);

/* Finds the router and connects. Returns CTL_OK, or another code after one line on stderr. */
int options_connect(struct options *o, int *fd);

extern const char options_help[];

/* "cygnetctl: WHAT 'ARG': try cygnetctl --help", CTL_USAGE. arg may be NULL. */
int options_usage(const char *what, const char *arg);

/* A number in a range, for the option that what names; CTL_USAGE and a line when it is none. */
int options_number(const char *what, const char *arg, double min, double max, double *v);

/*
 * A command with options of its own. run() gets the words from its name on; o holds the options that stood before
 * it. A tool's help begins with its usage, "trace [-n N] [FILTER]".
 */
struct tool {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *help;
	int (*run)(int argc, char **argv, struct options *o);
};

void options_tool_help(const struct tool *tool);

extern const struct tool tool_capture, tool_doctor, tool_picture, tool_reload, tool_top, tool_trace;

#endif

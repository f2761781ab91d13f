/* SPDX-License-Identifier: BSD-3-Clause */
#include "top.h"

#include "list.h"
#include "options.h"
#include "screen.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* cygnetctl top: asks again and again, and shows what has changed. */

static json_t *
get(int fd, const char *command, json_t *args, int *rc)
{
	json_t *data = NULL;

	if (*rc == CTL_OK)
		*rc = client_ask_all(fd, command, args, &data);
	else
		json_decref(args);
	return data;
}

static double
seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
forget(struct top_sample *s)
{
	json_decref(s->status);
	json_decref(s->lcores);
	json_decref(s->graph);
	json_decref(s->ports);
	json_decref(s->sas);
	*s = (struct top_sample){0};
}

/* By a connection of its own: the router hangs up on those that are long silent. */
static int
sample(struct options *o, struct top_sample *s)
{
	const json_t *live;
	int fd, rc = client_connect(o->path, &fd);

	*s = (struct top_sample){0};
	if (rc != CTL_OK)
		return rc;
	s->seconds = seconds_now();
	s->status = get(fd, "status", NULL, &rc);
	s->lcores = get(fd, "lcores", NULL, &rc);
	s->graph = get(fd, "graph", NULL, &rc);
	s->ports = get(fd, "port", NULL, &rc);
	live = json_object_get(
		json_object_get(json_object_get(s->status, "counts"), "sas"), "live");
	/* All SAs of a large router are too many to be asked for each second. */
	if (json_integer_value(live) <= TOP_SAS_MAX)
		s->sas = get(fd, "sa", NULL, &rc);
	close(fd);
	return rc;
}

/* Keys until the interval is over; false: enough. */
static bool
wait_keys(double *interval, const struct screen *page, size_t *top)
{
	double end = seconds_now() + *interval, left;
	size_t rows = screen_rows();

	while ((left = end - seconds_now()) > 0 && !stream_interrupted) {
		switch (screen_key((int)(left * 1000) + 1)) {
		case 'q':
		case 27:
			return false;
		case ' ':
			return true;
		case '+':
			*interval = *interval >= 60 ? 60 : *interval * 2;
			return true;
		case '-':
			*interval = *interval <= 0.5 ? 0.5 : *interval / 2;
			return true;
		case 'j':
			*top += *top + rows < page->n;
			break;
		case 'k':
			*top -= *top > 0;
			break;
		case 'd':
			*top = *top + 2 * rows < page->n ? *top + rows
			       : page->n > rows		 ? page->n - rows
							 : 0;
			break;
		case 'u':
			*top = *top > rows ? *top - rows : 0;
			break;
		case -1:
			/* No terminal to type on, and the end of what is there instead: no time has passed. */
			if (end - seconds_now() > 0.1 && !stream_interrupted)
				usleep(100000);
			continue;
		default:
			break;
		}
		screen_show(page, *top);
	}
	return !stream_interrupted;
}

static int
watch(struct options *o, double interval, double rounds, bool batch)
{
	struct top_sample before, now;
	struct screen page = {0};
	size_t top = 0;
	bool on = true;
	int rc = sample(o, &before);

	if (rc != CTL_OK) {
		forget(&before);
		return rc;
	}
	if (!batch && !screen_open()) {
		forget(&before);
		return client_fail(CTL_USAGE, "this is no terminal that can be drawn on: use -b");
	}
	/* The first figures soon: then at the pace that was asked for. */
	usleep((useconds_t)((batch || interval < 0.5 ? interval : 0.5) * 1e6));
	for (double round = 0; on && !stream_interrupted && (rounds == 0 || round < rounds);
		round++) {
		if (batch && round > 0)
			usleep((useconds_t)(interval * 1e6));
		rc = sample(o, &now);
		if (rc != CTL_OK) {
			forget(&now);
			break;
		}
		screen_clear(&page);
		top_page(&page, &now, &before);
		if (batch) {
			if (round > 0)
				fputc('\n', stdout);
			screen_print(&page, stdout);
			on = fflush(stdout) == 0;
		} else {
			screen_show(&page, top);
			on = wait_keys(&interval, &page, &top);
		}
		forget(&before);
		before = now;
	}
	if (!batch)
		screen_close();
	/* What was said of it is gone with the screen. */
	if (rc != CTL_OK && !batch)
		client_fail(rc, "the router at %s does not answer any more", o->path);
	forget(&before);
	screen_free(&page);
	return rc;
}

static int
run(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {OPTIONS_LONG, {"batch", no_argument, NULL, 'b'},
		{"iterations", required_argument, NULL, 'n'},
		{"delay", required_argument, NULL, 'd'}, {0}};
	double rounds = 0, interval = 1;
	bool batch = false;
	int opt, fd, rc;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT "bn:d:", longs, NULL)) != -1) {
		rc = CTL_OK;
		if (opt == 'b')
			batch = true;
		else if (opt == 'n')
			rc = options_number("the number of iterations", optarg, 1, 1e9, &rounds);
		else if (opt == 'd')
			rc = options_number("the delay", optarg, 0.1, 3600, &interval);
		else if (!options_take(o, opt, optarg))
			rc = CTL_USAGE;
		if (rc != CTL_OK)
			return rc;
	}
	if (o->help) {
		options_tool_help(&tool_top);
		return CTL_OK;
	}
	if (optind < argc)
		return options_usage("top takes no", argv[optind]);
	rc = options_connect(o, &fd);
	if (rc != CTL_OK)
		return rc;
	close(fd);
	stream_begin(fd);
	return watch(o, interval, rounds, batch);
}

const struct tool tool_top = {"top", "[-b] [-n COUNT] [-d SECONDS]",
	"lcores, ports, tunnels, nodes and drops, live",
	"Shows again and again what the router does: how busy lcores are and how long they sleep, "
	"packets\n"
	"and bits per second of ports and tunnels, the nodes that take most cycles, and drops by "
	"reason.\n"
	"Keys: q ends it, space asks at once, + and - change the interval, arrows scroll.\n\n"
	"  -b, --batch            plain text, for files and programs\n"
	"  -n, --iterations COUNT end after so many screens\n"
	"  -d, --delay SECONDS    between two (default: 1)\n",
	run};

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_STREAM_H
#define CYGNETCTL_STREAM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* What follows an answer on its connection, until somebody hangs up. */

/* SIGINT or SIGTERM came: what there is, is shown, and the program ends well. */
extern volatile sig_atomic_t stream_interrupted;

/* After the answer: signals are taken, and silence is no error any more. */
void stream_begin(int fd);

/*
 * Waits up to ms milliseconds for bytes; *n is how many came. Returns CTL_OK, or CTL_NO_ROUTER after one line on
 * stderr when the router hung up.
 */
int stream_read(int fd, int ms, void *buf, size_t size, size_t *n);

struct stream_lines {
	int fd;
	char *buf;
	size_t len, at, size;
};

void stream_lines_begin(struct stream_lines *s, int fd);
/* The next line without its newline, good until the next call; NULL when none came in ms milliseconds. */
int stream_line(struct stream_lines *s, int ms, char **line);
void stream_lines_end(struct stream_lines *s);

#endif

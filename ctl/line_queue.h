/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_LINE_QUEUE_H
#define CYGNETCTL_LINE_QUEUE_H

#include <stdbool.h>

/*
 * Lines from a thread that must not wait, written by one that may: for events of libvici, whose thread serves the answers to
 * commands too. Nobody waits for a reader that pauses: what does not fit into some megabytes is lost, counted, and told in
 * a line of its own when the reader goes on.
 */

struct line_queue;

/* lost: that line, with a %lu for the number. NULL without memory. */
struct line_queue *line_queue_new(const char *lost);
void line_queue_free(struct line_queue *q);

/* Any thread: never waits. */
void line_queue_add(struct line_queue *q, const char *line);

/* Writes what comes within ms milliseconds, or until a signal; false when fd takes no more. */
bool line_queue_write(struct line_queue *q, int fd, int ms);
/* What is there is lost, as the fd takes no more; it is told when one does. */
void line_queue_drop(struct line_queue *q);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_SCREEN_H
#define CYGNETCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A page of text with a mark a line, for a terminal (ncurses) or as plain lines. */

enum screen_mark {
	SCREEN_PLAIN,
	SCREEN_TITLE,
	SCREEN_HEADING,
	SCREEN_WARM,
	SCREEN_HOT,
	SCREEN_FAINT
};

#define SCREEN_LINE 256

struct screen {
	struct screen_line {
		enum screen_mark mark;
		char text[SCREEN_LINE];
	} * lines;
	size_t n, size;
};

void screen_clear(struct screen *s);
void screen_free(struct screen *s);
void screen_line(struct screen *s, enum screen_mark mark, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The text alone. */
void screen_print(const struct screen *s, FILE *out);

/* The terminal; false when there is none. After it nothing else may print until screen_close(). */
bool screen_open(void);
void screen_close(void);
/* Shows the page from line top on; what has no room is said in the last row. */
void screen_show(const struct screen *s, size_t top);
/* A key, or -1 when none came in ms milliseconds. 'j' and 'k' stand for the arrows, too. */
int screen_key(int ms);
unsigned int screen_rows(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "screen.h"

#include "client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <ncurses.h>

void
screen_clear(struct screen *s)
{
	s->n = 0;
}

void
screen_free(struct screen *s)
{
	free(s->lines);
	*s = (struct screen){0};
}

void
screen_line(struct screen *s, enum screen_mark mark, const char *fmt, ...)
{
	va_list ap;

	if (s->n == s->size) {
		size_t size = s->size == 0 ? 64 : s->size * 2;
		struct screen_line *more = realloc(s->lines, size * sizeof(*more));

		if (more == NULL)
			return;
		s->lines = more;
		s->size = size;
	}
	s->lines[s->n].mark = mark;
	va_start(ap, fmt);
	vsnprintf(s->lines[s->n].text, SCREEN_LINE, fmt, ap);
	va_end(ap);
	s->n++;
}

void
screen_print(const struct screen *s, FILE *out)
{
	for (size_t i = 0; i < s->n; i++)
		fprintf(out, "%s\n", s->lines[i].text);
}

bool
screen_open(void)
{
	SCREEN *t = newterm(NULL, stdout, stdin);

	if (t == NULL)
		return false;
	set_term(t);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(SCREEN_TITLE, COLOR_CYAN, -1);
		init_pair(SCREEN_WARM, COLOR_YELLOW, -1);
		init_pair(SCREEN_HOT, COLOR_RED, -1);
	}
	return true;
}

void
screen_close(void)
{
	endwin();
}

unsigned int
screen_rows(void)
{
	return LINES > 1 ? (unsigned int)LINES - 1 : 1;
}

static attr_t
attribute(enum screen_mark mark)
{
	switch (mark) {
	case SCREEN_TITLE:
		return A_BOLD | (attr_t)COLOR_PAIR(SCREEN_TITLE);
	case SCREEN_HEADING:
		return A_REVERSE;
	case SCREEN_WARM:
	case SCREEN_HOT:
		return (attr_t)COLOR_PAIR(mark);
	case SCREEN_FAINT:
		return A_DIM;
	default:
		return A_NORMAL;
	}
}

void
screen_show(const struct screen *s, size_t top)
{
	size_t rows = screen_rows(), below;

	erase();
	for (size_t row = 0; row < rows && top + row < s->n; row++) {
		const struct screen_line *l = &s->lines[top + row];

		attrset(attribute(l->mark));
		move((int)row, 0);
		/* A heading is a bar over the whole width. */
		if (l->mark == SCREEN_HEADING)
			hline(' ' | A_REVERSE, COLS);
		addnstr(l->text, COLS);
	}
	attrset(A_DIM);
	below = s->n > top + rows ? s->n - top - rows : 0;
	mvprintw(LINES - 1, 0, "q quit   space now   + - interval   arrows scroll");
	if (below > 0)
		printw("   %zu lines below", below);
	refresh();
}

int
screen_key(int ms)
{
	int c;

	timeout(ms);
	c = getch();
	switch (c) {
	case KEY_DOWN:
		return 'j';
	case KEY_UP:
		return 'k';
	case KEY_NPAGE:
		return 'd';
	case KEY_PPAGE:
		return 'u';
	case ERR:
		return -1;
	default:
		return c;
	}
}

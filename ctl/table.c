/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include "client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <libsmartcols/libsmartcols.h>

struct key {
	uint8_t bytes[TABLE_KEY_MAX];
	size_t row; /* of equal keys the first row goes first */
};

struct table {
	const struct column *columns;
	const struct view *view;
	struct libscols_table *tb;
	struct libscols_column **cols;
	struct libscols_line *line;
	size_t *width;
	unsigned int n, at;
	size_t rows;
	struct key **keys; /* [rows], NULL where a row has none */
	bool sorted, headings;
};

static void *
must(void *p)
{
	if (p == NULL) {
		client_fail(0, "out of memory");
		exit(CTL_REFUSED);
	}
	return p;
}

/* Columns on the screen: UTF-8 without its continuation bytes is near enough for what routers say. */
static size_t
columns_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

struct table *
table_new(const struct column *columns, unsigned int n, const struct view *view)
{
	struct table *t = must(calloc(1, sizeof(*t)));

	t->columns = columns;
	t->n = n;
	t->view = view;
	t->headings = true;
	t->tb = must(scols_new_table());
	t->cols = must(calloc(n, sizeof(struct libscols_column *)));
	t->width = must(calloc(n, sizeof(*t->width)));
	scols_table_set_stream(t->tb, view->out);
	scols_table_set_column_separator(t->tb, "  ");
	scols_table_enable_colors(t->tb, 0);
	scols_table_set_termforce(t->tb, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_nowrap(t->tb, 1);
	for (unsigned int i = 0; i < n; i++) {
		t->cols[i] = must(scols_table_new_column(
			t->tb, columns[i].name, 0, columns[i].right ? SCOLS_FL_RIGHT : 0));
		t->width[i] = columns_of(columns[i].name);
	}
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->rows; i++)
		free(t->keys[i]);
	free(t->keys);
	scols_unref_table(t->tb);
	free(t->cols);
	free(t->width);
	free(t);
}

void
table_no_headings(struct table *t)
{
	t->headings = false;
	scols_table_enable_noheadings(t->tb, 1);
	memset(t->width, 0, t->n * sizeof(*t->width));
}

void
table_row(struct table *t)
{
	t->line = must(scols_table_new_line(t->tb, NULL));
	t->at = 0;
	/* Grown at each power of two. */
	if ((t->rows & (t->rows - 1)) == 0)
		t->keys = must(
			realloc(t->keys, (t->rows == 0 ? 1 : t->rows * 2) * sizeof(struct key *)));
	t->keys[t->rows++] = NULL;
}

void
table_key(struct table *t, const void *key, size_t len)
{
	struct key *k = must(calloc(1, sizeof(*k)));

	memcpy(k->bytes, key, len < sizeof(k->bytes) ? len : sizeof(k->bytes));
	k->row = t->rows;
	free(t->keys[t->rows - 1]);
	t->keys[t->rows - 1] = k;
	scols_cell_set_userdata(must(scols_line_get_cell(t->line, 0)), k);
	t->sorted = true;
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	char text[TABLE_CELL_MAX];
	size_t width;
	va_list ap;

	if (t->at >= t->n)
		abort();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	width = columns_of(text);
	if (width > t->width[t->at])
		t->width[t->at] = width;
	if (scols_line_set_data(t->line, t->at, text) != 0)
		must(NULL);
	t->at++;
}

size_t
table_rows(const struct table *t)
{
	return t->rows;
}

static int
compare(struct libscols_cell *a, struct libscols_cell *b, void *data)
{
	const struct key *x = scols_cell_get_userdata(a), *y = scols_cell_get_userdata(b);
	int rc;

	(void)data;
	if (x == NULL || y == NULL)
		return 0;
	rc = memcmp(x->bytes, y->bytes, sizeof(x->bytes));
	return rc != 0 ? rc : (x->row > y->row) - (x->row < y->row);
}

/* Hides columns until the rest has room, and prints their names. */
static void
fit(struct table *t, char *hidden, size_t size)
{
	size_t total = 0, used = 0;

	hidden[0] = '\0';
	for (unsigned int i = 0; i < t->n; i++)
		total += t->width[i] + (i > 0 ? 2 : 0);
	while (t->view->width != 0 && total > t->view->width) {
		unsigned int worst = 0, rank = 0;

		for (unsigned int i = 0; i < t->n; i++)
			if (t->columns[i].rank > rank && t->width[i] > 0) {
				rank = t->columns[i].rank;
				worst = i;
			}
		if (rank == 0)
			return;
		scols_column_set_flags(t->cols[worst], SCOLS_FL_HIDDEN);
		total -= t->width[worst] + 2;
		t->width[worst] = 0;
		if (used < size)
			used += (size_t)snprintf(hidden + used, size - used, "%s%s",
				used > 0 ? ", " : "", t->columns[worst].name);
	}
}

void
table_print(struct table *t)
{
	char hidden[256];

	if (t->sorted) {
		scols_column_set_cmpfunc(t->cols[0], compare, NULL);
		scols_sort_table(t->tb, t->cols[0]);
	}
	fit(t, hidden, sizeof(hidden));
	if (scols_print_table(t->tb) != 0)
		client_fail(0, "the table cannot be printed");
	if (hidden[0] != '\0')
		fprintf(t->view->out, "(no room for %s: --wide)\n", hidden);
}

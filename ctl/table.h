/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_TABLE_H
#define CYGNETCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How things are to be shown. */
struct view {
	FILE *out;
	bool json;
	bool human; /* k, M, G and so on */
	unsigned int width; /* of the terminal; 0: as wide as it gets */
};

struct column {
	const char *name;
	bool right;
	/* On a terminal that is too narrow the columns with the highest rank go first; 0 stays. */
	unsigned int rank;
};

#define TABLE_CELL_MAX 512
#define TABLE_KEY_MAX 24

/*
 * A table of text, laid out by libsmartcols. A row is begun and gets a cell for each column in their
 * order. Without memory the program ends with one line.
 */
struct table;

struct table *table_new(const struct column *columns, unsigned int n, const struct view *view);
void table_row(struct table *t);
/* Rows are sorted by the bytes of their keys, where they have one; rows without stay where they are. */
void table_key(struct table *t, const void *key, size_t len);
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *t);
/* Prints it, and below it the names of the columns that had no room. */
void table_print(struct table *t);
void table_free(struct table *t);

/* Without headings: for pairs of a name and a value. */
void table_no_headings(struct table *t);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_LIST_H
#define CYGNETCTL_LIST_H

#include "table.h"

#include <jansson.h>

/* A table of the router: a command whose data is an array, and how a row of it looks. */
struct list {
	const char *command;
	const char *empty; /* what is said of an empty one */
	const struct column *columns;
	unsigned int n_columns;
	void (*row)(struct table *t, const json_t *row, const struct view *view);
};

extern const struct list list_sa, list_policy, list_route, list_port, list_lcores;

/*
 * A list is shown page by page: JSON is printed as it comes, one object a line in one array; a table when
 * all of it is there.
 */
struct list_show {
	const struct list *list;
	const struct view *view;
	struct table *table;
	size_t rows;
};

void list_begin(struct list_show *s, const struct list *list, const struct view *view);
/* For client_ask(): ctx is a struct list_show. */
int list_page(void *ctx, json_t *data);
/* complete: all pages came; else nothing more is printed. */
void list_end(struct list_show *s, bool complete);

/* A string member, or "-". */
const char *list_str(const json_t *row, const char *key);

/* JSON as cygnetctl prints it, on one line. */
void json_print(FILE *out, const json_t *v);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CONFIG_TEXT_H
#define CYGNET_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/*
 * A YAML file as text, and as a tree of nodes that know their lines: what the router's configuration and
 * cygnetctl's ike files have in common. It needs no DPDK. One thread at a time.
 */

/* Where this thread's lines about wrong configurations go; NULL: to stderr. */
extern _Thread_local FILE *config_complaints_to;
FILE *config_complaints(void);

enum config_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAPPING };

struct config_node {
	size_t parent; /* the root, node 0, is its own */
	size_t first, last, next; /* children in the file's order, and the next sibling; 0: none */
	enum config_kind kind;
	char *key; /* of a mapping; NULL: an element of a list */
	unsigned int index; /* of a list */
	unsigned int line; /* from 1; of the key where it has one */
	char *value; /* of a scalar: "" for a null one */
};

struct config_text {
	const char *path;
	char *text;
	size_t len;
	mode_t mode;
	struct config_node *nodes;
	size_t n_nodes;
	/* Told of each error, path "" for the file as a whole; NULL: stderr gets "file:line: path: text". */
	void (*report)(void *ctx, unsigned int line, const char *path, const char *text);
	void *ctx;
	bool all; /* go on after an error that lets one go on (a key given twice) */
	unsigned int errors;
};

/* Each returns 0, or a negative errno after it has told why (-ENOMEM untold). */
int config_text_read(struct config_text *t);
/* The tree. Of the same key twice the first counts. */
int config_lines_read(struct config_text *t);

/* The line of "ports[1].mtu"; of what surrounds it, when that is not in the file. */
unsigned int config_line_of(const struct config_text *t, const char *path);

/*
 * "Did you mean": of the candidates (NULL at the end) the one that is nearest to the word, or NULL when none is near. It
 * stays until the thread asks again.
 */
const char *config_nearest(
	const char *word, const char *(*candidate)(void *ctx, unsigned int n), void *ctx);

/* Wipes the text. */
void config_text_free(struct config_text *t);

/* Tells one error, its control characters replaced: values come from the file. Returns -EINVAL. */
int config_text_fail(struct config_text *t, unsigned int line, const char *path, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

#endif

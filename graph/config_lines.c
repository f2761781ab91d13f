/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

/*
 * Where each key stands. libcyaml forgets lines once a value is loaded (and for an unknown key it names the
 * line of another), so the file is walked once with libyaml itself. What libcyaml lets pass is
 * refused here: a second document, aliases, a key given twice.
 */

#define DEPTH_MAX 16
#define KEY_MAX 64
#define KEYS_MAX 64 /* in one mapping; no mapping of ours has half of that */

struct config_line {
	size_t parent; /* the root is its own */
	char *key; /* of a mapping; NULL: an element of a list */
	unsigned int index; /* of a list */
	unsigned int line; /* from 1 */
};

struct level {
	size_t node;
	bool mapping;
	unsigned int n; /* children so far */
	bool value; /* mapping: its last key waits for the value */
};

struct walk {
	struct config_load *l;
	size_t room;
	struct level stack[DEPTH_MAX];
	unsigned int depth;
};

static int
fail_at(const struct config_load *l, size_t line, const char *what, const char *key)
{
	fprintf(stderr, "%s:%zu: %s%s%s\n", l->path, line, key != NULL ? key : "",
		key != NULL ? ": " : "", what);
	return -EINVAL;
}

static int
add_line(struct walk *w, size_t parent, const char *key, unsigned int index, size_t line)
{
	struct config_load *l = w->l;

	if (l->n_lines == w->room) {
		size_t room = w->room == 0 ? 256 : w->room * 2;
		struct config_line *v = reallocarray(l->lines, room, sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		l->lines = v;
		w->room = room;
	}
	l->lines[l->n_lines] = (struct config_line){.parent = parent, .index = index, .line = line};
	if (key != NULL) {
		l->lines[l->n_lines].key = strdup(key);
		if (l->lines[l->n_lines].key == NULL)
			return -ENOMEM;
	}
	l->n_lines++;
	return 0;
}

static int
add_key(struct walk *w, struct level *top, const yaml_event_t *ev, size_t line)
{
	const char *key = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;

	if (len == 0 || len > KEY_MAX || strlen(key) != len)
		return fail_at(w->l, line, "a key is empty or too long", NULL);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)key[i] < ' ' || key[i] == 0x7f)
			return fail_at(w->l, line, "a key has control characters", NULL);
	if (++top->n > KEYS_MAX)
		return fail_at(w->l, line, "too many keys in one place", NULL);
	for (size_t i = w->l->n_lines; i-- > top->node + 1;)
		if (w->l->lines[i].parent == top->node && strcmp(w->l->lines[i].key, key) == 0)
			return fail_at(w->l, line, "key is given twice", key);
	top->value = true;
	return add_line(w, top->node, key, 0, line);
}

/* A scalar, or the start of a list or mapping. */
static int
add_value(struct walk *w, const yaml_event_t *ev)
{
	struct level *top = w->depth > 0 ? &w->stack[w->depth - 1] : NULL;
	size_t line = ev->start_mark.line + 1;
	size_t node = 0;
	int ret = 0;

	if (top == NULL) {
		if (ev->type != YAML_MAPPING_START_EVENT)
			return fail_at(
				w->l, line, "the file shall hold \"key: value\" lines", NULL);
		ret = add_line(w, 0, NULL, 0, 1);
	} else if (!top->mapping) {
		node = w->l->n_lines;
		ret = add_line(w, top->node, NULL, top->n++, line);
	} else if (!top->value) {
		if (ev->type != YAML_SCALAR_EVENT)
			return fail_at(w->l, line, "a key shall be a plain word", NULL);
		return add_key(w, top, ev, line);
	} else {
		node = w->l->n_lines - 1;
		top->value = false;
	}
	if (ret < 0 || ev->type == YAML_SCALAR_EVENT)
		return ret;
	if (w->depth == DEPTH_MAX)
		return fail_at(w->l, line, "too deeply nested", NULL);
	w->stack[w->depth++] = (struct level){
		.node = node,
		.mapping = ev->type == YAML_MAPPING_START_EVENT,
	};
	return 0;
}

static int
add_event(struct walk *w, const yaml_event_t *ev)
{
	size_t line = ev->start_mark.line + 1;

	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return w->l->n_lines == 0 ? 0 : fail_at(w->l, line, "a second document", NULL);
	case YAML_ALIAS_EVENT:
		return fail_at(w->l, line, "aliases (*name) are not allowed", NULL);
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return add_value(w, ev);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		w->depth--;
		return 0;
	default:
		return 0;
	}
}

int
config_lines_read(struct config_load *l)
{
	struct walk w = {.l = l};
	yaml_parser_t parser;
	bool end = false;
	int ret = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)l->text, l->len);
	while (ret == 0 && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			ret = fail_at(l, parser.problem_mark.line + 1,
				parser.problem != NULL ? parser.problem : "cannot be parsed",
				"not YAML");
			break;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		ret = add_event(&w, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	if (ret == 0 && l->n_lines == 0)
		ret = fail_at(l, 1, "the file is empty", NULL);
	return ret;
}

/* Length of the step of path that leads to the node, or 0. */
static size_t
step_len(const struct config_line *node, const char *path)
{
	size_t len;

	if (node->key == NULL) {
		char *end;

		if (*path != '[' || strtoul(path + 1, &end, 10) != node->index || *end != ']')
			return 0;
		return end + 1 - path;
	}
	len = strlen(node->key);
	if (strncmp(path, node->key, len) != 0 || strchr(".[", path[len]) == NULL)
		return 0;
	return len;
}

unsigned int
config_line_of(const struct config_load *l, const char *path)
{
	size_t at = 0;

	if (l->n_lines == 0)
		return 1;
	/* As far as the file goes along: what is missing is told at the line of what surrounds it. */
	while (*path != '\0') {
		size_t best = 0, next = at;

		path += *path == '.';
		for (size_t i = at + 1; i < l->n_lines; i++) {
			size_t len;

			if (l->lines[i].parent != at)
				continue;
			len = step_len(&l->lines[i], path);
			if (len > best) {
				best = len;
				next = i;
			}
		}
		if (best == 0)
			break;
		path += best;
		at = next;
	}
	return l->lines[at].line;
}

void
config_lines_free(struct config_load *l)
{
	for (size_t i = 0; i < l->n_lines; i++)
		free(l->lines[i].key);
	free(l->lines);
	l->lines = NULL;
	l->n_lines = 0;
}

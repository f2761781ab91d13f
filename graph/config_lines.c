/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_text.h"

#include <errno.h>
#include <stdint.h>
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

struct level {
	size_t node;
	bool mapping;
	unsigned int n; /* children so far */
	bool value; /* mapping: its last key waits for the value */
};

struct walk {
	struct config_text *t;
	size_t room;
	struct level stack[DEPTH_MAX];
	unsigned int depth;
};

static int
add_node(struct walk *w, size_t parent, const char *key, unsigned int index, size_t line)
{
	struct config_text *t = w->t;
	struct config_node *node;

	if (t->n_nodes == w->room) {
		size_t room = w->room == 0 ? 256 : w->room * 2;
		struct config_node *v = reallocarray(t->nodes, room, sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		t->nodes = v;
		w->room = room;
	}
	node = &t->nodes[t->n_nodes];
	*node = (struct config_node){.parent = parent, .index = index, .line = line};
	if (key != NULL && (node->key = strdup(key)) == NULL)
		return -ENOMEM;
	if (t->n_nodes != parent) {
		struct config_node *p = &t->nodes[parent];

		if (p->first == 0)
			p->first = t->n_nodes;
		else
			t->nodes[p->last].next = t->n_nodes;
		p->last = t->n_nodes;
	}
	t->n_nodes++;
	return 0;
}

static int
add_key(struct walk *w, struct level *top, const yaml_event_t *ev, size_t line)
{
	const char *key = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;

	if (len == 0 || len > KEY_MAX || strlen(key) != len)
		return config_text_fail(w->t, line, "", "a key is empty or too long");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)key[i] < ' ' || key[i] == 0x7f)
			return config_text_fail(w->t, line, "", "a key has control characters");
	if (++top->n > KEYS_MAX)
		return config_text_fail(w->t, line, "", "too many keys in one place");
	for (size_t i = w->t->nodes[top->node].first; i != 0; i = w->t->nodes[i].next)
		if (strcmp(w->t->nodes[i].key, key) == 0) {
			config_text_fail(w->t, line, key, "key is given twice");
			if (!w->t->all)
				return -EINVAL;
			break;
		}
	top->value = true;
	return add_node(w, top->node, key, 0, line);
}

static int
set_scalar(struct walk *w, struct config_node *node, const yaml_event_t *ev)
{
	const char *value = (const char *)ev->data.scalar.value;

	if (strlen(value) != ev->data.scalar.length)
		return config_text_fail(w->t, ev->start_mark.line + 1,
			node->key != NULL ? node->key : "", "the value has a zero byte in it");
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(strcmp(value, "~") == 0 || strcmp(value, "null") == 0))
		value = "";
	node->value = strdup(value);
	return node->value != NULL ? 0 : -ENOMEM;
}

/* A scalar, or the start of a list or mapping. */
static int
add_value(struct walk *w, const yaml_event_t *ev)
{
	struct level *top = w->depth > 0 ? &w->stack[w->depth - 1] : NULL;
	size_t line = ev->start_mark.line + 1;
	struct config_text *t = w->t;
	size_t node = 0;
	int ret = 0;

	if (top == NULL) {
		if (ev->type != YAML_MAPPING_START_EVENT)
			return config_text_fail(
				t, line, "", "the file shall hold \"key: value\" lines");
		ret = add_node(w, 0, NULL, 0, 1);
	} else if (!top->mapping) {
		node = t->n_nodes;
		ret = add_node(w, top->node, NULL, top->n++, line);
	} else if (!top->value) {
		if (ev->type != YAML_SCALAR_EVENT)
			return config_text_fail(t, line, "", "a key shall be a plain word");
		return add_key(w, top, ev, line);
	} else {
		node = t->n_nodes - 1;
		top->value = false;
	}
	if (ret < 0)
		return ret;
	if (ev->type == YAML_SCALAR_EVENT)
		return set_scalar(w, &t->nodes[node], ev);
	t->nodes[node].kind = ev->type == YAML_MAPPING_START_EVENT ? CONFIG_MAPPING : CONFIG_LIST;
	if (w->depth == DEPTH_MAX)
		return config_text_fail(t, line, "", "too deeply nested");
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
		return w->t->n_nodes == 0 ? 0
					  : config_text_fail(w->t, line, "", "a second document");
	case YAML_ALIAS_EVENT:
		return config_text_fail(w->t, line, "", "aliases (*name) are not allowed");
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
config_lines_read(struct config_text *t)
{
	struct walk w = {.t = t};
	yaml_parser_t parser;
	bool end = false;
	int ret = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)t->text, t->len);
	while (ret == 0 && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			/* What libyaml says of a tab helps nobody. */
			bool tab = parser.problem_mark.index < t->len &&
				   t->text[parser.problem_mark.index] == '\t';

			ret = config_text_fail(t, parser.problem_mark.line + 1, "", "not YAML: %s",
				tab			 ? "a tab; lines are indented with spaces"
				: parser.problem != NULL ? parser.problem
							 : "cannot be parsed");
			break;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		ret = add_event(&w, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	if (ret == 0 && t->n_nodes == 0)
		ret = config_text_fail(t, 1, "", "the file is empty");
	return ret;
}

/* Length of the step of path that leads to the node, or 0. */
static size_t
step_len(const struct config_node *node, const char *path)
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
config_line_of(const struct config_text *t, const char *path)
{
	size_t at = 0;

	if (t->n_nodes == 0)
		return 1;
	/* As far as the file goes along: what is missing is told at the line of what surrounds it. */
	while (*path != '\0') {
		size_t best = 0, next = at;

		path += *path == '.';
		for (size_t i = t->nodes[at].first; i != 0; i = t->nodes[i].next) {
			size_t len = step_len(&t->nodes[i], path);

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
	return t->nodes[at].line;
}

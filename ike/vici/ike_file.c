/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 256

size_t
ike_file_get(const struct ike_file *f, size_t mapping, const char *key)
{
	const struct config_node *nodes = f->t.nodes;

	if (nodes[mapping].kind != CONFIG_MAPPING)
		return 0;
	for (size_t i = nodes[mapping].first; i != 0; i = nodes[i].next)
		if (strcmp(nodes[i].key, key) == 0)
			return i;
	return 0;
}

const char *
ike_file_text(const struct ike_file *f, size_t mapping, const char *key)
{
	size_t node = ike_file_get(f, mapping, key);

	return node != 0 && f->t.nodes[node].kind == CONFIG_SCALAR ? f->t.nodes[node].value : NULL;
}

const char *
ike_file_value(const struct ike_file *f, const struct schema_section *s, size_t mapping,
	const char *key, char *buf, unsigned int size)
{
	const char *text = ike_file_text(f, mapping, key);
	char why[256];

	if (text == NULL || schema_value(schema_find(s, key), text, buf, size, why) != NULL)
		return NULL;
	return buf;
}

bool
ike_file_true(const struct ike_file *f, size_t mapping, const char *key, bool dflt)
{
	static const struct schema_key boolean = {.type = SCHEMA_BOOL};
	const char *text = ike_file_text(f, mapping, key);
	char buf[8], why[256];

	if (text == NULL || schema_value(&boolean, text, buf, sizeof(buf), why) != NULL)
		return dflt;
	return strcmp(buf, "yes") == 0;
}

size_t
ike_file_each(const struct ike_file *f, size_t node, size_t at)
{
	if (node == 0)
		return 0;
	if (at != 0)
		return at == node ? 0 : f->t.nodes[at].next;
	return f->t.nodes[node].kind == CONFIG_LIST ? f->t.nodes[node].first : node;
}

size_t
ike_file_named(const struct ike_names *names, const char *name)
{
	const json_t *v = name != NULL ? json_object_get(names->by_name, name) : NULL;

	return v != NULL ? names->nodes[json_integer_value(v)] : 0;
}

const char *
ike_file_path(const struct ike_file *f, size_t node, char *buf, size_t size)
{
	const struct config_node *n = &f->t.nodes[node];
	size_t len;

	buf[0] = '\0';
	if (node == 0)
		return buf;
	ike_file_path(f, n->parent, buf, size);
	len = strlen(buf);
	if (n->key != NULL)
		snprintf(buf + len, size - len, "%s%s", len > 0 ? "." : "", n->key);
	else
		snprintf(buf + len, size - len, "[%u]", n->index);
	return buf;
}

void *
ike_grow(void *v, size_t n, size_t size)
{
	if ((n & (n - 1)) != 0)
		return v; /* no power of two, nor 0 */
	return reallocarray(v, n == 0 ? 1 : 2 * n, size);
}

static void
collect(void *ctx, unsigned int line, const char *path, const char *text)
{
	struct ike_file *f = ctx;
	struct ike_error *v;

	v = ike_grow(f->errors, f->n_errors, sizeof(*v));
	if (v == NULL)
		return; /* t.errors counts it */
	f->errors = v;
	v[f->n_errors++] = (struct ike_error){line, strdup(path), strdup(text)};
}

void
ike_file_fail(struct ike_file *f, size_t node, const char *fmt, ...)
{
	char path[PATH_SIZE], text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	config_text_fail(&f->t, f->t.nodes[node].line, ike_file_path(f, node, path, sizeof(path)),
		"%s", text);
}

void
ike_file_fail_key(struct ike_file *f, size_t mapping, const char *key, const char *fmt, ...)
{
	size_t node = ike_file_get(f, mapping, key);
	char path[PATH_SIZE], text[512];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ike_file_path(f, mapping, path, sizeof(path));
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "%s%s", len > 0 ? "." : "", key);
	config_text_fail(&f->t, f->t.nodes[node != 0 ? node : mapping].line, path, "%s", text);
}

static const char *
key_name(void *ctx, unsigned int n)
{
	return ((const struct schema_section *)ctx)->keys[n].name;
}

static const char *
shape(enum config_kind kind)
{
	return kind == CONFIG_MAPPING ? "\"key: value\" lines"
	       : kind == CONFIG_LIST  ? "a list"
				      : "one value";
}

static void validate(struct ike_file *f, size_t node, const struct schema_section *s);

/* One element of a key: what it is, and what it says. */
static void
validate_value(struct ike_file *f, size_t node, const struct schema_key *k)
{
	const struct config_node *n = &f->t.nodes[node];
	char out[512], text[256];
	const char *why;

	if (n->kind == CONFIG_MAPPING && k->section != NULL) {
		validate(f, node, k->section);
		return;
	}
	if (n->kind != CONFIG_SCALAR || k->type == SCHEMA_MAPPING) {
		ike_file_fail(f, node, "expected %s, got %s",
			shape(k->type == SCHEMA_MAPPING ? CONFIG_MAPPING : CONFIG_SCALAR),
			shape(n->kind));
		return;
	}
	if (k->type == SCHEMA_SECRET)
		f->secrets = true;
	why = schema_value(k, n->value, out, sizeof(out), text);
	if (why != NULL)
		ike_file_fail(f, node, "%s", why);
}

static void
validate_key(struct ike_file *f, size_t node, const struct schema_key *k)
{
	const struct config_node *n = &f->t.nodes[node];
	bool many = (k->flags & SCHEMA_MANY) != 0;

	if (n->kind == CONFIG_LIST && !many) {
		ike_file_fail(f, node, "expected %s, got a list",
			shape(k->type == SCHEMA_MAPPING ? CONFIG_MAPPING : CONFIG_SCALAR));
	} else if (many && k->type == SCHEMA_MAPPING && n->kind != CONFIG_LIST) {
		/* "tunnels:" with nothing below it is an empty list. */
		if (n->kind != CONFIG_SCALAR || *n->value != '\0')
			ike_file_fail(f, node, "expected a list, got %s", shape(n->kind));
	} else {
		for (size_t e = ike_file_each(f, node, 0); e != 0; e = ike_file_each(f, node, e))
			validate_value(f, e, k);
	}
}

static void
validate(struct ike_file *f, size_t node, const struct schema_section *s)
{
	const struct config_node *nodes = f->t.nodes;

	for (size_t i = nodes[node].first; i != 0; i = nodes[i].next) {
		const struct schema_key *k = schema_find(s, nodes[i].key);
		const char *near;

		if (k != NULL) {
			validate_key(f, i, k);
			continue;
		}
		near = config_nearest(nodes[i].key, key_name, (void *)(uintptr_t)s);
		if (near != NULL)
			ike_file_fail(f, i, "unknown key: did you mean '%s'?", near);
		else
			ike_file_fail(f, i, "unknown key");
	}
	for (const struct schema_key *k = s->keys; k->name != NULL; k++)
		if ((k->flags & SCHEMA_REQUIRED) != 0 && ike_file_get(f, node, k->name) == 0)
			ike_file_fail_key(f, node, k->name, "is missing");
}

/* The mappings of a section, and their names: each once. */
static int
index_names(struct ike_file *f, size_t ipsec, const char *section, struct ike_names *names)
{
	size_t list = ike_file_get(f, ipsec, section);
	char path[PATH_SIZE];

	names->by_name = json_object();
	if (names->by_name == NULL)
		return -ENOMEM;
	if (list == 0 || f->t.nodes[list].kind != CONFIG_LIST)
		return 0;
	names->nodes = calloc(f->t.nodes[f->t.nodes[list].last].index + 1u, sizeof(size_t));
	if (names->nodes == NULL)
		return -ENOMEM;
	for (size_t e = f->t.nodes[list].first; e != 0; e = f->t.nodes[e].next) {
		const char *name = ike_file_text(f, e, "name");
		size_t twin = ike_file_named(names, name);

		if (f->t.nodes[e].kind != CONFIG_MAPPING)
			continue;
		names->nodes[names->n] = e;
		if (twin != 0)
			ike_file_fail_key(f, e, "name", "'%s' is the name of %s already", name,
				ike_file_path(f, twin, path, sizeof(path)));
		else if (name != NULL && json_object_set_new(names->by_name, name,
						 json_integer((json_int_t)names->n)) != 0)
			ike_file_fail_key(f, e, "name", "is not UTF-8");
		names->n++;
	}
	return 0;
}

static int
by_line(const void *va, const void *vb)
{
	const struct ike_error *a = va, *b = vb;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return strcmp(a->path, b->path);
}

static int
read_all(struct ike_file *f)
{
	struct {
		const char *section;
		struct ike_names *names;
	} sections[] = {
		{"ike-policies", &f->policies},
		{"child-policies", &f->children},
		{"gateways", &f->gateways},
		{"tunnels", &f->tunnels},
		{"authorities", &f->authorities},
		{"pools", &f->pools},
	};
	int ret = config_text_read(&f->t);
	size_t ipsec;

	if (ret == 0)
		ret = config_lines_read(&f->t);
	if (ret < 0 && f->t.n_nodes == 0)
		return ret;
	if (ret < 0 && f->n_errors > 0)
		return -EINVAL; /* no YAML: what was read of it says nothing */
	validate(f, 0, &schema_top);
	ipsec = ike_file_get(f, 0, "ipsec");
	for (unsigned int i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		ret = index_names(f, ipsec, sections[i].section, sections[i].names);
		if (ret < 0)
			return ret;
	}
	ike_check(f);
	return f->t.errors > 0 ? -EINVAL : 0;
}

int
ike_file_load(const char *path, bool allow_open, struct ike_file **out)
{
	struct ike_file *f = calloc(1, sizeof(*f));
	int ret;

	*out = f;
	if (f == NULL)
		return -ENOMEM;
	f->allow_open = allow_open;
	f->t.path = path;
	f->t.report = collect;
	f->t.ctx = f;
	f->t.all = true;
	ret = read_all(f);
	if (ret == -ENOMEM)
		fprintf(stderr, "%s: out of memory\n", path);
	if (f->n_errors > 1)
		qsort(f->errors, f->n_errors, sizeof(*f->errors), by_line);
	return ret;
}

void
ike_file_print_errors(const struct ike_file *f, FILE *out)
{
	for (size_t i = 0; i < f->n_errors; i++) {
		const struct ike_error *e = &f->errors[i];

		fprintf(out, "%s:%u: %s%s%s\n", f->t.path, e->line, e->path,
			*e->path != '\0' ? ": " : "", e->text);
	}
}

static void
free_names(struct ike_names *names)
{
	free(names->nodes);
	json_decref(names->by_name);
}

void
ike_file_free(struct ike_file *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n_errors; i++) {
		free(f->errors[i].path);
		free(f->errors[i].text);
	}
	free(f->errors);
	free_names(&f->policies);
	free_names(&f->children);
	free_names(&f->gateways);
	free_names(&f->tunnels);
	free_names(&f->authorities);
	free_names(&f->pools);
	/* Values are wiped as well: some are secrets. */
	for (size_t i = 0; i < f->t.n_nodes; i++)
		if (f->t.nodes[i].value != NULL)
			explicit_bzero(f->t.nodes[i].value, strlen(f->t.nodes[i].value));
	config_text_free(&f->t);
	free(f);
}

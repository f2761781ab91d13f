/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_wanted.h"

#include <ctype.h>
#include <string.h>

/* swanctl.conf as text. */

/* Plain where swanctl's parser takes it so, else in quotes. */
static void
write_value(FILE *out, const char *v)
{
	if (*v != '\0' && v[strcspn(v, "#{}=\"\\,\n\t :")] == '\0') {
		fputs(v, out);
		return;
	}
	fputc('"', out);
	for (; *v != '\0'; v++)
		if (*v == '\n')
			fputs("\\n", out);
		else
			fprintf(out, "%s%c", strchr("\"\\", *v) != NULL ? "\\" : "", *v);
	fputc('"', out);
}

static void
indent(FILE *out, unsigned int depth)
{
	fprintf(out, "%*s", (int)(2 * depth), "");
}

static void
write_item(FILE *out, const json_t *v)
{
	const char *file = json_string_value(json_object_get(v, "file"));

	write_value(out, file != NULL ? file : json_string_value(v));
}

static void
write_section(FILE *out, const char *name, json_t *section, unsigned int depth)
{
	const char *key;
	json_t *v, *e;
	size_t i;

	indent(out, depth);
	fprintf(out, "%s {\n", name);
	json_object_foreach (section, key, v) {
		if (json_is_object(v) && json_object_get(v, "pem") == NULL) {
			write_section(out, key, v, depth + 1);
			continue;
		}
		indent(out, depth + 1);
		fprintf(out, "%s = ", key);
		if (json_is_array(v)) {
			/* Commas part the elements, so none of them may be in quotes. */
			json_array_foreach (v, i, e) {
				const char *file = json_string_value(json_object_get(e, "file"));

				fprintf(out, "%s%s", i > 0 ? "," : "",
					file != NULL ? file : json_string_value(e));
			}
		} else {
			write_item(out, v);
		}
		fputc('\n', out);
	}
	indent(out, depth);
	fputs("}\n", out);
}

static void
write_secret(FILE *out, const struct wanted_secret *s, bool show)
{
	bool text = s->len < 2 || s->data[0] != '0' || (s->data[1] != 'x' && s->data[1] != 's');
	const char *owner;
	json_t *v;
	size_t i;

	fprintf(out, "  %s {\n", s->section);
	json_array_foreach (s->owners, i, v) {
		owner = json_string_value(v);
		fprintf(out, "    id-%zu = ", i + 1);
		write_value(out, owner);
		fputc('\n', out);
	}
	for (i = 0; i < s->len; i++)
		text = text && isprint(s->data[i]) && s->data[i] != '"' && s->data[i] != '\\';
	if (!show) {
		fputs("    # secret = … (left out: --with-secrets)\n", out);
	} else if (text) {
		fprintf(out, "    secret = \"%.*s\"\n", (int)s->len, s->data);
	} else {
		fputs("    secret = 0x", out);
		for (i = 0; i < s->len; i++)
			fprintf(out, "%02x", s->data[i]);
		fputc('\n', out);
	}
	fputs("  }\n", out);
}

void
ike_export(const struct ike_wanted *w, bool secrets, FILE *out)
{
	fputs("# swanctl.conf, equivalent to the ike file that it was made from.\n", out);
	for (size_t i = 0; i < w->n_keys; i++)
		fprintf(out, "# private key: %s (swanctl takes keys from /etc/swanctl/private)\n",
			w->keys[i].file);
	write_section(out, "connections", w->conns, 0);
	if (w->n_secrets > 0) {
		fputs("secrets {\n", out);
		for (size_t i = 0; i < w->n_secrets; i++)
			write_secret(out, &w->secrets[i], secrets);
		fputs("}\n", out);
	}
	if (json_object_size(w->authorities) > 0)
		write_section(out, "authorities", w->authorities, 0);
	if (json_object_size(w->pools) > 0)
		write_section(out, "pools", w->pools, 0);
}

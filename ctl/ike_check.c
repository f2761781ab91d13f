/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike.h"

#include "list.h"

#include "ike_file.h"
#include "ike_wanted.h"
#include "schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Commands that need no charon: check, export, schema. */

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

int
ike_open(const struct ike_options *o, struct ike_file **out)
{
	int ret = ike_file_load(o->words[0], o->allow_open, out);

	if (ret == 0)
		return CTL_OK;
	if (*out != NULL) {
		ike_file_print_errors(*out, stderr);
		if ((*out)->n_errors > 1)
			client_fail(0, "%s has %zu errors", o->words[0], (*out)->n_errors);
	}
	ike_file_free(*out);
	*out = NULL;
	return CTL_REFUSED;
}

static size_t
enabled(const struct ike_file *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->tunnels.n; i++)
		n += ike_file_true(f, f->tunnels.nodes[i], "enable", true);
	return n;
}

static void
print_json(const struct ike_options *o, const struct ike_file *f)
{
	json_t *errors = json_array(), *v;

	for (size_t i = 0; i < f->n_errors; i++)
		json_array_append_new(errors,
			json_pack("{sssisssss}", "file", f->t.path, "line", (int)f->errors[i].line,
				"key", f->errors[i].path, "error", f->errors[i].text));
	v = json_pack("{sbsIsIsIsIso}", "valid", f->n_errors == 0, "tunnels",
		(json_int_t)f->tunnels.n, "enabled", (json_int_t)enabled(f), "gateways",
		(json_int_t)f->gateways.n, "ike_policies", (json_int_t)f->policies.n, "errors",
		errors);
	json_print(o->view.out, v);
	fputc('\n', o->view.out);
	json_decref(v);
}

int
ike_check_command(const struct ike_options *o)
{
	struct ike_file *f;
	size_t n, off;
	int rc;

	if (o->view.json) {
		rc = ike_file_load(o->words[0], o->allow_open, &f);
		if (f != NULL && (rc == 0 || f->n_errors > 0))
			print_json(o, f);
		ike_file_free(f);
		return rc == 0 ? CTL_OK : CTL_REFUSED;
	}
	rc = ike_open(o, &f);
	if (rc != CTL_OK)
		return rc;
	n = enabled(f);
	off = f->tunnels.n - n;
	fprintf(o->view.out, "%s: good: %zu tunnel%s to %zu gateway%s", o->words[0], n, plural(n),
		f->gateways.n, plural(f->gateways.n));
	if (off > 0)
		fprintf(o->view.out, ", and %zu that %s not enabled", off, off == 1 ? "is" : "are");
	fputc('\n', o->view.out);
	ike_file_free(f);
	return CTL_OK;
}

int
ike_export_command(const struct ike_options *o)
{
	static const unsigned char no_salt[32];
	struct ike_wanted *w;
	struct ike_file *f;
	int rc = ike_open(o, &f);

	if (rc != CTL_OK)
		return rc;
	w = ike_wanted_make(f, no_salt);
	if (w == NULL) {
		ike_file_print_errors(f, stderr);
		rc = CTL_REFUSED;
	} else if (o->view.json) {
		json_t *v = json_pack("{sOsOsO}", "connections", w->conns, "authorities",
			w->authorities, "pools", w->pools);

		json_print(o->view.out, v);
		fputc('\n', o->view.out);
		json_decref(v);
	} else {
		ike_export(w, o->secrets, o->view.out);
	}
	ike_wanted_free(w);
	ike_file_free(f);
	return rc;
}

int
ike_schema_command(const struct ike_options *o)
{
	json_t *v = schema_json();
	char *text = o->markdown ? schema_markdown()
		     : o->man	 ? schema_man()
				 : json_dumps(v, JSON_INDENT(2));

	json_decref(v);
	if (text == NULL)
		return client_fail(CTL_REFUSED, "out of memory");
	fputs(text, o->view.out);
	if (!o->markdown && !o->man)
		fputc('\n', o->view.out);
	free(text);
	return CTL_OK;
}

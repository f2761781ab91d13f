/* SPDX-License-Identifier: BSD-3-Clause */
#include "list.h"

#include "client.h"

void
json_print(FILE *out, const json_t *v)
{
	json_dumpf(v, out, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
}

const char *
list_str(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s != NULL ? s : "-";
}

void
list_begin(struct list_show *s, const struct list *list, const struct view *view)
{
	*s = (struct list_show){.list = list, .view = view};
	if (!view->json)
		s->table = table_new(list->columns, list->n_columns, view);
}

int
list_page(void *ctx, json_t *data)
{
	struct list_show *s = ctx;
	const json_t *row;
	size_t i;

	if (!json_is_array(data))
		return client_fail(CTL_REFUSED, "the router's answer is not a table");
	json_array_foreach (data, i, row) {
		if (s->view->json) {
			fputs(s->rows == 0 ? "[\n" : ",\n", s->view->out);
			json_print(s->view->out, row);
		} else {
			s->list->row(s->table, row, s->view);
		}
		s->rows++;
	}
	return CTL_OK;
}

void
list_end(struct list_show *s, bool complete)
{
	if (complete && s->view->json)
		fputs(s->rows == 0 ? "[]\n" : "\n]\n", s->view->out);
	else if (complete && s->rows == 0)
		fprintf(s->view->out, "%s\n", s->list->empty);
	else if (complete)
		table_print(s->table);
	table_free(s->table);
}

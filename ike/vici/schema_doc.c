/* SPDX-License-Identifier: BSD-3-Clause */
#include "schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The schema for editors and for readers. */

static const char *const proposal_notation = "^[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*$";

static json_t *section_json(const struct schema_section *s);

static json_t *
choices_json(const struct schema_key *k)
{
	char ours[32], charons[32];
	json_t *v = json_array();

	for (unsigned int i = 0; schema_choice(k, i, ours, charons); i++) {
		/* YAML reads these as booleans and numbers when nothing is around them. */
		if (strcmp(ours, "true") == 0 || strcmp(ours, "yes") == 0)
			json_array_append_new(v, json_true());
		else if (strcmp(ours, "false") == 0 || strcmp(ours, "no") == 0)
			json_array_append_new(v, json_false());
		if (*ours >= '0' && *ours <= '9')
			json_array_append_new(v, json_integer(atoi(ours)));
		json_array_append_new(v, json_string(ours));
	}
	return json_pack("{so}", "enum", v);
}

static json_t *
scalar_json(const struct schema_key *k)
{
	json_t *v;

	switch (k->type) {
	case SCHEMA_NAME:
		return json_pack(
			"{ssss}", "type", "string", "pattern", "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$");
	case SCHEMA_BOOL:
		return json_pack("{ss}", "type", "boolean");
	case SCHEMA_UINT:
		v = json_pack("{sssI}", "type", "integer", "minimum", (json_int_t)k->min);
		if (k->max != 0)
			json_object_set_new(v, "maximum", json_integer((json_int_t)k->max));
		return v;
	case SCHEMA_TIME:
		return json_pack("{s[ss]sIss}", "type", "integer", "string", "minimum",
			(json_int_t)0, "pattern", "^[0-9]+[smhd]?$");
	case SCHEMA_SIZE:
		return json_pack("{s[ss]sIss}", "type", "integer", "string", "minimum",
			(json_int_t)0, "pattern", "^[0-9]+[kKMGT]?$");
	case SCHEMA_CHOICE:
		return choices_json(k);
	case SCHEMA_MARK:
	case SCHEMA_ALGORITHM:
	case SCHEMA_TEXT:
		return json_pack("{s[ss]}", "type", "string", "integer");
	case SCHEMA_PROPOSAL:
		return json_pack("{s[o{ssss}]}", "anyOf", section_json(k->section), "type",
			"string", "pattern", proposal_notation);
	case SCHEMA_SELECTOR:
		return json_pack("{s[o{ss}]}", "anyOf", section_json(k->section), "type", "string");
	case SCHEMA_MAPPING:
		return section_json(k->section);
	default:
		return json_pack("{ss}", "type", "string");
	}
}

static json_t *
key_json(const struct schema_key *k)
{
	json_t *v = scalar_json(k);

	if ((k->flags & SCHEMA_MANY) != 0) {
		json_t *list = json_pack("{ssso}", "type", "array", "items", v);

		if (k->type != SCHEMA_MAPPING && k->type != SCHEMA_PROPOSAL)
			v = json_pack("{s[oO]}", "anyOf", list, v);
		else
			v = list;
	}
	json_object_set_new(v, "description", json_string(k->doc));
	if (k->dflt != NULL)
		json_object_set_new(v, "$comment", json_sprintf("default: %s", k->dflt));
	return v;
}

static json_t *
section_json(const struct schema_section *s)
{
	json_t *properties = json_object(), *required = json_array(), *v;

	for (const struct schema_key *k = s->keys; k->name != NULL; k++) {
		json_object_set_new(properties, k->name, key_json(k));
		if ((k->flags & SCHEMA_REQUIRED) != 0)
			json_array_append_new(required, json_string(k->name));
	}
	v = json_pack(
		"{sssoss}", "type", "object", "properties", properties, "description", s->doc);
	if (json_array_size(required) > 0)
		json_object_set(v, "required", required);
	json_decref(required);
	json_object_set_new(v, "additionalProperties", json_false());
	return v;
}

json_t *
schema_json(void)
{
	json_t *top =
		json_pack("{ssssss}", "$schema", "https://json-schema.org/draft/2020-12/schema",
			"$id", "urn:cygnet:ike", "title", "cygnet ike file");

	json_object_update_new(top, section_json(&schema_top));
	json_object_del(top, "description");
	return top;
}

static void
kind(FILE *f, const struct schema_key *k)
{
	static const struct {
		const char *one, *many;
	} kinds[] = {
		[SCHEMA_NAME] = {"name", "names"},
		[SCHEMA_TEXT] = {"text", "list of texts"},
		[SCHEMA_SECRET] = {"secret", ""},
		[SCHEMA_FILE] = {"file", "files"},
		[SCHEMA_BOOL] = {"true, false", ""},
		[SCHEMA_TIME] = {"time", ""},
		[SCHEMA_SIZE] = {"size", ""},
		[SCHEMA_ADDRESS] = {"address", "addresses"},
		[SCHEMA_SELECTOR] = {"selector", "selectors"},
		[SCHEMA_MARK] = {"mark", ""},
		[SCHEMA_ALGORITHM] = {"algorithm", "algorithms"},
		[SCHEMA_PROPOSAL] = {"proposal", "list of proposals"},
		[SCHEMA_MAPPING] = {"mapping", "list of mappings"},
	};
	char ours[32], charons[32], seen[16][32];
	unsigned int n = 0, j;

	if (k->type == SCHEMA_UINT) {
		if (k->max == 0 || k->max == UINT32_MAX)
			fprintf(f, "number");
		else
			fprintf(f, "%" PRIu64 "..%" PRIu64, k->min, k->max);
		return;
	}
	if (k->type != SCHEMA_CHOICE) {
		fputs((k->flags & SCHEMA_MANY) != 0 ? kinds[k->type].many : kinds[k->type].one, f);
		return;
	}
	/* One name for each meaning: the first. */
	for (unsigned int i = 0; n < 16 && schema_choice(k, i, ours, charons); i++) {
		for (j = 0; j < n && strcmp(seen[j], charons) != 0; j++)
			;
		if (j < n)
			continue;
		snprintf(seen[n], sizeof(seen[n]), "%s", charons);
		fprintf(f, "%s%s", n > 0 ? ", " : "", ours);
		n++;
	}
}

static void
section_markdown(FILE *f, const struct schema_section *s, const char *level)
{
	fprintf(f, "%s %s\n\n%s\n\n", level, s->name, s->doc);
	fprintf(f, "| key | value | default | |\n|---|---|---|---|\n");
	for (const struct schema_key *k = s->keys; k->name != NULL; k++) {
		fprintf(f, "| `%s` | ", k->name);
		kind(f, k);
		fprintf(f, " | %s | %s |\n",
			(k->flags & SCHEMA_REQUIRED) != 0 ? "*required*"
			: k->dflt != NULL		  ? k->dflt
							  : "",
			k->doc);
	}
	fputc('\n', f);
}

static const struct {
	const struct schema_section *section;
	const char *level;
} order[] = {
	{&schema_ike_policy, "###"},
	{&schema_authentication, "####"},
	{&schema_ike_proposal, "####"},
	{&schema_child_policy, "###"},
	{&schema_child_proposal, "####"},
	{&schema_selector, "####"},
	{&schema_gateway, "###"},
	{&schema_tunnel, "###"},
	{&schema_authority, "###"},
	{&schema_pool, "###"},
};

/* Text for troff: no dash is a hyphen, no line begins with a dot, backticks are for Markdown. */
static void
man_text(FILE *f, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '-')
			fputs("\\-", f);
		else if (*s == '\\' && s[1] == '*')
			continue;
		else if (*s == '\\')
			fputs("\\e", f);
		else if (*s != '`')
			fputc(*s, f);
	}
}

static void
section_man(FILE *f, const struct schema_section *s)
{
	fputs(".SH \"", f);
	man_text(f, s->name);
	fputs("\"\n", f);
	man_text(f, s->doc);
	fputc('\n', f);
	for (const struct schema_key *k = s->keys; k->name != NULL; k++) {
		fputs(".TP\n.BR ", f);
		man_text(f, k->name);
		fputs(" \" (", f);
		kind(f, k);
		if ((k->flags & SCHEMA_REQUIRED) != 0)
			fputs("; required", f);
		else if (k->dflt != NULL)
			fprintf(f, "; default: %s", k->dflt);
		fputs(")\"\n", f);
		man_text(f, k->doc);
		fputs(".\n", f);
	}
}

char *
schema_man(void)
{
	static const char head[] =
		".\\\" SPDX-License-Identifier: BSD-3-Clause\n"
		".TH CYGNET-IKE 5 \"\" cygnet \"File formats\"\n"
		".SH NAME\ncygnet\\-ike \\- tunnels of a cygnet site\n"
		".SH DESCRIPTION\n"
		"A YAML file that says how and with whom charon negotiates tunnels. Everything is "
		"below the key\n"
		".BR ipsec ,\n"
		"whose keys are lists: ike\\-policies, child\\-policies, gateways, tunnels, "
		"authorities, pools.\n"
		".BR cygnetctl\\-ike (8)\nchecks and loads it. It holds secrets: it must not be "
		"readable by others.\n.PP\n"
		"A name is 1 to 64 letters, digits, \\-, _ and '.'; a time is seconds, or has a "
		"unit (90s, 10m, 4h, 2d); a size\n"
		"is a number, or has a unit (k, M, G, T: powers of 1000); a file is a path, "
		"absolute or from where this file\n"
		"is. Where a list may stand, one value alone does as well.\n"
		".SH EXAMPLE\n.EX\n"
		"ipsec:\n"
		"  ike\\-policies:\n"
		"    \\- name: ike\\-policy\\-1\n"
		"      proposals: [{encryption: aes256\\-gcm, prf: sha384, dh\\-group: ecp384}]\n"
		"      authentication: {pre\\-shared\\-key\\-file: /etc/cygnet/site\\-b.psk}\n"
		"  child\\-policies:\n"
		"    \\- {name: child\\-policy\\-1, local\\-ts: 10.1.0.0/16, remote\\-ts: "
		"10.2.0.0/16}\n"
		"  gateways:\n"
		"    \\- {name: site\\-b, ike\\-policy: ike\\-policy\\-1, local\\-address: "
		"192.0.2.1, remote\\-address: 192.0.2.2}\n"
		"  tunnels:\n"
		"    \\- {name: net, gateway: site\\-b, child\\-policy: child\\-policy\\-1}\n"
		".EE\n";
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return NULL;
	fputs(head, f);
	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		section_man(f, order[i].section);
	fputs(".SH SEE ALSO\n.BR cygnetctl\\-ike (8),\n.BR cygnet (8),\n.BR swanctl.conf (5)\n", f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *
schema_markdown(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return NULL;
	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		section_markdown(f, order[i].section, order[i].level);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

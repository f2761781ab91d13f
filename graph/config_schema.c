/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <stdio.h>
#include <string.h>

#include <cyaml/cyaml.h>

/*
 * The shape of the file for libcyaml: keys, lists and mappings. Numbers, words, ranges and what values mean
 * to each other are checked afterwards, more strictly and with better messages than a schema can.
 */

#define OPT CYAML_FLAG_OPTIONAL
#define PTR CYAML_FLAG_POINTER

#define STRING(key, type, member) CYAML_FIELD_STRING_PTR(key, PTR, type, member, 0, CYAML_UNLIMITED)
#define STRING_OPT(key, type, member) \
	CYAML_FIELD_STRING_PTR(key, PTR | OPT, type, member, 0, CYAML_UNLIMITED)
#define MAP_OPT(key, type, member, fields) CYAML_FIELD_MAPPING_PTR(key, OPT, type, member, fields)
#define LIST_OPT(key, type, member, entry) \
	CYAML_FIELD_SEQUENCE_COUNT(        \
		key, PTR | OPT, type, member, n_##member, entry, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t string_entry = {
	CYAML_VALUE_STRING(PTR, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t eal_fields[] = {
	STRING_OPT("file-prefix", struct raw_eal, file_prefix),
	STRING_OPT("memory", struct raw_eal, memory),
	LIST_OPT("options", struct raw_eal, options, &string_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t lcore_fields[] = {
	STRING("lcore", struct raw_lcore, lcore),
	STRING("cpu", struct raw_lcore, cpu),
	STRING("role", struct raw_lcore, role),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t lcore_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_lcore, lcore_fields),
};

static const cyaml_schema_field_t vlan_fields[] = {
	STRING("id", struct raw_port, id),
	STRING_OPT("name", struct raw_port, name),
	LIST_OPT("addresses", struct raw_port, addresses, &string_entry),
	STRING_OPT("mtu", struct raw_port, mtu),
	STRING_OPT("default-action", struct raw_port, default_action),
	STRING_OPT("mark", struct raw_port, mark),
	STRING_OPT("outside", struct raw_port, outside),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t vlan_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_port, vlan_fields),
};

static const cyaml_schema_field_t port_fields[] = {
	STRING("name", struct raw_port, name),
	STRING("devargs", struct raw_port, devargs),
	STRING_OPT("netdev", struct raw_port, netdev),
	LIST_OPT("addresses", struct raw_port, addresses, &string_entry),
	STRING_OPT("mtu", struct raw_port, mtu),
	STRING_OPT("rx-queues", struct raw_port, rx_queues),
	LIST_OPT("workers", struct raw_port, workers, &string_entry),
	STRING_OPT("default-action", struct raw_port, default_action),
	STRING_OPT("mark", struct raw_port, mark),
	STRING_OPT("outside", struct raw_port, outside),
	LIST_OPT("vlans", struct raw_port, vlans, &vlan_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t port_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_port, port_fields),
};

static const cyaml_schema_field_t crypto_fields[] = {
	STRING_OPT("mode", struct raw_crypto, mode),
	LIST_OPT("devices", struct raw_crypto, devices, &string_entry),
	STRING_OPT("frames", struct raw_crypto, frames),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ipsec_fields[] = {
	STRING_OPT("local-action", struct raw_ipsec, local_action),
	STRING_OPT("policies-timeout", struct raw_ipsec, policies_timeout),
	STRING_OPT("orphan-grace", struct raw_ipsec, orphan_grace),
	STRING_OPT("static-only", struct raw_ipsec, static_only),
	STRING_OPT("fragment", struct raw_ipsec, fragment),
	STRING_OPT("audit-rate", struct raw_ipsec, audit_rate),
	STRING_OPT("keep-keys", struct raw_ipsec, keep_keys),
	STRING_OPT("path-mtu-discovery", struct raw_ipsec, path_mtu_discovery),
	STRING_OPT("reassembly-timeout", struct raw_ipsec, reassembly_timeout),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t metrics_fields[] = {
	STRING_OPT("address", struct raw_metrics, address),
	STRING("port", struct raw_metrics, port),
	STRING_OPT("vici", struct raw_metrics, vici),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	STRING_OPT("sas", struct raw_limits, sas),
	STRING_OPT("policies", struct raw_limits, policies),
	STRING_OPT("routes", struct raw_limits, routes),
	STRING_OPT("nexthops", struct raw_limits, nexthops),
	STRING_OPT("mbufs", struct raw_limits, mbufs),
	STRING_OPT("punt-rate", struct raw_limits, punt_rate),
	STRING_OPT("reassemblies", struct raw_limits, reassemblies),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t encap_fields[] = {
	STRING_OPT("source-port", struct raw_encap, source_port),
	STRING_OPT("destination-port", struct raw_encap, destination_port),
	CYAML_FIELD_END,
};

#define LIFETIME(key, member) STRING_OPT(key, struct raw_lifetime, member)

static const cyaml_schema_field_t lifetime_fields[] = {
	LIFETIME("time-soft", time_soft),
	LIFETIME("time-hard", time_hard),
	LIFETIME("bytes-soft", bytes_soft),
	LIFETIME("bytes-hard", bytes_hard),
	LIFETIME("packets-soft", packets_soft),
	LIFETIME("packets-hard", packets_hard),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sa_fields[] = {
	STRING("name", struct raw_sa, name),
	STRING("direction", struct raw_sa, direction),
	STRING_OPT("protocol", struct raw_sa, protocol),
	STRING_OPT("mode", struct raw_sa, mode),
	STRING("spi", struct raw_sa, spi),
	STRING("source", struct raw_sa, source),
	STRING("destination", struct raw_sa, destination),
	STRING_OPT("encryption", struct raw_sa, encryption),
	STRING_OPT("integrity", struct raw_sa, integrity),
	STRING_OPT("key", struct raw_sa, key),
	STRING_OPT("integrity-key", struct raw_sa, integrity_key),
	STRING("reqid", struct raw_sa, reqid),
	STRING_OPT("replay-window", struct raw_sa, replay_window),
	STRING_OPT("esn", struct raw_sa, esn),
	MAP_OPT("encapsulation", struct raw_sa, encapsulation, encap_fields),
	MAP_OPT("lifetime", struct raw_sa, lifetime, lifetime_fields),
	STRING_OPT("insecure-test", struct raw_sa, insecure_test),
	STRING_OPT("fragment", struct raw_sa, fragment),
	STRING_OPT("state-file", struct raw_sa, state_file),
	STRING_OPT("if-id", struct raw_sa, if_id),
	STRING_OPT("mark", struct raw_sa, mark),
	STRING_OPT("df", struct raw_sa, df),
	STRING_OPT("dscp", struct raw_sa, dscp),
	STRING_OPT("ecn", struct raw_sa, ecn),
	STRING_OPT("flow-label", struct raw_sa, flow_label),
	STRING_OPT("ttl", struct raw_sa, ttl),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t sa_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_sa, sa_fields),
};

static const cyaml_schema_field_t policy_fields[] = {
	STRING("direction", struct raw_policy, direction),
	STRING("action", struct raw_policy, action),
	STRING("source", struct raw_policy, source),
	STRING("destination", struct raw_policy, destination),
	STRING_OPT("protocol", struct raw_policy, protocol),
	STRING_OPT("source-ports", struct raw_policy, source_ports),
	STRING_OPT("destination-ports", struct raw_policy, destination_ports),
	STRING_OPT("reqid", struct raw_policy, reqid),
	STRING_OPT("spi", struct raw_policy, spi),
	STRING_OPT("priority", struct raw_policy, priority),
	STRING_OPT("mode", struct raw_policy, mode),
	STRING_OPT("tunnel-source", struct raw_policy, tunnel_source),
	STRING_OPT("tunnel-destination", struct raw_policy, tunnel_destination),
	STRING_OPT("if-id", struct raw_policy, if_id),
	STRING_OPT("mark", struct raw_policy, mark),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t policy_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_policy, policy_fields),
};

static const cyaml_schema_field_t pair_fields[] = {
	STRING("from", struct raw_pair, from),
	STRING("to", struct raw_pair, to),
	STRING("action", struct raw_pair, action),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t pair_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_pair, pair_fields),
};

static const cyaml_schema_field_t plugin_fields[] = {
	STRING("library", struct raw_plugin, library),
	STRING("node", struct raw_plugin, node),
	STRING("edge", struct raw_plugin, edge),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t plugin_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_plugin, plugin_fields),
};

static const cyaml_schema_field_t top_fields[] = {
	STRING("name", struct raw, name),
	MAP_OPT("eal", struct raw, eal, eal_fields),
	LIST_OPT("lcores", struct raw, lcores, &lcore_entry),
	STRING_OPT("idle", struct raw, idle),
	STRING_OPT("log-level", struct raw, log_level),
	LIST_OPT("ports", struct raw, ports, &port_entry),
	MAP_OPT("crypto", struct raw, crypto, crypto_fields),
	MAP_OPT("ipsec", struct raw, ipsec, ipsec_fields),
	MAP_OPT("limits", struct raw, limits, limits_fields),
	MAP_OPT("metrics", struct raw, metrics, metrics_fields),
	LIST_OPT("sas", struct raw, sas, &sa_entry),
	LIST_OPT("policies", struct raw, policies, &policy_entry),
	LIST_OPT("port-pairs", struct raw, pairs, &pair_entry),
	LIST_OPT("plugins", struct raw, plugins, &plugin_entry),
	STRING_OPT("socket", struct raw, socket),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_schema = {
	CYAML_VALUE_MAPPING(PTR, struct raw, top_fields),
};

/* libcyaml tells an error over several lines: what, then where, from the inside to the outside. */
struct story {
	char what[200];
	char steps[8][80]; /* "mtu" or "[3]" */
	unsigned int n_steps;
};

static void __attribute__((format(printf, 3, 0)))
collect(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct story *story = ctx;
	char text[sizeof(story->what)], key[64];
	unsigned int n;
	char *step;

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = '\0';
	step = story->steps[story->n_steps];
	if (strncmp(text, "  in ", 5) == 0) {
		if (story->n_steps == RTE_DIM(story->steps) - 1)
			return;
		if (sscanf(text, "  in mapping field '%63[^']'", key) == 1)
			snprintf(step, sizeof(story->steps[0]), "%s", key);
		else if (sscanf(text, "  in sequence entry '%u'", &n) == 1)
			snprintf(step, sizeof(story->steps[0]), "[%u]", n > 0 ? n - 1 : 0);
		story->n_steps++;
	} else if (story->what[0] == '\0') {
		const char *s = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;

		snprintf(story->what, sizeof(story->what), "%s", s);
	}
}

static void
story_path(const struct story *story, bool skip_first, const char *leaf, char *path, size_t size)
{
	size_t len = 0;

	path[0] = '\0';
	for (unsigned int i = story->n_steps; i-- > (skip_first ? 1u : 0u);) {
		const char *step = story->steps[i];

		if (step[0] == '\0')
			continue;
		len += snprintf(
			path + len, size - len, "%s%s", len > 0 && step[0] != '[' ? "." : "", step);
		if (len >= size)
			return;
	}
	if (leaf != NULL)
		snprintf(path + len, size - len, "%s%s", len > 0 ? "." : "", leaf);
}

/* The keys of the mapping that the story's steps but the first lead to. */
static const cyaml_schema_field_t *
fields_at(const struct story *story)
{
	const cyaml_schema_value_t *v = &top_schema;

	for (unsigned int i = story->n_steps; i-- > 1;) {
		const cyaml_schema_field_t *field = v->mapping.fields;

		if (story->steps[i][0] == '[')
			continue; /* an element: the list's step led to it */
		while (field->key != NULL && strcmp(field->key, story->steps[i]) != 0)
			field++;
		if (field->key == NULL)
			return NULL;
		v = field->value.type == CYAML_SEQUENCE ? field->value.sequence.entry
							: &field->value;
		if (v->type != CYAML_MAPPING)
			return NULL;
	}
	return v->mapping.fields;
}

static const char *
key_of(void *fields, unsigned int n)
{
	return ((const cyaml_schema_field_t *)fields)[n].key;
}

static int
tell_unknown(struct config_load *l, const struct story *story, const char *key)
{
	const cyaml_schema_field_t *fields = fields_at(story);
	const char *near = NULL;
	char path[512];

	story_path(story, true, key, path, sizeof(path));
	if (key != NULL && fields != NULL)
		near = config_nearest(key, key_of, (void *)(uintptr_t)fields);
	if (near != NULL)
		return config_fail_path(l, path, "unknown key: did you mean '%s'?", near);
	return config_fail_path(l, path, "unknown key");
}

static const char *
plain_word(const char *yaml_word)
{
	if (strncmp(yaml_word, "MAPPING", 7) == 0)
		return "\"key: value\" lines";
	if (strncmp(yaml_word, "SEQUENCE", 8) == 0)
		return "a list";
	return "one value";
}

static int
tell(struct config_load *l, cyaml_err_t err, const struct story *story)
{
	const char *got = strstr(story->what, "got event: ");
	const char *leaf = strrchr(story->what, ' ');
	char path[512];

	leaf = leaf != NULL ? leaf + 1 : story->what;
	switch (err) {
	case CYAML_ERR_INVALID_KEY:
		leaf = strchr(story->what, ':');
		return tell_unknown(l, story, leaf != NULL ? leaf + 2 : NULL);
	case CYAML_ERR_MAPPING_FIELD_MISSING:
		story_path(story, true, leaf, path, sizeof(path));
		return config_fail_path(l, path, "is missing");
	case CYAML_ERR_INVALID_VALUE:
		story_path(story, false, NULL, path, sizeof(path));
		if (got != NULL && strncmp(story->what, "Expecting ", 10) == 0)
			return config_fail_path(l, path, "expected %s, got %s",
				plain_word(story->what + 10), plain_word(got + 11));
		break;
	default:
		story_path(story, false, NULL, path, sizeof(path));
		break;
	}
	return config_fail_path(
		l, path, "%s", story->what[0] != '\0' ? story->what : cyaml_strerror(err));
}

static const cyaml_config_t cyaml_base = {
	.log_fn = collect,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
	.flags = CYAML_CFG_NO_ALIAS,
};

int
config_schema_load(struct config_load *l)
{
	struct story story = {0};
	cyaml_config_t cyaml = cyaml_base;
	cyaml_err_t err;

	cyaml.log_ctx = &story;
	err = cyaml_load_data((const uint8_t *)l->t.text, l->t.len, &cyaml, &top_schema,
		(cyaml_data_t **)&l->raw, NULL);
	if (err != CYAML_OK)
		return tell(l, err, &story);
	if (l->raw == NULL)
		return config_fail_path(l, "name", "is missing");
	return 0;
}

void
config_schema_free(struct config_load *l)
{
	struct story story = {0};
	cyaml_config_t cyaml = cyaml_base;

	cyaml.log_ctx = &story;
	if (l->raw != NULL)
		cyaml_free(&cyaml, &top_schema, l->raw, 0);
	l->raw = NULL;
}

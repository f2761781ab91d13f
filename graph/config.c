/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <rte_log.h>

#define NAME_MAX_LEN 32
#define DEVICES_MAX 8 /* crypto_server.dev_id[] */

static int __attribute__((format(printf, 3, 0)))
fail_line(const struct config_load *l, const char *path, const char *fmt, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, args);
	/* Values come from the file, and this is one line. */
	for (char *s = text; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	fprintf(config_complaints(), "%s:%u: %s%s%s\n", l->t.path, config_line_of(&l->t, path),
		path, *path != '\0' ? ": " : "", text);
	return -EINVAL;
}

int
config_fail_path(const struct config_load *l, const char *path, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail_line(l, path, fmt, args);
	va_end(args);
	return -EINVAL;
}

int
config_fail(const struct config_load *l, const struct config_where *w, const char *key,
	const char *fmt, ...)
{
	const char *section = w->section != NULL ? w->section : "";
	char path[256], index[16] = "";
	va_list args;

	if (w->index >= 0)
		snprintf(index, sizeof(index), "[%d]", w->index);
	snprintf(path, sizeof(path), "%s%s%s%s", section, index,
		key != NULL && *section != '\0' ? "." : "", key != NULL ? key : "");
	va_start(args, fmt);
	fail_line(l, path, fmt, args);
	va_end(args);
	return -EINVAL;
}

int
config_number(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, uint64_t *out)
{
	bool hex = value != NULL && value[0] == '0' && value[1] == 'x';
	const char *digits = hex ? value + 2 : value;
	char *end = NULL;

	if (value == NULL)
		return 0;
	/* strtoull() takes signs, blanks and an empty string as well; and 010 is eight to some. */
	if (!isxdigit((unsigned char)*digits) || (!hex && *digits == '0' && digits[1] != '\0'))
		return config_fail(l, w, key, "'%s' is not a number", value);
	errno = 0;
	*out = strtoull(digits, &end, hex ? 16 : 10);
	if (*end != '\0' || errno != 0)
		return config_fail(l, w, key, "'%s' is not a number", value);
	return 0;
}

int
config_uint(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, unsigned int dflt, uint64_t min, uint64_t max, unsigned int *out)
{
	uint64_t v = dflt;
	int ret = config_number(l, w, key, value, &v);

	if (ret < 0)
		return ret;
	if (value != NULL && (v < min || v > max))
		return config_fail(l, w, key, "value %s is out of range (%" PRIu64 "..%" PRIu64 ")",
			value, min, max);
	*out = v;
	return 0;
}

int
config_choice(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, const char *const *names, unsigned int dflt, unsigned int *out)
{
	char list[256] = "";
	size_t len = 0;

	*out = dflt;
	if (value == NULL)
		return 0;
	for (unsigned int i = 0; names[i] != NULL; i++) {
		if (strcmp(value, names[i]) == 0) {
			*out = i;
			return 0;
		}
		len += snprintf(list + len, sizeof(list) - RTE_MIN(len, sizeof(list)), "%s%s",
			i > 0 ? ", " : "", names[i]);
	}
	return config_fail(l, w, key, "'%s' is not one of: %s", value, list);
}

int
config_bool(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, bool dflt, bool *out)
{
	static const char *const names[] = {"false", "true", "no", "yes", "off", "on", NULL};
	unsigned int i;
	int ret = config_choice(l, w, key, value, names, dflt, &i);

	*out = i & 1;
	return ret;
}

int
config_alloc(void *out, size_t n, size_t size)
{
	void *v = n > 0 ? calloc(n, size) : NULL;

	memcpy(out, &v, sizeof(v));
	return n > 0 && v == NULL ? -ENOMEM : 0;
}

/* Names become file names, and an argument of EAL. */
static bool
valid_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > NAME_MAX_LEN || !isalnum((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && strchr("-_.", s[i]) == NULL)
			return false;
	return true;
}

static int
read_names(struct config_load *l)
{
	struct config *c = l->config;
	const struct raw_eal *eal = l->raw->eal;
	const struct config_where *top = AT(NULL, -1);

	c->name = config_take(&l->raw->name);
	if (!valid_name(c->name))
		return config_fail(l, top, "name",
			"'%s' is not a name: 1 to %u letters, digits, '-', '_', '.'", c->name,
			NAME_MAX_LEN);
	c->socket = config_take(&l->raw->socket);
	if (c->socket == NULL && asprintf(&c->socket, "/run/cygnet/%s.sock", c->name) < 0) {
		c->socket = NULL;
		return -ENOMEM;
	}
	if (c->socket[0] != '/' ||
		strlen(c->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return config_fail(l, top, "socket",
			"'%s' is not an absolute path of at most %zu bytes", c->socket,
			sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	if (eal != NULL)
		c->eal.file_prefix = config_take(&l->raw->eal->file_prefix);
	if (c->eal.file_prefix == NULL && (c->eal.file_prefix = strdup(c->name)) == NULL)
		return -ENOMEM;
	if (!valid_name(c->eal.file_prefix))
		return config_fail(l, AT("eal", -1), "file-prefix",
			"'%s' is not a name: 1 to %u letters, digits, '-', '_', '.'",
			c->eal.file_prefix, NAME_MAX_LEN);
	return 0;
}

static int
read_eal(struct config_load *l)
{
	/* What the configuration says elsewhere, or with what no secondary process attaches: charon's agent is one. */
	static const char *const ours[] = {"-l", "-c", "-m", "--lcores", "--main-lcore",
		"--file-prefix", "--proc-type", "--socket-mem", "--socket-limit", "--in-memory",
		"--no-huge", "--iova-mode", "--huge-unlink", "--no-shconf"};
	struct config *c = l->config;
	struct raw_eal *eal = l->raw->eal;
	const struct config_where *w = AT("eal", -1);
	int ret;

	ret = config_uint(l, w, "memory", eal != NULL ? eal->memory : NULL, 256, 128, 1u << 20,
		&c->eal.memory);
	if (ret < 0 || eal == NULL)
		return ret;
	for (unsigned int i = 0; i < eal->n_options; i++) {
		size_t len = strcspn(eal->options[i], "=");
		char key[32];

		snprintf(key, sizeof(key), "options[%u]", i);
		for (unsigned int j = 0; j < RTE_DIM(ours); j++)
			/* "-l0-3" is -l as well. */
			if (strncmp(eal->options[i], ours[j], strlen(ours[j])) == 0 &&
				(len == strlen(ours[j]) || ours[j][1] != '-'))
				return config_fail(l, w, key,
					"'%s' is refused: it follows from the other keys, or "
					"charon's agent could not attach",
					ours[j]);
	}
	c->eal.options = eal->options;
	c->eal.n_options = eal->n_options;
	eal->options = NULL;
	eal->n_options = 0;
	return 0;
}

static int
read_crypto(struct config_load *l)
{
	static const char *const modes[] = {"dedicated", "inline", NULL};
	static const char *const devices[] = {
		"native", "crypto_aesni_gcm", "crypto_aesni_mb", "crypto_openssl"};
	static const struct raw_crypto none;
	const struct raw_crypto *raw = l->raw->crypto != NULL ? l->raw->crypto : &none;
	const struct config_where *w = AT("crypto", -1);
	struct config *c = l->config;
	unsigned int mode, n = raw->devices != NULL ? raw->n_devices : RTE_DIM(devices);
	int ret;

	ret = config_choice(l, w, "mode", raw->mode, modes, CRYPTO_DEDICATED, &mode);
	c->crypto.mode = mode;
	if (ret == 0)
		ret = config_uint(l, w, "frames", raw->frames, 64, 2, 1024, &c->crypto.frames);
	if (ret == 0 && (n == 0 || n > DEVICES_MAX))
		ret = config_fail(
			l, w, "devices", "%u devices, where 1 to %u may be", n, DEVICES_MAX);
	if (ret == 0)
		ret = config_alloc(&c->crypto.devices, n, sizeof(char *));
	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		const char *name = raw->devices != NULL ? raw->devices[i] : devices[i];
		char key[32];

		snprintf(key, sizeof(key), "devices[%u]", i);
		if (strcmp(name, "native") != 0 &&
			(strncmp(name, "crypto_", 7) != 0 || name[7] == '\0' ||
				name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] !=
					'\0'))
			return config_fail(l, w, key,
				"'%s' is neither 'native' nor a driver name (crypto_…)", name);
		for (unsigned int j = 0; j < i; j++)
			if (strcmp(c->crypto.devices[j], name) == 0)
				return config_fail(l, w, key, "'%s' is named twice", name);
		c->crypto.devices[i] = strdup(name);
		if (c->crypto.devices[i] == NULL)
			return -ENOMEM;
		c->crypto.n_devices++;
	}
	return ret;
}

const char *const config_fragment_names[] = {"before", "after", "never", NULL};

static int
read_ipsec(struct config_load *l)
{
	static const char *const actions[] = {"discard", "bypass", NULL};
	static const char *const idles[] = {"back-off", "poll", NULL};
	static const char *const keeping[] = {"false", "insecure", NULL};
	/* By RTE_LOG_ERR and what follows it. */
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};
	static const struct raw_ipsec none;
	const struct raw_ipsec *raw = l->raw->ipsec != NULL ? l->raw->ipsec : &none;
	const struct config_where *w = AT("ipsec", -1);
	struct config *c = l->config;
	unsigned int action, idle, level, fragment, keep;
	int ret;

	ret = config_choice(l, AT(NULL, -1), "idle", l->raw->idle, idles, IDLE_BACK_OFF, &idle);
	if (ret == 0)
		ret = config_choice(
			l, AT(NULL, -1), "log-level", l->raw->log_level, levels, 3, &level);
	if (ret == 0)
		ret = config_choice(
			l, w, "local-action", raw->local_action, actions, DEFAULT_BYPASS, &action);
	if (ret == 0)
		ret = config_choice(l, w, "keep-keys", raw->keep_keys, keeping, 0, &keep);
	if (ret < 0)
		return ret;
	c->keep_keys = keep == 1;
	c->idle = idle;
	c->log_level = RTE_LOG_ERR + level;
	c->local_action = action;
	ret = config_uint(l, w, "policies-timeout", raw->policies_timeout, 60, 1, 86400,
		&c->policies_timeout);
	if (ret == 0)
		ret = config_uint(
			l, w, "orphan-grace", raw->orphan_grace, 300, 0, 86400, &c->orphan_grace);
	if (ret == 0)
		ret = config_bool(l, w, "static-only", raw->static_only, false, &c->static_only);
	if (ret == 0)
		ret = config_bool(l, w, "path-mtu-discovery", raw->path_mtu_discovery, true,
			&c->path_mtu_discovery);
	if (ret == 0)
		ret = config_uint(l, w, "audit-rate", raw->audit_rate, 10, 0, 1000, &c->audit_rate);
	if (ret == 0)
		ret = config_uint(l, w, "reassembly-timeout", raw->reassembly_timeout, 2, 1, 60,
			&c->reassembly_timeout);
	if (ret == 0)
		ret = config_choice(l, w, "fragment", raw->fragment, config_fragment_names,
			SA_FRAGMENT_BEFORE, &fragment);
	if (ret == 0)
		c->fragment = fragment;
	return ret;
}

static int
read_limits(struct config_load *l)
{
	static const struct raw_limits none;
	const struct raw_limits *raw = l->raw->limits != NULL ? l->raw->limits : &none;
	struct config *c = l->config;
	const struct {
		const char *key;
		const char *value;
		unsigned int dflt, min, max;
		unsigned int *out;
	} limits[] = {
		{"sas", raw->sas, 4096, 16, 1u << 20, &c->limits.sas},
		{"policies", raw->policies, 4096, 16, 1u << 20, &c->limits.policies},
		{"routes", raw->routes, 65536, 256, 1u << 22, &c->limits.routes},
		{"nexthops", raw->nexthops, 4096, 64, 1u << 20, &c->limits.nexthops},
		{"mbufs", raw->mbufs, 16384, 2048, 1u << 23, &c->limits.mbufs},
		{"punt-rate", raw->punt_rate, 1000, 0, 10000000, &c->limits.punt_rate},
		{"reassemblies", raw->reassemblies, 256, 0, 65536, &c->limits.reassemblies},
	};
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < RTE_DIM(limits); i++)
		ret = config_uint(l, AT("limits", -1), limits[i].key, limits[i].value,
			limits[i].dflt, limits[i].min, limits[i].max, limits[i].out);
	return ret;
}

/* Whom metrics are for is who reaches the address: this machine alone, unless it is told otherwise. */
static int
read_metrics(struct config_load *l)
{
	struct raw_metrics *raw = l->raw->metrics;
	const struct config_where *w = AT("metrics", -1);
	struct config *c = l->config;
	const char *address = "127.0.0.1";
	struct ip_addr parsed;
	int ret;

	if (raw == NULL)
		return 0;
	if (raw->address != NULL)
		address = raw->address;
	if (addr_parse(address, &parsed) < 0)
		return config_fail(l, w, "address", "'%s' is not an address", address);
	c->metrics.vici = config_take(&raw->vici);
	if (c->metrics.vici != NULL && c->metrics.vici[0] != '/' &&
		strncmp(c->metrics.vici, "unix:///", 8) != 0)
		return config_fail(l, w, "vici",
			"'%s' is not the path of a socket (/run/charon.vici)", c->metrics.vici);
	ret = config_uint(l, w, "port", raw->port, 0, 1, 65535, &c->metrics.port);
	if (ret == 0 && (c->metrics.address = strdup(address)) == NULL)
		ret = -ENOMEM;
	return ret;
}

struct config *
config_load(const char *path)
{
	static int (*const steps[])(struct config_load *) = {config_file_read, config_schema_load,
		read_names, read_eal, read_crypto, read_ipsec, read_limits, read_metrics,
		config_read_lcores, config_read_ports, config_read_pairs, config_read_plugins,
		config_read_sas, config_read_policies};
	struct config_load l = {.t = {.path = path}};
	int ret = config_alloc(&l.config, 1, sizeof(*l.config));

	if (ret == 0) {
		l.config->path = strdup(path);
		ret = l.config->path != NULL ? 0 : -ENOMEM;
	}
	for (unsigned int i = 0; ret == 0 && i < RTE_DIM(steps); i++)
		ret = steps[i](&l);
	config_schema_free(&l);
	config_file_free(&l);
	free(l.by_reqid);
	if (ret == -ENOMEM)
		fprintf(config_complaints(), "%s: out of memory\n", path);
	if (ret < 0) {
		config_free(l.config);
		return NULL;
	}
	return l.config;
}

static void
free_strings(char **v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (unsigned int i = 0; i < c->n_ports; i++) {
		struct config_port *p = &c->ports[i];

		free_strings(p->addresses, p->n_addresses);
		free(p->name);
		free(p->devargs);
		free(p->netdev);
		free(p->addrs);
		free(p->plens);
		free(p->workers);
	}
	for (unsigned int i = 0; i < c->n_sas; i++) {
		free(c->sas[i].name);
		free(c->sas[i].state_file);
	}
	if (c->sas != NULL)
		explicit_bzero(c->sas, c->n_sas * sizeof(*c->sas));
	for (unsigned int i = 0; i < c->n_plugins; i++) {
		free(c->plugins[i].library);
		free(c->plugins[i].node);
		free(c->plugins[i].from);
		free(c->plugins[i].to);
	}
	free_strings(c->eal.options, c->eal.n_options);
	free_strings(c->crypto.devices, c->crypto.n_devices);
	free(c->eal.file_prefix);
	free(c->lcores);
	free(c->ports);
	free(c->sas);
	free(c->policies);
	free(c->pairs);
	free(c->plugins);
	free(c->metrics.address);
	free(c->metrics.vici);
	free(c->socket);
	free(c->name);
	free(c->path);
	free(c);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <errno.h>
#include <string.h>

static int
find_port(struct config_load *l, const struct config_where *w, const char *key, const char *name,
	unsigned int *at)
{
	const struct config *c = l->config;

	for (*at = 0; *at < c->n_ports; (*at)++)
		if (strcmp(c->ports[*at].name, name) == 0)
			return 0;
	return config_fail(l, w, key, "there is no port '%s'", name);
}

int
config_read_pairs(struct config_load *l)
{
	static const char *const actions[] = {"discard", "bypass", NULL}; /* enum default_action */
	struct config *c = l->config;
	unsigned int n = l->raw->n_pairs, action;
	int ret = config_alloc(&c->pairs, n, sizeof(*c->pairs));

	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		const struct raw_pair *raw = &l->raw->pairs[i];
		const struct config_where *w = AT("port-pairs", i);
		struct config_pair *p = &c->pairs[i];

		c->n_pairs++;
		ret = find_port(l, w, "from", raw->from, &p->from);
		if (ret == 0)
			ret = find_port(l, w, "to", raw->to, &p->to);
		if (ret == 0)
			ret = config_choice(l, w, "action", raw->action, actions, 0, &action);
		if (ret < 0)
			return ret;
		p->action = action;
		for (unsigned int k = 0; k < i; k++)
			if (c->pairs[k].from == p->from && c->pairs[k].to == p->to)
				return config_fail(
					l, w, NULL, "port-pairs[%u] is of the same two ports", k);
	}
	return ret;
}

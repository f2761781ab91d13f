/* SPDX-License-Identifier: BSD-3-Clause */
#include "node_plugins.h"

#include "log.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include <rte_graph.h>

/* Which edge of the node leads to that name; RTE_EDGE_ID_INVALID when none does. */
static rte_edge_t
edge_to(rte_node_t node, const char *to)
{
	rte_node_t n = rte_node_edge_count(node);
	rte_edge_t found = RTE_EDGE_ID_INVALID;
	char **names;

	if (n == 0 || n == RTE_NODE_ID_INVALID)
		return RTE_EDGE_ID_INVALID;
	names = calloc(n, sizeof(*names));
	if (names == NULL)
		return RTE_EDGE_ID_INVALID;
	rte_node_edge_get(node, names);
	for (rte_edge_t i = 0; i < n; i++)
		if (strcmp(names[i], to) == 0)
			found = i;
	free(names);
	return found;
}

bool
node_plugins_is_source(const struct config_plugin *p)
{
	return strcmp(p->from, p->node) == 0;
}

static int
insert(const struct config_plugin *p)
{
	rte_node_t from = rte_node_from_name(p->from), node = rte_node_from_name(p->node);
	const char *to[] = {p->to}, *via[] = {p->node};
	bool source = node_plugins_is_source(p);
	rte_edge_t edge = RTE_EDGE_ID_INVALID;

	if (node == RTE_NODE_ID_INVALID) {
		LOG(ERR, "node plugin %s registers no node \"%s\"", p->library, p->node);
		return -ENOENT;
	}
	if (from == RTE_NODE_ID_INVALID || rte_node_from_name(p->to) == RTE_NODE_ID_INVALID) {
		LOG(ERR, "node plugin %s: there is no node \"%s\"", p->node,
			from == RTE_NODE_ID_INVALID ? p->from : p->to);
		return -ENOENT;
	}
	if (!source)
		edge = edge_to(from, p->to);
	if (!source && edge == RTE_EDGE_ID_INVALID) {
		LOG(ERR, "node plugin %s: no edge leads from \"%s\" to \"%s\"", p->node, p->from,
			p->to);
		return -ENOENT;
	}
	/* RTE_EDGE_ID_INVALID appends; a node that was declared with an edge 0 has it set anew. */
	if (rte_node_edge_update(
		    node, rte_node_edge_count(node) > 0 ? 0 : RTE_EDGE_ID_INVALID, to, 1) != 1 ||
		(!source && rte_node_edge_update(from, edge, via, 1) != 1)) {
		LOG(ERR, "node plugin %s: its edge could not be set", p->node);
		return -EINVAL;
	}
	return 0;
}

int
node_plugins_load(const struct config *config)
{
	for (unsigned int i = 0; i < config->n_plugins; i++) {
		const struct config_plugin *p = &config->plugins[i];
		int rc;

		/* Never unloaded: its nodes stay registered until the process ends. */
		if (dlopen(p->library, RTLD_NOW | RTLD_LOCAL) == NULL) {
			LOG(ERR, "node plugin %s: %s", p->node, dlerror());
			return -ENOENT;
		}
		rc = insert(p);
		if (rc < 0)
			return rc;
	}
	return 0;
}

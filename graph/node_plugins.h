/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_NODE_PLUGINS_H
#define CYGNET_NODE_PLUGINS_H

#include "config.h"

/*
 * Loads the shared objects of the configuration, whose nodes register themselves, and puts each named node
 * on its edge: from -> to becomes from -> node -> to; the node's edge 0 is set to lead to "to". Before
 * any graph is created. Returns 0, or a negative errno after one log line.
 */
int node_plugins_load(const struct config *config);

/* Whether its node makes packets itself: the edge begins with it. Each worker's graph has it. */
bool node_plugins_is_source(const struct config_plugin *p);

#endif

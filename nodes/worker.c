/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

struct worker *worker_creating;

_Static_assert(sizeof(struct worker_ctx) <= RTE_NODE_CTX_SZ, "fits a node's context");

int
worker_node_init(const struct rte_graph *graph, struct rte_node *node)
{
	struct worker_ctx *ctx = (struct worker_ctx *)(void *)node->ctx;

	(void)graph;
	ctx->w = worker_creating;
	return 0;
}

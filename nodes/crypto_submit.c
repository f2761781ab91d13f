/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "worker.h"

/* Packets whose room was admitted go into the open frame; the walk's end sends what is left. */
static uint16_t
crypto_submit_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);

	(void)graph;
	for (uint16_t i = 0; i < n; i++)
		crypto_push(&w->crypto_queue, objs[i]);
	return n;
}

static struct rte_node_register crypto_submit_node = {
	.name = "crypto-submit",
	.init = worker_node_init,
	.process = crypto_submit_process,
};
RTE_NODE_REGISTER(crypto_submit_node);

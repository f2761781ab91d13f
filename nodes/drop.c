/* SPDX-License-Identifier: BSD-3-Clause */
#include "drop.h"

#include "audit_packet.h"
#include "worker.h"

const char *const drop_names[DROP_REASONS_MAX] = {
#define X(id, name, text) [DROP_##id] = name,
	DROP_REASONS(X)
#undef X
};

const char *const drop_texts[DROP_REASONS_MAX] = {
#define X(id, name, text) [DROP_##id] = text,
	DROP_REASONS(X)
#undef X
};

/* The end of every packet that goes nowhere: counted by its reason. */
static uint16_t
drop_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);

	(void)graph;
	for (uint16_t i = 0; i < n; i++) {
		w->drops[pkt(objs[i])->drop]++;
		audit_packet(w, objs[i], pkt(objs[i]));
	}
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}

static struct rte_node_register drop_node = {
	.name = "drop",
	.init = worker_node_init,
	.process = drop_process,
};
RTE_NODE_REGISTER(drop_node);

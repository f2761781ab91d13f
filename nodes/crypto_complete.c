/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "worker.h"

#include <rte_graph_worker.h>

enum { EDGE_ENCRYPTED, EDGE_DECRYPTED, EDGE_AH_MADE, EDGE_AH_CHECKED };

#define FRAMES_PER_CALL 4

static inline rte_edge_t
edge_of(const struct rte_mbuf *m)
{
	uint16_t flags = pkt(m)->flags;

	return (flags & PKT_F_DECRYPT ? EDGE_DECRYPTED : EDGE_ENCRYPTED) +
	       (flags & PKT_F_AH ? EDGE_AH_MADE : 0);
}

/* Collects what the crypto lcores finished, frame by frame in the order of submission. */
static uint16_t
crypto_complete_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct crypto_frame *f;

	(void)objs;
	n = 0;
	for (int i = 0; i < FRAMES_PER_CALL && (f = crypto_done(&w->crypto_queue)) != NULL; i++) {
		for (uint16_t at = 0, end; at < f->n; at = end) {
			rte_edge_t edge = edge_of(f->pkts[at]);

			end = at + 1;
			while (end < f->n && edge_of(f->pkts[end]) == edge)
				end++;
			rte_node_enqueue(graph, node, edge, (void **)&f->pkts[at], end - at);
		}
		n += f->n;
		crypto_collected(&w->crypto_queue, f);
	}
	w->work += n;
	return n;
}

static struct rte_node_register crypto_complete_node = {
	.name = "crypto-complete",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = crypto_complete_process,
	.nb_edges = 4,
	.next_nodes = {[EDGE_ENCRYPTED] = "esp-encrypt-finish",
		[EDGE_DECRYPTED] = "esp-decrypt-finish",
		[EDGE_AH_MADE] = "ah-output-finish",
		[EDGE_AH_CHECKED] = "ah-input-finish"},
};
RTE_NODE_REGISTER(crypto_complete_node);

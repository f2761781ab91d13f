/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip6.h"
#include "stream.h"
#include "worker.h"

enum { EDGE_ESP, EDGE_AH, EDGE_PIECE4, EDGE_PIECE6 };

#define HANDOVER_BURST 64

static inline rte_edge_t
where(const struct rte_mbuf *m, const struct pkt *p)
{
	if (unlikely(p->flags & PKT_F_PIECE))
		return ip6_is_version(m) ? EDGE_PIECE6 : EDGE_PIECE4;
	return p->flags & PKT_F_AH ? EDGE_AH : EDGE_ESP;
}

/* What other workers received: ESP and AH whose SA's window is this worker's, and fragments of its datagrams. */
static uint16_t
handover_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	n = rte_ring_sc_dequeue_burst(w->handover, objs, HANDOVER_BURST, NULL);
	if (n == 0)
		return 0;
	w->work += n;
	node->idx = n;
	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, where(objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register handover_rx_node = {
	.name = "handover-rx",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = handover_rx_process,
	.nb_edges = 4,
	.next_nodes = {[EDGE_ESP] = "esp-decrypt",
		[EDGE_AH] = "ah-input",
		[EDGE_PIECE4] = "ip4-reassembly",
		[EDGE_PIECE6] = "ip6-reassembly"},
};
RTE_NODE_REGISTER(handover_rx_node);

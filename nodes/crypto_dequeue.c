/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "worker.h"

#include <rte_cryptodev.h>

#define DEQUEUE_BURST 64

/* Takes over how the operations went. */
static void
take_status(struct rte_crypto_op *const *ops, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		pkt_of_op(ops[i])->crypto_status = ops[i]->status;
}

/* Tells frames how many of their operations are done. */
static void
mark_done(struct rte_crypto_op *const *ops, uint16_t n)
{
	for (uint16_t at = 0, end; at < n; at = end) {
		struct crypto_frame *f = pkt_of_op(ops[at])->frame;

		end = at + 1;
		while (end < n && pkt_of_op(ops[end])->frame == f)
			end++;
		crypto_frame_done(f, end - at);
	}
}

/* Before they are marked: afterwards they may be gone. */
static void
show(struct worker *w, const struct rte_node *node, struct rte_crypto_op *const *ops, uint16_t n)
{
	struct rte_mbuf *pkts[DEQUEUE_BURST];

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = ops[i]->sym->m_src;
	w->probe_crypto(w, node, pkts, n);
}

/* What is done at once, by crypto-enqueue, is shown as what came out of a device, too. */
static int
crypto_dequeue_init(const struct rte_graph *graph, struct rte_node *node)
{
	worker_node_init(graph, node);
	worker_of(node)->crypto_server.dequeue = node;
	return 0;
}

static uint16_t
crypto_dequeue_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct crypto_server *s = &w->crypto_server;
	struct rte_crypto_op *ops[DEQUEUE_BURST];

	(void)graph;
	(void)objs;
	n = 0;
	for (uint16_t dev = 0; dev < s->n_devs; dev++) {
		uint16_t got;

		while (s->in_flight[dev] > 0) {
			got = rte_cryptodev_dequeue_burst(
				s->dev_id[dev], s->qp[dev], ops, DEQUEUE_BURST);
			if (got == 0)
				break;
			s->in_flight[dev] -= got;
			take_status(ops, got);
			if (unlikely(w->probe_crypto != NULL))
				show(w, node, ops, got);
			mark_done(ops, got);
			n += got;
		}
	}
	w->work += n;
	return n;
}

static struct rte_node_register crypto_dequeue_node = {
	.name = "crypto-dequeue",
	.flags = RTE_NODE_SOURCE_F,
	.init = crypto_dequeue_init,
	.process = crypto_dequeue_process,
	/* Packets leave in their frames; rte_graph wants an edge of every source. */
	.nb_edges = 1,
	.next_nodes = {"drop"},
};
RTE_NODE_REGISTER(crypto_dequeue_node);

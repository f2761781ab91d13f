/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "sad.h"
#include "worker.h"

#include <rte_cryptodev.h>

#define FRAMES_PER_CALL 4

/* Gives a frame's operations to their devices, run by run; false when a device is full. */
static bool
enqueue(struct crypto_server *s, struct crypto_frame *f, uint16_t *at)
{
	struct rte_crypto_op *ops[CRYPTO_FRAME_SIZE];

	while (*at < f->n) {
		uint8_t dev = pkt(f->pkts[*at])->sa->dev;
		uint16_t n = 0, taken;

		for (uint16_t i = *at; i < f->n && pkt(f->pkts[i])->sa->dev == dev; i++) {
			pkt(f->pkts[i])->frame = f;
			ops[n++] = pkt_op(pkt(f->pkts[i]));
		}
		taken = rte_cryptodev_enqueue_burst(s->dev_id[dev], s->qp[dev], ops, n);
		s->in_flight[dev] += taken;
		*at += taken;
		if (taken < n)
			return false;
	}
	return true;
}

/* Frames of the workers, in turn, to the crypto devices. */
static uint16_t
crypto_enqueue_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct crypto_server *s = &w->crypto_server;
	struct crypto_frame *f;

	(void)graph;
	(void)objs;
	n = 0;
	if (s->stalled != NULL) {
		if (!enqueue(s, s->stalled, &s->stalled_at))
			return 0;
		s->stalled = NULL;
	}
	for (int i = 0, empty = 0; i < FRAMES_PER_CALL && empty < s->n_clients;) {
		struct rte_ring *ring = s->from_client[s->next_client];

		s->next_client = s->next_client + 1 == s->n_clients ? 0 : s->next_client + 1;
		if (rte_ring_sc_dequeue(ring, (void **)&f) != 0) {
			empty++;
			continue;
		}
		empty = 0;
		i++;
		n += f->n;
		if (unlikely(w->probe_crypto != NULL))
			w->probe_crypto(w, node, f->pkts, f->n);
		s->stalled_at = 0;
		if (!enqueue(s, f, &s->stalled_at)) {
			s->stalled = f;
			break;
		}
	}
	w->work += n;
	return n;
}

static struct rte_node_register crypto_enqueue_node = {
	.name = "crypto-enqueue",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = crypto_enqueue_process,
	/* Packets leave in their frames; rte_graph wants an edge of every source. */
	.nb_edges = 1,
	.next_nodes = {"drop"},
};
RTE_NODE_REGISTER(crypto_enqueue_node);

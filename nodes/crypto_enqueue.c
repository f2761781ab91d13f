/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "crypto_sync.h"
#include "sad.h"
#include "worker.h"

#include <rte_cryptodev.h>

#define FRAMES_PER_CALL 4

/* Packets in a row, from at on, of one SA. */
static uint16_t
run_of(const struct crypto_frame *f, uint16_t at)
{
	const struct sa *sa = pkt(f->pkts[at])->sa;
	uint16_t end = at + 1;

	while (end < f->n && pkt(f->pkts[end])->sa == sa)
		end++;
	return end - at;
}

/*
 * Operations for the next packets, as many in a row as one device's queue is to do. AH's are made by the worker.
 * What a full queue did not take is made already: making changes the packet.
 */
static uint16_t
make_ops(struct crypto_server *s, struct crypto_frame *f, struct rte_crypto_op **ops)
{
	uint8_t dev = pkt(f->pkts[s->at])->sa->dev;
	uint16_t n = 0;

	for (uint16_t at = s->at, run; at < f->n; at += run) {
		const struct sa *sa = pkt(f->pkts[at])->sa;

		run = run_of(f, at);
		if (sa->dev != dev || crypto_sync_wants(sa, run))
			break;
		for (uint16_t i = at; i < at + run; i++) {
			struct pkt *p = pkt(f->pkts[i]);

			if (i >= s->made && likely(!(p->flags & PKT_F_AH)))
				esp_op(p, f->pkts[i], sa);
			p->frame = f;
			ops[n++] = pkt_op(p);
		}
	}
	s->made = RTE_MAX(s->made, s->at + n);
	return n;
}

/* Does a frame's packets from s->at on: at once where the device can, else by its queue; false when that is full. */
static bool
work(struct worker *w, struct crypto_server *s, struct crypto_frame *f)
{
	struct rte_crypto_op *ops[CRYPTO_FRAME_SIZE];

	while (s->at < f->n) {
		const struct sa *sa = pkt(f->pkts[s->at])->sa;
		uint16_t run = run_of(f, s->at), n;

		if (likely(crypto_sync_wants(sa, run))) {
			crypto_sync_run(s->sync, s->dev_id[sa->dev], sa, &f->pkts[s->at], run);
			if (unlikely(w->probe_crypto != NULL))
				w->probe_crypto(w, s->dequeue, &f->pkts[s->at], run);
			s->at += run;
			crypto_frame_done(f, run);
			continue;
		}
		n = make_ops(s, f, ops);
		run = rte_cryptodev_enqueue_burst(s->dev_id[sa->dev], s->qp[sa->dev], ops, n);
		s->in_flight[sa->dev] += run;
		s->at += run;
		if (run < n)
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
		if (!work(w, s, s->stalled))
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
		s->at = s->made = 0;
		if (!work(w, s, f)) {
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "crypto_sync.h"
#include "sad.h"
#include "worker.h"

#include <rte_cryptodev.h>

/* What is done at a time: while that is, the payloads of as many more are fetched. */
#define CHUNK 16
/* Bytes of a packet that are fetched: more comes by itself when the device is at it. */
#define FETCH (4 * RTE_CACHE_LINE_SIZE)

/* Packets in a row, from at on, of SAs that go together. */
static inline uint16_t
run_of(const struct crypto_frame *f, uint16_t at)
{
	const struct sa *sa = f->item[at].sa;
	uint16_t end = at + 1;

	while (end < f->n && crypto_sync_together(sa, f->item[end].sa))
		end++;
	return end - at;
}

/* The payloads of some packets, which a worker's core has written, and which are going to be written here. */
static inline void
fetch(const struct crypto_sync *c, const struct crypto_frame *f, uint16_t from, uint16_t end)
{
	for (uint16_t i = from; i < end && i < f->n; i++) {
		const struct crypto_item *item = &f->item[i];
		uint8_t *to;

		if (item->sa->sync == SA_SYNC_NO)
			continue;
		if (i == from || item->sa != item[-1].sa)
			crypto_sync_prefetch(c, item->sa);
		to = item->esp + RTE_MIN(item->len, (uint32_t)FETCH);
		for (uint8_t *line = item->esp + sizeof(struct rte_esp_hdr); line < to;
			line += RTE_CACHE_LINE_SIZE)
			prefetch_write(line);
		prefetch_write(to - 1);
	}
}

/* Before packets up to end are worked on, those after them are sent for: of this frame, or of the next. */
static inline void
fetch_ahead(struct crypto_server *s, const struct crypto_frame *f, uint16_t end)
{
	if (s->fetched < f->n) {
		fetch(s->sync, f, s->fetched, end + CHUNK);
		s->fetched = end + CHUNK;
	} else if (end >= f->n && s->work + 1 < s->n_work) {
		fetch(s->sync, s->frames[s->work + 1], 0, CHUNK);
		s->fetched_next = CHUNK;
	}
}

/*
 * Operations for the next packets, as many in a row as one device's queue is to do. AH's are made by the worker.
 * What a full queue did not take is made already: making changes the packet.
 */
static uint16_t
make_ops(struct crypto_server *s, struct crypto_frame *f, struct rte_crypto_op **ops)
{
	uint8_t dev = f->item[s->at].sa->dev;
	uint16_t n = 0;

	for (uint16_t at = s->at, run; at < f->n; at += run) {
		const struct sa *sa = f->item[at].sa;

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

/*
 * What was written of a short packet goes to the cache that cores share: a worker, or a port, is next to touch it. Of long
 * ones it costs more than it saves.
 */
static inline void
give_back(const struct crypto_item *item)
{
#ifdef RTE_ARCH_X86
	const uint8_t *to = item->esp + item->len;

	if (item->len > FETCH)
		return;
	/* CLDEMOTE (%rax); where it is not known it does nothing. */
	for (const uint8_t *line = item->esp + sizeof(struct rte_esp_hdr); line < to;
		line += RTE_CACHE_LINE_SIZE)
		asm volatile(".byte 0x0f, 0x1c, 0x00" ::"a"(line) : "memory");
#else
	(void)item;
#endif
}

/* Packets in a row, of SAs that go together, at once, by pieces. */
static inline void
work_at_once(struct worker *w, struct crypto_server *s, struct crypto_frame *f, uint16_t run)
{
	const struct sa *sa = f->item[s->at].sa;

	for (uint16_t end = s->at + run, n; s->at < end; s->at += n) {
		n = crypto_sync_some(sa, end - s->at, CHUNK);
		fetch_ahead(s, f, s->at + n);
		crypto_sync_items(
			s->sync, s->dev_id[sa->dev], sa, &f->item[s->at], &f->pkts[s->at], n);
		for (uint16_t i = s->at; i < s->at + n; i++)
			give_back(&f->item[i]);
		if (unlikely(w->probe_crypto != NULL))
			w->probe_crypto(w, s->dequeue, &f->pkts[s->at], n);
	}
}

/*
 * A device that has nothing of ours to do and does not take the next operation refuses that one: it cannot do it, though it
 * made a session for it. So many walks later its packet is given up, as what a device did not do well, or all behind it
 * would wait for ever.
 */
#define REFUSALS_MAX 100

static bool
give_up(struct crypto_server *s, struct crypto_frame *f, uint8_t dev)
{
	if (s->in_flight[dev] > 0 || ++s->refusals < REFUSALS_MAX)
		return false;
	s->refusals = 0;
	pkt(f->pkts[s->at++])->crypto_status = RTE_CRYPTO_OP_STATUS_ERROR;
	return true;
}

/* Does a frame's packets from s->at on: at once where the device can, else by its queue; false when that is full. */
static bool
work(struct worker *w, struct crypto_server *s, struct crypto_frame *f)
{
	struct rte_crypto_op *ops[CRYPTO_FRAME_SIZE];
	uint16_t done = 0;
	bool all = true;

	while (s->at < f->n) {
		const struct sa *sa = f->item[s->at].sa;
		uint16_t run = run_of(f, s->at), n;

		if (likely(crypto_sync_wants(sa, run))) {
			work_at_once(w, s, f, run);
			done += run;
			continue;
		}
		n = make_ops(s, f, ops);
		run = rte_cryptodev_enqueue_burst(s->dev_id[sa->dev], s->qp[sa->dev], ops, n);
		s->in_flight[sa->dev] += run;
		s->at += run;
		if (likely(run > 0))
			s->refusals = 0;
		if (likely(run == n))
			continue;
		if (run > 0 || !give_up(s, f, sa->dev)) {
			all = false;
			break;
		}
		done++;
	}
	/* The last touch, if that was the rest of it: then it is the worker's. */
	if (done > 0)
		crypto_frame_done(f, done);
	return all;
}

/* The next frames of the workers, in turn; returns their packets. */
static uint16_t
take_frames(struct worker *w, const struct rte_node *node, struct crypto_server *s)
{
	uint16_t n = 0;

	s->work = s->n_work = 0;
	for (int empty = 0; s->n_work < RTE_DIM(s->frames) && empty < s->n_clients;) {
		struct rte_ring *ring = s->from_client[s->next_client];
		struct crypto_frame *f;

		s->next_client = s->next_client + 1 == s->n_clients ? 0 : s->next_client + 1;
		if (rte_ring_sc_dequeue(ring, (void **)&f) != 0) {
			empty++;
			continue;
		}
		empty = 0;
		s->frames[s->n_work++] = f;
		n += f->n;
		if (unlikely(w->probe_crypto != NULL))
			w->probe_crypto(w, node, f->pkts, f->n);
	}
	return n;
}

/* Frames to the crypto devices. */
static uint16_t
crypto_enqueue_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct crypto_server *s = &w->crypto_server;

	(void)graph;
	(void)objs;
	n = 0;
	if (s->work == s->n_work)
		n = take_frames(w, node, s);
	for (; s->work < s->n_work; s->work++) {
		if (!work(w, s, s->frames[s->work]))
			break;
		s->at = s->made = 0;
		s->fetched = s->fetched_next;
		s->fetched_next = 0;
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

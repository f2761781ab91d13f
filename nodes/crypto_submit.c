/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "crypto_sync.h"
#include "stream.h"
#include "worker.h"

enum { EDGE_SEALED, EDGE_OPENED };

#define AHEAD 3
#define AHEAD_ITEMS 8

/* To a crypto lcore, with what that has to know of it. */
static inline void
push(struct crypto_queue *q, struct rte_mbuf *m, const struct sa *sa)
{
	struct crypto_item *item = crypto_push(q, m);
	struct pkt *p = pkt(m);

	prefetch_write(item + AHEAD_ITEMS);
	item->sa = sa;
	if (likely(sa->sync != SA_SYNC_NO)) {
		crypto_item_fill(item, m, p, sa);
		p->crypto_status = RTE_CRYPTO_OP_STATUS_SUCCESS;
	}
	crypto_pushed(q);
}

/*
 * Whether the worker does so many packets of an SA itself, now. Those of one SA keep their order: either all are done so, or
 * when none is in a frame.
 */
static inline bool
at_once(const struct worker *w, const struct sa *sa, uint16_t run)
{
	return w->crypto && crypto_sync_wants(sa, run) &&
	       (likely(sa->sync >= SA_SYNC) || crypto_idle(&w->crypto_queue));
}

/*
 * Packets whose room was admitted go into the open frame (crypto_frame.h). A worker that is its own
 * crypto lcore does at once what its devices can.
 */
static uint16_t
crypto_submit_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	struct crypto_server *server = &w->crypto_server;

	for (uint16_t at = 0, end; at < n; at = end) {
		const struct pkt *p = pkt(objs[at]);
		const struct sa *sa = p->sa;

		for (end = at + 1; end < n && crypto_sync_together(sa, pkt(objs[end])->sa);)
			end++;
		if (unlikely(!at_once(w, sa, end - at))) {
			for (uint16_t i = at; i < end; i++)
				push(&w->crypto_queue, objs[i], pkt(objs[i])->sa);
			stream_put(&s, at, EDGE_KEPT);
			continue;
		}
		if (end + AHEAD < n)
			crypto_sync_prefetch(server->sync, pkt(objs[end + AHEAD])->sa);
		crypto_sync_run(server->sync, server->dev_id[sa->dev], sa,
			(struct rte_mbuf **)&objs[at], end - at);
		crypto_unadmit(&w->crypto_queue, end - at);
		stream_put(&s, at, sa->dir == SA_DIR_IN ? EDGE_OPENED : EDGE_SEALED);
	}
	return stream_end(&s, n);
}

static struct rte_node_register crypto_submit_node = {
	.name = "crypto-submit",
	.init = worker_node_init,
	.process = crypto_submit_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_SEALED] = "esp-encrypt-finish", [EDGE_OPENED] = "esp-decrypt-finish"},
};
RTE_NODE_REGISTER(crypto_submit_node);

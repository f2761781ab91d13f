/* SPDX-License-Identifier: BSD-3-Clause */
#include "ah.h"
#include "decapsulate.h"
#include "inbound.h"
#include "stream.h"

enum { EDGE_CHECK, EDGE_DROP };

/* RFC 4302, 3.4.4 and 3.4.3: integrity first, then the window moves, then the rest is believed. */
static inline rte_edge_t
finish(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct sa *sa = p->sa;
	enum drop_reason reason;
	uint32_t payload;

	ah_uncover(m, p->esp_at);
	reason = inbound_authentic(w, p, sa);
	if (likely(reason == DROP_NONE)) {
		p->next_header =
			rte_pktmbuf_mtod_offset(m, struct ah_hdr *, p->esp_at)->next_header;
		payload = p->esp_at + ah_len(sa, esp_version(m) == 6);
		reason = decapsulate(w, m, p, sa, payload, p->esp_at, false);
		if (unlikely(reason != DROP_NONE))
			w->sa_counters[sa->slot].errors[SA_ERR_MALFORMED]++;
	}
	if (unlikely(reason != DROP_NONE))
		return inbound_drop(p, reason, EDGE_DROP);
	inbound_accepted(w, m, p, sa);
	return EDGE_CHECK;
}

static uint16_t
ah_input_finish_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, finish(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register ah_input_finish_node = {
	.name = "ah-input-finish",
	.init = worker_node_init,
	.process = ah_input_finish_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_CHECK] = "ipsec-input-check", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ah_input_finish_node);

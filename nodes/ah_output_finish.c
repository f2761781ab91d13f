/* SPDX-License-Identifier: BSD-3-Clause */
#include "ah.h"
#include "stream.h"
#include "worker.h"

enum { EDGE_LOOKUP, EDGE_DROP, EDGE_LOOKUP6 };

/* The mutable fields come back, the ICV goes in; it is counted, and finds its way. */
static inline rte_edge_t
finish(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct sa *sa = p->sa;
	struct ah_hdr *ah = rte_pktmbuf_mtod_offset(m, struct ah_hdr *, p->esp_at);

	ah_uncover(m, p->esp_at);
	memcpy(ah->icv, p->icv, sa->icv_len);
	p->sa = NULL;
	p->flags = (p->flags & ~(PKT_F_OWN_L2 | PKT_F_AH)) | PKT_F_SEALED;
	if (unlikely(p->crypto_status != RTE_CRYPTO_OP_STATUS_SUCCESS)) {
		p->drop = DROP_CRYPTO_ERROR;
		return EDGE_DROP;
	}
	worker_sa_used(w, sa, 1, p->clear_len);
	return esp_version(m) == 4 ? EDGE_LOOKUP : EDGE_LOOKUP6;
}

static uint16_t
ah_output_finish_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, finish(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register ah_output_finish_node = {
	.name = "ah-output-finish",
	.init = worker_node_init,
	.process = ah_output_finish_process,
	.nb_edges = 3,
	.next_nodes =
		{[EDGE_LOOKUP] = "ip4-lookup", [EDGE_DROP] = "drop", [EDGE_LOOKUP6] = "ip6-lookup"},
};
RTE_NODE_REGISTER(ah_output_finish_node);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ah.h"
#include "early.h"
#include "inbound.h"
#include "stream.h"

enum { EDGE_SUBMIT, EDGE_DROP };

/* RFC 4302, 3.4: up to the integrity check. p->l3_len: where AH begins. */
static inline rte_edge_t
open_ah(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	uint32_t at = p->l3_len, len;
	enum inbound_verdict verdict;
	struct ah_hdr *ah;
	uint16_t length;
	struct sa *sa;

	if (unlikely(!esp_linear(m)))
		return inbound_drop(p, DROP_ESP_NO_HEADROOM, EDGE_DROP);
	len = rte_pktmbuf_pkt_len(m);
	if (unlikely(len < at + sizeof(*ah)))
		return inbound_drop(p, DROP_AH_MALFORMED, EDGE_DROP);
	ah = rte_pktmbuf_mtod_offset(m, struct ah_hdr *, at);
	sa = sad_lookup(w->sad, ah->spi, IPPROTO_AH);
	p->flags |= PKT_F_AH;
	if (unlikely(sa == NULL || w->early.n != 0)) {
		enum early early = early_look(w, m, ah->spi, IPPROTO_AH, &sa);

		if (early != EARLY_GO)
			return early == EARLY_KEPT ? EDGE_KEPT
						   : inbound_drop(p, DROP_ESP_NO_SA, EDGE_DROP);
	}
	if (unlikely(sa == NULL || !(sa->flags & SA_F_AH)))
		return inbound_drop(p, DROP_ESP_NO_SA, EDGE_DROP);
	length = ah_len(sa, esp_version(m) == 6);
	if (unlikely((ah->len + 2) * 4 != length || len < at + length))
		return inbound_refuse(w, p, sa, DROP_AH_MALFORMED, SA_ERR_MALFORMED, EDGE_DROP);
	verdict = inbound_admit(w, m, p, sa, rte_be_to_cpu_32(ah->seq));
	if (unlikely(verdict != INBOUND_GO))
		return verdict == INBOUND_GONE ? EDGE_KEPT : EDGE_DROP;
	if (unlikely(!ah_cover(m, p, sa, at))) {
		crypto_unadmit(&w->crypto_queue, 1);
		return inbound_refuse(w, p, sa, DROP_AH_MALFORMED, SA_ERR_MALFORMED, EDGE_DROP);
	}
	p->sa = sa;
	p->spi = ah->spi;
	p->esp_at = at;
	p->flags |= PKT_F_DECRYPT;
	memcpy(p->icv, ah->icv, sa->icv_len);
	memset(ah->icv, 0, sa->icv_len);
	ah_op(p, m, sa);
	return EDGE_SUBMIT;
}

static uint16_t
ah_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, open_ah(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register ah_input_node = {
	.name = "ah-input",
	.init = worker_node_init,
	.process = ah_input_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_SUBMIT] = "crypto-submit", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ah_input_node);

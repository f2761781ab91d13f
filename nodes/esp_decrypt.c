/* SPDX-License-Identifier: BSD-3-Clause */
#include "early.h"
#include "esp_op.h"
#include "esp_transport.h"
#include "inbound.h"
#include "stream.h"
#include "worker.h"

enum { EDGE_SUBMIT, EDGE_DROP };

#define AHEAD 8 /* packets whose SAs are on their way */

/* RFC 4303, 3.4: up to the integrity check, which a crypto lcore does. p->l3_len: where ESP begins. */
static inline rte_edge_t
open_esp(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_esp_hdr *esp;
	uint32_t header = p->l3_len, len;
	enum inbound_verdict verdict;
	struct sa *sa;

	if (unlikely(!esp_linear(m)))
		return inbound_drop(p, DROP_ESP_NO_HEADROOM, EDGE_DROP);
	len = rte_pktmbuf_pkt_len(m);
	if (unlikely(len < header + sizeof(*esp)))
		return inbound_drop(p, DROP_ESP_SHORT, EDGE_DROP);
	esp = rte_pktmbuf_mtod_offset(m, const struct rte_esp_hdr *, header);
	sa = sad_lookup(w->sad, esp->spi, IPPROTO_ESP);
	if (unlikely(sa == NULL || w->early.n != 0)) {
		enum early early = early_look(w, m, esp->spi, IPPROTO_ESP, &sa);

		if (early != EARLY_GO)
			return early == EARLY_KEPT ? EDGE_KEPT
						   : inbound_drop(p, DROP_ESP_NO_SA, EDGE_DROP);
	}
	if (unlikely(sa == NULL || sa->flags & SA_F_AH))
		return inbound_drop(p, DROP_ESP_NO_SA, EDGE_DROP);
	if (unlikely(!(p->flags & PKT_F_UDP) != !(sa->flags & SA_F_UDP)))
		return inbound_refuse(w, p, sa, DROP_ESP_ENCAP, SA_ERR_MALFORMED, EDGE_DROP);
	header += sizeof(*esp) + sa->iv_len;
	if (unlikely(len < header + sa->align + sa->icv_len ||
		     ((len - header - sa->icv_len) & (sa->align - 1)) != 0))
		return inbound_refuse(w, p, sa, DROP_ESP_SHORT, SA_ERR_MALFORMED, EDGE_DROP);
	verdict = inbound_admit(w, m, p, sa, rte_be_to_cpu_32(esp->seq));
	if (unlikely(verdict != INBOUND_GO))
		return verdict == INBOUND_GONE ? EDGE_KEPT : EDGE_DROP;

	p->sa = sa;
	p->spi = esp->spi;
	p->esp_at = p->l3_len;
	p->flags |= PKT_F_DECRYPT;
	return EDGE_SUBMIT;
}

/* With many SAs they are in no cache. */
static inline void
prefetch_sa(struct worker *w, const struct rte_mbuf *m)
{
	const struct rte_esp_hdr *esp =
		rte_pktmbuf_mtod_offset(m, const struct rte_esp_hdr *, pkt(m)->l3_len);

	sad_prefetch_in(w->sad, sad_slot(w->sad, esp->spi));
}

static uint16_t
esp_decrypt_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++) {
		if (likely(i + AHEAD < n))
			prefetch_sa(w, objs[i + AHEAD]);
		stream_put(&s, i, open_esp(w, objs[i], pkt(objs[i])));
	}
	return stream_end(&s, n);
}

static struct rte_node_register esp_decrypt_node = {
	.name = "esp-decrypt",
	.init = worker_node_init,
	.process = esp_decrypt_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_SUBMIT] = "crypto-submit", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(esp_decrypt_node);

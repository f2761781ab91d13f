/* SPDX-License-Identifier: BSD-3-Clause */
#include "ah.h"
#include "seal_burst.h"
#include "seal_mtu.h"

#include <rte_ether.h>

/* All that can go wrong, before a sequence number is taken. */
static inline rte_edge_t
prepare(struct worker *w, struct rte_mbuf *m, struct pkt *p, bool admitted)
{
	const struct sa *sa = p->sa;
	const struct sa_template *t = seal_choose_template(sa, p);
	uint16_t mtu = atomic_load_explicit(&sa->mtu, memory_order_relaxed), before;
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint8_t copy[96]; /* more leaves no room for AH before it */

	if (unlikely(!admitted))
		return seal_refuse(w, p, DROP_CRYPTO_OVERLOAD, SA_ERR_OVERLOAD);
	if (unlikely(!esp_linear(m)))
		return seal_refuse(w, p, DROP_ESP_NO_HEADROOM, SA_ERR_MTU);
	p->l3_len = t->len;
	if (!(sa->flags & SA_F_TUNNEL)) {
		p->l3_len = esp_transport_split(m);
		if (p->l3_len == 0 || p->l3_len > sizeof(copy))
			return seal_refuse(w, p, DROP_ESP_FRAGMENT, SA_ERR_MALFORMED);
		/* Whether its mutable fields can be told is tried on a copy. */
		memcpy(copy, rte_pktmbuf_mtod(m, void *), p->l3_len);
		if (!(esp_version(m) == 4 ? ah_zero_ip4(copy, p->l3_len)
					  : ah_zero_ip6(copy, p->l3_len)))
			return seal_refuse(w, p, DROP_ESP_FRAGMENT, SA_ERR_MALFORMED);
	}
	before = t->len + ah_len(sa, t->len != 0 ? t->outer6 : esp_version(m) == 6);
	if (unlikely(mtu != 0 && len + before > mtu)) {
		rte_edge_t edge = seal_too_big(w, m, p, t, RTE_MAX(mtu - before, 0));

		if (edge != SEAL_SUBMIT)
			return edge;
	}
	/* Room for the header twice: it is kept while fields of it are zero. */
	if (unlikely(rte_pktmbuf_headroom(m) < before + p->l3_len + RTE_ETHER_HDR_LEN ||
		     rte_pktmbuf_tailroom(m) < 4 || len + before > UINT16_MAX))
		return seal_refuse(w, p, DROP_ESP_NO_HEADROOM, SA_ERR_MTU);
	return SEAL_SUBMIT;
}

/* RFC 4302, 3.1: the header between IP and the rest, or a new IP header and AH before the whole. */
static inline void
seal(struct rte_mbuf *m, struct pkt *p, const struct sa *sa, uint64_t sqn)
{
	const struct sa_template *t = seal_template(sa, p);
	bool inner6 = esp_version(m) == 6;
	uint16_t length = ah_len(sa, t->len != 0 ? t->outer6 : inner6), before = t->len + length;
	uint8_t next = inner6 ? IPPROTO_IPV6 : IPPROTO_IPIP, *outer;
	struct ah_hdr *ah;

	p->clear_len = rte_pktmbuf_pkt_len(m);
	outer = (uint8_t *)rte_pktmbuf_prepend(m, before);
	if (sa->flags & SA_F_TUNNEL) {
		outer_ip(sa, t, outer, outer + before, inner6, rte_pktmbuf_pkt_len(m), sqn);
	} else {
		memmove(outer, outer + before, p->l3_len);
		next = esp_transport_replace(m, p->l3_len, IPPROTO_AH);
	}
	ah = (struct ah_hdr *)(outer + p->l3_len);
	memset(ah, 0, length);
	ah->next_header = next;
	ah->len = length / 4 - 2;
	ah->spi = t->spi;
	ah->seq = rte_cpu_to_be_32((uint32_t)sqn);
	p->sqn = sqn;
	p->esp_at = p->l3_len;
	p->flags |= PKT_F_AH;
	ah_cover(m, p, sa, p->l3_len); /* prepare() has seen that it can be done */
	ah_op(p, m, sa);
}

static void
seal_all(void **objs, uint16_t n, const struct sa *sa, uint64_t sqn)
{
	for (uint16_t i = 0; i < n; i++)
		seal(objs[i], pkt(objs[i]), sa, sqn + i);
}

static uint16_t
ah_output_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return seal_burst(graph, node, objs, n, SEAL_SUBMIT, prepare, seal_all, seal_no_number);
}

static struct rte_node_register ah_output_node = {
	.name = "ah-output",
	.init = worker_node_init,
	.process = ah_output_process,
	.nb_edges = SEAL_EDGES,
	.next_nodes = {[SEAL_SUBMIT] = "crypto-submit",
		[SEAL_ICMP] = "icmp4-error",
		[SEAL_ICMP6] = "icmp6-error",
		[SEAL_FRAGMENT] = "ip4-fragment",
		[SEAL_DROP] = "drop"},
};
RTE_NODE_REGISTER(ah_output_node);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "esp_op.h"
#include "esp_transport.h"
#include "ip4.h"
#include "sad_lookup.h"
#include "stream.h"
#include "worker.h"

enum { EDGE_SUBMIT, EDGE_DROP };

static inline rte_edge_t
drop(struct pkt *p, enum drop_reason reason)
{
	p->drop = reason;
	return EDGE_DROP;
}

static inline rte_edge_t
refuse(struct worker *w, struct pkt *p, const struct sa *sa, enum drop_reason reason,
	enum sa_error error)
{
	w->sa_counters[sa->slot].errors[error]++;
	return drop(p, reason);
}

/* The worker that owns the SA's window: the first that sees a packet of it. */
static inline uint16_t
owner(const struct worker *w, struct sa *sa)
{
	uint16_t is = atomic_load_explicit(&sa->worker, memory_order_relaxed);

	if (unlikely(is == SA_NO_WORKER) &&
		atomic_compare_exchange_strong(&sa->worker, &is, w->index))
		is = w->index;
	return is;
}

static rte_edge_t
hand_over(struct worker *w, struct rte_mbuf *m, struct pkt *p, uint16_t to)
{
	/* No pointer to the SA travels: the other worker looks it up itself. */
	if (rte_ring_mp_enqueue(w->workers[to]->handover, m) == 0)
		return EDGE_KEPT;
	return drop(p, DROP_HANDOVER_FULL);
}

/* RFC 4303, 3.4: up to the integrity check, which a crypto lcore does. p->l3_len: where ESP begins. */
static inline rte_edge_t
open_esp(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct rte_esp_hdr *esp;
	struct esp_layout at;
	uint32_t header = p->l3_len, len, seq;
	uint16_t is;
	struct sa *sa;

	if (unlikely(esp_version(m) == 4 && ip4_is_fragment(ip4_hdr(m))))
		return drop(p, DROP_ESP_FRAGMENT);
	if (unlikely(!esp_linear(m)))
		return drop(p, DROP_ESP_NO_HEADROOM);
	len = rte_pktmbuf_pkt_len(m);
	if (unlikely(len < header + sizeof(*esp)))
		return drop(p, DROP_ESP_SHORT);
	esp = rte_pktmbuf_mtod_offset(m, const struct rte_esp_hdr *, header);
	sa = sad_lookup(w->sad, esp->spi, IPPROTO_ESP);
	if (unlikely(sa == NULL))
		return drop(p, DROP_ESP_NO_SA);
	if (unlikely(!(p->flags & PKT_F_UDP) != !(sa->flags & SA_F_UDP)))
		return refuse(w, p, sa, DROP_ESP_ENCAP, SA_ERR_MALFORMED);
	if (sa->replay != NULL) {
		is = owner(w, sa);
		if (unlikely(is != w->index))
			return hand_over(w, m, p, is);
	}

	header += sizeof(*esp) + sa->iv_len;
	if (unlikely(len < header + sa->align + sa->icv_len ||
		     (len - header - sa->icv_len) % sa->align != 0))
		return refuse(w, p, sa, DROP_ESP_SHORT, SA_ERR_MALFORMED);
	seq = rte_be_to_cpu_32(esp->seq);
	p->sqn = seq;
	if (sa->replay != NULL) {
		if (sa->flags & SA_F_ESN)
			p->sqn = replay_esn(sa->replay, seq);
		if (unlikely(!replay_check(sa->replay, p->sqn)))
			return refuse(w, p, sa, DROP_ESP_REPLAY, SA_ERR_REPLAY);
	}
	if (unlikely(crypto_admit(&w->crypto_queue, 1) == 0))
		return refuse(w, p, sa, DROP_CRYPTO_OVERLOAD, SA_ERR_OVERLOAD);

	p->sa = sa;
	p->spi = esp->spi;
	p->esp_at = p->l3_len;
	p->flags |= PKT_F_DECRYPT;
	at = (struct esp_layout){
		.esp = p->esp_at, .payload = header, .clear = len - header - sa->icv_len};
	esp_op(p, m, sa, &at, esp->spi, true);
	return EDGE_SUBMIT;
}

static uint16_t
esp_decrypt_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, open_esp(w, objs[i], pkt(objs[i])));
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

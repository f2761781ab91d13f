/* SPDX-License-Identifier: BSD-3-Clause */
#include "decapsulate.h"
#include "esp_op.h"
#include "inbound.h"
#include "stream.h"
#include "worker.h"

#include <rte_udp.h>

enum { EDGE_CHECK, EDGE_DROP };

/* Trailer bytes 1, 2, 3, …: RFC 4303, 2.4. The ICV is right, so this is the peer's mistake. */
static inline bool
padding_is_right(const uint8_t *pad, uint8_t len)
{
	for (uint8_t i = 0; i < len; i++)
		if (unlikely(pad[i] != i + 1))
			return false;
	return true;
}

/* RFC 3947, 5 and RFC 4306, 2.23: the NAT before the peer gave it another address or port. */
static void
check_mapping(struct worker *w, struct sa *sa, const struct rte_mbuf *m, const struct pkt *p)
{
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, p->esp_at - sizeof(*udp));
	struct sa_mapping now = {.slot = sa->slot, .spi = p->spi, .port = udp->src_port};

	now.addr.family = esp_version(m);
	if (now.addr.family == 4)
		now.addr.v4 = ip4_hdr(m)->src_addr;
	else
		memcpy(now.addr.b, rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->src_addr,
			sizeof(now.addr.b));
	if (likely(now.port == sa->peer_port && addr_equal(&now.addr, &sa->peer)) ||
		atomic_exchange_explicit(&sa->mapping_told, true, memory_order_relaxed))
		return;
	/* A full ring: it is told in a second. */
	rte_ring_mp_enqueue_elem(w->mappings, &now, sizeof(now));
}

/* Strips ESP; what is left is a packet, or it is said why not. */
static inline enum drop_reason
strip(struct worker *w, struct rte_mbuf *m, struct pkt *p, const struct sa *sa, bool udp)
{
	uint32_t payload = p->esp_at + sizeof(struct rte_esp_hdr) + sa->iv_len;
	uint32_t clear = rte_pktmbuf_pkt_len(m) - payload - sa->icv_len;
	const uint8_t *trailer =
		rte_pktmbuf_mtod_offset(m, uint8_t *, payload + clear - ESP_TRAILER_LEN);
	uint8_t pad = trailer[0];

	if (unlikely(pad + ESP_TRAILER_LEN > (int)clear || !padding_is_right(trailer - pad, pad)))
		return DROP_ESP_PADDING;
	p->next_header = trailer[1];
	if (unlikely(p->next_header == ESP_NH_DUMMY))
		return DROP_ESP_DUMMY;
	rte_pktmbuf_trim(m, pad + ESP_TRAILER_LEN + sa->icv_len);
	return decapsulate(
		w, m, p, sa, payload, p->esp_at - (udp ? sizeof(struct rte_udp_hdr) : 0), udp);
}

/* RFC 4303, 3.4.4 and 3.4.3: integrity first, then the window moves, then the rest is believed. */
static inline rte_edge_t
finish(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct sa *sa = p->sa;
	bool udp = p->flags & PKT_F_UDP;
	enum drop_reason reason;

	esp_op_undo(p, m, sa);
	reason = inbound_authentic(w, p, sa);
	if (likely(reason == DROP_NONE)) {
		if (udp)
			check_mapping(w, sa, m, p);
		reason = strip(w, m, p, sa, udp);
		if (unlikely(reason != DROP_NONE && reason != DROP_ESP_DUMMY))
			w->sa_counters[sa->slot].errors[SA_ERR_MALFORMED]++;
	}
	if (unlikely(reason != DROP_NONE))
		return inbound_drop(p, reason, EDGE_DROP);
	inbound_accepted(w, m, p, sa);
	return EDGE_CHECK;
}

static uint16_t
esp_decrypt_finish_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, finish(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register esp_decrypt_finish_node = {
	.name = "esp-decrypt-finish",
	.init = worker_node_init,
	.process = esp_decrypt_finish_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_CHECK] = "ipsec-input-check", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(esp_decrypt_finish_node);

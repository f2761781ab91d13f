/* SPDX-License-Identifier: BSD-3-Clause */
#include "decapsulate.h"
#include "esp_op.h"
#include "inbound.h"
#include "stream.h"
#include "worker.h"

#include <rte_udp.h>

enum { EDGE_CHECK, EDGE_DROP };

/* Trailer bytes 1, 2, 3, …: RFC 4303, 2.4. The ICV is right, so this is the peer's mistake. */
static __rte_noinline bool
padding_is_right(const uint8_t *pad, uint8_t len)
{
	return memcmp(pad, esp_padding, len) == 0;
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

/*
 * What most packets are: IPv4 without options, for others, out of a tunnel over IPv4, and nothing that the tunnel's header has to
 * tell. Whether it is one is found by few steps; if not, finish() says what it is.
 */
static inline bool
is_plain(const struct sa *sa)
{
	return (sa->crypto <= SA_CRYPTO_CCM || !(sa->flags & SA_F_ESN)) && /* nothing to undo */
	       (sa->flags & (SA_F_TUNNEL | SA_F_UDP | SA_F_COPY_DSCP_IN)) == SA_F_TUNNEL;
}

/* Padding, its length, next header, in the last bytes of what was sealed; tail: its last eight, which end there. */
static inline bool
is_plain_trailer(uint64_t tail, uint8_t pad, const uint8_t *end)
{
	static const uint64_t right[] = {IPPROTO_IPIP << 8, IPPROTO_IPIP << 16 | 0x0101,
		IPPROTO_IPIP << 24 | 0x020201, (uint64_t)IPPROTO_IPIP << 32 | 0x03030201};

	if (likely(pad < RTE_DIM(right)))
		return tail >> (48 - 8 * pad) == right[pad];
	return tail >> 56 == IPPROTO_IPIP && padding_is_right(end - ESP_TRAILER_LEN - pad, pad);
}

static inline bool
is_plain_inner(const struct fib *fib, const struct rte_ipv4_hdr *ip, uint16_t total, uint32_t len)
{
	uint32_t dst = rte_be_to_cpu_32(ip->dst_addr);

	return (ip->version_ihl == RTE_IPV4_VHL_DEF) & (total >= sizeof(*ip)) & (total <= len) &
		       (ip->src_addr != 0) & ip4_is_unicast(dst) &&
	       ip4_checksum_ok(ip, sizeof(*ip)) && !ip4_source_invalid(ip->src_addr) &&
	       !fib_local4(fib, ip->dst_addr);
}

/* Opens the way for a plain packet, whose length then it returns; 0: nothing is done, it is none. */
static inline uint16_t
finish_plain(struct worker *w, struct rte_mbuf *m, struct pkt *p, struct sa *sa)
{
	const struct rte_ipv4_hdr *outer = ip4_hdr(m), *inner;
	uint32_t header = p->esp_at + sizeof(struct rte_esp_hdr) + sa->iv_len;
	uint32_t clear = m->data_len - header - sa->icv_len;
	const uint8_t *end = rte_pktmbuf_mtod_offset(m, const uint8_t *, header + clear);
	uint16_t total;
	uint64_t tail;
	uint8_t pad;

	/* At least the ESP header stands before, should it be shorter than that. */
	memcpy(&tail, end - sizeof(tail), sizeof(tail));
	tail = rte_le_to_cpu_64(tail);
	pad = tail >> 48;
	inner = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, header);
	total = rte_be_to_cpu_16(inner->total_length);
	if (unlikely((p->crypto_status != RTE_CRYPTO_OP_STATUS_SUCCESS) | (m->nb_segs != 1) |
		     (outer->version_ihl >> 4 != 4) |
		     (clear < sizeof(*inner) + pad + ESP_TRAILER_LEN) |
		     (outer->type_of_service & ECN_ECT1)) || /* and CE */
		!is_plain_trailer(tail, pad, end) ||
		!is_plain_inner(w->fib, inner, total, clear - pad - ESP_TRAILER_LEN))
		return 0;
	/* Seen before: so finish() finds it, too. */
	if (sa->replay != NULL && unlikely(!replay_update(sa->replay, p->sqn)))
		return 0;
	m->data_off += header;
	m->pkt_len = m->data_len = total;
	p->next_header = IPPROTO_IPIP;
	p->flags = (p->flags & ~INBOUND_DONE) | PKT_F_DECRYPTED;
	return total;
}

/* Packets from one to end, of one SA. */
static inline void
finish_run(struct worker *w, struct stream *s, uint16_t from, uint16_t end, struct sa *sa)
{
	bool plain = is_plain(sa);
	uint64_t packets = 0, bytes = 0;

	for (uint16_t i = from; i < end; i++) {
		struct rte_mbuf *m = s->objs[i];
		uint16_t len = plain ? finish_plain(w, m, pkt(m), sa) : 0;

		packets += len != 0;
		bytes += len;
		stream_put(s, i, likely(len != 0) ? EDGE_CHECK : finish(w, m, pkt(m)));
	}
	if (packets == 0)
		return;
	worker_sa_used(w, sa, packets, bytes);
}

static uint16_t
esp_decrypt_finish_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t at = 0, end; at < n; at = end) {
		struct sa *sa = pkt(objs[at])->sa;

		for (end = at + 1; end < n && pkt(objs[end])->sa == sa;)
			end++;
		finish_run(w, &s, at, end, sa);
	}
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

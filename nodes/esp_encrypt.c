/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"
#include "esp_op.h"
#include "ip4.h"
#include "stream.h"
#include "worker.h"

#include <netinet/ip_icmp.h>
#include <rte_ether.h>
#include <rte_udp.h>

enum { EDGE_SUBMIT, EDGE_ICMP, EDGE_DROP };

static inline rte_edge_t
refuse(struct worker *w, struct pkt *p, enum drop_reason reason, enum sa_error error)
{
	w->sa_counters[p->sa->slot].errors[error]++;
	p->drop = reason;
	return EDGE_DROP;
}

static inline uint16_t
pad_len(const struct sa *sa, uint32_t payload)
{
	return -(payload + ESP_TRAILER_LEN) & (sa->align - 1);
}

static inline uint16_t
header_len(const struct sa *sa)
{
	return sa->template_len + sizeof(struct rte_esp_hdr) + sa->iv_len;
}

/* RFC 4303, 3.3.4 and RFC 4301, 8.2: the sender is told what fits through the tunnel. */
static rte_edge_t
too_big(struct worker *w, struct rte_mbuf *m, struct pkt *p, uint16_t path_mtu)
{
	const struct sa *sa = p->sa;
	uint16_t room = path_mtu - header_len(sa) - sa->icv_len;

	refuse(w, p, DROP_IP4_MTU, SA_ERR_MTU);
	if (!(ip4_hdr(m)->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)))
		return EDGE_DROP;
	p->icmp_type = ICMP_DEST_UNREACH;
	p->icmp_code = ICMP_FRAG_NEEDED;
	p->icmp_mtu = (room & ~(sa->align - 1)) - ESP_TRAILER_LEN;
	return EDGE_ICMP;
}

/* All that can go wrong, before a sequence number is taken; makes room at both ends. */
static inline rte_edge_t
prepare(struct worker *w, struct rte_mbuf *m, struct pkt *p, bool admitted)
{
	const struct sa *sa = p->sa;
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint16_t pad = pad_len(sa, len), mtu = atomic_load_explicit(&sa->mtu, memory_order_relaxed);
	uint16_t tail = pad + ESP_TRAILER_LEN + sa->icv_len;

	if (unlikely(!admitted))
		return refuse(w, p, DROP_CRYPTO_OVERLOAD, SA_ERR_OVERLOAD);
	if (unlikely(mtu != 0 && header_len(sa) + len + tail > mtu))
		return too_big(w, m, p, mtu);
	if (unlikely(!esp_linear(m) || rte_pktmbuf_tailroom(m) < tail ||
		     rte_pktmbuf_headroom(m) < header_len(sa) + RTE_ETHER_HDR_LEN ||
		     header_len(sa) + len + tail > UINT16_MAX))
		return refuse(w, p, DROP_ESP_NO_HEADROOM, SA_ERR_MTU);
	if (sa->crypto == SA_CRYPTO_CBC && unlikely(!iv_random_get(&w->iv_random, p->iv)))
		return refuse(w, p, DROP_CRYPTO_ERROR, SA_ERR_OVERLOAD);
	p->pad_len = pad;
	return EDGE_SUBMIT;
}

/* RFC 4301, 5.1.2.1 and RFC 6040, 4.1: what the outer header takes from the inner one. */
static inline void
outer_ip4(const struct sa *sa, struct rte_ipv4_hdr *outer, const struct rte_ipv4_hdr *inner,
	uint16_t total, uint64_t sqn)
{
	uint8_t tos = sa->flags & SA_F_COPY_DSCP_OUT ? inner->type_of_service & ~3 : 0;
	uint32_t sum;

	if (!(sa->flags & SA_F_NO_ECN))
		tos |= inner->type_of_service & 3;
	outer->type_of_service = tos;
	outer->total_length = rte_cpu_to_be_16(total);
	outer->packet_id = rte_cpu_to_be_16((uint16_t)sqn);
	outer->fragment_offset =
		sa->flags & SA_F_COPY_DF
			? inner->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)
			: 0;
	sum = sa->template_csum + outer->total_length + outer->packet_id + outer->fragment_offset +
	      rte_cpu_to_be_16(tos);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	outer->hdr_checksum = ~sum;
}

/* RFC 4303, 2: template, ESP header, IV, payload, padding, pad length, next header, room for the ICV. */
static inline void
seal(struct rte_mbuf *m, struct pkt *p, const struct sa *sa, uint64_t sqn)
{
	const struct rte_ipv4_hdr *inner = ip4_hdr(m);
	uint32_t len = rte_pktmbuf_pkt_len(m), clear = len + p->pad_len + ESP_TRAILER_LEN;
	uint16_t header = header_len(sa);
	rte_be64_t iv = rte_cpu_to_be_64(sqn);
	struct rte_esp_hdr *esp;
	struct esp_layout at;
	uint8_t *tail, *outer;

	tail = (uint8_t *)rte_pktmbuf_append(m, p->pad_len + ESP_TRAILER_LEN + sa->icv_len);
	for (uint8_t i = 0; i < p->pad_len; i++)
		tail[i] = i + 1;
	tail[p->pad_len] = p->pad_len;
	tail[p->pad_len + 1] = IPPROTO_IPIP;

	outer = (uint8_t *)rte_pktmbuf_prepend(m, header);
	memcpy(outer, sa->template, sa->template_len);
	outer_ip4(sa, (struct rte_ipv4_hdr *)outer, inner, rte_pktmbuf_pkt_len(m), sqn);
	if (sa->flags & SA_F_UDP)
		((struct rte_udp_hdr *)(outer + sizeof(struct rte_ipv4_hdr)))->dgram_len =
			rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m) - sizeof(struct rte_ipv4_hdr));
	esp = (struct rte_esp_hdr *)(outer + sa->template_len);
	esp->spi = sa->template_spi;
	esp->seq = rte_cpu_to_be_32((uint32_t)sqn);
	/* The number itself is an IV that no other packet of the key has (RFC 4106, 3.1); CBC's was put
	 * aside by prepare(). */
	if (sa->crypto == SA_CRYPTO_CBC)
		memcpy(esp + 1, p->iv, sa->iv_len);
	else
		memcpy(esp + 1, &iv, sa->iv_len);

	p->sqn = sqn;
	p->l3_len = len; /* for the counters */
	at = (struct esp_layout){.esp = sa->template_len, .payload = header, .clear = clear};
	esp_op(p, m, sa, &at, sa->template_spi, false);
}

/* Numbers for n packets of one SA: returns the first, and in *n how many there still are. */
static inline uint64_t
take_numbers(struct sa *sa, uint16_t *n)
{
	uint64_t last = atomic_load_explicit(&sa->sqn, memory_order_relaxed);

	if (unlikely(last >= sa->sqn_max)) {
		*n = 0;
		return 0;
	}
	if (sa->flags & SA_F_SHARED)
		last = atomic_fetch_add_explicit(&sa->sqn, *n, memory_order_relaxed);
	else
		atomic_store_explicit(&sa->sqn, last + *n, memory_order_relaxed);
	if (unlikely(last + *n > sa->sqn_max))
		*n = last < sa->sqn_max ? sa->sqn_max - last : 0;
	return last + 1;
}

static uint16_t
esp_encrypt_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	uint16_t admitted = crypto_admit(&w->crypto_queue, n), good = 0;
	void *ready[RTE_GRAPH_BURST_SIZE];

	/* Bursts of the graph can be longer than RTE_GRAPH_BURST_SIZE. */
	for (uint16_t at = 0; at < n;) {
		uint16_t end = RTE_MIN(n, at + RTE_GRAPH_BURST_SIZE), n_ready = 0;

		for (; at < end; at++) {
			rte_edge_t edge =
				prepare(w, objs[at], pkt(objs[at]), good + n_ready < admitted);

			if (likely(edge == EDGE_SUBMIT))
				ready[n_ready++] = objs[at];
			else
				rte_node_enqueue_x1(graph, node, edge, objs[at]);
		}
		for (uint16_t i = 0; i < n_ready;) {
			struct sa *sa = pkt(ready[i])->sa;
			uint16_t run = i + 1, numbers;
			uint64_t sqn;

			while (run < n_ready && pkt(ready[run])->sa == sa)
				run++;
			numbers = run - i;
			sqn = take_numbers(sa, &numbers);
			if (likely(numbers > 0))
				rte_node_enqueue(graph, node, EDGE_SUBMIT, &ready[i], numbers);
			good += numbers;
			for (; numbers > 0; numbers--, i++)
				seal(ready[i], pkt(ready[i]), sa, sqn++);
			for (; i < run; i++)
				rte_node_enqueue_x1(graph, node,
					refuse(w, pkt(ready[i]), DROP_ESP_OVERFLOW,
						SA_ERR_OVERFLOW),
					ready[i]);
		}
	}
	crypto_unadmit(&w->crypto_queue, admitted - good);
	return n;
}

static struct rte_node_register esp_encrypt_node = {
	.name = "esp-encrypt",
	.init = worker_node_init,
	.process = esp_encrypt_process,
	.nb_edges = 3,
	.next_nodes = {[EDGE_SUBMIT] = "crypto-submit",
		[EDGE_ICMP] = "icmp4-error",
		[EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(esp_encrypt_node);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_op.h"
#include "esp_transport.h"
#include "sad_lookup.h"
#include "seal_burst.h"
#include "seal_mtu.h"
#include "worker.h"

#include <rte_ether.h>
#include <rte_udp.h>

#define AHEAD 8 /* packets whose SAs are on their way */
#define SHORT_PADDING 3 /* bytes, with a trailer that is one word */

/* What sealing adds before the payload. */
static inline uint16_t
header_len(const struct sa *sa, const struct sa_template *t)
{
	return t->len + sizeof(struct rte_esp_hdr) + sa->iv_len;
}

/* RFC 4303, 2.7: bytes of TFC padding after a tunnelled packet, whose own length says where it ends. */
static inline uint16_t
tfc_len(const struct sa *sa, uint32_t len, uint16_t fits)
{
	uint32_t to =
		sa->tfc == SA_TFC_MTU ? fits : RTE_MIN(sa->tfc, fits != 0 ? fits : UINT16_MAX);

	return to > len ? to - len : 0;
}

/* All that can go wrong, before a sequence number is taken. */
static inline rte_edge_t
prepare(struct worker *w, struct rte_mbuf *m, struct pkt *p, bool admitted)
{
	const struct sa *sa = p->sa;
	const struct sa_template *t = seal_choose_template(sa, p);
	uint16_t mtu = atomic_load_explicit(&sa->mtu, memory_order_relaxed);
	uint32_t len = rte_pktmbuf_pkt_len(m), tail;
	uint16_t fits;

	if (unlikely(!admitted))
		return seal_refuse(w, p, DROP_CRYPTO_OVERLOAD, SA_ERR_OVERLOAD);
	p->l3_len = p->tfc_len = 0;
	if (unlikely(!(sa->flags & SA_F_TUNNEL))) {
		p->l3_len = esp_transport_split(m);
		if (p->l3_len == 0)
			return seal_refuse(w, p, DROP_ESP_FRAGMENT, SA_ERR_MALFORMED);
	}
	fits = mtu != 0 ? sa_room(sa, t, mtu, p->l3_len) : 0;
	if (unlikely(mtu != 0 && len > fits)) {
		rte_edge_t edge = seal_too_big(w, m, p, t, fits);

		if (edge != SEAL_SUBMIT)
			return edge;
	}
	if (unlikely(!esp_linear(m)))
		return seal_refuse(w, p, DROP_ESP_NO_HEADROOM, SA_ERR_MTU);
	if (unlikely(sa->tfc != 0))
		p->tfc_len = tfc_len(sa, len, fits);
	p->pad_len = -(len - p->l3_len + p->tfc_len + ESP_TRAILER_LEN) & (sa->align - 1);
	tail = p->tfc_len + p->pad_len + ESP_TRAILER_LEN + sa->icv_len;
	if (unlikely(rte_pktmbuf_tailroom(m) < tail ||
		     rte_pktmbuf_headroom(m) < header_len(sa, t) + RTE_ETHER_HDR_LEN ||
		     header_len(sa, t) + len + tail > UINT16_MAX))
		return seal_refuse(w, p, DROP_ESP_NO_HEADROOM, SA_ERR_MTU);
	if (sa->crypto == SA_CRYPTO_CBC && unlikely(!iv_random_get(&w->iv_random, p->iv)))
		return seal_refuse(w, p, DROP_CRYPTO_ERROR, SA_ERR_OVERLOAD);
	return SEAL_SUBMIT;
}

/* At most three bytes of padding, its length, next header. What is written beyond is where the ICV comes. */
static inline void
short_trailer(uint8_t *tail, uint8_t pad_len, uint8_t next)
{
	static const uint64_t pad[] = {0, 0x0101, 0x020201, 0x03030201};
	uint64_t word = rte_cpu_to_le_64(pad[pad_len] | (uint64_t)next << (8 * pad_len + 8));

	memcpy(tail, &word, sizeof(word));
}

/* Any padding. */
static inline void
trailer(uint8_t *tail, uint8_t pad_len, uint8_t next)
{
	memcpy(tail, esp_padding, pad_len);
	tail[pad_len] = pad_len;
	tail[pad_len + 1] = next;
}

/* Padding to a block of sixteen bytes, before an ICV of twelve at least. */
static inline void
block_trailer(uint8_t *tail, uint8_t pad_len, uint8_t next)
{
	if (pad_len <= SHORT_PADDING) {
		short_trailer(tail, pad_len, next);
		return;
	}
	memcpy(tail, esp_padding, 16);
	tail[pad_len] = pad_len;
	tail[pad_len + 1] = next;
}

/* RFC 4303, 2 and 3.1: headers, IV, payload, padding, pad length, next header, room for the ICV. */
static inline void
seal(struct rte_mbuf *m, struct pkt *p, const struct sa *sa, uint64_t sqn)
{
	const struct sa_template *t = seal_template(sa, p);
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint16_t header = header_len(sa, t);
	bool inner6 = esp_version(m) == 6;
	rte_be64_t iv = rte_cpu_to_be_64(sqn);
	struct rte_esp_hdr *esp;
	uint8_t *tail = rte_pktmbuf_mtod_offset(m, uint8_t *, len), *outer, next;

	next = inner6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	if (unlikely(p->tfc_len != 0)) {
		memset(tail, 0, p->tfc_len);
		tail += p->tfc_len;
	}
	/* It is linear, and prepare() has seen that there is room. */
	m->data_off -= header;
	m->data_len += header + p->tfc_len + p->pad_len + ESP_TRAILER_LEN + sa->icv_len;
	m->pkt_len = m->data_len;
	outer = rte_pktmbuf_mtod(m, uint8_t *);
	if (likely(sa->flags & SA_F_TUNNEL)) {
		outer_ip(sa, t, outer, outer + header, inner6, rte_pktmbuf_pkt_len(m), sqn);
	} else {
		memmove(outer, outer + header, p->l3_len);
		memcpy(outer + p->l3_len, t->header, t->len);
		next = esp_transport_replace(m, p->l3_len, t->udp ? IPPROTO_UDP : IPPROTO_ESP);
	}
	trailer(tail, p->pad_len, next);
	p->esp_at = p->l3_len + t->len;
	/* A checksum of zero is none; IPv6 wants one, which esp-encrypt-finish makes of what is sealed. */
	if (t->udp)
		((struct rte_udp_hdr *)(outer + p->esp_at - sizeof(struct rte_udp_hdr)))
			->dgram_len = rte_cpu_to_be_16(
			rte_pktmbuf_pkt_len(m) - p->esp_at + sizeof(struct rte_udp_hdr));

	esp = (struct rte_esp_hdr *)(outer + p->esp_at);
	esp->spi = t->spi;
	esp->seq = rte_cpu_to_be_32((uint32_t)sqn);
	/* The number itself is an IV that no other packet of the key has (RFC 4106, 3.1); CBC's was put
	 * aside by prepare(). */
	if (sa->crypto == SA_CRYPTO_CBC)
		memcpy(esp + 1, p->iv, sizeof(p->iv));
	else if (likely(sa->iv_len == sizeof(iv)))
		memcpy(esp + 1, &iv, sizeof(iv));

	p->sqn = sqn;
	p->clear_len = len;
}

/*
 * What most SAs are (sa_template.plain): all that the packet gets in front is put together in registers, and the SA is read once for
 * the run.
 */
#define PLAIN_HEADER (sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_esp_hdr)) /* and the IV */

/* From a register: gcc would put words together in memory and fetch them again before they are there. */
static inline void
put(uint8_t *to, size_t at, uint64_t word)
{
	memcpy(to + at, &word, sizeof(word));
}

/*
 * Whether there is nothing about a packet that prepare() would have to judge: whole, small enough for the path, with room in front
 * and behind. So most are. total: its length when it is sealed.
 */
static __rte_always_inline bool
nothing_to_judge(
	const struct rte_mbuf *m, uint32_t total, uint32_t limit, uint32_t header, uint32_t tail)
{
	return (m->nb_segs == 1) & (total <= limit) & (m->data_off >= header + RTE_ETHER_HDR_LEN) &
	       (m->data_off + (uint32_t)m->data_len + tail <= m->buf_len);
}

/* Bytes behind a packet, at most. */
static inline uint32_t
plain_tail(const struct sa *sa)
{
	return ESP_TRAILER_LEN + sa->align - 1 + sa->icv_len;
}

/*
 * Seals packets of one SA as long as there is nothing to judge; returns how many. iv_len is the SA's: of 0 there
 * is none, 8 are the number itself, 16 come from ivs. limit: bytes that the path carries.
 */
static __rte_always_inline uint16_t
seal_plain(void **objs, uint16_t n, const struct sa *sa, const struct sa_template *t,
	uint32_t limit, uint64_t sqn, const uint8_t iv_len, const uint8_t *ivs)
{
	const rte_be16_t df = sa->flags & SA_F_COPY_DF && !outer_df_hurts(sa)
				      ? rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)
				      : 0;
	const uint16_t header = PLAIN_HEADER + iv_len;
	const uint16_t flags = sa->flags;
	const uint8_t icv_len = sa->icv_len, dscp = t->tos, pad_mask = sa->align - 1;
	const uint16_t first_id = outer_id(t, 0);
	const uint32_t sum = t->csum, spi = t->spi, tail = plain_tail(sa);
	uint64_t ttl_to_src;
	uint32_t dst;
	uint16_t i;

	memcpy(&ttl_to_src, t->header + 8, sizeof(ttl_to_src));
	memcpy(&dst, t->header + 16, sizeof(dst));
	for (i = 0; i < n; i++, sqn++) {
		struct rte_mbuf *m = objs[i];
		struct pkt *p = pkt(m);
		uint32_t len = m->data_len;
		uint8_t pad_len = -(len + ESP_TRAILER_LEN) & pad_mask;
		uint32_t total = header + len + pad_len + ESP_TRAILER_LEN + icv_len;
		uint8_t *inner = rte_pktmbuf_mtod(m, uint8_t *), *outer = inner - header;
		bool inner6 = *inner >> 4 == 6;
		const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)inner;
		uint16_t frag = inner6 ? outer_df(sa, inner, true) : ip->fragment_offset & df;
		uint16_t id = rte_cpu_to_be_16((uint16_t)sqn + first_id), be_total;
		uint8_t tos = outer_tos(flags, dscp, inner6 ? ip6_tos(inner) : ip->type_of_service);
		uint32_t check;

		if (unlikely(!nothing_to_judge(m, total, limit, header, tail)))
			break;
		if (iv_len == IV_RANDOM_LEN)
			block_trailer(inner + len, pad_len, inner6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
		else
			short_trailer(inner + len, pad_len, inner6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
		m->data_off -= header;
		m->pkt_len = m->data_len = total;
		be_total = rte_cpu_to_be_16(total);
		check = sum + be_total + id + frag + ((uint32_t)tos << 8);
		check = (check & 0xffff) + (check >> 16);
		check = ~((check & 0xffff) + (check >> 16)) & 0xffff;
		put(outer, 0,
			RTE_IPV4_VHL_DEF | (uint64_t)tos << 8 | (uint64_t)be_total << 16 |
				(uint64_t)id << 32 | (uint64_t)frag << 48);
		put(outer, 8, ttl_to_src | (uint64_t)check << 16);
		put(outer, 16, dst | (uint64_t)spi << 32);
		if (iv_len == sizeof(uint64_t)) {
			/* Sequence number, and the IV from offset 28 on: its first half twice, as it is. */
			put(outer, 28, rte_cpu_to_be_64(sqn));
			put(outer, 24,
				rte_cpu_to_be_32((uint32_t)sqn) | rte_cpu_to_be_64(sqn) << 32);
		} else {
			uint32_t seq = rte_cpu_to_be_32((uint32_t)sqn);

			memcpy(outer + 24, &seq, sizeof(seq));
			if (iv_len != 0)
				memcpy(outer + PLAIN_HEADER, ivs + i * iv_len, iv_len);
		}
		p->sqn = sqn;
		p->pad_len = pad_len;
		p->l3_len = p->tfc_len = 0;
		p->clear_len = len;
		p->esp_at = sizeof(struct rte_ipv4_hdr);
	}
	return i;
}

static void
seal_all(void **objs, uint16_t n, const struct sa *sa, uint64_t sqn)
{
	for (uint16_t i = 0; i < n; i++)
		seal(objs[i], pkt(objs[i]), sa, sqn + i);
}

/* How many of them seal_plain() will seal. */
static uint16_t
count_plain(void *const *objs, uint16_t n, const struct sa *sa, uint32_t limit)
{
	uint32_t header = PLAIN_HEADER + sa->iv_len;
	uint16_t i;

	for (i = 0; i < n; i++) {
		const struct rte_mbuf *m = objs[i];
		uint32_t len = m->data_len;
		uint8_t pad_len = -(len + ESP_TRAILER_LEN) & (sa->align - 1);
		uint32_t total = header + len + pad_len + ESP_TRAILER_LEN + sa->icv_len;

		if (!nothing_to_judge(m, total, limit, header, plain_tail(sa)))
			break;
	}
	return i;
}

/* Seals packets in a row of one SA, and returns how many; 0: the first one is to be judged, or gets no number. */
static __rte_always_inline uint16_t
seal_unjudged_run(struct worker *w, void **objs, uint16_t n)
{
	struct sa *sa = pkt(objs[0])->sa;
	const struct sa_template *t =
		&sa->template[atomic_load_explicit(&sa->active, memory_order_acquire)];
	uint16_t mtu = atomic_load_explicit(&sa->mtu, memory_order_relaxed);
	uint32_t limit = mtu != 0 ? mtu : UINT16_MAX;
	bool shared = sa->flags & SA_F_SHARED;
	const uint8_t *ivs = NULL;
	uint16_t run = 1;
	uint64_t sqn;

	if (unlikely(!t->plain))
		return 0;
	while (run < n && pkt(objs[run])->sa == sa)
		run++;
	n = run;
	/* Where numbers or IVs cannot be given back, as many are taken as are used. */
	if (unlikely(shared || sa->iv_len == IV_RANDOM_LEN))
		n = count_plain(objs, RTE_MIN(n, IV_RANDOM_MAX), sa, limit);
	if (sa->iv_len == IV_RANDOM_LEN) {
		ivs = n > 0 ? iv_random_some(&w->iv_random, n) : NULL;
		if (unlikely(ivs == NULL))
			return 0;
	}
	sqn = shared ? sa_take_numbers(sa, &n) : sa_next_numbers(sa, &n);
	if (likely(sa->iv_len == sizeof(uint64_t)))
		n = seal_plain(objs, n, sa, t, limit, sqn, sizeof(uint64_t), NULL);
	else if (sa->iv_len == IV_RANDOM_LEN)
		n = seal_plain(objs, n, sa, t, limit, sqn, IV_RANDOM_LEN, ivs);
	else
		n = seal_plain(objs, n, sa, t, limit, sqn, 0, NULL);
	if (likely(!shared))
		sa_took_numbers(sa, sqn, n);
	return n;
}

/* Seals packets in a row as long as there is nothing to judge, and each gets a number. Returns how many. */
static inline uint16_t
seal_unjudged(struct worker *w, void **objs, uint16_t n)
{
	uint16_t at = 0, run;

	for (uint16_t i = 0; i < RTE_MIN(n, AHEAD); i++)
		sad_prefetch_out(pkt(objs[i])->sa);
	while (at < n) {
		if (at + AHEAD < n)
			sad_prefetch_out(pkt(objs[at + AHEAD])->sa);
		run = seal_unjudged_run(w, &objs[at], n - at);
		if (unlikely(run == 0))
			break;
		at += run;
	}
	return at;
}

static uint16_t
esp_encrypt_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct crypto_queue *q = &w->crypto_queue;
	uint16_t admitted = crypto_admit(q, n);
	uint16_t sealed = likely(admitted == n) ? seal_unjudged(w, objs, n) : 0;

	crypto_unadmit(q, admitted - sealed);
	if (likely(sealed == n) && likely(objs == node->objs && node->idx == n)) {
		rte_node_next_stream_move(graph, node, SEAL_SUBMIT);
		return n;
	}
	if (sealed > 0)
		rte_node_enqueue(graph, node, SEAL_SUBMIT, objs, sealed);
	seal_burst(graph, node, &objs[sealed], n - sealed, SEAL_SUBMIT, prepare, seal_all,
		seal_no_number);
	return n;
}

static struct rte_node_register esp_encrypt_node = {
	.name = "esp-encrypt",
	.init = worker_node_init,
	.process = esp_encrypt_process,
	.nb_edges = SEAL_EDGES,
	.next_nodes = {[SEAL_SUBMIT] = "crypto-submit",
		[SEAL_ICMP] = "icmp4-error",
		[SEAL_ICMP6] = "icmp6-error",
		[SEAL_FRAGMENT] = "ip4-fragment",
		[SEAL_DROP] = "drop"},
};
RTE_NODE_REGISTER(esp_encrypt_node);

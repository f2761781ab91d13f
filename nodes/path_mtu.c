/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_transport.h"
#include "icmp_quote.h"
#include "sad_lookup.h"
#include "sockets.h"
#include "stream.h"
#include "worker.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <rte_esp.h>
#include <rte_udp.h>

/*
 * "Fragmentation needed" and "packet too big" about what our SAs sealed (RFC 4301, 8.2; RFC 1191; RFC 8201): what the path
 * carries goes to the control thread. Anyone may send such an error, so it must quote a packet that we did send: SPI,
 * both addresses, ports, and a recent sequence number. What is not about ESP or AH is for Linux.
 */

enum { EDGE_HOST, EDGE_DROP };

#define RECENT (1u << 20) /* sequence numbers that may still be on their way */
#define AH_SEQUENCE_AT 8

/* What an error says, and what it quotes. */
struct quote {
	struct ip_addr src, dst, by; /* of the quoted packet; who sends the error */
	uint32_t mtu, total; /* of the path; length of the quoted packet */
	uint32_t spi; /* network order */
	uint32_t seq;
	uint16_t src_port, dst_port; /* network order; 0: not in UDP */
	uint8_t proto; /* ESP or AH */
	bool has_spi, has_seq, sound;
};

enum about { ABOUT_OTHERS, ABOUT_SEALED };

/* SPI and number of len bytes that begin with ESP or AH; of an ICMP error there are often no more than eight. */
static void
read_sealed(struct quote *q, const uint8_t *b, uint16_t len)
{
	uint16_t spi_at = q->proto == IPPROTO_AH ? 4 : 0;
	uint32_t seq;

	q->has_spi = len >= spi_at + sizeof(q->spi);
	if (q->has_spi)
		memcpy(&q->spi, b + spi_at, sizeof(q->spi));
	q->has_seq = len >= spi_at + sizeof(q->spi) + sizeof(seq);
	if (!q->has_seq)
		return;
	memcpy(&seq, b + spi_at + sizeof(q->spi), sizeof(seq));
	q->seq = rte_be_to_cpu_32(seq);
}

/* ESP in UDP, or whatever else is in UDP. */
static enum about
read_udp(const struct worker *w, struct quote *q, const uint8_t *b, uint16_t len)
{
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)b;

	if (len < sizeof(*udp) + sizeof(q->spi))
		return ABOUT_OTHERS; /* it may be IKE's */
	q->proto = IPPROTO_ESP;
	q->src_port = udp->src_port;
	q->dst_port = udp->dst_port;
	read_sealed(q, b + sizeof(*udp), len - sizeof(*udp));
	if (q->spi == 0)
		return ABOUT_OTHERS;
	return sad_lookup_out(w->sad, q->spi, IPPROTO_ESP, &q->dst) != NULL ||
			       worker_socket_use(w, q->src.family, q->src.b, q->src_port) &
				       SOCKET_DECAP
		       ? ABOUT_SEALED
		       : ABOUT_OTHERS;
}

static enum about
read_payload(const struct worker *w, struct quote *q, uint8_t proto, const uint8_t *b, uint16_t len)
{
	if (proto == IPPROTO_UDP)
		return read_udp(w, q, b, len);
	if (proto != IPPROTO_ESP && proto != IPPROTO_AH)
		return ABOUT_OTHERS;
	q->proto = proto;
	read_sealed(q, b, len);
	return ABOUT_SEALED;
}

/* RFC 1191, 7: routers that know no better than before it say 0; the next smaller MTU of common links is tried. */
static uint16_t
plateau(uint32_t total)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};

	for (unsigned int i = 0; i < RTE_DIM(plateaus); i++)
		if (plateaus[i] < total)
			return plateaus[i];
	return SAD_PATH_MTU_MIN4;
}

/* ip: a valid packet that is ICMP's type 3, code 4. */
static enum about
read_error4(const struct worker *w, const struct rte_mbuf *m, struct quote *q)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m), *inner;
	uint16_t at = ip4_hdr_len(ip), len = rte_pktmbuf_data_len(m), inner_len;
	const uint8_t *icmp = (const uint8_t *)ip + at;

	if (ip4_is_fragment(ip) || len < at + 8 + sizeof(*inner))
		return ABOUT_OTHERS;
	inner = (const struct rte_ipv4_hdr *)(icmp + 8);
	inner_len = ip4_hdr_len(inner);
	if (inner->version_ihl >> 4 != 4 || inner_len < sizeof(*inner) || len < at + 8 + inner_len)
		return ABOUT_OTHERS;
	q->src.family = q->dst.family = q->by.family = 4;
	q->src.v4 = inner->src_addr;
	q->dst.v4 = inner->dst_addr;
	q->by.v4 = ip->src_addr;
	q->total = rte_be_to_cpu_16(inner->total_length);
	q->mtu = icmp[6] << 8 | icmp[7];
	if (q->mtu == 0)
		q->mtu = plateau(q->total);
	/* Who may cut a packet up does not complain. */
	q->sound = rte_raw_cksum(icmp, len - at) == 0xffff && ip->dst_addr == inner->src_addr &&
		   (inner->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)) != 0 &&
		   !ip4_is_later_fragment(inner) && q->mtu < q->total;
	q->mtu = RTE_MAX(q->mtu, (uint32_t)SAD_PATH_MTU_MIN4);
	return read_payload(w, q, inner->next_proto_id, icmp + 8 + inner_len,
		ip4_is_later_fragment(inner) ? 0 : len - at - 8 - inner_len);
}

static enum about
read_error6(const struct worker *w, const struct rte_mbuf *m, struct quote *q)
{
	const struct rte_ipv6_hdr *ip = ip6_hdr(m), *inner;
	uint16_t len = rte_pktmbuf_data_len(m), quoted, inner_at;
	const uint8_t *icmp;
	struct ip6_chain c;
	uint8_t proto;

	if (ip6_walk(m, &c) != DROP_NONE || c.fragment_at != 0 || len < c.at + 8 + sizeof(*inner))
		return ABOUT_OTHERS;
	icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, c.at);
	inner = (const struct rte_ipv6_hdr *)(icmp + 8);
	quoted = len - c.at - 8;
	if (*(const uint8_t *)inner >> 4 != 6)
		return ABOUT_OTHERS;
	inner_at = icmp_quote_chain((const uint8_t *)inner, quoted, &proto);
	if (inner_at == 0)
		return ABOUT_OTHERS;
	q->src.family = q->dst.family = q->by.family = 6;
	memcpy(q->src.b, inner->src_addr, sizeof(q->src.b));
	memcpy(q->dst.b, inner->dst_addr, sizeof(q->dst.b));
	memcpy(q->by.b, ip->src_addr, sizeof(q->by.b));
	q->total = ip6_total(inner);
	q->mtu = (uint32_t)icmp[4] << 24 | icmp[5] << 16 | icmp[6] << 8 | icmp[7];
	/* RFC 8201, 4: an error that says less than every link carries is none. A right checksum sums up to nothing. */
	q->sound = esp_ip6_checksum(m, icmp, len - c.at, IPPROTO_ICMPV6) == 0xffff &&
		   memcmp(ip->dst_addr, inner->src_addr, sizeof(ip->dst_addr)) == 0 &&
		   q->mtu >= IP6_MIN_MTU && q->mtu < q->total;
	q->mtu = RTE_MIN(q->mtu, (uint32_t)UINT16_MAX); /* its header aside a packet has so much */
	return read_payload(w, q, proto, (const uint8_t *)inner + inner_at, quoted - inner_at);
}

/* In UDP with the ports that the SA has, or without. */
static bool
ports_match(const struct sa *sa, const struct quote *q)
{
	const struct sa_template *t =
		&sa->template[atomic_load_explicit(&sa->active, memory_order_acquire)];
	struct rte_udp_hdr udp;

	if (!t->udp)
		return q->src_port == 0 && q->dst_port == 0;
	memcpy(&udp, t->header + t->ip_len, sizeof(udp));
	return q->src_port == udp.src_port && q->dst_port == udp.dst_port;
}

/* The SA that sealed what is quoted, or NULL: nobody who has not seen one of its packets knows all of that. */
static const struct sa *
sealed_by(const struct worker *w, const struct quote *q)
{
	const struct sa *sa = NULL;
	uint64_t last;

	/* RFC 792: eight bytes at least, where ESP has both; of AH they have the SPI alone. */
	if (q->sound && q->has_spi && (q->has_seq || q->proto == IPPROTO_AH))
		sa = sad_lookup_out(w->sad, q->spi, q->proto, &q->dst);
	if (sa == NULL || !addr_equal(&q->src, &sa->peer) || !ports_match(sa, q))
		return NULL;
	last = atomic_load_explicit(&sa->sqn, memory_order_relaxed);
	/* Those of before the newest, and there are no more than that. */
	if (last == 0 || (q->has_seq && (uint32_t)last - q->seq >= RTE_MIN(last, RECENT)))
		return NULL;
	return sa;
}

static inline rte_edge_t
path_mtu(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	struct quote q = {0};
	struct rte_ring *to = __atomic_load_n(&w->path_mtus, __ATOMIC_RELAXED);
	struct sa_path_mtu told;
	enum about about = ABOUT_OTHERS;
	const struct sa *sa;
	uint16_t is;

	if (m->nb_segs == 1 || rte_pktmbuf_linearize(m) == 0)
		about = ip6_is_version(m) ? read_error6(w, m, &q) : read_error4(w, m, &q);
	if (about == ABOUT_OTHERS)
		return p->drop == DROP_NONE ? EDGE_HOST : EDGE_DROP;
	sa = sealed_by(w, &q);
	p->spi = q.spi;
	p->sqn = q.seq;
	p->next_header = q.proto;
	p->drop = sa != NULL ? DROP_PATH_MTU : DROP_PATH_MTU_REFUSED;
	if (sa == NULL)
		return EDGE_DROP;
	is = atomic_load_explicit(&sa->mtu, memory_order_relaxed);
	if (is != 0 && q.mtu >= is)
		return EDGE_DROP;
	told = (struct sa_path_mtu){.slot = sa->slot, .spi = q.spi, .mtu = q.mtu, .by = q.by};
	/* A full ring: the next packet that is too large brings it again. A reload may have said just now that ICMP is not believed. */
	if (likely(to != NULL))
		rte_ring_mp_enqueue_elem(to, &told, sizeof(told));
	return EDGE_DROP;
}

static uint16_t
path_mtu_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, path_mtu(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register path_mtu_node = {
	.name = "path-mtu",
	.init = worker_node_init,
	.process = path_mtu_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_HOST] = "host-tx", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(path_mtu_node);

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AH_H
#define CYGNET_AH_H

#include "esp_op.h"
#include "esp_transport.h"

/*
 * The Authentication Header (RFC 4302). It covers the whole packet, but for what routers change on its way: those
 * fields are zero while the ICV is computed. The header that was is kept in the headroom meanwhile, the ICV in
 * the private area.
 */

struct ah_hdr {
	uint8_t next_header;
	uint8_t len; /* in words of four bytes, less two */
	rte_be16_t reserved;
	rte_be32_t spi;
	rte_be32_t seq;
	uint8_t icv[];
} __attribute__((packed));

/* RFC 4302, 2.2 and 2.6: a multiple of four bytes in IPv4, of eight in IPv6. */
static inline uint16_t
ah_len(const struct sa *sa, bool ip6)
{
	return RTE_ALIGN(sizeof(struct ah_hdr) + sa->icv_len, ip6 ? 8 : 4);
}

/* RFC 4302, Appendix A1: options that no router changes stay; of the rest every byte is zero. */
static inline bool
ah_ip4_option_stays(uint8_t type)
{
	return type == 130 || type == 133 || type == 134 || type == 148 || type == 149;
}

static inline bool
ah_zero_ip4(uint8_t *ip, uint16_t len)
{
	struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

	h->type_of_service = 0;
	h->fragment_offset = 0;
	h->time_to_live = 0;
	h->hdr_checksum = 0;
	for (uint16_t at = sizeof(*h), n; at < len && ip[at] != 0; at += n) {
		n = 1;
		if (ip[at] == 1)
			continue;
		if (at + 2 > len || ip[at + 1] < 2 || at + ip[at + 1] > len)
			return false;
		n = ip[at + 1];
		if (!ah_ip4_option_stays(ip[at]))
			memset(&ip[at], 0, n);
	}
	return true;
}

/* RFC 4302, 3.3.3.1.2: the data of options whose type says that it may change (RFC 8200, 4.2). */
static inline bool
ah_zero_ip6_options(uint8_t *header, uint16_t len)
{
	for (uint16_t at = 2, n; at < len; at += n) {
		n = 1;
		if (header[at] == 0)
			continue;
		if (at + 2 > len || at + 2 + header[at + 1] > len)
			return false;
		n = 2 + header[at + 1];
		if (header[at] & 0x20)
			memset(&header[at + 2], 0, header[at + 1]);
	}
	return true;
}

static inline bool
ah_zero_ip6(uint8_t *ip, uint16_t len)
{
	struct rte_ipv6_hdr *h = (struct rte_ipv6_hdr *)ip;
	uint8_t next = h->proto;

	h->vtc_flow = rte_cpu_to_be_32(6u << 28);
	h->hop_limits = 0;
	for (uint16_t at = sizeof(*h), n; at < len; at += n) {
		if (at + 8 > len)
			return false;
		n = (ip[at + 1] + 1) * 8;
		if (at + n > len)
			return false;
		/* A routing header that is not at its end would have to be foreseen. */
		if (next == IPPROTO_ROUTING && ip[at + 3] != 0)
			return false;
		if (next != IPPROTO_ROUTING && !ah_zero_ip6_options(&ip[at], n))
			return false;
		next = ip[at];
	}
	return true;
}

/*
 * Prepares the packet for the operation: the first l3_len bytes are kept in the headroom and their mutable fields
 * zeroed, the number's high half is put behind the packet with ESN (2.5.1). false: it cannot be done.
 */
static inline bool
ah_cover(struct rte_mbuf *m, struct pkt *p, const struct sa *sa, uint16_t l3_len)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	rte_be32_t high = rte_cpu_to_be_32(p->sqn >> 32);

	if (rte_pktmbuf_headroom(m) < l3_len || rte_pktmbuf_tailroom(m) < sizeof(high))
		return false;
	memcpy(ip - l3_len, ip, l3_len);
	if (sa->flags & SA_F_ESN)
		memcpy(ip + rte_pktmbuf_data_len(m), &high, sizeof(high));
	return esp_version(m) == 4 ? ah_zero_ip4(ip, l3_len) : ah_zero_ip6(ip, l3_len);
}

static inline void
ah_uncover(struct rte_mbuf *m, uint16_t l3_len)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	memcpy(ip, ip - l3_len, l3_len);
}

/* The operation over the whole packet; the ICV goes to, or stands in, the private area. */
static inline void
ah_op(struct pkt *p, struct rte_mbuf *m, const struct sa *sa)
{
	struct rte_crypto_sym_op *sym = pkt_op(p)->sym;

	esp_op_init(p, m, sa);
	sym->auth.data.offset = 0;
	sym->auth.data.length = rte_pktmbuf_data_len(m) + (sa->flags & SA_F_ESN ? 4 : 0);
	sym->auth.digest.data = p->icv;
	sym->auth.digest.phys_addr = esp_priv_iova(m, p->icv);
}

#endif

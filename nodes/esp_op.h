/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ESP_OP_H
#define CYGNET_ESP_OP_H

#include "esp.h"

/*
 * The crypto operation of an ESP packet, in place in the mbuf's private area: nonce, additional data, what is
 * encrypted, what is authenticated, by the RFC of the SA's transform.
 */

#define ESP_HIGH_LEN 4 /* the high half of a 64-bit number */

/* A packet laid out: offsets into the mbuf's data. */
struct esp_layout {
	uint32_t esp; /* SPI, sequence number, IV */
	uint32_t payload; /* what is encrypted, trailer included */
	uint32_t clear; /* its length; the ICV follows it */
};

static inline struct esp_layout
esp_layout(const struct pkt *p, const struct rte_mbuf *m, const struct sa *sa)
{
	uint32_t payload = p->esp_at + sizeof(struct rte_esp_hdr) + sa->iv_len;

	return (struct esp_layout){
		p->esp_at, payload, rte_pktmbuf_pkt_len(m) - payload - sa->icv_len};
}

static inline rte_iova_t
esp_priv_iova(const struct rte_mbuf *m, const void *at)
{
	return rte_mbuf_iova_get(m) + ((uintptr_t)at - (uintptr_t)m);
}

/* RFC 4106, 4 (GCM), 7634, 2 (ChaCha20), 4309, 4 (CCM), 4543, 3.1 (GMAC), 3686, 4 (CTR). iv: in the packet. */
static inline void
esp_nonce(uint8_t *to, const struct sa *sa, const void *iv)
{
	static const rte_be32_t one = RTE_BE32(1);

	switch (sa->crypto) {
	case SA_CRYPTO_CBC:
		memcpy(to, iv, 16);
		break;
	case SA_CRYPTO_CCM: /* cryptodev keeps the first byte for CCM's flags */
		memcpy(to + 1, &sa->salt, 3);
		memcpy(to + 4, iv, 8);
		break;
	case SA_CRYPTO_CTR:
		memcpy(to + 12, &one, sizeof(one));
		/* fall through */
	default:
		memcpy(to, &sa->salt, 4);
		memcpy(to + 4, iv, 8);
		break;
	}
}

/* RFC 4106, 5: SPI and sequence number, all 64 bits of it with ESN. */
static inline void
esp_aad(uint8_t *to, const struct pkt *p, const struct sa *sa, rte_be32_t spi)
{
	const rte_be32_t aad[] = {
		spi, rte_cpu_to_be_32(p->sqn >> 32), rte_cpu_to_be_32((uint32_t)p->sqn)};
	const rte_be32_t short_aad[] = {spi, aad[2]};

	if (sa->flags & SA_F_ESN)
		memcpy(to, aad, sizeof(aad));
	else
		memcpy(to, short_aad, sizeof(short_aad));
}

static inline void
esp_aead(struct pkt *p, struct rte_mbuf *m, const struct sa *sa, const struct esp_layout *at,
	rte_be32_t spi)
{
	struct rte_crypto_sym_op *sym = pkt_op(p)->sym;
	/* CCM has its own two blocks before the additional data. */
	uint8_t before = sa->crypto == SA_CRYPTO_CCM ? 18 : 0;

	esp_aad(p->aad + before, p, sa, spi);
	sym->aead.data.offset = at->payload;
	sym->aead.data.length = at->clear;
	sym->aead.digest.data = rte_pktmbuf_mtod_offset(m, uint8_t *, at->payload + at->clear);
	sym->aead.digest.phys_addr = rte_pktmbuf_iova_offset(m, at->payload + at->clear);
	sym->aead.aad.data = p->aad;
	sym->aead.aad.phys_addr = esp_priv_iova(m, p->aad);
}

/* Puts the high half of the number where the ICV stands; returns where the ICV is meanwhile. */
static inline uint8_t *
esp_high(struct pkt *p, uint8_t *icv, const struct sa *sa)
{
	rte_be32_t high = rte_cpu_to_be_32(p->sqn >> 32);

	if (sa->dir == SA_DIR_IN)
		memcpy(p->icv, icv, sa->icv_len);
	memcpy(icv, &high, sizeof(high));
	return p->icv;
}

/*
 * Separate integrity covers the ESP header to the trailer, and with ESN the high half of the number, which is
 * not in the packet (RFC 4303, 2.2.1): it is put where the ICV stands, and the ICV aside. For GMAC (RFC
 * 4543, 3.3) it stands between SPI and sequence number: the SPI moves four bytes to the front.
 * esp_op_undo() mends either.
 */
static inline void
esp_auth(struct pkt *p, struct rte_mbuf *m, const struct sa *sa, const struct esp_layout *at)
{
	struct rte_crypto_sym_op *sym = pkt_op(p)->sym;
	uint8_t *esp = rte_pktmbuf_mtod_offset(m, uint8_t *, at->esp);
	uint8_t *icv = rte_pktmbuf_mtod_offset(m, uint8_t *, at->payload + at->clear);
	rte_be32_t high;

	sym->cipher.data.offset = at->payload;
	sym->cipher.data.length = at->clear;
	sym->auth.data.offset = at->esp;
	sym->auth.data.length = at->payload - at->esp + at->clear;
	sym->auth.digest.data = icv;
	sym->auth.digest.phys_addr = rte_pktmbuf_iova_offset(m, at->payload + at->clear);
	if (!(sa->flags & SA_F_ESN))
		return;
	sym->auth.data.length += ESP_HIGH_LEN;
	if (sa->crypto == SA_CRYPTO_GMAC) {
		high = rte_cpu_to_be_32(p->sqn >> 32);
		memcpy(p->icv, esp - sizeof(high), sizeof(high));
		memcpy(esp - sizeof(high), esp, sizeof(high));
		memcpy(esp, &high, sizeof(high));
		sym->auth.data.offset -= sizeof(high);
		return;
	}
	sym->auth.digest.data = esp_high(p, icv, sa);
	sym->auth.digest.phys_addr = esp_priv_iova(m, p->icv);
}

/* What every operation says. */
static inline void
esp_op_init(struct pkt *p, struct rte_mbuf *m, const struct sa *sa)
{
	struct rte_crypto_op *op = pkt_op(p);

	op->type = RTE_CRYPTO_OP_TYPE_SYMMETRIC;
	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	op->private_data_offset = 0;
	op->mempool = NULL;
	op->phys_addr = esp_priv_iova(m, op);
	op->sym->m_src = m;
	op->sym->m_dst = NULL;
	op->sym->session = sa->session;
}

/* Makes the operation; p->sqn is set, the packet complete but for what the operation writes. */
static inline void
esp_op(struct pkt *p, struct rte_mbuf *m, const struct sa *sa)
{
	const struct esp_layout at = esp_layout(p, m, sa);
	const struct rte_esp_hdr *esp =
		rte_pktmbuf_mtod_offset(m, const struct rte_esp_hdr *, at.esp);

	esp_op_init(p, m, sa);
	esp_nonce(p->iv, sa, esp + 1);
	if (likely(sa->crypto <= SA_CRYPTO_CCM))
		esp_aead(p, m, sa, &at, esp->spi);
	else
		esp_auth(p, m, sa, &at);
}

/* After the operation: the packet is again as it stands on the wire. */
static inline void
esp_op_undo(struct pkt *p, struct rte_mbuf *m, const struct sa *sa)
{
	struct esp_layout at;
	uint8_t *esp;

	if (likely(sa->crypto <= SA_CRYPTO_CCM || !(sa->flags & SA_F_ESN)))
		return;
	at = esp_layout(p, m, sa);
	if (sa->crypto == SA_CRYPTO_GMAC) {
		esp = rte_pktmbuf_mtod_offset(m, uint8_t *, at.esp);
		memcpy(esp, esp - 4, 4);
		memcpy(esp - 4, p->icv, 4);
	} else {
		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, at.payload + at.clear), p->icv,
			sa->icv_len);
	}
}

#endif

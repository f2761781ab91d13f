/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ESP_H
#define CYGNET_ESP_H

#include "pkt.h"
#include "sad.h"

#include <rte_byteorder.h>
#include <rte_crypto.h>
#include <rte_cryptodev.h>
#include <rte_esp.h>
#include <rte_mbuf.h>

/* What sealing and opening share: the operation, the nonce, the additional data. */

#define ESP_TRAILER_LEN 2 /* pad length, next header */
#define ESP_NH_DUMMY 59 /* RFC 4303, 2.6 */

/* RFC 4106, 4: the salt, then the explicit IV as it stands in the packet. */
static inline void
esp_gcm_nonce(struct pkt *p, const struct sa *sa, const void *iv)
{
	memcpy(p->iv, &sa->salt, 4);
	memcpy(p->iv + 4, iv, 8);
}

/* RFC 4106, 5: SPI and sequence number, all 64 bits of it with ESN. spi: network order. */
static inline void
esp_aad(struct pkt *p, const struct sa *sa, uint32_t spi)
{
	rte_be32_t *aad = (rte_be32_t *)p->aad;

	aad[0] = spi;
	if (sa->flags & SA_F_ESN) {
		aad[1] = rte_cpu_to_be_32(p->sqn >> 32);
		aad[2] = rte_cpu_to_be_32((uint32_t)p->sqn);
	} else {
		aad[1] = rte_cpu_to_be_32((uint32_t)p->sqn);
	}
}

/* The operation over len bytes at the offset of m, in place; icv: where the ICV stands or shall stand. */
static inline void
esp_aead_op(struct pkt *p, struct rte_mbuf *m, const struct sa *sa, uint32_t offset, uint32_t len,
	uint8_t *icv)
{
	struct rte_crypto_op *op = pkt_op(p);
	struct rte_crypto_sym_op *sym = op->sym;

	op->type = RTE_CRYPTO_OP_TYPE_SYMMETRIC;
	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	op->private_data_offset = 0;
	op->mempool = NULL;
	op->phys_addr = rte_mbuf_iova_get(m) + ((uintptr_t)op - (uintptr_t)m);
	sym->m_src = m;
	sym->m_dst = NULL;
	sym->session = sa->session;
	sym->aead.data.offset = offset;
	sym->aead.data.length = len;
	sym->aead.digest.data = icv;
	sym->aead.digest.phys_addr =
		rte_pktmbuf_iova_offset(m, icv - rte_pktmbuf_mtod(m, uint8_t *));
	sym->aead.aad.data = p->aad;
	sym->aead.aad.phys_addr = rte_mbuf_iova_get(m) + ((uintptr_t)p->aad - (uintptr_t)m);
}

/* Chained mbufs are made one where there is room: the ICV and what we read must lie together. */
static inline bool
esp_linear(struct rte_mbuf *m)
{
	return likely(m->nb_segs == 1) || rte_pktmbuf_linearize(m) == 0;
}

#endif

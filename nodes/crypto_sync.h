/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CRYPTO_SYNC_H
#define CYGNET_CRYPTO_SYNC_H

#include "crypto_frame.h"
#include "esp_op.h"

/*
 * ESP by rte_cryptodev_sym_cpu_crypto_process(): a software device works on a run of packets of one SA at once, on
 * the calling lcore, without operations and without its queues.
 */

#define CRYPTO_SYNC_MAX 32

/* How many packets in a row are worth it to a device that works on many at a time. */
#define CRYPTO_SYNC_LONG 8

/* The vectors of one call. What never changes is set once, by crypto_sync_init(). */
struct crypto_sync {
	struct rte_crypto_sgl sgl[CRYPTO_SYNC_MAX];
	struct rte_crypto_vec data[CRYPTO_SYNC_MAX];
	struct rte_crypto_va_iova_ptr iv[CRYPTO_SYNC_MAX], aad[CRYPTO_SYNC_MAX],
		digest[CRYPTO_SYNC_MAX];
	int32_t status[CRYPTO_SYNC_MAX];
	uint8_t nonce[CRYPTO_SYNC_MAX][PKT_IV_MAX];
	uint8_t esn_aad[CRYPTO_SYNC_MAX][16];
};

static inline void
crypto_sync_init(struct crypto_sync *c)
{
	for (unsigned int i = 0; i < CRYPTO_SYNC_MAX; i++)
		c->sgl[i] = (struct rte_crypto_sgl){.vec = &c->data[i], .num = 1};
}

/* Whether a run of so many packets of the SA is done so. */
static inline bool
crypto_sync_wants(const struct sa *sa, uint16_t run)
{
	return sa->sync == SA_SYNC || (sa->sync == SA_SYNC_LONG && run >= CRYPTO_SYNC_LONG);
}

/* RFC 4106, 5: what is encrypted, and beside it SPI and number, which stand so in the packet but for ESN. */
static __rte_always_inline void
crypto_sync_aead(struct crypto_sync *c, uint16_t i, struct rte_mbuf *m, const struct sa *sa)
{
	struct pkt *p = pkt(m);
	struct esp_layout at = esp_layout(p, m, sa);
	uint8_t *packet = rte_pktmbuf_mtod(m, uint8_t *), *esp = packet + at.esp;

	esp_nonce(c->nonce[i], sa, esp + sizeof(struct rte_esp_hdr));
	c->iv[i].va = c->nonce[i];
	c->aad[i].va = esp;
	if (sa->flags & SA_F_ESN) {
		esp_aad(c->esn_aad[i], p, sa, ((const struct rte_esp_hdr *)esp)->spi);
		c->aad[i].va = c->esn_aad[i];
	}
	c->data[i].base = packet + at.payload;
	c->data[i].len = at.clear;
	c->digest[i].va = packet + at.payload + at.clear;
}

/* RFC 4303, 3.3.2.1: all of ESP but the ICV is authenticated, and a part of it encrypted. */
static __rte_always_inline void
crypto_sync_auth(struct crypto_sync *c, uint16_t i, struct rte_mbuf *m, const struct sa *sa)
{
	struct pkt *p = pkt(m);
	struct esp_layout at = esp_layout(p, m, sa);
	uint8_t *esp = rte_pktmbuf_mtod_offset(m, uint8_t *, at.esp);
	uint8_t *icv = esp + at.payload - at.esp + at.clear;

	c->iv[i].va = esp + sizeof(struct rte_esp_hdr);
	if (sa->crypto == SA_CRYPTO_CTR) {
		esp_nonce(c->nonce[i], sa, c->iv[i].va);
		c->iv[i].va = c->nonce[i];
	}
	c->data[i].base = esp;
	c->data[i].len = icv - esp;
	c->digest[i].va = icv;
	if (sa->flags & SA_F_ESN) {
		c->data[i].len += ESP_HIGH_LEN;
		c->digest[i].va = esp_high(p, icv, sa);
	}
}

/* Seals or opens n packets of one SA, and says in each how it went. dev: the SA's device. */
static inline void
crypto_sync_run(
	struct crypto_sync *c, uint8_t dev, const struct sa *sa, struct rte_mbuf **pkts, uint16_t n)
{
	union rte_crypto_sym_ofs ofs = {.raw = 0};
	bool aead = sa->crypto == SA_CRYPTO_AEAD;

	if (!aead) {
		ofs.ofs.cipher.head = sizeof(struct rte_esp_hdr) + sa->iv_len;
		ofs.ofs.cipher.tail = sa->flags & SA_F_ESN ? ESP_HIGH_LEN : 0;
	}
	for (uint16_t at = 0, some; at < n; at += some) {
		struct rte_crypto_sym_vec vec = {.src_sgl = c->sgl,
			.iv = c->iv,
			.aad = c->aad,
			.digest = c->digest,
			.status = c->status};
		uint32_t good;

		some = RTE_MIN(n - at, CRYPTO_SYNC_MAX);
		vec.num = some;
		for (uint16_t i = 0; i < some; i++) {
			if (likely(aead))
				crypto_sync_aead(c, i, pkts[at + i], sa);
			else
				crypto_sync_auth(c, i, pkts[at + i], sa);
			c->status[i] = EINVAL; /* of what the device does not touch */
		}
		good = rte_cryptodev_sym_cpu_crypto_process(dev, sa->session, ofs, &vec);
		for (uint16_t i = 0; i < some; i++)
			pkt(pkts[at + i])->crypto_status = RTE_CRYPTO_OP_STATUS_SUCCESS;
		if (likely(good == some))
			continue;
		for (uint16_t i = 0; i < some; i++)
			if (c->status[i] != 0)
				pkt(pkts[at + i])->crypto_status =
					c->status[i] == EBADMSG ? RTE_CRYPTO_OP_STATUS_AUTH_FAILED
								: RTE_CRYPTO_OP_STATUS_ERROR;
	}
}

#endif

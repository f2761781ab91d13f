/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CRYPTO_SYNC_H
#define CYGNET_CRYPTO_SYNC_H

#include "crypto_frame.h"
#include "esp_gcm.h"
#include "esp_op.h"

/*
 * ESP by rte_cryptodev_sym_cpu_crypto_process(): a software device works on a run of packets of one SA at once, on
 * the calling lcore, without operations and without its queues.
 */

#define CRYPTO_SYNC_MAX 128

/* At a time, of what is done packet by packet: its items stay in the cache. */
#define CRYPTO_SYNC_SOME 32

/* How many packets in a row are worth it to a device that works on many at a time. */
#define CRYPTO_SYNC_LONG 8

/* The vectors of one call. What never changes is set once, by crypto_sync_init(). */
struct crypto_sync {
	struct rte_crypto_sgl sgl[CRYPTO_SYNC_MAX];
	struct rte_crypto_vec data[CRYPTO_SYNC_MAX];
	struct rte_crypto_va_iova_ptr iv[CRYPTO_SYNC_MAX], aad[CRYPTO_SYNC_MAX],
		digest[CRYPTO_SYNC_MAX];
	int32_t status[CRYPTO_SYNC_MAX];
	uint8_t order[CRYPTO_SYNC_MAX]; /* which packet each is */
	uint8_t nonce[CRYPTO_SYNC_MAX][PKT_IV_MAX];
	struct crypto_item item[CRYPTO_SYNC_MAX];
	uint16_t session_len[8]; /* of each device, cryptodev's part included */
};

static inline void
crypto_sync_init(struct crypto_sync *c, const struct crypto_server *s)
{
	for (unsigned int i = 0; i < s->n_devs; i++)
		c->session_len[i] = RTE_CACHE_LINE_SIZE +
				    rte_cryptodev_sym_get_private_session_size(s->dev_id[i]);
	for (unsigned int i = 0; i < CRYPTO_SYNC_MAX; i++)
		c->sgl[i] = (struct rte_crypto_sgl){.vec = &c->data[i], .num = 1};
}

/*
 * With many SAs the keys are in no cache. In front are cryptodev's line, the driver's and the round keys; at the end, of
 * AES-GCM, the lowest powers of the hash key, which short packets need. All the same when the one before has them.
 */
static inline void
crypto_sync_prefetch(const struct crypto_sync *c, const struct sa *sa)
{
	const uint8_t *session = sa->session, *end = session + c->session_len[sa->dev];

	if (likely(sa->sync == SA_SYNC_NATIVE)) {
		esp_gcm_prefetch(sa);
		return;
	}
	for (unsigned int i = 0; i < 5; i++)
		rte_prefetch0(session + i * RTE_CACHE_LINE_SIZE);
	rte_prefetch0(end - 2 * RTE_CACHE_LINE_SIZE);
	rte_prefetch0(end - RTE_CACHE_LINE_SIZE);
}

/* Whether a run of so many packets of the SA is done so. */
static inline bool
crypto_sync_wants(const struct sa *sa, uint16_t run)
{
	return sa->sync >= SA_SYNC || (sa->sync == SA_SYNC_LONG && run >= CRYPTO_SYNC_LONG);
}

/* How many of them are done at a time: what works on many has the more of them side by side. */
static inline uint16_t
crypto_sync_some(const struct sa *sa, uint16_t run, uint16_t some)
{
	return RTE_MIN(run, sa->sync == SA_SYNC_LONG ? CRYPTO_SYNC_MAX : some);
}

/* What is to be known of a packet. */
static __rte_always_inline void
crypto_item_fill(struct crypto_item *item, const struct rte_mbuf *m, const struct pkt *p,
	const struct sa *sa)
{
	uint8_t *esp = rte_pktmbuf_mtod_offset(m, uint8_t *, p->esp_at);

	item->esp = esp;
	item->len = m->pkt_len - p->esp_at;
	memcpy(&item->iv, esp + sizeof(struct rte_esp_hdr), sizeof(item->iv));
	if (unlikely(sa->flags & SA_F_ESN))
		esp_aad((uint8_t *)item->aad, p, sa, ((const struct rte_esp_hdr *)esp)->spi);
	else
		memcpy(item->aad, esp, sizeof(struct rte_esp_hdr));
}

/* Nonce of salt and IV: RFC 4106, 4 and 7634, 2. */
static __rte_always_inline void
crypto_sync_nonce(struct crypto_sync *c, uint16_t i, const struct crypto_item *item, uint32_t salt)
{
	c->iv[i].va = c->nonce[i];
	memcpy(c->nonce[i], &salt, sizeof(salt));
	memcpy(c->nonce[i] + sizeof(salt), &item->iv, sizeof(item->iv));
}

/* RFC 4106, 5: what is encrypted, and beside it SPI and number. The packet itself is not read. */
static __rte_always_inline void
crypto_sync_aead(
	struct crypto_sync *c, uint16_t i, const struct crypto_item *item, const struct sa *sa)
{
	uint32_t head = sizeof(struct rte_esp_hdr) + sa->iv_len;

	crypto_sync_nonce(c, i, item, sa->salt);
	c->aad[i].va = (void *)(uintptr_t)item->aad;
	c->data[i].base = item->esp + head;
	c->data[i].len = item->len - head - sa->icv_len;
	c->digest[i].va = item->esp + item->len - sa->icv_len;
}

/* RFC 4303, 3.3.2.1: all of ESP but the ICV is authenticated, and a part of it encrypted. */
static __rte_always_inline void
crypto_sync_auth(struct crypto_sync *c, uint16_t i, const struct crypto_item *item,
	const struct rte_mbuf *m, const struct sa *sa)
{
	static const rte_be32_t one = RTE_BE32(1); /* RFC 3686, 4 */
	uint32_t len = item->len - sa->icv_len;
	uint8_t *icv = item->esp + len;

	c->iv[i].va = item->esp + sizeof(struct rte_esp_hdr);
	if (sa->crypto == SA_CRYPTO_CTR) {
		crypto_sync_nonce(c, i, item, sa->salt);
		memcpy(c->nonce[i] + 12, &one, sizeof(one));
	}
	c->data[i].base = item->esp;
	c->data[i].len = len;
	c->digest[i].va = icv;
	if (sa->flags & SA_F_ESN) {
		c->data[i].len += ESP_HIGH_LEN;
		c->digest[i].va = esp_high(pkt(m), icv, sa);
	}
}

/*
 * The order in which a device gets packets: what works on many side by side ends with its lanes running empty, which takes as long as
 * the longest packet that is left. So the long ones come first, by steps of 256 bytes.
 */
#define CRYPTO_SYNC_STEPS 8u

static inline unsigned int
crypto_sync_step(const struct crypto_item *item)
{
	return CRYPTO_SYNC_STEPS - 1 - RTE_MIN(item->len / 256, CRYPTO_SYNC_STEPS - 1);
}

static inline void
crypto_sync_order(struct crypto_sync *c, const struct crypto_item *item, uint16_t n)
{
	uint16_t at[CRYPTO_SYNC_STEPS] = {0}, sum = 0;

	for (uint16_t i = 0; i < n; i++)
		at[crypto_sync_step(&item[i])]++;
	for (unsigned int step = 0; step < CRYPTO_SYNC_STEPS; step++) {
		uint16_t some = at[step];

		at[step] = sum;
		sum += some;
	}
	for (uint16_t i = 0; i < n; i++)
		c->order[at[crypto_sync_step(&item[i])]++] = i;
}

/* What did not go well is said in the packets: all that did say so already. */
static inline void
crypto_sync_failed(const struct crypto_sync *c, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		if (c->status[i] != 0)
			pkt(pkts[c->order[i]])->crypto_status =
				c->status[i] == EBADMSG ? RTE_CRYPTO_OP_STATUS_AUTH_FAILED
							: RTE_CRYPTO_OP_STATUS_ERROR;
}

static inline void
crypto_sync_native(const struct crypto_item *item, struct rte_mbuf **pkts, uint16_t n)
{
	uint64_t wrong = 0;

	if (item->sa->dir == SA_DIR_OUT)
		esp_gcm_seal(item, n);
	else
		wrong = esp_gcm_open(item, n);
	for (; unlikely(wrong != 0); wrong &= wrong - 1)
		pkt(pkts[__builtin_ctzll(wrong)])->crypto_status = RTE_CRYPTO_OP_STATUS_AUTH_FAILED;
}

/* The same by its device, dev. */
static inline void
crypto_sync_device(struct crypto_sync *c, uint8_t dev, const struct sa *sa,
	const struct crypto_item *item, struct rte_mbuf **pkts, uint16_t n)
{
	union rte_crypto_sym_ofs ofs = {.raw = 0};
	struct rte_crypto_sym_vec vec = {.num = n,
		.src_sgl = c->sgl,
		.iv = c->iv,
		.aad = c->aad,
		.digest = c->digest,
		.status = c->status};
	bool aead = sa->crypto == SA_CRYPTO_AEAD;

	if (!aead) {
		ofs.ofs.cipher.head = sizeof(struct rte_esp_hdr) + sa->iv_len;
		ofs.ofs.cipher.tail = sa->flags & SA_F_ESN ? ESP_HIGH_LEN : 0;
	}
	crypto_sync_order(c, item, n);
	for (uint16_t i = 0; i < n; i++) {
		uint16_t of = c->order[i];

		if (likely(aead))
			crypto_sync_aead(c, i, &item[of], sa);
		else
			crypto_sync_auth(c, i, &item[of], pkts[of], sa);
		c->status[i] = EINVAL; /* of what the device does not touch */
	}
	if (unlikely(rte_cryptodev_sym_cpu_crypto_process(dev, sa->session, ofs, &vec) != n))
		crypto_sync_failed(c, pkts, n);
}

/* Whether packets of two SAs in a row are worked on by one call: of one SA, or, where no device does it, in one direction. */
static inline bool
crypto_sync_together(const struct sa *a, const struct sa *b)
{
	return a == b ||
	       (a->sync == SA_SYNC_NATIVE && b->sync == SA_SYNC_NATIVE && a->dir == b->dir);
}

/* Seals or opens n packets, at most CRYPTO_SYNC_MAX, of SAs that go together with the first one's. dev: that SA's device. */
static __rte_always_inline void
crypto_sync_items(struct crypto_sync *c, uint8_t dev, const struct sa *sa,
	const struct crypto_item *item, struct rte_mbuf **pkts, uint16_t n)
{
	if (likely(sa->sync == SA_SYNC_NATIVE))
		crypto_sync_native(item, pkts, n);
	else
		crypto_sync_device(c, dev, sa, item, pkts, n);
}

/* The same for any number, on the worker itself; sa: the first one's. */
static inline void
crypto_sync_run(
	struct crypto_sync *c, uint8_t dev, const struct sa *sa, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t at = 0, some; at < n; at += some) {
		some = crypto_sync_some(sa, n - at, CRYPTO_SYNC_SOME);
		for (uint16_t i = 0; i < some; i++) {
			struct pkt *p = pkt(pkts[at + i]);

			if (i < ESP_GCM_AHEAD && p->sa != sa && sa->sync == SA_SYNC_NATIVE)
				esp_gcm_prefetch(p->sa);

			c->item[i].sa = p->sa;
			crypto_item_fill(&c->item[i], pkts[at + i], p, p->sa);
			p->crypto_status = RTE_CRYPTO_OP_STATUS_SUCCESS;
		}
		crypto_sync_items(c, dev, sa, c->item, &pkts[at], some);
	}
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_gcm.h"

#include <immintrin.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>

/*
 * NIST SP 800-38D. What is hashed and what is encrypted are both laid out by blocks from the ESP header on: the first is the
 * additional data for the hash, and for the cipher the block that masks the ICV; SPI, sequence number and IV are just as long.
 * So data and key stream lie side by side, four blocks a register.
 *
 * The hash has its bits in reverse within bytes. With the bytes of each block reversed, a product by carry-less multiplication comes out shifted by
 * one bit; the powers of the hash key are kept multiplied by x once more to make up for it, and products are reduced
 * by x^128 + x^127 + x^126 + x^121 + 1.
 */

#define BLOCK 16
#define REG 64 /* bytes a register */
#define CHUNK_REGS 4 /* registers that are worked on at a time */
#define CHUNK (CHUNK_REGS * REG / BLOCK) /* blocks */

#define POLY_HIGH 0xc200000000000000 /* of the polynomial's upper half */

#define INLINE static __attribute__((always_inline)) inline

/* The counters of the first blocks, where they stand in them: from 1 on, for the ICV is masked by the first block. */
#define COUNTER(i) 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (i) >> 8, (i)&0xff
#define COUNTERS4(i) COUNTER(i), COUNTER(i + 1), COUNTER(i + 2), COUNTER(i + 3)
#define COUNTERS16(i) COUNTERS4(i), COUNTERS4(i + 4), COUNTERS4(i + 8), COUNTERS4(i + 12)
#define COUNTERS64(i) COUNTERS16(i), COUNTERS16(i + 16), COUNTERS16(i + 32), COUNTERS16(i + 48)

static _Alignas(REG) const uint8_t counters[] = {
	COUNTERS64(1), COUNTERS64(65), COUNTERS64(129), COUNTERS64(193)};

#define NEAR (sizeof(counters) / REG) /* registers whose counters these are */

/* A sum of products, as they come: the low half, the middle, the high half. */
struct product {
	__m512i lo, mi, hi;
};

INLINE __m512i
reverse(__m512i v)
{
	return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8,
					      9, 10, 11, 12, 13, 14, 15)));
}

INLINE __m512i
xor3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

INLINE void
add_product(struct product *p, __m512i a, __m512i b)
{
	p->lo = _mm512_xor_si512(p->lo, _mm512_clmulepi64_epi128(a, b, 0x00));
	p->mi = xor3(
		p->mi, _mm512_clmulepi64_epi128(a, b, 0x01), _mm512_clmulepi64_epi128(a, b, 0x10));
	p->hi = _mm512_xor_si512(p->hi, _mm512_clmulepi64_epi128(a, b, 0x11));
}

/* Two at once: what is added to a sum two by two takes half the instructions. */
INLINE void
add_products(struct product *p, __m512i a, __m512i b, __m512i c, __m512i d)
{
	p->lo = xor3(
		p->lo, _mm512_clmulepi64_epi128(a, b, 0x00), _mm512_clmulepi64_epi128(c, d, 0x00));
	p->mi = xor3(
		p->mi, _mm512_clmulepi64_epi128(a, b, 0x01), _mm512_clmulepi64_epi128(a, b, 0x10));
	p->mi = xor3(
		p->mi, _mm512_clmulepi64_epi128(c, d, 0x01), _mm512_clmulepi64_epi128(c, d, 0x10));
	p->hi = xor3(
		p->hi, _mm512_clmulepi64_epi128(a, b, 0x11), _mm512_clmulepi64_epi128(c, d, 0x11));
}

/* Half by half: the low one goes into the middle, that into the high one. */
INLINE __m512i
reduce_half(__m512i low, __m512i into)
{
	const __m512i poly = _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)POLY_HIGH, 1));

	return xor3(into, _mm512_shuffle_epi32(low, _MM_PERM_BADC),
		_mm512_clmulepi64_epi128(poly, low, 0x01));
}

/* The products' sum, reduced: of all four lanes. */
INLINE __m128i
reduce(const struct product *p)
{
	__m512i r = reduce_half(reduce_half(p->lo, p->mi), p->hi);
	__m256i half = _mm256_xor_si256(_mm512_castsi512_si256(r), _mm512_extracti64x4_epi64(r, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

INLINE __m512i
round_key(const struct esp_gcm_key *k, unsigned int i)
{
	return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)k->round[i]));
}

INLINE __m128i
hash_key(const struct esp_gcm_key *k)
{
	return _mm_load_si128((const __m128i *)(const void *)k->power[ESP_GCM_POWERS - 1]);
}

/* The low block of a register, and zeros. */
INLINE __m512i
wide(__m128i v)
{
	return _mm512_zextsi128_si512(v);
}

INLINE __m128i
reverse_block(__m128i v)
{
	return _mm512_castsi512_si128(reverse(wide(v)));
}

INLINE __m128i
multiply(__m128i a, __m128i b)
{
	struct product p = {0};

	add_product(&p, wide(a), wide(b));
	return reduce(&p);
}

/* Registers of blocks that are to be hashed, bytes reversed, and the powers of the hash key that are theirs. */
struct hashing {
	struct product sum;
	__m512i blocks[CHUNK_REGS];
	const uint8_t *power;
};

INLINE __m512i
power_of(const struct hashing *h, unsigned int j)
{
	return _mm512_loadu_si512(h->power + j * REG);
}

/* Two registers from j on, or one when there are no more than n. */
INLINE void
hash_registers(struct hashing *h, const unsigned int j, const unsigned int n)
{
	if (j + 1 < n)
		add_products(&h->sum, h->blocks[j], power_of(h, j), h->blocks[j + 1],
			power_of(h, j + 1));
	else if (j < n)
		add_product(&h->sum, h->blocks[j], power_of(h, j));
}

/* Where a packet's key stream is. */
struct stream_at {
	__m512i base; /* salt, IV and a counter of zero, with the first round key */
	uint32_t reg; /* registers before */
};

/* The counters of a register too far on for the table. */
INLINE __m512i
far_counters(uint32_t reg)
{
	__m512i first = _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1);

	return reverse(_mm512_add_epi32(first, _mm512_maskz_set1_epi32(0x1111, (int)(4 * reg))));
}

/*
 * The key stream of the next n registers' blocks. Between its rounds n_hash registers are hashed, for that is done by other parts of
 * the processor.
 */
INLINE void
key_stream(const struct sa *sa, struct stream_at *at, __m512i *ks, const unsigned int n,
	struct hashing *h, const unsigned int n_hash)
{
	const struct esp_gcm_key *k = esp_gcm_key(sa);
	bool near = likely(at->reg + n <= NEAR);

	for (unsigned int j = 0; j < n; j++)
		ks[j] = _mm512_xor_si512(
			at->base, near ? _mm512_load_si512(&counters[(at->reg + j) * REG])
				       : far_counters(at->reg + j));
	at->reg += n;
#define ROUND(i)                                                      \
	for (unsigned int j = 0; j < n; j++)                          \
		ks[j] = _mm512_aesenc_epi128(ks[j], round_key(k, i)); \
	if (i % 2 == 1)                                               \
		hash_registers(h, i - 1, n_hash);
	ROUND(1)
	ROUND(2)
	ROUND(3)
	ROUND(4)
	ROUND(5)
	ROUND(6)
	ROUND(7)
	ROUND(8)
	ROUND(9)
	if (sa->rounds > 10) {
		ROUND(10)
		ROUND(11)
	}
	if (sa->rounds > 12) {
		ROUND(12)
		ROUND(13)
	}
#undef ROUND
	for (unsigned int j = 0; j < n; j++)
		ks[j] = _mm512_aesenclast_epi128(ks[j], round_key(k, sa->rounds));
}

/* What goes from chunk to chunk of a packet. */
struct state {
	struct stream_at at;
	struct hashing h; /* what is to be hashed; sealing, of the chunk before */
	__m128i hash; /* of the blocks before, bytes reversed; at first, the additional data */
	__m128i mask; /* what masks the ICV */
};

/* Ciphertext is to be hashed. The packet's first block is none: the additional data comes in its place. */
INLINE void
to_hash(struct state *s, const __m512i *v, const unsigned int n, const bool first)
{
	for (unsigned int j = 0; j < n; j++)
		s->h.blocks[j] = reverse(v[j]);
	if (first)
		s->h.blocks[0] = _mm512_inserti32x4(s->h.blocks[0], s->hash, 0);
	else
		s->h.blocks[0] = _mm512_xor_si512(s->h.blocks[0], wide(s->hash));
}

INLINE void
hashed(struct state *s)
{
	s->hash = reduce(&s->h.sum);
	s->h.sum = (struct product){0};
}

/*
 * n registers of a packet's blocks; last: the bytes of the last register that are data. What is sealed is hashed with the next
 * chunk, what is opened at once: its sum stays, for the last chunk's is not yet all.
 */
INLINE void
chunk(const struct sa *sa, struct state *s, uint8_t *data, const unsigned int n, const bool first,
	__mmask64 last, const bool seal)
{
	__m512i ks[CHUNK_REGS], in[CHUNK_REGS];

	for (unsigned int j = 0; j < n; j++)
		in[j] = _mm512_maskz_loadu_epi8(j == n - 1 ? last : ~0ull, data + j * REG);
	if (!seal) {
		if (!first)
			hashed(s);
		to_hash(s, in, n, first);
	}
	key_stream(sa, &s->at, ks, n, &s->h, !seal ? n : first ? 0 : CHUNK_REGS);
	if (first)
		s->mask = _mm512_castsi512_si128(ks[0]);
	for (unsigned int j = 0; j < n; j++) {
		__mmask64 bytes = j == n - 1 ? last : ~0ull;

		ks[j] = _mm512_xor_si512(in[j], ks[j]);
		_mm512_mask_storeu_epi8(
			data + j * REG, j == 0 && first ? bytes & ~0xffffull : bytes, ks[j]);
		if (seal)
			ks[j] = _mm512_maskz_mov_epi8(bytes, ks[j]);
	}
	if (seal) {
		if (!first)
			hashed(s);
		to_hash(s, ks, n, first);
	}
}

/* The last n registers, and what ends the hash: the lengths. */
INLINE void
last_chunk(const struct sa *sa, struct state *s, uint8_t *data, const unsigned int n,
	const bool first, __mmask64 last, const uint8_t *power, const bool seal)
{
	if (!seal)
		s->h.power = power;
	chunk(sa, s, data, n, first, last, seal);
	s->h.power = power;
	for (unsigned int j = 0; seal && j < n; j += 2)
		hash_registers(&s->h, j, n);
}

/* Key stream and hash over a packet; returns its ICV in full. */
INLINE __m128i
process(const struct sa *sa, const struct crypto_item *item, const bool seal)
{
	const struct esp_gcm_key *k = esp_gcm_key(sa);
	const uint32_t aad_len = sa->flags & SA_F_ESN ? 12 : 8;
	uint32_t clear = item->len - BLOCK - sa->icv_len; /* header and IV are a block */
	uint32_t blocks = 1 + (clear + BLOCK - 1) / BLOCK;
	uint32_t bytes = BLOCK + clear;
	uint8_t *data = item->esp;
	const __m128i lengths = _mm_set_epi64x(aad_len * 8, (int64_t)clear * 8);
	const uint8_t *power;
	struct state s = {.mask = _mm_setzero_si128(), .h.power = k->power[ESP_GCM_POWERS - CHUNK]};
	bool first = true;
	__mmask64 last;

	s.hash = reverse_block(_mm_maskz_loadu_epi8((1u << aad_len) - 1, item->aad));
	s.at.base = _mm512_xor_si512(round_key(k, 0),
		_mm512_broadcast_i32x4(
			_mm_set_epi32(0, (int)(item->iv >> 32), (int)item->iv, (int)sa->salt)));
	for (; blocks > CHUNK; blocks -= CHUNK, bytes -= CHUNK * BLOCK, data += CHUNK * BLOCK) {
		if (first)
			chunk(sa, &s, data, CHUNK_REGS, true, ~0ull, seal);
		else
			chunk(sa, &s, data, CHUNK_REGS, false, ~0ull, seal);
		first = false;
	}
	power = k->power[ESP_GCM_POWERS - blocks - 1];
	last = ~0ull >> (-bytes % REG);
#define TAIL(n)                                                        \
	if (first)                                                     \
		last_chunk(sa, &s, data, n, true, last, power, seal);  \
	else                                                           \
		last_chunk(sa, &s, data, n, false, last, power, seal); \
	break
	switch ((bytes + REG - 1) / REG) {
	case 1:
		TAIL(1);
	case 2:
		TAIL(2);
	case 3:
		TAIL(3);
	case 4:
		TAIL(4);
	}
	add_product(&s.h.sum, wide(lengths), wide(hash_key(k)));
	return _mm_xor_si128(reverse_block(reduce(&s.h.sum)), s.mask);
}

/* The key of a packet to come, unless the one before it has the same. */
INLINE void
prefetch_key(const struct crypto_item *item, const struct crypto_item *end)
{
	if (item + ESP_GCM_AHEAD < end && item[ESP_GCM_AHEAD].sa != item[ESP_GCM_AHEAD - 1].sa)
		esp_gcm_prefetch(item[ESP_GCM_AHEAD].sa);
}

void
esp_gcm_seal(const struct crypto_item *item, uint16_t n)
{
	for (const struct crypto_item *end = item + n; item < end; item++) {
		const struct sa *sa = item->sa;

		prefetch_key(item, end);
		_mm_mask_storeu_epi8(item->esp + item->len - sa->icv_len, (1u << sa->icv_len) - 1,
			process(sa, item, true));
	}
}

uint64_t
esp_gcm_open(const struct crypto_item *item, uint16_t n)
{
	const struct crypto_item *end = item + n;
	uint64_t wrong = 0;

	for (uint16_t i = 0; i < n; i++, item++) {
		const struct sa *sa = item->sa;
		const __mmask16 icv = (1u << sa->icv_len) - 1;
		__m128i is;

		prefetch_key(item, end);
		is = _mm_maskz_loadu_epi8(icv, item->esp + item->len - sa->icv_len);

		wrong |= (uint64_t)(_mm_mask_cmpneq_epi8_mask(icv, is, process(sa, item, false)) !=
				    0)
			 << i;
	}
	return wrong;
}

/* FIPS 197, 5.2. */
static void
expand_key(struct esp_gcm_key *k, const uint8_t *key, uint8_t key_len)
{
	unsigned int words = key_len / 4, rounds = words + 6;
	uint8_t *w = k->round[0], constant = 1;

	memcpy(w, key, key_len);
	for (unsigned int i = words; i < 4 * (rounds + 1); i++) {
		uint32_t t, before;

		memcpy(&t, w + 4 * (i - 1), sizeof(t));
		if (i % words == 0 || (words == 8 && i % words == 4)) {
			/* All columns alike: the shift of rows changes nothing, and what is left is the S-box. */
			t = (uint32_t)_mm_cvtsi128_si32(
				_mm_aesenclast_si128(_mm_set1_epi32((int)t), _mm_setzero_si128()));
			if (i % words == 0) {
				t = (t >> 8 | t << 24) ^ constant;
				constant = (uint8_t)(constant << 1 ^ (constant & 0x80 ? 0x1b : 0));
			}
		}
		memcpy(&before, w + 4 * (i - words), sizeof(before));
		t ^= before;
		memcpy(w + 4 * i, &t, sizeof(t));
	}
}

void
esp_gcm_init(struct sa *sa, const uint8_t *key, uint8_t key_len)
{
	struct esp_gcm_key *k = (struct esp_gcm_key *)(void *)sa->native;
	struct stream_at at = {.reg = 0};
	__m512i cipher;
	__m128i power;
	uint64_t h[2], carry;

	memset(k, 0, sizeof(*k));
	expand_key(k, key, key_len);
	sa->rounds = key_len / 4 + 6;
	/* The hash key is the cipher of zeros, so the first counters are taken out before they come in; times x. */
	at.base = _mm512_xor_si512(round_key(k, 0), _mm512_load_si512(counters));
	key_stream(sa, &at, &cipher, 1, NULL, 0);
	_mm_storeu_si128((__m128i *)(void *)h, _mm512_castsi512_si128(reverse(cipher)));
	carry = h[1] >> 63;
	h[1] = (h[1] << 1 | h[0] >> 63) ^ (-carry & POLY_HIGH);
	h[0] = h[0] << 1 ^ carry;
	power = _mm_loadu_si128((const __m128i *)(const void *)h);
	for (int i = ESP_GCM_POWERS - 1; i >= 0; i--) {
		_mm_store_si128((__m128i *)(void *)k->power[i], power);
		power = multiply(power, hash_key(k));
	}
	explicit_bzero(h, sizeof(h));
}

bool
esp_gcm_works(void)
{
	/* By OpenSSL's AES-GCM. */
	static const uint8_t icv[] = {0x0c, 0x65, 0x66, 0xdf, 0xd8, 0xa2, 0x50, 0x83, 0x51, 0x5d,
		0xd9, 0x1d, 0x91, 0x39, 0xaf, 0x5f};
	uint8_t key[16], packet[BLOCK + 600 + sizeof(icv)];
	struct sa sa = {.salt = rte_cpu_to_be_32(0x40414243), .icv_len = sizeof(icv)};
	struct crypto_item item = {.sa = &sa, .esp = packet, .len = sizeof(packet)};
	bool right;

	for (unsigned int i = 0; i < sizeof(key); i++)
		key[i] = i;
	for (unsigned int i = 0; i < BLOCK / 2; i++) {
		packet[i] = 0x80 + i;
		packet[BLOCK / 2 + i] = 0x44 + i;
	}
	for (unsigned int i = 0; i < 600; i++)
		packet[BLOCK + i] = i;
	memcpy(item.aad, packet, BLOCK / 2);
	memcpy(&item.iv, packet + BLOCK / 2, sizeof(item.iv));
	esp_gcm_init(&sa, key, sizeof(key));
	esp_gcm_seal(&item, 1);
	right = memcmp(packet + BLOCK + 600, icv, sizeof(icv)) == 0 && esp_gcm_open(&item, 1) == 0;
	for (unsigned int i = 0; i < 600; i++)
		right &= packet[BLOCK + i] == (uint8_t)i;
	return right;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_gcm.h"
#include "sad.h"

#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/* AES-GCM of our own against OpenSSL's: lengths around all edges of registers and chunks, keys, ICVs, ESN. */

#define LONGEST 1700
#define ROOM (LONGEST + 128)
#define AROUND 64
#define RUN 7

static uint8_t packets[RUN][ROOM], expected[RUN][ROOM];
static uint64_t seed;

static uint8_t
random_byte(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 56;
}

static void
random_bytes(void *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = random_byte();
}

static void
openssl_seal(const uint8_t *key, unsigned int key_len, uint32_t salt,
	const struct crypto_item *item, unsigned int aad_len, uint8_t *esp, unsigned int clear,
	unsigned int icv_len)
{
	const EVP_CIPHER *cipher = key_len == 16   ? EVP_aes_128_gcm()
				   : key_len == 24 ? EVP_aes_192_gcm()
						   : EVP_aes_256_gcm();
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[12];
	int n;

	memcpy(nonce, &salt, 4);
	memcpy(nonce + 4, &item->iv, 8);
	ck_assert_int_eq(EVP_EncryptInit_ex(c, cipher, NULL, key, nonce), 1);
	ck_assert_int_eq(EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)item->aad, aad_len), 1);
	if (clear > 0)
		ck_assert_int_eq(EVP_EncryptUpdate(c, esp + 16, &n, esp + 16, clear), 1);
	ck_assert_int_eq(EVP_EncryptFinal_ex(c, esp + 16, &n), 1);
	ck_assert_int_eq(
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, icv_len, esp + 16 + clear), 1);
	EVP_CIPHER_CTX_free(c);
}

/* Keys of all kinds, the first as said. */
static void
random_keys(struct sa *sas, uint8_t key[RUN][32], unsigned int key_len[RUN], unsigned int icv_len,
	bool esn)
{
	static const uint8_t icv_lens[] = {16, 12, 8};

	for (unsigned int i = 0; i < RUN; i++) {
		random_bytes(key[i], 32);
		random_bytes(&sas[i], sizeof(sas[i]));
		if (i > 0) {
			key_len[i] = 16 + random_byte() % 3 * 8;
			icv_len = icv_lens[random_byte() % 3];
			esn = random_byte() & 1;
		}
		sas[i].icv_len = icv_len;
		sas[i].flags = esn ? SA_F_ESN : SA_F_TUNNEL;
		esp_gcm_init(&sas[i], key[i], key_len[i]);
	}
}

static unsigned int
aad_len(const struct sa *sa)
{
	return sa->flags & SA_F_ESN ? 12 : 8;
}

/*
 * Packets in a row, the first of that length; what lies around them must stay as it is. Each may have any of the keys, or many: that of
 * the first.
 */
static void
try(unsigned int first_len, unsigned int len, unsigned int icv_len, bool esn)
{
	unsigned int key_len[RUN] = {first_len}, wrong = random_byte() % RUN, at;
	bool many = random_byte() & 1;
	struct crypto_item items[RUN];
	struct sa sas[RUN];
	const struct sa *of;
	uint8_t key[RUN][32];

	random_bytes(packets, sizeof(packets));
	memcpy(expected, packets, sizeof(packets));
	random_keys(sas, key, key_len, icv_len, esn);
	for (unsigned int i = 0; i < RUN; i++) {
		unsigned int which = many && i > 0 ? random_byte() % RUN : 0;
		unsigned int clear =
			i == 0 ? len : (unsigned int)(random_byte() << 8 | random_byte()) % LONGEST;

		random_bytes(&items[i], sizeof(items[i]));
		items[i].sa = &sas[which];
		items[i].esp = packets[i] + i * 9 % AROUND;
		items[i].len = 16 + clear + sas[which].icv_len;
		openssl_seal(key[which], key_len[which], sas[which].salt, &items[i],
			aad_len(&sas[which]), expected[i] + i * 9 % AROUND, clear,
			sas[which].icv_len);
	}
	esp_gcm_seal(items, RUN);
	for (unsigned int i = 0; i < RUN; i++)
		ck_assert_msg(memcmp(packets[i], expected[i], ROOM) == 0,
			"sealed: packet %u with its ICV %u, the first one's key %u, ICV %u, ESN "
			"%d, many %d",
			i, items[i].len - 16, first_len, icv_len, esn, many);
	ck_assert_uint_eq(esp_gcm_open(items, RUN), 0);
	for (unsigned int i = 0; i < RUN; i++)
		ck_assert_mem_eq(items[i].esp, expected[i] + i * 9 % AROUND, 16);
	/* Opened, it is what is sealed to the same again. */
	esp_gcm_seal(items, RUN);
	ck_assert_mem_eq(packets, expected, sizeof(packets));
	/* One bit of ciphertext, ICV or additional data. */
	of = items[wrong].sa;
	at = (unsigned int)(random_byte() << 8 | random_byte()) %
	     (items[wrong].len - 16 + aad_len(of));
	if (at < aad_len(of))
		((uint8_t *)items[wrong].aad)[at] ^= 1 << (random_byte() & 7);
	else
		items[wrong].esp[16 + at - aad_len(of)] ^= 1 << (random_byte() & 7);
	ck_assert_uint_eq(esp_gcm_open(items, RUN), 1ull << wrong);
}

static bool
possible(void)
{
	if (esp_gcm_possible())
		return true;
	fprintf(stderr, "skipped: this processor has no AVX-512, VAES and VPCLMULQDQ\n");
	return false;
}

START_TEST(as_openssl)
{
	static const uint8_t icv_lens[] = {16, 12, 8};

	seed = _i + 1;
	if (!possible())
		return;
	for (unsigned int len = 0; len < LONGEST; len += 1 + (len > 600) * (random_byte() & 7)) {
		try(16 + 8 * (_i % 3), len, icv_lens[len % 3], _i >= 3);
	}
}
END_TEST

/* What the router asks before it relies on it. */
START_TEST(works_here)
{
	if (possible())
		ck_assert(esp_gcm_works());
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("esp_gcm");
	TCase *tc = tcase_create("esp_gcm");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, as_openssl, 0, 6);
	tcase_add_test(tc, works_here);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

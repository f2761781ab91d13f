/* SPDX-License-Identifier: BSD-3-Clause */
#include "transform.h"

#include "wire.h"

/* What the data plane has, and nothing that calls DPDK: cygnetctl checks its files against it. */

#define AEAD(x) RTE_CRYPTO_AEAD_##x
#define CIPHER(x) RTE_CRYPTO_CIPHER_##x
#define AUTH(x) RTE_CRYPTO_AUTH_##x

/* RFC 4106, 4309, 7634, 4543, 3602, 3686, 2410 */
static const struct transform_encr encr[] = {
	{ENCR_AES_GCM_16, "AES_GCM_16", SA_CRYPTO_AEAD, {16, 24, 32}, 4, 8, 16, 4, AEAD(AES_GCM)},
	{ENCR_AES_GCM_12, "AES_GCM_12", SA_CRYPTO_AEAD, {16, 24, 32}, 4, 8, 12, 4, AEAD(AES_GCM)},
	{ENCR_AES_GCM_8, "AES_GCM_8", SA_CRYPTO_AEAD, {16, 24, 32}, 4, 8, 8, 4, AEAD(AES_GCM)},
	{ENCR_CHACHA20_POLY1305, "CHACHA20_POLY1305", SA_CRYPTO_AEAD, {32}, 4, 8, 16, 4,
		AEAD(CHACHA20_POLY1305)},
	{ENCR_AES_CCM_16, "AES_CCM_16", SA_CRYPTO_CCM, {16, 24, 32}, 3, 8, 16, 4, AEAD(AES_CCM)},
	{ENCR_AES_CCM_12, "AES_CCM_12", SA_CRYPTO_CCM, {16, 24, 32}, 3, 8, 12, 4, AEAD(AES_CCM)},
	{ENCR_AES_CCM_8, "AES_CCM_8", SA_CRYPTO_CCM, {16, 24, 32}, 3, 8, 8, 4, AEAD(AES_CCM)},
	{ENCR_NULL_AUTH_AES_GMAC, "NULL_AES_GMAC", SA_CRYPTO_GMAC, {16, 24, 32}, 4, 8, 16, 4,
		AUTH(AES_GMAC)},
	{ENCR_AES_CBC, "AES_CBC", SA_CRYPTO_CBC, {16, 24, 32}, 0, 16, 0, 16, CIPHER(AES_CBC)},
	{ENCR_AES_CTR, "AES_CTR", SA_CRYPTO_CTR, {16, 24, 32}, 4, 8, 0, 4, CIPHER(AES_CTR)},
	{ENCR_NULL, "NULL", SA_CRYPTO_AUTH, {0}, 0, 0, 0, 4, CIPHER(NULL)},
};

/* RFC 2404, 4868, 3566, 4494; 1024 is the truncation that old Linux kernels negotiate */
static const struct transform_integ integ[] = {
	{AUTH_HMAC_SHA1_96, "HMAC_SHA1_96", 20, 12, AUTH(SHA1_HMAC)},
	{AUTH_HMAC_SHA2_256_128, "HMAC_SHA2_256_128", 32, 16, AUTH(SHA256_HMAC)},
	{AUTH_HMAC_SHA2_256_96, "HMAC_SHA2_256_96", 32, 12, AUTH(SHA256_HMAC)},
	{AUTH_HMAC_SHA2_384_192, "HMAC_SHA2_384_192", 48, 24, AUTH(SHA384_HMAC)},
	{AUTH_HMAC_SHA2_512_256, "HMAC_SHA2_512_256", 64, 32, AUTH(SHA512_HMAC)},
	{AUTH_AES_XCBC_96, "AES_XCBC_96", 16, 12, AUTH(AES_XCBC_MAC)},
	{AUTH_AES_CMAC_96, "AES_CMAC_96", 16, 12, AUTH(AES_CMAC)},
};

const struct transform_encr *
transform_encr(uint16_t id)
{
	for (unsigned int i = 0; i < RTE_DIM(encr); i++)
		if (encr[i].id == id)
			return &encr[i];
	return NULL;
}

const struct transform_integ *
transform_integ(uint16_t id)
{
	for (unsigned int i = 0; i < RTE_DIM(integ); i++)
		if (integ[i].id == id)
			return &integ[i];
	return NULL;
}

bool
transform_key_fits(const struct transform_encr *t, uint16_t len)
{
	if (t->key_lens[0] == 0)
		return len == 0;
	for (unsigned int i = 0; i < RTE_DIM(t->key_lens); i++)
		if (t->key_lens[i] != 0 && len == t->key_lens[i] + t->salt_len)
			return true;
	return false;
}

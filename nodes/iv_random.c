/* SPDX-License-Identifier: BSD-3-Clause */
#include "iv_random.h"

#include <errno.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

int
iv_random_init(struct iv_random *r)
{
	uint8_t key[32], counter[16] = {0};
	int ok;

	r->at = IV_RANDOM_PAGE;
	r->cipher = EVP_CIPHER_CTX_new();
	ok = r->cipher != NULL && RAND_bytes(key, sizeof(key)) == 1 &&
	     EVP_EncryptInit_ex(r->cipher, EVP_aes_256_ctr(), NULL, key, counter) == 1;
	explicit_bzero(key, sizeof(key));
	return ok ? 0 : -EIO;
}

void
iv_random_free(struct iv_random *r)
{
	EVP_CIPHER_CTX_free(r->cipher);
	explicit_bzero(r, sizeof(*r));
}

bool
iv_random_refill(struct iv_random *r)
{
	static const uint8_t zero[IV_RANDOM_PAGE];
	int n = 0;

	if (EVP_EncryptUpdate(r->cipher, r->page, &n, zero, sizeof(zero)) != 1 || n != sizeof(zero))
		return false;
	r->at = 0;
	return true;
}

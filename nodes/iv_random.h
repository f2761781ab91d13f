/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IV_RANDOM_H
#define CYGNET_IV_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * IVs for CBC, which nobody may foresee (RFC 3602, 3): the key stream of AES-256-CTR under a random key of the
 * worker's own, made a page at a time. One worker uses one; no locks.
 */

#define IV_RANDOM_PAGE 4096
#define IV_RANDOM_LEN 16
#define IV_RANDOM_MAX (IV_RANDOM_PAGE / IV_RANDOM_LEN) /* at once */

struct iv_random {
	void *cipher; /* EVP_CIPHER_CTX */
	uint32_t at;
	uint8_t page[IV_RANDOM_PAGE];
};

/* Returns 0 or -EIO. */
int iv_random_init(struct iv_random *r);
void iv_random_free(struct iv_random *r);

/* Makes the next page; false when libcrypto fails. */
bool iv_random_refill(struct iv_random *r);

/* The next n IVs, at most IV_RANDOM_MAX, good until the next call; NULL when there are none to be had, and nothing may be sealed. */
static inline const uint8_t *
iv_random_some(struct iv_random *r, uint32_t n)
{
	const uint8_t *ivs;

	if (r->at + n * IV_RANDOM_LEN > IV_RANDOM_PAGE && !iv_random_refill(r))
		return NULL;
	ivs = r->page + r->at;
	r->at += n * IV_RANDOM_LEN;
	return ivs;
}

/* One, to iv; false when there is none. */
static inline bool
iv_random_get(struct iv_random *r, uint8_t iv[IV_RANDOM_LEN])
{
	const uint8_t *one = iv_random_some(r, 1);

	if (one != NULL)
		memcpy(iv, one, IV_RANDOM_LEN);
	return one != NULL;
}

#endif

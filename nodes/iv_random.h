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

/* Sixteen bytes to iv; false when there are none to be had, and nothing may be sealed. */
static inline bool
iv_random_get(struct iv_random *r, uint8_t iv[16])
{
	if (r->at + 16 > IV_RANDOM_PAGE && !iv_random_refill(r))
		return false;
	memcpy(iv, r->page + r->at, 16);
	r->at += 16;
	return true;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TRANSFORM_H
#define CYGNET_TRANSFORM_H

#include "sad.h"

#include <rte_cryptodev.h>

/*
 * The transforms of ESP by their IKEv2 transform IDs: the sizes that their RFCs give, and how a cryptodev is
 * told of them.
 */

/* Type 1: encryption, perhaps with integrity of its own (AEAD). */
struct transform_encr {
	uint16_t id;
	const char *name; /* as strongSwan writes it, without the key length */
	uint8_t crypto; /* enum sa_crypto */
	uint8_t key_lens[3]; /* bytes without the salt; 0: unused */
	uint8_t salt_len;
	uint8_t iv_len; /* in the packet */
	uint8_t icv_len; /* of an AEAD or GMAC, else 0 */
	uint8_t align; /* of payload and trailer */
	int algo; /* rte_crypto_aead_algorithm, _cipher_ or _auth_ as crypto says */
};

/* Type 3: integrity. */
struct transform_integ {
	uint16_t id;
	const char *name;
	uint8_t key_len, icv_len;
	int algo; /* rte_crypto_auth_algorithm */
};

/* NULL when it is not known. */
const struct transform_encr *transform_encr(uint16_t id);
const struct transform_integ *transform_integ(uint16_t id);

/* Whether that many bytes, salt included, are a key of it. */
bool transform_key_fits(const struct transform_encr *t, uint16_t len);

/*
 * Fills the chain of transforms for a session of the SA and returns its first; key: encryption key, salt,
 * integrity key. The result points into xform and key.
 */
struct rte_crypto_sym_xform *transform_xforms(
	const struct sa_conf *conf, const uint8_t *key, struct rte_crypto_sym_xform xform[2]);

/* Whether the device can do each of the chain. */
bool transform_supported(uint8_t dev_id, const struct rte_crypto_sym_xform *xform);

#endif

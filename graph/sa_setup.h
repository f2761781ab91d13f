/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SA_SETUP_H
#define CYGNET_SA_SETUP_H

#include "sad.h"

#include <rte_crypto_sym.h>

/* A transform of ESP: what its RFC says of sizes. */
struct sa_transform {
	uint16_t id; /* IKEv2 transform ID, type 1 */
	uint16_t key_lens[3]; /* bytes, without the salt */
	uint8_t salt_len;
	uint8_t iv_len;
	uint8_t icv_len;
	uint8_t align;
	uint8_t aead; /* enum rte_crypto_aead_algorithm */
	const char *name;
};

/* NULL when it is not implemented. */
const struct sa_transform *sa_transform(uint16_t enc_alg);

/* Whether the configuration is possible: 0, -EINVAL or -ENOTSUP; *why says what is wrong. */
int sa_check(const struct sa_conf *conf, const char **why);

/*
 * Fills the hot half but for spi, session and dev; allocates the replay window. Control thread.
 * sa_check() has passed. Returns 0 or -ENOMEM.
 */
int sa_setup(struct sa *sa, const struct sa_conf *conf, uint32_t slot, uint16_t workers,
	const char **why);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ALGORITHM_H
#define CYGNET_ALGORITHM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The names of ESP's and AH's algorithms, as strongSwan writes them and as people do: dashes, underscores
 * and case do not count, so AES256-GCM is aes256gcm. What a name means to the data plane, transform.h says.
 */
struct algorithm {
	const char *name; /* strongSwan's keyword without dashes */
	uint16_t id; /* IKEv2 transform ID */
	uint16_t key_len; /* bytes, with the salt */
	bool counter; /* its nonces count: two runs with one key give them twice */
	bool aead;
};

/* Fill *found; false when the name is unknown. Known is more than what the data plane has. */
bool algorithm_encryption(const char *name, struct algorithm *found);
bool algorithm_integrity(const char *name, struct algorithm *found);

/* The n-th name of those tables, for suggestions; NULL at the end. */
const char *algorithm_encryption_name(unsigned int n, char buf[32]);
const char *algorithm_integrity_name(unsigned int n);

/* Lower case, without '-' and '_'. */
void algorithm_squeeze(const char *s, char *out, unsigned int size);

#endif

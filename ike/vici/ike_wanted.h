/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_WANTED_H
#define CYGNET_IKE_WANTED_H

#include "ike_file.h"

/*
 * What charon is told for a file, in swanctl.conf's terms: sections are objects, lists are arrays, all values
 * are strings. A certificate is {"file": path, "pem": text}. Secrets are beside it, never in JSON.
 */

#define WANTED_ID_MAX 128

struct wanted_secret {
	char id[WANTED_ID_MAX]; /* what charon calls it: with a fingerprint, so that another secret has another id */
	const char *type; /* IKE or PPK */
	json_t *owners;
	unsigned char *data;
	size_t len;
	char section[80]; /* of swanctl.conf */
};

struct wanted_key {
	char *file;
	char fingerprint[65]; /* of the file's bytes, in hexadecimal */
	unsigned char *data;
	size_t len;
};

struct ike_wanted {
	json_t *conns, *pools, *authorities; /* by name */
	json_t *responders; /* names of those that do not call the peer, as a set */
	struct wanted_secret *secrets;
	size_t n_secrets;
	struct wanted_key *keys;
	size_t n_keys;
	size_t n_tunnels; /* enabled */
};

/*
 * Of a file without errors. salt: 32 bytes that make fingerprints of secrets useless elsewhere. NULL after an
 * error (a file beside it that has vanished), which is in f->errors, or without memory.
 */
struct ike_wanted *ike_wanted_make(struct ike_file *f, const unsigned char salt[32]);
void ike_wanted_free(struct ike_wanted *w);

/* SHA-256 of an object's canonical form, as hexadecimal digits. */
void ike_fingerprint(const json_t *v, char out[65]);

/* The equivalent swanctl.conf. */
void ike_export(const struct ike_wanted *w, bool secrets, FILE *out);

#endif

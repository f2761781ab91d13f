/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_IDENTITY_H
#define CYGNET_IKE_IDENTITY_H

#include "ike_file.h"

#define OWNER_MAX 255 /* bytes: charon reads no more of one */

/* Who a gateway's two ends are, and whose its pre-shared key is. Methods are charon's words. */
struct ike_identities {
	char method[32], remote_method[32], local[512], remote[512];
};

void ike_identities(const struct ike_file *f, size_t gateway, struct ike_identities *id);

/*
 * The owners of a gateway's pre-shared key, as charon is told, or NULL where it needs none. charon takes a key that one of
 * them fits at either end: with our own identity among them, a peer's key would be good for every peer's identity.
 */
json_t *ike_key_owners(const struct ike_file *f, size_t gateway);

/* Tells of each loaded gateway whose pre-shared key charon could not tell from another's, or whose owner is too long. */
void ike_check_keys(struct ike_file *f);

#endif

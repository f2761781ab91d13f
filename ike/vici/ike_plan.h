/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_PLAN_H
#define CYGNET_IKE_PLAN_H

#include "ike_state.h"
#include "ike_wanted.h"

/*
 * What lies between a file and a charon. Of each connection that differs:
 * {"change": add, change or remove, "foreign": true if somebody else loaded it, "altered": true if it is ours and not
 * as we know it, "why": [text …] of the gateway itself, "tunnels": {name: {"change": …, "why": [text …]}}}
 */
struct ike_plan {
	json_t *conns, *pools,
		*authorities; /* by name; of the latter two {"change": …, "foreign": …} */
	json_t *secrets_add, *secrets_remove; /* ids */
	json_t *keys_add, *keys_remove; /* fingerprints */
	json_t *keys_loaded; /* charon's ids of all private keys that it has, as a set */
	/*
	 * Names of connections that have not changed, and are loaded again: charon has lost keys or secrets, and with them
	 * the certificates of connections, of which it tells nothing.
	 */
	json_t *again;
	json_t *others; /* names of connections that neither the file nor we know */
	json_t *listed; /* charon's own listing of each connection, as a hash, by name */
	size_t added, changed, removed, unchanged; /* tunnels */
	bool lost; /* charon lacks a key or secret that it was told */
	bool forgot; /* the state has lost names that neither the file nor charon has: save it */
};

/* NULL after one line on stderr. */
struct ike_plan *ike_plan_make(struct vici *v, const struct ike_wanted *w, struct ike_state *s);
void ike_plan_free(struct ike_plan *p);
bool ike_plan_empty(const struct ike_plan *p);
/* A connection that the file names and somebody else has loaded, or NULL. */
const char *ike_plan_foreign(const struct ike_plan *p);
json_t *ike_plan_json(const struct ike_plan *p);

/* charon's listings of the connection, of all when name is NULL, as hashes by name; NULL when charon is gone. */
json_t *ike_listings(struct vici *v, const char *name);

#endif

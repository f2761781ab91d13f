/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_STATE_H
#define CYGNET_IKE_STATE_H

#include "vici_client.h"

/*
 * What cygnetctl has loaded into a charon: beside charon's socket, in /run, root's alone, without secrets. charon itself
 * tells too little of a connection to compare it. It counts only together with charon's own lists: one that was
 * started anew has nothing of it.
 *
 * {"salt": hex, "conns": {name: {"config": {…}, "listed": hash of charon's own listing}}, "pools": {…},
 * "authorities": {…}, "secrets": [id …], "keys": {fingerprint: {"id": charon's, "file": path}}}
 */
struct ike_state {
	json_t *json;
	unsigned char salt[32];
	char *path;
	int lock; /* held while it is open for writing */
};

/* Reads the state for the charon behind v. write: lock it against others, waiting. NULL after one line on stderr. */
struct ike_state *ike_state_open(const struct vici *v, bool write);
/* For writing, without waiting: NULL and no line when another has it. */
struct ike_state *ike_state_try(const struct vici *v);
/* False after one line on stderr. */
bool ike_state_save(struct ike_state *s);
void ike_state_close(struct ike_state *s);

/* The objects of it, never NULL: "conns", "pools", "authorities", "keys". */
json_t *ike_state_get(struct ike_state *s, const char *name);
/* The ids of the secrets that are noted, and more of them, each once. */
json_t *ike_state_secrets(const struct ike_state *s, const json_t *more);

#endif

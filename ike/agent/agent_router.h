/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AGENT_ROUTER_H
#define CYGNET_AGENT_ROUTER_H

#include "wire.h"

#include <stdbool.h>

#include <rte_eal.h>

/* The agent's way to the router: rte_mp, and the slots that keys lie in. One thread calls all of this. */

/* Whether a DPDK primary with this file prefix lives. */
bool router_lives(const char *prefix);

/*
 * Becomes a secondary of the router; on_event runs on EAL's thread. Once a process. Logs what fails, and
 * returns a negative errno.
 */
int router_attach(const char *prefix, rte_mp_t on_event);

/*
 * One request, one reply, which replaces *msg. Waits a second at the longest, and another when the
 * router left the one before unanswered. -ETIMEDOUT: no reply came, and what became of it nobody knows.
 */
int router_request(struct ike_msg *msg);

/* A free slot; NULL: all are taken. */
struct ike_key_slot *router_claim_slot(uint16_t *index);

/*
 * Wipes it. unanswered: the router may read it yet, and must not find another SA's key there, so it
 * stays taken until the router has answered something that was sent later.
 */
void router_release_slot(struct ike_key_slot *slot, bool unanswered);

/* Length first, then magic. The version is for the caller to judge. */
bool router_message_valid(const void *data, int len);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_ROOM_H
#define CYGNET_IKE_ROOM_H

#include "vici_client.h"

/*
 * Whether charon's messages have room for a connection: the one that loads it, and the one in which charon lists all
 * CHILD_SAs of one IKE SA. A message that is too long charon throws away, and nobody sees the gateway any more.
 */
bool ike_has_room(const json_t *conn);
/* The same of a list of names, with as much for those of others. */
bool ike_names_fit(const json_t *names);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_EXPLAIN_H
#define CYGNET_IKE_EXPLAIN_H

#include "vici_client.h"

/*
 * Why charon refuses a connection for its proposals: the key exchanges in them that it does not have, with its
 * version, into buf. False when there are none.
 */
bool ike_explain_proposals(struct vici *v, const json_t *conn, char *buf, size_t size);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_FAILURES_H
#define CYGNET_IKE_FAILURES_H

#include "vici_client.h"

/*
 * The last failures that the plugin in charon knows (ike/plugin/failure_log.h):
 *
 * {"gateways": {name: F}, "tunnels": {gateway: {name: F}}, "peers": {address: F}}, F = {"time": s since 1970, "error": words}
 *
 * Never NULL; empty where the plugin is not there, or charon does not answer within seconds.
 */
json_t *ike_failures_read(const struct vici *v);

/* The same from the text of a reply, which it cuts up: lines that are none are passed over. */
json_t *ike_failures_parse(char *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ROUTER_AUDIT_H
#define CYGNET_ROUTER_AUDIT_H

#include "router.h"

/* Writes what workers audited to the log, rationed. Control thread, each 100 ms. */
void router_audit(struct router *r);

#endif

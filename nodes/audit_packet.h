/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AUDIT_PACKET_H
#define CYGNET_AUDIT_PACKET_H

#include "worker.h"

#include <rte_mbuf.h>

/*
 * Tells the control thread of a dropped packet whose reason is auditable (audit.h). That worker's lcore, in the walk that
 * dropped it; never waits.
 */
void audit_packet(struct worker *w, const struct rte_mbuf *m, const struct pkt *p);

#endif

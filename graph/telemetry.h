/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TELEMETRY_H
#define CYGNET_TELEMETRY_H

struct router;

/*
 * The small statistics on DPDK's telemetry socket: /cygnet/status, /cygnet/lcores, /cygnet/drops,
 * /cygnet/sa, /cygnet/nodes,<lcore>. The callbacks run on telemetry's own thread and read counters
 * alone, never a table. Without telemetry (--no-telemetry) one log line says so. Control thread.
 */
void telemetry_start(struct router *r);
/* Returns when no callback runs any more; the router may go afterwards. */
void telemetry_stop(void);

#endif

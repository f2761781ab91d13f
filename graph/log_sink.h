/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_LOG_SINK_H
#define CYGNET_LOG_SINK_H

/*
 * Where log lines go: to standard error; where that is the journal's, to the journal with fields instead (PRIORITY,
 * CYGNET_ROUTER, CYGNET_LOGTYPE). Not to syslog as well, as DPDK does by itself. Before rte_eal_init(); name stays
 * the caller's. Returns 0 or -ENOMEM.
 */
int log_sink_open(const char *name);

/*
 * From here to log_sink_kept() the first line of this thread that is an error is kept, without "cygnet: ", besides its way
 * into the log. Of at most 200 bytes; "" when there was none.
 */
void log_sink_keep(void);
const char *log_sink_kept(void);

#endif

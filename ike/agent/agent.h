/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AGENT_H
#define CYGNET_AGENT_H

/*
 * Waits for the router with this file prefix, attaches to it as a DPDK secondary and forwards messages
 * between the plugin's socket and the router until one of them goes. Returns the exit code.
 */
int agent_run(const char *prefix, int fd);

#endif

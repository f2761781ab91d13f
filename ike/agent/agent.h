/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_AGENT_H
#define CYGNET_AGENT_H

/*
 * Waits for the router with this file prefix, attaches to it as a DPDK secondary and forwards messages
 * between the plugin's socket and the router until one of them goes. Returns the exit code.
 */
int agent_run(const char *prefix, int fd);

/*
 * As a unit of its own: listens at a Unix socket (0600), and runs an agent for each plugin of root or of our own
 * user that connects, in a child that dies with this process. Returns EXIT_FAILURE after a line that says
 * why, else not at all.
 */
int agent_listen(const char *prefix, const char *path);

#endif

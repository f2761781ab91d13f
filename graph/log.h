/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_LOG_H
#define CYGNET_LOG_H

#include <rte_log.h>

extern int cygnet_logtype;

/* One line in the router's log; LOG(ERR, "port %s: %s", name, strerror(e)). Never a key. Any thread. */
#define LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, cygnet_logtype, "cygnet: " fmt "\n", ##__VA_ARGS__)

#endif

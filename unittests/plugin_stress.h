/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_UNITTESTS_PLUGIN_STRESS_H
#define CYGNET_UNITTESTS_PLUGIN_STRESS_H

#include "wire.h"

#include <pthread.h>
#include <stdbool.h>

/*
 * A router that keeps SAs and policies as the real one does, behind an agent that loses, delays, repeats and garbles
 * messages and dies, by a seed; and so does the router itself.
 */

#define STRESS_TIMEOUT 100 /* ms, of a request */
#define STRESS_MAX_SAS 8192
#define STRESS_MAX_POLICIES 256

struct stress_sa {
	uint32_t spi;
	struct ike_addr src, dst;
	bool larval;
	uint32_t session; /* in which its owner named it last */
};

struct stress_policy {
	struct ike_msg_policy p;
	uint32_t session;
};

struct stress_router {
	pthread_mutex_t lock;
	_Atomic bool calm, stop; /* nothing goes wrong any more; the end */
	_Atomic int refusal; /* status of each policy that is added; 0: they are taken */
	uint64_t epoch;
	unsigned int n_sas, n_policies;
	struct stress_sa sas[STRESS_MAX_SAS];
	struct stress_policy policies[STRESS_MAX_POLICIES];
	_Atomic unsigned int lives, routers, syncs;
};

extern struct stress_router stress;

void stress_router_start(const char *path, unsigned int seed);
void stress_router_stop(const char *path);

#endif

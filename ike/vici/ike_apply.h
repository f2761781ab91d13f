/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_APPLY_H
#define CYGNET_IKE_APPLY_H

#include "ike_plan.h"

struct ike_apply {
	struct vici *v;
	const struct ike_wanted *w;
	struct ike_state *s;
	const struct ike_plan *p;
	bool keep; /* running SAs of changed tunnels stay until they end by themselves */
	/* Told after each step. Returning false ends it: everything is as it was. */
	bool (*progress)(void *ctx, size_t done, size_t all);
	void *ctx;
	char error[512]; /* why it failed */
	bool restored; /* after a failure: charon has what it had */
	size_t renewed; /* SAs closed because their tunnels changed or left */
};

/*
 * Makes charon as the file says. All connections are shown to charon under another name first, so that what it
 * refuses is known before anything changes; a failure after that takes back what was done. Returns 0 or -1.
 */
int ike_apply(struct ike_apply *a);

#endif

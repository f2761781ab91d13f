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
	bool restored; /* after a failure: charon is configured as it was */
	bool loaded; /* after a failure: all of the file is loaded, which cannot be written down */
	size_t renewed; /* SAs closed because their tunnels changed or left */
	/*
	 * Tunnels that ran and that charon itself closed, since they have start-action start: it does so whenever it is given
	 * another configuration of them, and when it gets the old one back. The value says whether the tunnel left the file.
	 */
	json_t *closed;
	json_t *left; /* names of pools that charon does not drop: peers have addresses of them */
};

/*
 * Makes charon as the file says. All connections are shown to charon under another name first, so that what it
 * refuses is known before anything changes; a failure after that takes back what was done. Returns 0; -ENOTCONN: charon
 * hung up, and the next load sees what it has; -ECANCELED: it refused something, or progress ended it. ike_apply_end() in any
 * case.
 */
int ike_apply(struct ike_apply *a);
void ike_apply_end(struct ike_apply *a);

#endif

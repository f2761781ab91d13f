/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_RENEW_H
#define CYGNET_IKE_RENEW_H

#include "ike_plan.h"

/* The SAs of the connections in the plan: an array of charon's list-sa messages; NULL when charon is gone. */
json_t *ike_running(struct vici *v, const struct ike_plan *p);

/* The tunnels among them: {gateway: {tunnel: true}}. */
json_t *ike_ran(const json_t *running);

/*
 * charon closes what runs of a tunnel that has start-action start when it gets another configuration of it, and
 * then begins it anew. Adds such tunnels of a connection to closed, {tunnel: whether it left the file}: plan is the
 * connection's, config what is replaced, ran its tunnels that ran.
 */
void ike_closed(json_t *closed, const json_t *plan, const json_t *config, const json_t *ran);

/*
 * Closes those whose tunnels changed or left, and, unless they left, has charon negotiate them anew. keep: closes
 * no others than those that left. Waits a few seconds until they are gone. Returns how many.
 */
size_t ike_renew(struct vici *v, const struct ike_wanted *w, const struct ike_plan *p,
	json_t *running, bool keep);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_RENEW_H
#define CYGNET_IKE_RENEW_H

#include "ike_plan.h"

/* The SAs of the connections in the plan: an array of charon's list-sa messages; NULL when charon is gone. */
json_t *ike_running(struct vici *v, const struct ike_plan *p);

/*
 * Closes those whose tunnels changed or left, and, unless they left, has charon negotiate them anew. keep: closes
 * those that left alone. Waits a few seconds until they are gone. Returns how many.
 */
size_t ike_renew(struct vici *v, const struct ike_wanted *w, const struct ike_plan *p,
	json_t *running, bool keep);

#endif

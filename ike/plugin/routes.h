/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_ROUTES_H
#define CYGNET_ROUTES_H

#include "wire.h"

#include <kernel/kernel_ipsec.h>

/*
 * Source routes (charon.install_routes): for an outbound policy of a tunnel a route to its destination, by the
 * way to the peer and with a source address of ours that the policy covers, so that what this machine itself
 * sends takes the tunnel; a virtual IP is of no use without. charon's kernel-net backend (kernel-netlink)
 * keeps them; kernel-netlink's IPsec half, which asks for them otherwise, is not in use with us.
 *
 * Any of charon's threads; calls into charon->kernel are made with this module's lock alone.
 */

struct routes;

/* NULL: no memory. */
struct routes *routes_create(void);
/* Leaves the routes to charon's kernel-net backend, which takes away its own. */
void routes_destroy(struct routes *r);

/*
 * Brings the route of one policy up to date. current(ctx, policy) tells what counts now: true and in *policy
 * the best policy of that selector, or false when none is left. It is asked with the lock held, so of two calls
 * for one selector the last one has the last word.
 */
void routes_update(struct routes *r, const struct ike_msg_policy *policy,
	traffic_selector_t *src_ts, traffic_selector_t *dst_ts,
	bool (*current)(void *ctx, struct ike_msg_policy *policy), void *ctx);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef KERNEL_CYGNET_PRIV_H
#define KERNEL_CYGNET_PRIV_H

#include "kernel_cygnet_ipsec.h"

#include "link.h"
#include "routes.h"

#include <stdatomic.h>

/* What the parts of the backend share: kernel_cygnet_ipsec.c, _sa.c and _policy.c. */

typedef struct private_kernel_cygnet_ipsec_t private_kernel_cygnet_ipsec_t;

struct private_kernel_cygnet_ipsec_t {
	kernel_cygnet_ipsec_t public;
	struct desired *desired;
	struct link *link;
	struct routes *routes; /* NULL: charon.install_routes = no */
	_Atomic time_t no_router_told; /* monotonic; 0: not yet */
	int log_level; /* lines of the link up to it are for charon's level 1, others for 2 */
};

/* charon's status for the router's; one line for what failed, and how it is called. */
status_t kernel_cygnet_result(
	private_kernel_cygnet_ipsec_t *this, int rc, const char *what, uint32_t spi);

/* Fill in the methods for SAs and for policies. */
void kernel_cygnet_sa_methods(kernel_ipsec_t *interface);
void kernel_cygnet_policy_methods(kernel_ipsec_t *interface);

#endif

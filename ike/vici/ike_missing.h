/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_MISSING_H
#define CYGNET_IKE_MISSING_H

#include "ike_state.h"

/*
 * Whether charon still has what cygnetctl loaded into it last: others may have unloaded it, as "swanctl --load-all" does
 * with all that its own file does not have. Asks for names alone. Returns 0 when all is there or a load goes on, which it
 * does not wait for, 1 with the first thing that is not in what ("gateway 'x'"), or -ENOTCONN.
 */
int ike_missing(struct vici *v, char *what, size_t size);

#endif

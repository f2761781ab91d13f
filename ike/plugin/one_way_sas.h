/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_ONE_WAY_SAS_H
#define CYGNET_ONE_WAY_SAS_H

#include "desired.h"

/*
 * The inbound SAs, max at most, of a CHILD_SA that has both ways and an inbound policy, but no policy that leads packets into
 * any of its outbound ones: out is the OUT policy of it that went. Its own inbound policy may have another mark and interface
 * id. Returns how many. Nothing changes; the caller serialises.
 */
unsigned int one_way_sas(const struct desired *d, const struct ike_msg_policy *out,
	struct ike_msg_sa_id *sas, unsigned int max);

#endif

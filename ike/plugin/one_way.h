/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_ONE_WAY_H
#define CYGNET_ONE_WAY_H

#include "kernel_cygnet_priv.h"

/*
 * charon 5.9.8 can leave a CHILD_SA that receives and does not send. Both sides rekey at once; one replaces the old CHILD_SA
 * and is deleting it when the other's request comes, and answers TEMPORARY_FAILURE. The other takes that for a reason to go on
 * with the old one, which it had already marked as replaced; the DELETE then takes it away with its outbound policy, and that of
 * the new one is never installed.
 *
 * To be called with each policy that was the last one of its selector: a moment later, when the SAs and the inbound policy are
 * still there and no policy leads to its outbound SA, charon is told that the inbound SA has reached its soft lifetime. It rekeys, and installs all policies. Any
 * thread, no lock held.
 */
void one_way_watch(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_policy *gone);

#endif

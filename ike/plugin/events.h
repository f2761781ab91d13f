/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_EVENTS_H
#define CYGNET_EVENTS_H

#include "wire.h"

/*
 * Hands an acquire, an expiry or a new mapping to charon, by one of its own threads: the caller's, which may be
 * any, goes on at once. Events whose addresses are of no family are dropped.
 */
void events_raise(const struct ike_msg *msg);

#endif

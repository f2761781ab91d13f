/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_PATIENCE_H
#define CYGNET_IKE_PATIENCE_H

#include "ike_plan.h"

/*
 * How many seconds charon may take for a command of a load. It answers load-conn when it has installed the traps of all
 * the connection's children, and looks the peer's name up for each anew; other changes wait until that is done, be it of
 * a load that was cut off. known: the state's connections.
 */
unsigned int ike_patience(const struct ike_plan *p, const struct ike_wanted *w, json_t *known);

#endif

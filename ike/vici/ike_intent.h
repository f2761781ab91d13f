/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_INTENT_H
#define CYGNET_IKE_INTENT_H

#include "ike_plan.h"

/*
 * Notes, before charon is told, what the plan is going to load, and saves that. A load may be cut off at any moment (it
 * is killed, or gives up a charon that does not answer); the next one then knows what it finds for ours, with contents
 * that nobody knows: connections without "listed", pools and authorities that are empty. False after one line on stderr.
 */
bool ike_intend(struct ike_state *s, const struct ike_plan *p, const struct ike_wanted *w);
/* The same of secrets, before it: "secrets" is what charon may have, and "secrets_unsure" that it need not have all. */
bool ike_intend_secrets(struct ike_state *s, const struct ike_plan *p);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ROUTER_SAS_H
#define CYGNET_ROUTER_SAS_H

#include "router.h"
#include "sqn_store.h"

/* Static SAs and policies of the configuration go into the tables. Control thread. Returns 0 or a negative errno, logged. */
int router_add_static_sas(struct router *r);
int router_add_static_policies(struct router *r);

/* Takes the state file of one, and waits for its disk; NULL: it has none. Any thread. */
int router_open_state(
	const struct router *r, const struct config_sa *cs, struct sqn_entry **numbers);
/* One of them, numbers being its state file, also after an error; its digest is set, its key is the caller's to wipe. */
int router_add_static_sa(struct router *r, struct config_sa *cs, struct sqn_entry *numbers);
/* Outbound policies of this configuration get the newest SAs that they want, whoever made those. */
void router_bind_policies(struct router *r, const struct config *config);
/* Sets cs->digest from its key. Any thread. Returns 0 or -ENOMEM. */
int router_sa_digest(struct config_sa *cs);

#endif

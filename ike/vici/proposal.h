/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_PROPOSAL_H
#define CYGNET_IKE_PROPOSAL_H

#include "ike_file.h"

enum proposal_kind { PROPOSAL_IKE, PROPOSAL_ESP, PROPOSAL_AH };

#define PROPOSAL_MAX 400

/*
 * A proposal in strongSwan's notation. Errors are told at the node and its keys; returns 0, or -EINVAL when
 * there were any.
 */
int proposal_text(struct ike_file *f, size_t node, enum proposal_kind kind, char out[PROPOSAL_MAX]);

/* Whether a proposal offers extended sequence numbers. */
bool proposal_has_esn(const char *text);

#endif

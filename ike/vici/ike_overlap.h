/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_OVERLAP_H
#define CYGNET_IKE_OVERLAP_H

#include "selector.h"

/* Tells of each enabled tunnel whose packets would fit an earlier one as well, with nothing to decide between them. */
void ike_check_overlaps(struct ike_file *f);

#endif

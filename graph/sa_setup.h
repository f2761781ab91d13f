/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SA_SETUP_H
#define CYGNET_SA_SETUP_H

#include "sad.h"

/* Whether the configuration is possible: 0, -EINVAL or -ENOTSUP; *why says what is wrong. */
int sa_check(const struct sa_conf *conf, const char **why);

/*
 * Fills the hot half but for spi, session and dev; allocates the replay window. Control thread.
 * sa_check() has passed. Returns 0 or -ENOMEM.
 */
int sa_setup(struct sa *sa, const struct sa_conf *conf, uint32_t slot, uint16_t workers,
	const char **why);

/* Fills the template that is not in use from the configuration; sa->active is to be changed then. */
void sa_fill_template(struct sa *sa, const struct sa_conf *conf);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_OPTIONS_H
#define CYGNET_OPTIONS_H

#include "link.h"

#include <library.h>

/*
 * What strongswan.conf says. conf/kernel-cygnet.opt describes the plugin's own options, which
 * unittests/system/test_options.py compares with those that are read here. Values out of range are said in
 * charon's log, and the nearest one is taken.
 */

/* All of it but the callbacks; strings are the library's. */
void options_link(struct link_conf *conf);
int options_log_level(void);
bool options_install_routes(void);

#endif

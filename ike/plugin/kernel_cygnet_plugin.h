/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef KERNEL_CYGNET_PLUGIN_H
#define KERNEL_CYGNET_PLUGIN_H

#include <plugins/plugin.h>

typedef struct kernel_cygnet_plugin_t kernel_cygnet_plugin_t;

/* charon's kernel-ipsec backend on a cygnet router, as a plugin. */
struct kernel_cygnet_plugin_t {
	plugin_t plugin;
};

#endif

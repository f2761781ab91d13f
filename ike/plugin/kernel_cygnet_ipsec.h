/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef KERNEL_CYGNET_IPSEC_H
#define KERNEL_CYGNET_IPSEC_H

#include <kernel/kernel_ipsec.h>

typedef struct kernel_cygnet_ipsec_t kernel_cygnet_ipsec_t;

/* charon's kernel-ipsec backend on a cygnet router. Every wait in it is bounded, and no lock is held over one. */
struct kernel_cygnet_ipsec_t {
	kernel_ipsec_t interface;
};

kernel_cygnet_ipsec_t *kernel_cygnet_ipsec_create(void);

#endif

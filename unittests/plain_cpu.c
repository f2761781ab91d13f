/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include <rte_cpuflags.h>

/*
 * With PLAIN_CPU in the environment the router sees a processor without VAES, as most are: what it does by itself elsewhere is
 * left to crypto devices. Linked by --wrap: devices go on to see the true one.
 */

int __real_rte_cpu_get_flag_enabled(enum rte_cpu_flag_t feature);
int __wrap_rte_cpu_get_flag_enabled(enum rte_cpu_flag_t feature);

int
__wrap_rte_cpu_get_flag_enabled(enum rte_cpu_flag_t feature)
{
#ifdef RTE_ARCH_X86_64
	if (feature == RTE_CPUFLAG_VAES && getenv("PLAIN_CPU") != NULL)
		return 0;
#endif
	return __real_rte_cpu_get_flag_enabled(feature);
}

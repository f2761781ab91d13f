/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/*
 * What is built with cpu_args dies of an illegal instruction where the processor lacks one, in main() or in the nodes'
 * constructors before it. This file is built for any processor, and looks before them all.
 */

#define NEED(feature)                                 \
	do {                                          \
		if (!__builtin_cpu_supports(feature)) \
			lacking(feature);             \
	} while (0)

static void
lacking(const char *feature)
{
	fprintf(stderr,
		"%s: this processor has no %s, and this program was built for -march=" CPU
		": build it with -Dcpu=x86-64-v2 (README.md, Install)\n",
		program_invocation_short_name, feature);
	_exit(2);
}

static void __attribute__((constructor(101))) /* the first that is ours to take */
cpu_check(void)
{
	__builtin_cpu_init();
	CPU_NEEDS;
}

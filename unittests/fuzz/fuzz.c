/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>

/* Check's assertions, of the files that unit tests share, end the fuzzer as a crash does. */
void __wrap__ck_assert_failed(const char *file, int line, const char *expr, ...);
void
__wrap__ck_assert_failed(const char *file, int line, const char *expr, ...)
{
	const char *fmt;
	va_list ap;

	fprintf(stderr, "%s:%d: %s: ", file, line, expr);
	va_start(ap, expr);
	fmt = va_arg(ap, const char *);
	if (fmt != NULL)
		vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

/* Where Check writes down how far a test came. */
void __wrap__mark_point(const char *file, int line);
void
__wrap__mark_point(const char *file, int line)
{
	(void)file;
	(void)line;
}

void
fuzz_eal(const char *megabytes)
{
	char size[16];
	char *argv[] = {"fuzz", "--no-huge", "-m", size, "--no-pci", "--no-shconf",
		"--no-telemetry", "-l", "0", "--log-level", "*:error", "--log-level",
		"cygnet:emerg", NULL};

	snprintf(size, sizeof(size), "%s", megabytes);
	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) < 0)
		abort();
}

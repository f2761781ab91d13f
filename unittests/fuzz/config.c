/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A configuration file: refused in one line, or read, and then the plan and EAL's arguments can be made of it. */

static FILE *nowhere;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	nowhere = fopen("/dev/null", "w");
	if (nowhere == NULL)
		abort();
	stderr = nowhere; /* the fuzzer and the sanitizers have their own */
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", 0), argc;
	struct config *c;
	char path[32];
	char **argv;

	if (fd < 0 || fchmod(fd, 0600) < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c = config_load(path);
	close(fd);
	if (c == NULL)
		return 0;
	config_plan(c, nowhere);
	argv = config_eal_args(c, "cygnet", &argc);
	if (argv != NULL)
		config_eal_free(argv);
	config_free(c);
	return 0;
}

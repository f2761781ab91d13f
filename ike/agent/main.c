/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void
usage(FILE *out)
{
	fputs("Usage: cygnet-agent --file-prefix NAME [--fd N | --listen PATH]\n"
	      "\n"
	      "Carries messages between charon's kernel-cygnet plugin and a cygnet router. The "
	      "plugin\n"
	      "starts it, unless its option agent_socket names the socket of one that runs "
	      "already.\n"
	      "\n"
	      "      --file-prefix NAME  the router's DPDK file prefix\n"
	      "      --fd N              the plugin's socket (3)\n"
	      "      --listen PATH       wait for plugins at a Unix socket there\n"
	      "  -V, --version           print the version\n"
	      "  -h, --help              print this\n",
		out);
}

int
main(int argc, char **argv)
{
	enum { PREFIX = 256, FD, LISTEN };
	static const struct option options[] = {{"file-prefix", required_argument, NULL, PREFIX},
		{"fd", required_argument, NULL, FD}, {"listen", required_argument, NULL, LISTEN},
		{"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'}, {0}};
	const struct rlimit none = {0, 0};
	const char *prefix = NULL, *path = NULL;
	int c, fd = 3;

	while ((c = getopt_long(argc, argv, "Vh", options, NULL)) != -1) {
		switch (c) {
		case PREFIX:
			prefix = optarg;
			break;
		case FD:
			fd = atoi(optarg);
			break;
		case LISTEN:
			path = optarg;
			break;
		case 'V':
			puts("cygnet-agent " CYGNET_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (prefix == NULL || strchr(prefix, '/') != NULL || fd < 3 || optind != argc) {
		usage(stderr);
		return 2;
	}
	/*
	 * With charon it ends, whatever it waits for; not before it, for charon takes its SAs back through us, and who
	 * ends a unit or a terminal signals all processes at once; and not with charon's standard error.
	 */
	if (path == NULL) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
	}
	signal(SIGPIPE, SIG_IGN);
	/* From systemd; EAL would look for the router's files there, and the router does not. */
	unsetenv("RUNTIME_DIRECTORY");
	/* Keys pass through: no core file, no ptrace. And none of charon's descriptors but ours. */
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	if (path != NULL) {
		close_range(3, ~0u, 0);
		return agent_listen(prefix, path);
	}
	if (fd > 3)
		close_range(3, fd - 1, 0);
	close_range(fd + 1, ~0u, 0);
	return agent_run(prefix, fd);
}

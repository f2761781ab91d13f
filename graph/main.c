/* SPDX-License-Identifier: BSD-3-Clause */
#include "cleanup.h"
#include "config.h"
#include "log.h"
#include "log_sink.h"
#include "router.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <rte_eal.h>
#include <rte_errno.h>

#define EXIT_CONFIG 2

static void
usage(FILE *out)
{
	fputs("Usage: cygnet -c FILE [--check | --cleanup | --create-state]\n"
	      "\n"
	      "An IPsec router on DPDK, keyed by strongSwan.\n"
	      "\n"
	      "  -c, --config FILE  the configuration (a sample: /etc/cygnet/router.yaml)\n"
	      "      --check        check the configuration, print the plan, and exit\n"
	      "      --cleanup      remove the huge-page files that a router which died left "
	      "behind:\n"
	      "                     they hold keys (a service manager's stop hook)\n"
	      "      --create-state make the state files of static SAs that are not there, for "
	      "keys\n"
	      "                     that were never used\n"
	      "  -V, --version      print the version\n"
	      "  -h, --help         print this\n"
	      "\n"
	      "SIGHUP reads FILE again, SIGTERM ends it. Exit codes: 0 ended as told, 1 failed, 2 "
	      "bad usage or "
	      "configuration.\n",
		out);
}

/* Keys are in our memory: no core file, no ptrace by others. */
static void
hide_memory(void)
{
	const struct rlimit none = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static int
run(struct config *config)
{
	char *prefix = strdup(config->eal.file_prefix);
	struct router *r = aligned_alloc(64, RTE_ALIGN(sizeof(*r), 64));
	char **args;
	int argc, rc;

	args = config_eal_args(config, "cygnet", &argc);
	if (prefix == NULL || r == NULL || args == NULL) {
		fputs("cygnet: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	/* EAL has the journal too: what it says at start is a router's message. */
	if (log_sink_open(config->name) < 0)
		fputs("cygnet: the log goes to stderr alone\n", stderr);
	router_hold_signals();
	rc = rte_eal_init(argc, args);
	config_eal_free(args);
	if (rc < 0) {
		fprintf(stderr,
			"cygnet: DPDK did not start: %s (huge pages reserved and mounted? "
			"an agent of a router that died still there?)\n",
			rte_strerror(rte_errno));
		cleanup_prefix(prefix);
		return EXIT_FAILURE;
	}
	rc = router_start(r, config);
	if (rc == 0) {
		LOG(NOTICE, "version " CYGNET_VERSION ": %s is up", config->name);
		router_run(r);
	}
	router_stop(r);
	free(r);
	rte_eal_cleanup();
	config_free(config); /* the log has its name */
	if (cleanup_own(prefix) < 0)
		fprintf(stderr, "cygnet: the huge-page files of %s could not be removed\n", prefix);
	free(prefix);
	/* A device that is missing is the configuration's mistake. */
	return rc == 0 ? EXIT_SUCCESS : rc == -ENODEV ? EXIT_CONFIG : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	enum { CHECK = 256, CLEANUP, CREATE_STATE };
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, CHECK}, {"cleanup", no_argument, NULL, CLEANUP},
		{"create-state", no_argument, NULL, CREATE_STATE},
		{"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *path = NULL;
	struct config *config;
	FILE *plan;
	int c, action = 0, rc;

	while ((c = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case CHECK:
		case CLEANUP:
		case CREATE_STATE:
			action = c;
			break;
		case 'V':
			puts("cygnet " CYGNET_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_CONFIG;
		}
	}
	if (path == NULL || optind != argc) {
		usage(stderr);
		return EXIT_CONFIG;
	}
	hide_memory();
	/* From systemd; EAL would put its files there, where neither --cleanup nor the agent looks for them. */
	unsetenv("RUNTIME_DIRECTORY");
	config = config_load(path);
	if (config == NULL)
		return EXIT_CONFIG;
	if (action == CLEANUP) {
		rc = cleanup_prefix(config->eal.file_prefix);
		if (rc < 0)
			fprintf(stderr, "cygnet: %s: %s\n", config->eal.file_prefix,
				rc == -EBUSY ? "this router runs; stop it first" : strerror(-rc));
		config_free(config);
		return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (action == CREATE_STATE) {
		rc = router_create_state(config);
		config_free(config);
		return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	/* What can be known before DPDK starts: a device that is missing leaves nothing behind. */
	plan = action == CHECK ? stdout : fopen("/dev/null", "w");
	rc = plan != NULL ? config_plan(config, plan) : -errno;
	if (plan != NULL && plan != stdout)
		fclose(plan);
	if (action == CHECK || rc < 0) {
		config_free(config);
		return rc < 0 ? EXIT_CONFIG : EXIT_SUCCESS;
	}
	return run(config);
}

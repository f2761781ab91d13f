/* SPDX-License-Identifier: BSD-3-Clause */
#include "cleanup.h"

#include <errno.h>
#include <glob.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>

#define RUNTIME_DIR "/var/run/dpdk"

static int
remove_matching(const char *dir, const char *pattern)
{
	char path[4096];
	int rc = 0;
	glob_t g;

	if (snprintf(path, sizeof(path), "%s/%s", dir, pattern) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (glob(path, 0, NULL, &g) != 0)
		return 0;
	for (size_t i = 0; i < g.gl_pathc; i++)
		if (unlink(g.gl_pathv[i]) < 0 && errno != ENOENT && rc == 0)
			rc = -errno;
	globfree(&g);
	return rc;
}

int
cleanup_own(const char *prefix)
{
	char pattern[256], dir[4096];
	struct mntent *m;
	FILE *mounts;
	int rc = 0;

	snprintf(pattern, sizeof(pattern), "%smap_*", prefix);
	snprintf(dir, sizeof(dir), RUNTIME_DIR "/%s", prefix);
	mounts = setmntent("/proc/self/mounts", "r");
	if (mounts == NULL)
		return -errno;
	while ((m = getmntent(mounts)) != NULL)
		if (strcmp(m->mnt_type, "hugetlbfs") == 0 && rc == 0)
			rc = remove_matching(m->mnt_dir, pattern);
	endmntent(mounts);
	if (rc == 0)
		rc = remove_matching(dir, "*");
	if (rc == 0 && rmdir(dir) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		rc = -errno;
	return rc;
}

int
cleanup_prefix(const char *prefix)
{
	char config[4096];

	/* The prefix goes into paths and a glob pattern. */
	if (*prefix == '\0' || strpbrk(prefix, "/*?[]\\") != NULL)
		return -EINVAL;
	snprintf(config, sizeof(config), RUNTIME_DIR "/%s/config", prefix);
	if (access(config, F_OK) == 0 && rte_eal_primary_proc_alive(config))
		return -EBUSY;
	return cleanup_own(prefix);
}

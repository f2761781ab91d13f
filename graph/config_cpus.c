/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include <numa.h>

#define CGROUP_DEPTH_MAX 12

/* Adds a list as the kernel writes it: "0-3,8,10-11". */
static void
add_cpus(const char *list, cpu_set_t *set)
{
	while (*list != '\0' && *list != '\n') {
		char *end;
		unsigned long a = strtoul(list, &end, 10), b = a;

		if (end == list)
			return;
		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && a < CPU_SETSIZE; a++)
			CPU_SET(a, set);
		list = *end == ',' ? end + 1 : end;
	}
}

/* First line of a small file; an empty string when there is none. */
static void
read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(line, size, f) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(f);
}

bool
config_cpu_online(unsigned int cpu)
{
	char line[1024];
	cpu_set_t set;

	CPU_ZERO(&set);
	read_line("/sys/devices/system/cpu/online", line, sizeof(line));
	add_cpus(line, &set);
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set);
}

void
config_isolated_cpus(const char *sysfs_isolated, const char *cgroup_root, cpu_set_t *set)
{
	char *roots[] = {(char *)(uintptr_t)cgroup_root, NULL};
	char line[1024], path[4096];
	FTSENT *entry;
	FTS *fts;

	CPU_ZERO(set);
	read_line(sysfs_isolated, line, sizeof(line));
	add_cpus(line, set);
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	if (fts == NULL)
		return;
	while ((entry = fts_read(fts)) != NULL) {
		if (entry->fts_info == FTS_D && entry->fts_level > CGROUP_DEPTH_MAX)
			fts_set(fts, entry, FTS_SKIP);
		if (strcmp(entry->fts_name, "cpuset.cpus.partition") != 0)
			continue;
		read_line(entry->fts_path, line, sizeof(line));
		/* Not "isolated invalid (…)": the kernel did not do it. */
		if (strcmp(line, "isolated") != 0 ||
			(size_t)snprintf(path, sizeof(path), "%.*s/cpuset.cpus.effective",
				(int)(entry->fts_pathlen - entry->fts_namelen - 1),
				entry->fts_path) >= sizeof(path))
			continue;
		read_line(path, line, sizeof(line));
		add_cpus(line, set);
	}
	fts_close(fts);
}

bool
config_cpu_isolated(unsigned int cpu)
{
	cpu_set_t set;

	config_isolated_cpus("/sys/devices/system/cpu/isolated", "/sys/fs/cgroup", &set);
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set);
}

int
config_cpu_node(unsigned int cpu)
{
	int node = numa_available() < 0 ? 0 : numa_node_of_cpu(cpu);

	return node < 0 ? 0 : node;
}

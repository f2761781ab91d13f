/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define PLUGIN_CONF "/etc/strongswan.d/charon/kernel-cygnet.conf"
#define RELEASED 1735689600 /* 2025: a clock before this was never set */

/* A number of the pages of that size. */
static long
pages(const struct doctor *d, const char *size, const char *name)
{
	char path[400], text[64];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/%s", size, name);
	return doctor_read(d, path, text, sizeof(text)) ? strtol(text, NULL, 10) : 0;
}

/* Whether a hugetlbfs has pages of that size: DPDK takes no others. */
static bool
mounted(const struct doctor *d, unsigned long kb)
{
	char text[65536], *save = NULL;

	if (!doctor_read(d, "/proc/mounts", text, sizeof(text)))
		return false;
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		const char *size = strstr(line, "pagesize=");
		unsigned long n = 0;
		char unit = 'K';

		if (strstr(line, " hugetlbfs ") == NULL || size == NULL ||
			sscanf(size, "pagesize=%lu%c", &n, &unit) != 2)
			continue;
		if (unit == 'M')
			n <<= 10;
		else if (unit == 'G')
			n <<= 20;
		if (n == kb)
			return true;
	}
	return false;
}

static void
huge_pages(struct doctor *d)
{
	long total, free_pages, others = 0;
	unsigned long kb, other_kb = 0;
	unsigned int usable = 0;
	char path[300];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages", d->root);
	dir = opendir(path);
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (sscanf(e->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		total = pages(d, e->d_name, "nr_hugepages");
		free_pages = pages(d, e->d_name, "free_hugepages");
		if (total > 0 && !mounted(d, kb)) {
			others = total;
			other_kb = kb;
		} else if (total > 0) {
			usable++;
			doctor_say(d, "huge pages", free_pages > 0 ? DOCTOR_OK : DOCTOR_NOTE,
				free_pages > 0
					? NULL
					: "to start another router reserve more, or remove what a "
					  "dead one left: cygnet -c FILE --cleanup",
				"%ld pages of %lu kB are reserved, %ld are free", total, kb,
				free_pages);
		}
	}
	if (dir != NULL)
		closedir(dir);
	if (usable == 0 && others > 0)
		doctor_say(d, "huge pages", DOCTOR_WRONG,
			"ci/setup, or mount a hugetlbfs with pagesize= of that size: "
			"docs/operations.md, With the machine",
			"%ld pages of %lu kB are reserved, and no hugetlbfs is for these: no "
			"router can start",
			others, other_kb);
	else if (usable == 0)
		doctor_say(d, "huge pages", DOCTOR_WRONG,
			"ci/setup --boot, or for now: echo 1024 > "
			"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
			"none are reserved: no router can start");
}

/* The hugetlbfs mounts, and who may look into them: keys lie there. */
static void
mounts(struct doctor *d)
{
	char text[65536], path[512], full[1024], *save = NULL;
	unsigned int n = 0;
	struct stat st;

	if (!doctor_read(d, "/proc/mounts", text, sizeof(text)))
		return;
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		char type[64];

		if (sscanf(line, "%*s %511s %63s", path, type) != 2 ||
			strcmp(type, "hugetlbfs") != 0)
			continue;
		n++;
		snprintf(full, sizeof(full), "%s%s", d->root, path);
		if (stat(full, &st) < 0)
			continue;
		if (st.st_mode & 077)
			doctor_say(d, "hugetlbfs", DOCTOR_WRONG, "chmod 0700 it",
				"%s is open to others than root (mode %04o), and keys lie there",
				path, st.st_mode & 07777);
		else
			doctor_say(
				d, "hugetlbfs", DOCTOR_OK, NULL, "%s, for its owner alone", path);
	}
	if (n == 0)
		doctor_say(d, "hugetlbfs", DOCTOR_WRONG,
			"ci/setup, or: mount -t hugetlbfs -o mode=0700,pagesize=2M hugetlbfs "
			"/dev/hugepages",
			"it is not mounted: no router can start");
}

/* Certificates, and lifetimes that others wrote down, need it. */
static void
time_of_day(struct doctor *d)
{
	struct timex t = {0};
	int state = adjtimex(&t);

	if (time(NULL) < RELEASED)
		doctor_say(d, "clock", DOCTOR_WRONG, "set it, or let it be set (systemd-timesyncd)",
			"it was never set: certificates will not be valid");
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC))
		doctor_say(d, "clock", DOCTOR_NOTE,
			"with certificates let it be set (systemd-timesyncd)",
			"nobody keeps it in step");
	else
		doctor_say(d, "clock", DOCTOR_OK, NULL, "it is kept in step");
}

/* Whether that file has a line, no comment, with the word in it. */
static bool
mentions(const struct doctor *d, const char *path, const char *word)
{
	char text[65536], *save = NULL;

	if (!doctor_read(d, path, text, sizeof(text)))
		return false;
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		while (isspace((unsigned char)*line))
			line++;
		if (*line != '#' && strstr(line, word) != NULL)
			return true;
	}
	return false;
}

static void
apparmor(struct doctor *d)
{
	static const char *const profiles[] = {"usr.lib.ipsec.charon", "usr.sbin.charon-systemd"};
	static const char *const programs[] = {"/usr/lib/ipsec/charon", "/usr/sbin/charon-systemd"};
	char text[65536] = "", want[128], local[256];

	if (!doctor_read(d, "/sys/module/apparmor/parameters/enabled", text, sizeof(text)) ||
		text[0] != 'Y') {
		doctor_say(d, "AppArmor", DOCTOR_OK, NULL, "it is not in force");
		return;
	}
	doctor_read(d, "/sys/kernel/security/apparmor/profiles", text, sizeof(text));
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(want, sizeof(want), "%s (enforce)", programs[i]);
		if (strstr(text, want) == NULL)
			continue;
		snprintf(local, sizeof(local), "/etc/apparmor.d/local/%s", profiles[i]);
		if (mentions(d, local, "cygnet-agent"))
			doctor_say(d, "AppArmor", DOCTOR_OK, NULL,
				"the profile of %s knows the agent", programs[i]);
		else
			doctor_say(d, "AppArmor", DOCTOR_WRONG,
				"append /usr/share/doc/cygnet/examples/apparmor-charon to the "
				"local profile and load it anew",
				"%s is confined, and may not reach an agent", programs[i]);
	}
}

void
doctor_machine(struct doctor *d)
{
	huge_pages(d);
	mounts(d);
	time_of_day(d);
	apparmor(d);
}

/* Whether a process of that name runs. */
static bool
runs(const struct doctor *d, const char *name)
{
	char path[300], comm[64];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/proc", d->root);
	dir = opendir(path);
	while (dir != NULL && !found && (e = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.32s/comm", e->d_name);
		if (!doctor_read(d, path, comm, sizeof(comm)))
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		found = strcmp(comm, name) == 0;
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

/* The value of a setting, a word, in charon's file of the plugin; NULL: it is not set there. */
static const char *
setting(char *text, const char *name, char *value, size_t size)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		char key[64], word[256];

		if ((sscanf(line, " %63[a-z_] = \"%255[^\"]", key, word) == 2 ||
			    sscanf(line, " %63[a-z_] = %255[^ \t#}]", key, word) == 2) &&
			strcmp(key, name) == 0) {
			snprintf(value, size, "%s", word);
			return value;
		}
	}
	return NULL;
}

static void
plugin_conf(struct doctor *d, const char *prefix)
{
	char text[16384], again[16384], value[256];
	const char *v;

	if (!doctor_read(d, PLUGIN_CONF, text, sizeof(text))) {
		doctor_say(d, "plugin", DOCTOR_NOTE, "meson install -C build puts it there",
			"there is no " PLUGIN_CONF);
		return;
	}
	strcpy(again, text);
	v = setting(text, "load", value, sizeof(value));
	if (v == NULL || strcmp(v, "no") == 0 || strcmp(v, "0") == 0)
		doctor_say(d, "plugin", DOCTOR_WRONG, "load = 10 in " PLUGIN_CONF,
			"charon does not load it: its keys go to the Linux kernel");
	else if (!mentions(d, PLUGIN_CONF, "kernel-cygnet!"))
		doctor_say(d, "plugin", DOCTOR_NOTE,
			"in " PLUGIN_CONF " make load = 10 the only line of a section "
			"\"kernel-cygnet!\"",
			"charon may do without it: when it is refused, keys go to the Linux "
			"kernel");
	v = setting(again, "file_prefix", value, sizeof(value));
	if (prefix == NULL)
		return;
	if (strcmp(v != NULL ? v : "cygnet", prefix) != 0)
		doctor_say(d, "plugin", DOCTOR_WRONG,
			"make file_prefix in " PLUGIN_CONF " the router's, and restart charon",
			"it looks for the router \"%s\", and this one's file prefix is \"%s\"",
			v != NULL ? v : "cygnet", prefix);
	else
		doctor_say(d, "plugin", DOCTOR_OK, NULL, "it looks for the router \"%s\"", prefix);
}

void
doctor_charon(struct doctor *d, const char *prefix)
{
	if (runs(d, "charon") || runs(d, "charon-systemd"))
		doctor_say(d, "charon", DOCTOR_OK, NULL, "it runs");
	else
		doctor_say(d, "charon", DOCTOR_NOTE,
			"systemctl start strongswan-starter; a router of static SAs needs none",
			"it does not run");
	plugin_conf(d, prefix);
	doctor_strongswan(d);
}

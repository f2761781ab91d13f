/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHARON "/usr/lib/ipsec/charon"
#define PLUGIN "/usr/lib/ipsec/plugins/libstrongswan-kernel-cygnet.so"
#define MARK \
	"this plugin is for strongSwan " /* in the plugin, before the version that it was built for */

/* A file below the root, mapped; NULL: there is none. */
static const char *
map(const struct doctor *d, const char *path, size_t *len)
{
	char full[512];
	struct stat st;
	void *data = MAP_FAILED;
	int fd;

	snprintf(full, sizeof(full), "%s%s", d->root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	*len = st.st_size;
	return data != MAP_FAILED ? data : NULL;
}

/* The version that the plugin was built for; false: it does not say. */
static bool
built_for(const char *plugin, size_t len, char version[32])
{
	const char *at = memmem(plugin, len, MARK, strlen(MARK));
	size_t left, n = 0;

	if (at == NULL)
		return false;
	at += strlen(MARK);
	left = plugin + len - at;
	while (n < left && n < 31 && at[n] != '\0' && at[n] != ',')
		n++;
	memcpy(version, at, n);
	version[n] = '\0';
	return n > 0;
}

/* Whether a program has that version in it: as a constant string, or after strongSwan's name. */
static bool
is_version(const char *program, size_t len, const char *version)
{
	const char *at = program, *end = program + len;
	size_t n = strlen(version);

	for (; (at = memmem(at, end - at, version, n)) != NULL; at++) {
		bool constant = at > program && at[-1] == '\0';
		bool named = at - program > 11 && memcmp(at - 11, "strongSwan ", 11) == 0;

		if ((constant || named) && at + n < end && at[n] != '.' &&
			!isalnum((unsigned char)at[n]))
			return true;
	}
	return false;
}

void
doctor_strongswan(struct doctor *d)
{
	size_t plugin_len = 0, charon_len = 0;
	const char *plugin = map(d, PLUGIN, &plugin_len), *charon = map(d, CHARON, &charon_len);
	char version[32];

	if (plugin == NULL)
		doctor_say(d, "strongSwan", DOCTOR_NOTE, "meson install -C build puts it there",
			"there is no " PLUGIN ": charon cannot load it");
	else if (charon != NULL && built_for(plugin, plugin_len, version) &&
		 !is_version(charon, charon_len, version))
		doctor_say(d, "strongSwan", DOCTOR_WRONG,
			"build and install cygnet anew (ci/setup, meson setup --wipe build, meson "
			"install -C build), and restart charon",
			"the plugin was built for strongSwan %s, and " CHARON
			" is another: it refuses the plugin",
			version);
	else if (charon != NULL)
		doctor_say(d, "strongSwan", DOCTOR_OK, NULL, "the plugin is for this one");
	if (plugin != NULL)
		munmap((void *)(uintptr_t)plugin, plugin_len);
	if (charon != NULL)
		munmap((void *)(uintptr_t)charon, charon_len);
}

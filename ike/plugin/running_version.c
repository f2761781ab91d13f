/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "running_version.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "strongSwan "

/* Characters of a version: "5.9.8", "6.0.0rc1". */
static size_t
version_len(const char *s, size_t left)
{
	size_t n = 0;

	if (left == 0 || !isdigit((unsigned char)*s))
		return 0;
	while (n < left && (isalnum((unsigned char)s[n]) || s[n] == '.'))
		n++;
	return n;
}

/* What follows the mark, when that is a version. */
static bool
scan_mark(const char *data, size_t len, char *running, size_t size)
{
	const char *end = data + len, *at = data;

	while ((at = memmem(at, end - at, MARK, strlen(MARK))) != NULL) {
		size_t n;

		at += strlen(MARK);
		n = version_len(at, end - at);
		if (n == 0)
			continue;
		snprintf(running, size, "%.*s", (int)n, at);
		return true;
	}
	return false;
}

/* A constant string that is a version, whole: three numbers at least, as "5.9.8". */
static bool
scan_constant(const char *data, size_t len, char *running, size_t size)
{
	const char *end = data + len;

	for (const char *at = data; at < end; at++) {
		unsigned int dots = 0;
		size_t n;

		if (at > data && at[-1] != '\0')
			continue;
		n = version_len(at, end - at);
		for (size_t i = 0; i < n; i++)
			dots += at[i] == '.';
		if (dots < 2 || dots > 3 || n >= size || n > 16 || at + n == end || at[n] != '\0')
			continue;
		snprintf(running, size, "%.*s", (int)n, at);
		return true;
	}
	return false;
}

static bool
scan(const char *data, size_t len, char *running, size_t size)
{
	return scan_mark(data, len, running, size) || scan_constant(data, len, running, size);
}

bool
running_version_of(const char *path, const char *version, char *running, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool found = false;
	struct stat st;
	void *data;

	snprintf(running, size, "unknown");
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data != MAP_FAILED) {
			found = scan(data, st.st_size, running, size);
			munmap(data, st.st_size);
		}
	}
	close(fd);
	return found && strcmp(running, version) == 0;
}

bool
running_version(const char *version, char *running, size_t size)
{
	return running_version_of("/proc/self/exe", version, running, size);
}

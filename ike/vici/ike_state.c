/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOTE_DIR "/run/cygnet"

/*
 * "/run/charon.vici.cygnet-loaded"; a charon behind TCP has one by its address: "/run/cygnet/tcp___192.0.2.9_4502" and
 * the same end.
 */
static char *
beside(const struct vici *v, const char *end)
{
	const char *path = vici_path(v);
	char *out = NULL;

	if (path != NULL)
		return asprintf(&out, "%s.cygnet-%s", path, end) < 0 ? NULL : out;
	if (asprintf(&out, REMOTE_DIR "/%s.cygnet-%s", vici_uri(v), end) < 0)
		return NULL;
	for (char *s = out + strlen(REMOTE_DIR "/"); *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && *s != '.' && *s != '-')
			*s = '_';
	return out;
}

static int
lock_file(const char *path, bool wait)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0)
		if (errno != EINTR) {
			int why = errno;

			close(fd);
			errno = why;
			return -1;
		}
	return fd;
}

/* Written beside and moved: a reader sees the old or the new one. */
static bool
write_file(const char *path, const json_t *v)
{
	char *tmp = NULL;
	bool good = false;
	int fd;

	if (asprintf(&tmp, "%s.new", path) < 0)
		return false;
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		good = json_dumpfd(v, fd, JSON_COMPACT) == 0;
		good = close(fd) == 0 && good;
		good = good && rename(tmp, path) == 0;
	}
	free(tmp);
	return good;
}

json_t *
ike_state_get(struct ike_state *s, const char *name)
{
	json_t *v = json_object_get(s->json, name);

	if (!json_is_object(v)) {
		v = json_object();
		json_object_set_new(s->json, name, v);
	}
	return v;
}

json_t *
ike_state_secrets(const struct ike_state *s, const json_t *more)
{
	const json_t *lists[] = {json_object_get(s->json, "secrets"), more};
	json_t *seen = json_object(), *all = json_array(), *v;
	size_t j;

	for (unsigned int i = 0; i < 2; i++)
		json_array_foreach (lists[i], j, v) {
			if (json_object_get(seen, json_string_value(v)) != NULL)
				continue;
			json_object_set_new(seen, json_string_value(v), json_true());
			json_array_append(all, v);
		}
	json_decref(seen);
	return all;
}

static bool
read_salt(struct ike_state *s)
{
	const char *hex = json_string_value(json_object_get(s->json, "salt"));
	unsigned int byte;

	if (hex == NULL || strlen(hex) != 64)
		return false;
	for (unsigned int i = 0; i < 32; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		s->salt[i] = (unsigned char)byte;
	}
	return true;
}

/* Nothing is known. */
static bool
begin(struct ike_state *s)
{
	char hex[65];

	json_decref(s->json);
	s->json = json_object();
	if (getrandom(s->salt, sizeof(s->salt), 0) != (ssize_t)sizeof(s->salt))
		return false;
	for (unsigned int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", s->salt[i]);
	json_object_set_new(s->json, "salt", json_string(hex));
	return true;
}

static struct ike_state *
open_state(const struct vici *v, bool write, bool wait)
{
	struct ike_state *s = calloc(1, sizeof(*s));
	char *lock = beside(v, "lock");
	bool good = s != NULL && lock != NULL;

	/* Why that cannot be made is told of the file in it. */
	if (good && write && vici_path(v) == NULL)
		mkdir(REMOTE_DIR, 0755);
	if (good) {
		s->path = beside(v, "loaded");
		s->lock = write ? lock_file(lock, wait) : -1;
		good = s->path != NULL && (!write || s->lock >= 0);
		if (!good && (wait || errno != EWOULDBLOCK))
			fprintf(stderr, "cygnetctl: %s: %s\n", lock, strerror(errno));
	}
	if (good) {
		s->json = json_load_file(s->path, 0, NULL);
		if (!json_is_object(s->json) || !read_salt(s))
			good = begin(s);
	}
	free(lock);
	if (good)
		return s;
	ike_state_close(s);
	return NULL;
}

struct ike_state *
ike_state_open(const struct vici *v, bool write)
{
	return open_state(v, write, true);
}

struct ike_state *
ike_state_try(const struct vici *v)
{
	return open_state(v, true, false);
}

bool
ike_state_save(struct ike_state *s)
{
	if (write_file(s->path, s->json))
		return true;
	fprintf(stderr, "cygnetctl: %s cannot be written: %s\n", s->path, strerror(errno));
	return false;
}

void
ike_state_close(struct ike_state *s)
{
	if (s == NULL)
		return;
	if (s->lock > 0)
		close(s->lock);
	json_decref(s->json);
	free(s->path);
	free(s);
}

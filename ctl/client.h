/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_CLIENT_H
#define CYGNETCTL_CLIENT_H

#include <stddef.h>

#include <jansson.h>

/* What cygnetctl ends with. */
enum {
	CTL_OK = 0,
	CTL_REFUSED = 1, /* the router said no, or has no such thing */
	CTL_USAGE = 2,
	CTL_NO_ROUTER = 3,
};

#define CLIENT_RUN_DIR "/run/cygnet"
#define CLIENT_PATH_MAX 108 /* of a Unix socket */

/*
 * The socket to talk to, into path: as given, or that of the router with this name, or the only one in dir
 * (of several the only one that answers). Returns CTL_OK, or another code after one line on stderr.
 */
int client_find(const char *dir, const char *socket, const char *name, char path[CLIENT_PATH_MAX]);

/* Connects; *fd is set. Returns CTL_OK, or another code after one line on stderr. */
int client_connect(const char *path, int *fd);

/*
 * Asks for a table, all its pages: page(ctx, data) for each, which may not keep data. args (may be NULL)
 * is taken over. Returns CTL_OK, or another code after one line on stderr; a page() that returns
 * nonzero ends it with that.
 */
int client_ask(
	int fd, const char *command, json_t *args, int (*page)(void *ctx, json_t *data), void *ctx);

/* Asks for a document, or for a short table, and keeps all of it in *data. */
int client_ask_all(int fd, const char *command, json_t *args, json_t **data);

/* One line on stderr, "cygnetctl: ...". Returns rc. */
int client_fail(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_SECONDS 10
#define ANSWER_MAX (64u << 20) /* no router sends lines of this length */

int
client_fail(int rc, const char *fmt, ...)
{
	va_list ap;

	fputs("cygnetctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return rc;
}

/* A connected socket, or a negative errno. */
static int
try_connect(const char *path)
{
	const struct timeval timeout = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int
client_connect(const char *path, int *fd)
{
	*fd = try_connect(path);
	if (*fd >= 0)
		return CTL_OK;
	switch (-*fd) {
	case ENOENT:
	case ECONNREFUSED:
		return client_fail(CTL_NO_ROUTER,
			"no router answers at %s: start one (cygnet -c FILE), or name its socket "
			"with -s",
			path);
	case EACCES:
	case EPERM:
		return client_fail(CTL_REFUSED,
			"%s: permission denied: run this as root or as the router's user", path);
	case EAGAIN:
		return client_fail(CTL_NO_ROUTER,
			"the router at %s takes no connections: is it stopped?", path);
	default:
		return client_fail(CTL_NO_ROUTER, "%s: %s", path, strerror(-*fd));
	}
}

/* "a.sock" of "/run/cygnet/a.sock" without its end. */
static int
name_of(const char *path, const char **name)
{
	*name = strrchr(path, '/') + 1;
	return (int)(strlen(*name) - strlen(".sock"));
}

/* Of several sockets the one with a router behind it; when it is not one, says which there are. */
static int
choose(char **paths, size_t n, char path[CLIENT_PATH_MAX])
{
	char list[1024] = "";
	size_t at = 0, live = 0;
	const char *name;
	int fd, len;

	for (size_t i = 0; i < n; i++) {
		fd = try_connect(paths[i]);
		if (fd == -ECONNREFUSED || fd == -ENOENT || fd == -ENAMETOOLONG)
			continue;
		if (fd >= 0)
			close(fd);
		strcpy(path, paths[i]);
		len = name_of(paths[i], &name);
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%.*s",
				live > 0 ? ", " : "", len, name);
		live++;
	}
	if (live == 1)
		return CTL_OK;
	if (live > 1)
		return client_fail(
			CTL_USAGE, "several routers run here: choose one with -n NAME: %s", list);
	return client_fail(CTL_NO_ROUTER, "no router answers: start one (cygnet -c FILE)");
}

int
client_find(const char *dir, const char *socket, const char *name, char path[CLIENT_PATH_MAX])
{
	char pattern[CLIENT_PATH_MAX];
	glob_t g;
	int rc, len;

	if (socket != NULL && name != NULL)
		return client_fail(CTL_USAGE, "-s and -n name the same thing: give one of them");
	if (name != NULL && (*name == '\0' || strchr(name, '/') != NULL))
		return client_fail(
			CTL_USAGE, "'%s' is not a router's name; for a path there is -s", name);
	if (socket != NULL || name != NULL) {
		len = socket != NULL ? snprintf(path, CLIENT_PATH_MAX, "%s", socket)
				     : snprintf(path, CLIENT_PATH_MAX, "%s/%s.sock", dir, name);
		if (len >= CLIENT_PATH_MAX)
			return client_fail(CTL_USAGE, "the socket's path is too long");
		return CTL_OK;
	}
	if (snprintf(pattern, sizeof(pattern), "%s/*.sock", dir) >= (int)sizeof(pattern))
		return client_fail(CTL_USAGE, "the socket's path is too long");
	rc = glob(pattern, 0, NULL, &g);
	if (rc != 0)
		return client_fail(CTL_NO_ROUTER,
			"no router runs here (no socket in %s): start one (cygnet -c FILE)", dir);
	if (g.gl_pathc == 1 && strlen(g.gl_pathv[0]) < CLIENT_PATH_MAX) {
		strcpy(path, g.gl_pathv[0]);
		rc = CTL_OK;
	} else {
		rc = choose(g.gl_pathv, g.gl_pathc, path);
	}
	globfree(&g);
	return rc;
}

static int
write_line(int fd, const char *s)
{
	char *line;
	int n = asprintf(&line, "%s\n", s), rc = 0;

	if (n < 0)
		return -ENOMEM;
	for (int at = 0; at < n && rc == 0;) {
		ssize_t sent = send(fd, line + at, (size_t)(n - at), MSG_NOSIGNAL);

		if (sent >= 0)
			at += (int)sent;
		else if (errno != EINTR)
			rc = -errno;
	}
	free(line);
	return rc;
}

/* One line without its newline, to be freed; NULL and a line on stderr. What follows it stays in the socket. */
static char *
read_line(int fd, size_t *len)
{
	size_t size = 65536;
	char *buf = malloc(size), *more, *end;
	ssize_t n;

	for (*len = 0; buf != NULL;) {
		n = recv(fd, buf + *len, size - *len, MSG_PEEK);
		end = n > 0 ? memchr(buf + *len, '\n', (size_t)n) : NULL;
		if (end != NULL)
			n = end + 1 - (buf + *len);
		if (n > 0)
			n = recv(fd, buf + *len, (size_t)n, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			client_fail(0, n == 0 ? "the router closed the connection"
				       : errno == EAGAIN
					       ? "the router did not answer in time: is it stopped?"
					       : "the connection to the router broke");
			break;
		}
		*len += (size_t)n;
		if (buf[*len - 1] == '\n') {
			(*len)--;
			return buf;
		}
		if (*len < size)
			continue;
		more = size >= ANSWER_MAX ? NULL : realloc(buf, size *= 2);
		if (more == NULL) {
			client_fail(0, "the router's answer is too long");
			break;
		}
		buf = more;
	}
	free(buf);
	return NULL;
}

/* One request, one answer. */
static int
exchange(int fd, const char *command, json_t *args, json_t **answer)
{
	json_t *request = json_pack("{ss sO*}", "command", command, "args", args), *message;
	char *line = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
	json_error_t error;
	size_t len;
	int rc;

	json_decref(request);
	*answer = NULL;
	if (line == NULL)
		return client_fail(CTL_REFUSED, "that cannot be asked: it is not UTF-8");
	rc = write_line(fd, line);
	free(line);
	/* A router that is full says so and hangs up before it hears the question. */
	if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
		return client_fail(CTL_NO_ROUTER, "the router does not listen: %s", strerror(-rc));
	line = read_line(fd, &len);
	if (line == NULL)
		return CTL_NO_ROUTER;
	*answer = json_loadb(line, len, 0, &error);
	free(line);
	if (*answer == NULL)
		return client_fail(CTL_REFUSED, "the router's answer is not JSON: %s", error.text);
	message = json_object_get(*answer, "message");
	if (message != NULL || json_object_get(*answer, "data") == NULL) {
		client_fail(0, "the router says: %s",
			json_is_string(message) ? json_string_value(message) : "nothing useful");
		json_decref(*answer);
		return CTL_REFUSED;
	}
	return CTL_OK;
}

int
client_ask(
	int fd, const char *command, json_t *args, int (*page)(void *ctx, json_t *data), void *ctx)
{
	json_t *answer, *next;
	bool more = true;
	int rc = CTL_OK;

	if (args == NULL)
		args = json_object();
	while (rc == CTL_OK && more) {
		rc = exchange(fd, command, args, &answer);
		if (rc != CTL_OK)
			break;
		rc = page(ctx, json_object_get(answer, "data"));
		next = json_object_get(answer, "next");
		more = next != NULL;
		if (more)
			json_object_set(args, "cursor", next);
		json_decref(answer);
	}
	json_decref(args);
	return rc;
}

static int
keep(void *ctx, json_t *data)
{
	json_t **kept = ctx;

	if (*kept == NULL)
		*kept = json_incref(data);
	else if (json_array_extend(*kept, data) != 0)
		return client_fail(CTL_REFUSED, "the router's pages do not fit together");
	return CTL_OK;
}

int
client_ask_all(int fd, const char *command, json_t *args, json_t **data)
{
	int rc;

	*data = NULL;
	rc = client_ask(fd, command, args, keep, data);
	if (rc != CTL_OK) {
		json_decref(*data);
		*data = NULL;
	}
	return rc;
}

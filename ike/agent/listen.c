/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 8
#define MAX_CHILDREN 8
#define REAP_MS 1000
#define SOCKET_BUFFER (4 << 20)

static int
fail(const char *what, const char *path)
{
	fprintf(stderr, "cygnet-agent: %s: %s: %s\n", path, what, strerror(errno));
	return -1;
}

/* What a listener that died left is removed; one that listens still is not. */
static int
remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd, rc;

	if (lstat(un->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return fail("is there, and is no socket", un->sun_path);
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail("socket", un->sun_path);
	rc = connect(fd, (const struct sockaddr *)un, sizeof(*un));
	close(fd);
	if (rc == 0 || errno == EAGAIN) {
		errno = EADDRINUSE;
		return fail("another agent listens there", un->sun_path);
	}
	return unlink(un->sun_path) < 0 ? fail("cannot be removed", un->sun_path) : 0;
}

static int
listen_at(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return fail("bind", path);
	}
	strcpy(un.sun_path, path);
	if (remove_stale(&un) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, BACKLOG) < 0)
		return fail("cannot listen", path);
	return fd;
}

/* Keys come from there: root, or our own user. */
static bool
is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	fprintf(stderr, "cygnet-agent: process %d of user %u refused: keys are root's matter\n",
		peer.pid, peer.uid);
	return false;
}

/* The child of one charon: a DPDK secondary once in its life, as each agent. */
static void
serve(const char *prefix, int fd, pid_t parent)
{
	int size = SOCKET_BUFFER;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	_exit(agent_run(prefix, fd));
}

int
agent_listen(const char *prefix, const char *path)
{
	int fd = listen_at(path), connection;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	unsigned int children = 0;
	pid_t self = getpid(), child;

	if (fd < 0)
		return EXIT_FAILURE;
	for (;;) {
		while (children > 0 && waitpid(-1, NULL, WNOHANG) > 0)
			children--;
		if (poll(&p, children < MAX_CHILDREN, REAP_MS) <= 0)
			continue;
		connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (connection < 0)
			continue;
		child = is_trusted(connection) ? fork() : -1;
		if (child == 0) {
			close(fd);
			serve(prefix, connection, self);
		}
		children += child > 0;
		close(connection);
	}
}

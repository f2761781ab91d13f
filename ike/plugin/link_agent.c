/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT_FD 3
#define SOCKET_BUFFER (4 << 20)
#define LEAVE_MS 500 /* what an agent has for leaving by itself */
#define LEAVE_LOOK_MS 5

/* Nothing of charon's goes to the agent but one socket; it closes the rest itself, too. */
static int
spawn_agent(struct link *l, int fd, pid_t *pid)
{
	char *argv[] = {(char *)(uintptr_t)l->conf.agent, "--file-prefix",
		(char *)(uintptr_t)l->conf.file_prefix, NULL};
	char *envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int rc;

	if (l->conf.start_agent != NULL)
		return l->conf.start_agent(l->conf.ctx, fd, pid);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_adddup2(&actions, fd, AGENT_FD);
	rc = posix_spawn(pid, l->conf.agent, &actions, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

/* The socket of an agent that somebody else runs; keys go there, so only to root or to our own user. */
static int
connect_agent(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int size = SOCKET_BUFFER, fd, rc = 0;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
		fcntl(fd, F_SETFL, 0) < 0)
		rc = -errno;
	else if (peer.uid != 0 && peer.uid != geteuid())
		rc = -EPERM;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

/* The socket pair to a new agent. */
static int
make_pair(int pair[2])
{
	int size = SOCKET_BUFFER, other;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (pair[1] != AGENT_FD)
		return 0;
	/* dup2() of a descriptor onto itself would keep close-on-exec. */
	other = fcntl(pair[1], F_DUPFD_CLOEXEC, AGENT_FD + 1);
	if (other < 0) {
		other = -errno;
		close(pair[0]);
		close(pair[1]);
		return other;
	}
	close(pair[1]);
	pair[1] = other;
	return 0;
}

static bool
valid(const struct ike_msg *m, size_t len)
{
	uint16_t want;

	if (len < sizeof(m->hdr) || m->hdr.magic != IKE_WIRE_MAGIC ||
		m->hdr.version != IKE_WIRE_VERSION || m->hdr.len != len)
		return false;
	/* A reply that says no may bring the request back as it was. */
	want = ike_reply_len(m->hdr.type);
	return want != 0 &&
	       (len == want || (m->hdr.status != 0 && len == ike_msg_len(m->hdr.type)));
}

/* Until the agent goes. Whether it had been attached to a router. */
static bool
read_all(struct link *l, int fd)
{
	struct ike_msg m;
	bool was_up = false;
	ssize_t n;

	for (;;) {
		memset(&m, 0, sizeof(m));
		n = recv(fd, &m, sizeof(m), MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return was_up;
		if ((size_t)n > sizeof(m) || !valid(&m, n)) {
			link_say_trouble(l, "the agent sent a malformed message");
			continue;
		}
		was_up |= m.hdr.type == IKE_AGENT_UP;
		link_take(l, &m);
	}
}

/* Its socket is closed, so it leaves. One that hangs, as with a router that is stopped, is made to. */
static void
end_agent(pid_t pid)
{
	const struct timespec look = {.tv_nsec = LEAVE_LOOK_MS * 1000000l};

	for (int ms = 0; ms < LEAVE_MS; ms += LEAVE_LOOK_MS) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&look, NULL);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* A new agent, or one that runs already: its socket, or a negative errno, of which it was told. */
static int
open_agent(struct link *l, pid_t *pid)
{
	int pair[2], rc;

	*pid = 0;
	if (l->conf.agent_socket != NULL) {
		rc = connect_agent(l->conf.agent_socket);
		if (rc < 0)
			link_say_trouble(l, "no agent at %s: %s", l->conf.agent_socket,
				rc == -EPERM ? "it is another user's" : strerror(-rc));
		return rc;
	}
	rc = make_pair(pair);
	if (rc < 0) {
		link_say_trouble(l, "no socket for the agent: %s", strerror(-rc));
		return rc;
	}
	rc = spawn_agent(l, pair[1], pid);
	if (l->conf.start_agent == NULL)
		close(pair[1]);
	if (rc == 0)
		return pair[0];
	link_say_trouble(l, "%s does not start: %s", l->conf.agent, strerror(-rc));
	close(pair[0]);
	return rc;
}

bool
link_run_agent(struct link *l)
{
	bool was_up = false, stopping;
	struct ike_msg hello;
	pid_t pid;
	int fd = open_agent(l, &pid), rc;

	if (fd < 0) {
		link_expect(l, false);
		return false;
	}
	link_lock(l);
	l->fd = fd;
	l->epoch = 0;
	link_greeting(l, &hello);
	rc = l->stopping ? -ECANCELED : link_send(l, &hello, NULL, 0);
	link_unlock(l);
	if (rc == 0)
		was_up = read_all(l, fd);
	link_lock(l);
	close(l->fd);
	l->fd = -1;
	l->up = false;
	/* One that lost its router, or was killed: the next says soon what there is. */
	l->expected = was_up;
	stopping = l->stopping;
	pthread_cond_broadcast(&l->replied);
	link_unlock(l);
	if (pid > 0)
		end_agent(pid);
	if (was_up && !stopping)
		link_say(l, 1,
			"the router or the agent is gone: no SA can be installed until it is back");
	return was_up;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "metrics_ike.h"

#include "ctl.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>

#define EVERY_SECONDS 5
#define FRESH_NSEC 15000000000ull
#define KILL_TICKS 2 /* one that runs since so many ticks is ended */
#define TEXT_MAX (4u << 20)

struct metrics_ike {
	char *uri, *program;
	struct event *tick, *readable;
	pid_t pid; /* of the program that runs; 0: none */
	pid_t ended; /* one that is to be waited for */
	int fd;
	unsigned int ticks; /* since its start */
	bool openmetrics; /* the two formats are asked for in turn */
	struct evbuffer *in;
	char *text[2]; /* by openmetrics */
	uint64_t at[2];
};

/* Beside us in a build tree; else where it was installed. */
static char *
find_program(void)
{
	char self[PATH_MAX], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		if (asprintf(&path, "%s/ctl/cygnetctl", self) > 0 && access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return strdup(CYGNETCTL_PATH);
}

static const char end[] = "# EOF\n";

static void
end_run(struct metrics_ike *m, bool good)
{
	unsigned int which = m->openmetrics;
	size_t n = good ? evbuffer_get_length(m->in) - strlen(end) : 0;
	char *text = good ? malloc(n + 1) : NULL;

	event_free(m->readable);
	m->readable = NULL;
	close(m->fd);
	kill(m->pid, SIGKILL);
	m->ended = m->pid;
	m->pid = 0;
	if (text != NULL) {
		evbuffer_remove(m->in, text, n);
		text[n] = '\0';
		free(m->text[which]);
		m->text[which] = text;
		m->at[which] = ctl_now();
	}
	evbuffer_drain(m->in, evbuffer_get_length(m->in));
	m->openmetrics = !m->openmetrics;
}

/* Its last line is "# EOF": what ended before it said all counts for nothing. */
static bool
is_whole(struct metrics_ike *m)
{
	size_t n = evbuffer_get_length(m->in);
	const char *s = n > strlen(end) ? (const char *)evbuffer_pullup(m->in, -1) : NULL;

	return s != NULL && memcmp(s + n - strlen(end), end, strlen(end)) == 0;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct metrics_ike *m = arg;
	int n = evbuffer_read(m->in, fd, 65536);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && evbuffer_get_length(m->in) <= TEXT_MAX)
		return;
	if (n == 0 && is_whole(m)) {
		end_run(m, true);
		return;
	}
	/* It has ended with no answer: there is no charon any more. */
	m->at[0] = m->at[1] = 0;
	end_run(m, false);
}

static int
spawn(struct metrics_ike *m, int out)
{
	char *argv[] = {m->program, "ike", "metrics", "--uri", m->uri,
		m->openmetrics ? "--openmetrics" : NULL, NULL};
	char *env[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	/* EAL's huge-page files are not marked to be closed. */
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	rc = posix_spawn(&m->pid, m->program, &actions, &attr, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

static void
start_run(struct metrics_ike *m)
{
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return;
	/* Ours alone: the program's printf() would lose what has no room at the moment. */
	evutil_make_socket_nonblocking(fds[0]);
	rc = spawn(m, fds[1]);
	close(fds[1]);
	m->fd = fds[0];
	m->ticks = 0;
	m->readable = rc == 0 ? event_new(event_get_base(m->tick), fds[0], EV_READ | EV_PERSIST,
					on_readable, m)
			      : NULL;
	if (m->readable != NULL && event_add(m->readable, NULL) == 0)
		return;
	if (rc == 0 && m->readable != NULL) {
		end_run(m, false);
	} else {
		close(fds[0]);
		if (rc == 0)
			kill(m->pid, SIGKILL);
		m->ended = rc == 0 ? m->pid : 0;
		m->pid = 0;
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct metrics_ike *m = arg;

	(void)fd;
	(void)what;
	if (m->ended != 0 && waitpid(m->ended, NULL, WNOHANG) != 0)
		m->ended = 0;
	if (m->pid == 0 && m->ended == 0)
		start_run(m);
	else if (m->pid != 0 && ++m->ticks >= KILL_TICKS)
		end_run(m, false);
}

struct metrics_ike *
metrics_ike_start(struct event_base *base, const char *uri)
{
	const struct timeval every = {.tv_sec = EVERY_SECONDS / 2, .tv_usec = 500000};
	struct metrics_ike *m = calloc(1, sizeof(*m));

	if (m == NULL)
		goto nomem;
	m->uri = strdup(uri);
	m->program = find_program();
	m->in = evbuffer_new();
	m->tick = event_new(base, -1, EV_PERSIST, on_tick, m);
	if (m->uri == NULL || m->program == NULL || m->in == NULL || m->tick == NULL ||
		event_add(m->tick, &every) != 0)
		goto nomem;
	start_run(m);
	return m;
nomem:
	LOG(ERR, "metrics: not enough memory for charon's");
	metrics_ike_stop(m);
	return NULL;
}

void
metrics_ike_stop(struct metrics_ike *m)
{
	if (m == NULL)
		return;
	if (m->pid != 0)
		end_run(m, false);
	if (m->ended != 0)
		waitpid(m->ended, NULL, 0);
	if (m->tick != NULL)
		event_free(m->tick);
	if (m->in != NULL)
		evbuffer_free(m->in);
	free(m->text[0]);
	free(m->text[1]);
	free(m->uri);
	free(m->program);
	free(m);
}

const char *
metrics_ike_text(const struct metrics_ike *m, bool openmetrics)
{
	return m->text[openmetrics] != NULL && m->at[openmetrics] != 0 &&
			       ctl_now() - m->at[openmetrics] < FRESH_NSEC
		       ? m->text[openmetrics]
		       : NULL;
}

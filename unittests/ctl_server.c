/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_test.h"
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

/* The socket, its clients in this thread too: the event loop is turned while they wait. */

#define VERSION "{\"command\":\"version\"}\n"

static char dir[64], path[96];
static struct ctl_server *server;

static void
setup(void)
{
	world_setup();
	strcpy(dir, "/tmp/cygnet-ctl-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/run/a.sock", dir);
	router.config->socket = path;
	router.base = event_base_new();
	server = ctl_server_start(ctl);
	ck_assert_ptr_nonnull(server);
}

static void
teardown(void)
{
	char run[80];

	ctl_server_stop(server);
	ck_assert_int_eq(access(path, F_OK), -1);
	event_base_free(router.base);
	snprintf(run, sizeof(run), "%s/run", dir);
	ck_assert_int_eq(rmdir(run), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	world_teardown();
}

static int
dial(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(un.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void
turn(unsigned int n)
{
	while (n-- > 0)
		event_base_loop(router.base, EVLOOP_NONBLOCK);
}

static void
say(int fd, const char *s)
{
	ck_assert_int_eq(send(fd, s, strlen(s), MSG_NOSIGNAL), (ssize_t)strlen(s));
}

/* What comes until so many newlines or the end of file (*closed); fails when nothing comes any more. */
static unsigned int
hear(int fd, char *buf, size_t size, unsigned int lines, bool *closed)
{
	unsigned int n = 0, idle = 0;
	size_t len = 0;

	*closed = false;
	while (n < lines && idle < 1000) {
		ssize_t got = recv(fd, buf + len, size - 1 - len, 0);

		/* Closed with something unread is a reset. */
		if (got == 0 || (got < 0 && errno == ECONNRESET)) {
			*closed = true;
			break;
		}
		if (got < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			turn(1);
			idle++;
			continue;
		}
		idle = 0;
		for (ssize_t i = 0; i < got; i++)
			n += buf[len + (size_t)i] == '\n';
		len += (size_t)got;
	}
	buf[len] = '\0';
	return n;
}

START_TEST(answers_lines)
{
	char buf[8192];
	bool closed;
	struct stat st;
	int fd = dial();

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	say(fd, "{\"command\":");
	turn(5);
	ck_assert_int_eq(recv(fd, buf, 1, 0), -1);
	say(fd, "\"version\"}\n{\"command\":\"nonsense\"}\ngarbage\n" VERSION);
	ck_assert_uint_eq(hear(fd, buf, sizeof(buf), 4, &closed), 4);
	ck_assert_ptr_eq(strstr(buf, "{\"status\":\"ok\""), buf);
	ck_assert_ptr_nonnull(strstr(buf, "unknown command 'nonsense'"));
	ck_assert(strstr(buf, "no JSON") > strstr(buf, "nonsense"));
	ck_assert(strstr(strstr(buf, "no JSON"), CYGNET_VERSION) != NULL);
	close(fd);
	turn(3);
}
END_TEST

/* Until then accept() fails, and the listener rests. */
static void
no_descriptors(struct rlimit *before)
{
	struct rlimit none;
	int next = dup(0);

	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
	none = (struct rlimit){.rlim_cur = next, .rlim_max = before->rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
}

/* A port that nobody has, in network order. */
static in_port_t
free_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return in.sin_port;
}

START_TEST(rests_without_descriptors)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = free_port(),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct metrics *metrics = metrics_start(ctl, "127.0.0.1", ntohs(in.sin_port), NULL);
	int fd = dial(), http = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	const struct timeval later = {.tv_sec = 1, .tv_usec = 200000};
	struct rlimit before;
	char buf[8192];
	bool closed;

	ck_assert_ptr_nonnull(metrics);
	ck_assert(connect(http, (struct sockaddr *)&in, sizeof(in)) == 0 || errno == EINPROGRESS);
	no_descriptors(&before);
	turn(20);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	say(fd, VERSION);
	turn(20);
	ck_assert_int_eq(recv(fd, buf, sizeof(buf), 0), -1);
	event_base_loopexit(router.base, &later);
	event_base_dispatch(router.base);
	ck_assert_uint_eq(hear(fd, buf, sizeof(buf), 1, &closed), 1);
	say(http, "GET /nothing HTTP/1.1\r\n\r\n");
	ck_assert_uint_gt(hear(http, buf, sizeof(buf), 1, &closed), 0);
	ck_assert_ptr_eq(strstr(buf, "HTTP/1.1 404"), buf);
	close(fd);
	close(http);
	turn(3);
	metrics_stop(metrics);
}
END_TEST

START_TEST(refuses_long_lines)
{
	char line[CTL_LINE_MAX + 512], buf[1024];
	bool closed;
	int fd = dial();

	/* The longest that may be: blanks are JSON. */
	memset(line, ' ', sizeof(line));
	memcpy(line, VERSION, strlen(VERSION) - 1);
	line[CTL_LINE_MAX] = '\n';
	ck_assert_int_eq(send(fd, line, CTL_LINE_MAX + 1, 0), CTL_LINE_MAX + 1);
	ck_assert_uint_eq(hear(fd, buf, sizeof(buf), 1, &closed), 1);
	ck_assert_ptr_nonnull(strstr(buf, "\"ok\""));
	/* One more, with and without an end. */
	for (int end = 0; end < 2; end++) {
		memset(line, ' ', sizeof(line));
		if (end)
			line[CTL_LINE_MAX + 1] = '\n';
		ck_assert_int_eq(send(fd, line, CTL_LINE_MAX + 2, 0), CTL_LINE_MAX + 2);
		hear(fd, buf, sizeof(buf), 2, &closed);
		ck_assert_ptr_nonnull(strstr(buf, "too long"));
		ck_assert(closed);
		close(fd);
		fd = dial();
	}
	close(fd);
}
END_TEST

START_TEST(takes_so_many_clients)
{
	int fds[CTL_CLIENTS], more;
	char buf[1024];
	bool closed;

	for (unsigned int i = 0; i < CTL_CLIENTS; i++) {
		fds[i] = dial();
		turn(1);
	}
	more = dial();
	hear(more, buf, sizeof(buf), 2, &closed);
	ck_assert_ptr_nonnull(strstr(buf, "too many clients"));
	ck_assert(closed);
	close(more);
	say(fds[CTL_CLIENTS - 1], VERSION);
	ck_assert_uint_eq(hear(fds[CTL_CLIENTS - 1], buf, sizeof(buf), 1, &closed), 1);
	close(fds[0]);
	turn(3);
	fds[0] = dial();
	say(fds[0], VERSION);
	ck_assert_uint_eq(hear(fds[0], buf, sizeof(buf), 1, &closed), 1);
	for (unsigned int i = 0; i < CTL_CLIENTS; i++)
		close(fds[i]);
}
END_TEST

static size_t
heap(void)
{
	char line[256];
	size_t kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %zu", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

START_TEST(a_deaf_client_costs_little)
{
	static const char ask[] = "{\"command\":\"sa\"}\n";
	char buf[1024];
	int deaf = dial(), fd = dial();
	size_t sent = 0, before;
	bool closed;

	for (unsigned int i = 0; i < 400; i++)
		world_add_sa(SA_DIR_OUT, 0x1000 + i, i);
	turn(2);
	before = heap();
	/* As many questions as the socket takes, and no answer is read. */
	for (unsigned int i = 0; i < 20000; i++) {
		ssize_t n = send(deaf, ask, sizeof(ask) - 1, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else
			ck_assert_int_eq(errno, EAGAIN);
		turn(1);
	}
	ck_assert_uint_gt(sent, 100 * sizeof(ask));
	/* Answering them all would take hundreds of megabytes. */
	ck_assert_uint_lt(heap() - before, 32768);
	say(fd, VERSION);
	ck_assert_uint_eq(hear(fd, buf, sizeof(buf), 1, &closed), 1);
	close(fd);
	close(deaf);
	turn(5);
}
END_TEST

START_TEST(replaces_a_stale_socket_alone)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char other[96];
	int fd;

	/* One that lives. */
	ck_assert_ptr_null(ctl_server_start(ctl));
	ck_assert_int_eq(access(path, F_OK), 0);
	/* One that died without a word. */
	snprintf(other, sizeof(other), "%s/b.sock", dir);
	strcpy(un.sun_path, other);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	ctl_server_stop(server);
	router.config->socket = other;
	server = ctl_server_start(ctl);
	ck_assert_ptr_nonnull(server);
	ctl_server_stop(server);
	ck_assert_int_eq(access(other, F_OK), -1);
	/* A file that is no socket stays. */
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ck_assert_ptr_null(ctl_server_start(ctl));
	ck_assert_int_eq(unlink(other), 0);
	/* And a path that cannot be. */
	router.config->socket = (char[]){"/proc/cygnet/a.sock"};
	ck_assert_ptr_null(ctl_server_start(ctl));
	router.config->socket = path;
	server = ctl_server_start(ctl);
	ck_assert_ptr_nonnull(server);
}
END_TEST

START_TEST(refuses_other_users)
{
	char buf[1024];
	int fd, status;
	bool closed;
	pid_t pid;

	if (geteuid() != 0)
		return;
	/* As if the file's mode let everyone in. */
	chmod(dir, 0755);
	chmod(path, 0666);
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(2);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		struct sockaddr_un un = {.sun_family = AF_UNIX};

		strcpy(un.sun_path, path);
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
			_exit(3);
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

		buf[n < 0 ? 0 : n] = '\0';
		_exit(strstr(buf, "only root") != NULL && recv(fd, buf, 1, 0) == 0 ? 0 : 4);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		turn(1);
		usleep(1000);
	}
	ck_assert_int_eq(status, 0);
	fd = dial();
	say(fd, VERSION);
	ck_assert_uint_eq(hear(fd, buf, sizeof(buf), 1, &closed), 1);
	close(fd);
}
END_TEST

TCase *
ctl_server_case(void)
{
	TCase *t = tcase_create("socket");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, answers_lines);
	tcase_add_test(t, rests_without_descriptors);
	tcase_add_test(t, refuses_long_lines);
	tcase_add_test(t, takes_so_many_clients);
	tcase_add_test(t, a_deaf_client_costs_little);
	tcase_add_test(t, replaces_a_stale_socket_alone);
	tcase_add_test(t, refuses_other_users);
	return t;
}

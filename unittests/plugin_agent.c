/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"
#include "running_version.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * The plugin as a process among others: an agent that hangs, charon's signals, keys on the socket, SAs of
 * which nobody knows whether they are there, and which strongSwan is running.
 */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIMEOUT 1000 /* ms, of a request; a busy machine answers within it */
#define QUIET 1000 /* ms without a new policy, after which the configuration is loaded */
#define EPOCH 7

static struct link *l;
static struct desired *d;
static int agent_fd[2]; /* a pipe of the descriptors that the link gives away */
static pid_t hanging;
static bool hangs;
static const char *at_socket; /* where an agent listens; NULL: one is started */
static unsigned int complete_ms, troubles;

static unsigned int
ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
start_agent(void *ctx, int fd, pid_t *pid)
{
	char *argv[] = {"sleep", "60", NULL}, *envp[] = {NULL};

	(void)ctx;
	*pid = 0;
	if (hangs) {
		ck_assert_int_eq(posix_spawn(pid, "/bin/sleep", NULL, NULL, argv, envp), 0);
		hanging = *pid;
	}
	ck_assert_int_eq(write(agent_fd[1], &fd, sizeof(fd)), sizeof(fd));
	return 0;
}

static void
on_event(void *ctx, const struct ike_msg *m)
{
	(void)ctx;
	ck_abort_msg("an event of type %u that nobody caused", m->hdr.type);
}

static void
on_log(void *ctx, int level, const char *line)
{
	(void)ctx;
	troubles += level <= 1 && strstr(line, "no agent at") != NULL;
}

static void
make_link(void)
{
	struct link_conf conf = {
		.agent = "-",
		.agent_socket = at_socket,
		.file_prefix = "-",
		.timeout_ms = TIMEOUT,
		.complete_ms = complete_ms,
		.start_agent = start_agent,
		.event = on_event,
		.log = on_log,
	};

	ck_assert_int_eq(pipe(agent_fd), 0);
	d = desired_create();
	l = link_create(&conf, d);
	ck_assert_ptr_nonnull(l);
}

/* The agent's end of the next life. */
static int
agent(void)
{
	int fd;

	ck_assert_int_eq(read(agent_fd[0], &fd, sizeof(fd)), sizeof(fd));
	return fd;
}

/* The next packet; its length. 0: none in the time. */
static size_t
packet(int fd, void *data, size_t size, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = recv(fd, data, size, 0);
	return n > 0 ? n : 0;
}

static void
answer(int fd, struct ike_msg *m, int status)
{
	m->hdr.len = ike_reply_len(m->hdr.type);
	m->hdr.status = status;
	m->hdr.epoch = EPOCH;
	ck_assert_int_eq(send(fd, m, m->hdr.len, 0), m->hdr.len);
}

/* Reads until a request of that type comes, and answers what is before it. */
static void
until(int fd, uint16_t type, struct ike_msg *m)
{
	for (;;) {
		memset(m, 0, sizeof(*m));
		ck_assert_uint_ge(packet(fd, m, sizeof(*m), 10000), sizeof(m->hdr));
		if (m->hdr.type == type)
			return;
		answer(fd, m, 0);
	}
}

/* Greets, and goes through the first replay. */
static int
come_up(void)
{
	struct ike_msg m;
	int fd = agent();

	until(fd, IKE_HELLO, &m);
	ck_assert_uint_eq(m.hdr.epoch, 0);
	ck_assert_uint_ne(m.hdr.owner, 0);
	ck_assert_str_eq(m.body.hello.build, CYGNET_VERSION);
	m.hdr.type = IKE_AGENT_UP;
	answer(fd, &m, 0);
	until(fd, IKE_SAS_DONE, &m);
	ck_assert_uint_eq(m.hdr.epoch, EPOCH);
	answer(fd, &m, 0);
	return fd;
}

START_TEST(an_agent_that_hangs_holds_nothing_up)
{
	unsigned int start;
	int fd;

	hangs = true;
	make_link();
	fd = agent();
	ck_assert_int_eq(kill(hanging, 0), 0);
	start = ms_now();
	link_destroy(l);
	ck_assert_uint_lt(ms_now() - start, 10000);
	/* It has been waited for. */
	ck_assert_int_eq(waitpid(hanging, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	close(fd);
	desired_destroy(d);
}
END_TEST

static unsigned long long
bits(const int *signals, unsigned int n)
{
	unsigned long long set = 0;

	for (unsigned int i = 0; i < n; i++)
		set |= 1ull << (signals[i] - 1);
	return set;
}

/* How many threads beside this one block all that they must and nothing that they must not. */
static unsigned int
threads_with(unsigned long long must, unsigned long long must_not, unsigned int *all)
{
	unsigned long long blocked;
	char path[300], line[128];
	unsigned int n = 0;
	struct dirent *e;
	DIR *dir = opendir("/proc/self/task");
	FILE *f;

	*all = 0;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		f = fopen(path, "r");
		ck_assert_ptr_nonnull(f);
		++*all;
		while (fgets(line, sizeof(line), f) != NULL)
			if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
				n += (blocked & must) == must && (blocked & must_not) == 0;
		fclose(f);
	}
	closedir(dir);
	return n;
}

/* charon masks its signals after its plugins are loaded. */
START_TEST(threads_leave_signals_to_charon)
{
	static const int mine[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE};
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
	unsigned int all, start = ms_now();
	sigset_t now;

	make_link();
	/* libc starts a thread with every signal blocked: its own mask comes a moment later. */
	while (threads_with(bits(mine, COUNT(mine)), bits(faults, COUNT(faults)), &all) < all ||
		all < 2)
		ck_assert_msg(ms_now() - start < 10000 && usleep(1000) == 0, "not within 10 s");
	/* And who loads us keeps the mask that it had. */
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (unsigned int i = 0; i < COUNT(mine); i++)
		ck_assert(!sigismember(&now, mine[i]));
	close(agent());
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

static void *
add_sa(void *arg)
{
	struct ike_msg m;
	uint8_t key[36];
	int *rc = arg;

	memset(key, 0xa5, sizeof(key));
	desired_request(&m, IKE_ADD_SA);
	m.body.add_sa.enc_key_len = sizeof(key);
	link_lock(l);
	*rc = link_call(l, &m, key, sizeof(key));
	return NULL;
}

START_TEST(a_key_follows_its_message)
{
	uint8_t data[sizeof(struct ike_msg) + IKE_KEY_MAX] = {0}, key[36];
	pthread_t thread;
	struct ike_msg m;
	int fd, rc = 1;
	size_t n;

	make_link();
	fd = come_up();
	ck_assert_int_eq(pthread_create(&thread, NULL, add_sa, &rc), 0);
	n = packet(fd, data, sizeof(data), 10000);
	memset(&m, 0, sizeof(m));
	memcpy(&m, data, ike_msg_len(IKE_ADD_SA));
	ck_assert_int_eq(m.hdr.type, IKE_ADD_SA);
	ck_assert_uint_eq(m.hdr.len, ike_msg_len(IKE_ADD_SA));
	ck_assert_uint_eq(n, m.hdr.len + sizeof(key));
	memset(key, 0xa5, sizeof(key));
	ck_assert_mem_eq(data + m.hdr.len, key, sizeof(key));
	/* Not in the message. */
	ck_assert_ptr_null(memmem(data, m.hdr.len, key, 8));
	answer(fd, &m, -EEXIST);
	pthread_join(thread, NULL);
	ck_assert_int_eq(rc, -EEXIST);
	close(fd);
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

/* charon is done with it: it is deleted until the router says that it is gone, and charon hears nothing. */
START_TEST(a_doomed_sa_is_deleted_until_it_is_gone)
{
	struct desired_sa sa = {
		.id = {.spi = 9, .proto = 50}, .epoch = EPOCH, .inbound = true, .doomed = true};
	struct ike_msg m;
	int fd;

	make_link();
	fd = come_up();
	link_lock(l);
	ck_assert(desired_add_sa(d, &sa));
	link_replay(l);
	link_unlock(l);
	until(fd, IKE_DEL_SA, &m); /* no answer */
	ck_assert_uint_eq(m.body.sa_id.spi, 9);
	until(fd, IKE_DEL_SA, &m);
	answer(fd, &m, -EPERM); /* an answer that says nothing about it */
	link_lock(l);
	link_replay(l);
	link_unlock(l);
	until(fd, IKE_DEL_SA, &m);
	answer(fd, &m, -ENOENT);
	link_lock(l);
	link_replay(l);
	link_unlock(l);
	until(fd, IKE_SAS_DONE, &m);
	answer(fd, &m, 0);
	ck_assert_uint_eq(packet(fd, &m, sizeof(m), 100), 0);
	close(fd);
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

/* A replay that the router refuses in part is over; one that was lost in part is not. */
START_TEST(a_lost_part_of_a_replay_is_told_again)
{
	struct ike_msg_policy best, p = {.dir = IKE_DIR_OUT, .action = IKE_PROTECT, .reqid = 1};
	struct ike_msg m;
	int fd;

	make_link();
	fd = come_up();
	link_lock(l);
	desired_add_policy(d, &p, 0, 0, &best);
	link_replay(l);
	link_unlock(l);
	until(fd, IKE_ADD_POLICY, &m);
	answer(fd, &m, -ETIMEDOUT);
	until(fd, IKE_ADD_POLICY, &m);
	answer(fd, &m, -EEXIST);
	until(fd, IKE_SAS_DONE, &m);
	answer(fd, &m, 0);
	ck_assert_uint_eq(packet(fd, &m, sizeof(m), 500), 0);
	close(fd);
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

static int
timed_call(unsigned int *ms)
{
	unsigned int start = ms_now();
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_GET_SPI);
	link_lock(l);
	rc = link_call(l, &m, NULL, 0);
	*ms = ms_now() - start;
	return rc;
}

/* Only the first call waits its whole time; it is asked whether it is back, and then all is as before. */
START_TEST(a_silent_router_costs_one_time_out)
{
	unsigned int ms, sum = 0;
	struct ike_msg m;
	int fd;

	make_link();
	fd = come_up();
	ck_assert_int_eq(timed_call(&ms), -ETIMEDOUT);
	ck_assert_uint_ge(ms, TIMEOUT - 10);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(timed_call(&ms), -ETIMEDOUT);
		sum += ms;
	}
	ck_assert_uint_lt(sum, 10 * (TIMEOUT - 50));
	/* What was left unanswered stays so; a PING that comes now is new. */
	while (packet(fd, &m, sizeof(m), 0) > 0)
		;
	until(fd, IKE_PING, &m);
	answer(fd, &m, 0);
	ck_assert_uint_eq(packet(fd, &m, sizeof(m), 300), 0); /* it is not asked any more */
	ck_assert_int_eq(timed_call(&ms), -ETIMEDOUT);
	ck_assert_uint_ge(ms, TIMEOUT - 10);
	close(fd);
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

static void
version_of(const void *data, size_t len, bool same, const char *expected)
{
	char path[] = "/tmp/cygnet-version-XXXXXX", running[64];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	close(fd);
	ck_assert_int_eq(running_version_of(path, "5.9.8", running, sizeof(running)), same);
	unlink(path);
	ck_assert_str_eq(running, expected);
}

START_TEST(the_running_version_is_found)
{
	static const char charon[] = "\x7f"
				     "ELF\0Linux strongSwan %s\0daemon (strongSwan 5.9.8, %s)";
	static const char newer[] = "ELF\0daemon (strongSwan 6.0.1rc1, %s)\0"
				    "5.9.8";
	static const char systemd[] = "ELF\0strongSwan %s\0x5.9.8\0"
				      "5.9.8\0"
				      "end";
	static const char other[] = "ELF\0strongSwan %s\0"
				    "5.9.14\0"
				    "end";
	static const char none[] = "ELF\0"
				   "5.9\0"
				   "5.9.8\1"
				   "1.2.3.4.5\0strongSwan \0v5.9.8\0"
				   "5.9.8";
	char running[64];

	version_of(charon, sizeof(charon), true, "5.9.8");
	version_of(newer, sizeof(newer), false, "6.0.1rc1");
	version_of(systemd, sizeof(systemd), true, "5.9.8");
	version_of(other, sizeof(other), false, "5.9.14");
	version_of(none, sizeof(none) - 1, false, "unknown"); /* ends amid what might be one */
	ck_assert(!running_version_of("/nonexistent", "5.9.8", running, sizeof(running)));
	ck_assert_str_eq(running, "unknown");
}
END_TEST

/* Nobody listens, then somebody does, hangs up, and is found again. */
START_TEST(an_agent_at_a_socket)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), connection;
	char dir[] = "/tmp/cygnet-agent-XXXXXX";
	unsigned int ms, start = ms_now();
	struct ike_msg m;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/agent", dir);
	at_socket = un.sun_path;
	make_link();
	while (__atomic_load_n(&troubles, __ATOMIC_RELAXED) == 0)
		ck_assert_uint_lt(ms_now() - start, 10000);
	ck_assert_int_eq(timed_call(&ms), -ENOTCONN);
	usleep(300000);
	ck_assert_uint_eq(troubles, 1); /* tried again, and not said again */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	for (int life = 0; life < 2; life++) {
		connection = accept(fd, NULL, NULL);
		ck_assert_int_ge(connection, 0);
		until(connection, IKE_HELLO, &m);
		ck_assert_uint_ne(m.hdr.owner, 0);
		m.hdr.type = IKE_AGENT_UP;
		answer(connection, &m, 0);
		until(connection, IKE_SYNC_DONE, &m);
		answer(connection, &m, 0);
		close(connection);
	}
	close(fd);
	link_destroy(l);
	desired_destroy(d);
	unlink(un.sun_path);
	rmdir(dir);
}
END_TEST

/* The router lets pass in clear what no policy names: it hears of completeness when policies have come. */
static int
come_up_bypassing(struct ike_msg *m)
{
	int fd = agent();

	until(fd, IKE_HELLO, m);
	m->hdr.type = IKE_AGENT_UP;
	answer(fd, m, 0);
	until(fd, IKE_HELLO, m);
	m->body.hello.flags = IKE_HELLO_BYPASS;
	answer(fd, m, 0);
	return fd;
}

START_TEST(policies_are_waited_for)
{
	struct ike_msg_policy best, p = {.dir = IKE_DIR_OUT, .action = IKE_PROTECT, .reqid = 1};
	unsigned int start, before, added = 0, after;
	struct ike_msg m;
	size_t n = 0;
	int fd;

	complete_ms = 5000;
	make_link();
	fd = come_up_bypassing(&m);
	ck_assert_uint_eq(packet(fd, &m, sizeof(m), 300), 0);
	for (unsigned int i = 0; i < 2 && n == 0; i++) {
		p.sel.dst.b[0] = i;
		before = i > 0 ? added : ms_now();
		added = ms_now();
		link_lock(l);
		desired_add_policy(d, &p, 0, 0, &best);
		link_unlock(l);
		after = ms_now();
		n = packet(fd, &m, sizeof(m), 500);
		/* Too early, unless this thread stood still for so long. */
		ck_assert(n == 0 || ms_now() - added >= QUIET || after - before >= QUIET);
	}
	start = ms_now();
	if (n == 0)
		until(fd, IKE_SYNC_DONE, &m);
	ck_assert_uint_eq(m.hdr.type, IKE_SYNC_DONE);
	ck_assert_uint_lt(ms_now() - start, 4000);
	answer(fd, &m, 0);
	/* Once in charon's life: the next router hears of it at once. */
	close(fd);
	start = ms_now();
	fd = come_up_bypassing(&m);
	until(fd, IKE_SYNC_DONE, &m);
	ck_assert_uint_lt(ms_now() - start, 4000);
	close(fd);
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

START_TEST(policies_that_never_come_are_not)
{
	unsigned int start = ms_now();
	struct ike_msg m;
	int fd;

	complete_ms = 700;
	make_link();
	fd = come_up_bypassing(&m);
	until(fd, IKE_SYNC_DONE, &m);
	ck_assert_uint_ge(ms_now() - start, 690);
	ck_assert_uint_lt(ms_now() - start, 10000);
	close(fd);
	link_destroy(l);
	desired_destroy(d);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		an_agent_that_hangs_holds_nothing_up,
		threads_leave_signals_to_charon,
		a_key_follows_its_message,
		a_doomed_sa_is_deleted_until_it_is_gone,
		a_lost_part_of_a_replay_is_told_again,
		a_silent_router_costs_one_time_out,
		the_running_version_is_found,
		an_agent_at_a_socket,
		policies_are_waited_for,
		policies_that_never_come_are_not,
	};
	Suite *s = suite_create("plugin_agent");
	TCase *t = tcase_create("agent");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	for (unsigned int i = 0; i < COUNT(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

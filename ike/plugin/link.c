/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGENT_FD 3
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000
#define SOCKET_BUFFER (4 << 20)
#define ROOM_MS 1000 /* how long a replay waits for room in the socket */

/* A call that waits for its reply, on its caller's stack. */
struct pending {
	LIST_ENTRY(pending) next;
	struct ike_msg *msg;
	uint32_t seq;
	bool done;
};

struct link {
	struct link_conf conf;
	struct desired *desired;
	pthread_mutex_t lock;
	pthread_cond_t replied; /* a pending call is done */
	pthread_cond_t wake; /* the replay thread, or one that backs off: something changed */
	pthread_t reader, replayer;
	LIST_HEAD(, pending) pending;
	int fd; /* to the agent; -1: none */
	bool up; /* the agent is attached to a router */
	bool replay; /* the router must be told everything */
	bool stopping;
	uint64_t owner, epoch;
	uint32_t seq;
};

__attribute__((format(printf, 3, 4))) static void
say(struct link *l, int level, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	l->conf.log(l->conf.ctx, level, line);
}

static struct timespec
in_ms(unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000l;
	if (ts.tv_nsec >= 1000000000l) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000l;
	}
	return ts;
}

void
link_lock(struct link *l)
{
	pthread_mutex_lock(&l->lock);
}

void
link_unlock(struct link *l)
{
	pthread_mutex_unlock(&l->lock);
}

uint64_t
link_epoch(struct link *l)
{
	uint64_t epoch;

	link_lock(l);
	epoch = l->up ? l->epoch : 0;
	link_unlock(l);
	return epoch;
}

/* Gives a packet to the agent without waiting; lock held. What finds no room makes a replay necessary. */
static int
send_locked(struct link *l, struct ike_msg *msg, const void *key, size_t key_len)
{
	struct iovec iov[2] = {{.iov_base = msg, .iov_len = msg->hdr.len},
		{.iov_base = (void *)(uintptr_t)key, .iov_len = key_len}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = key_len > 0 ? 2 : 1};

	if (l->fd < 0)
		return -ENOTCONN;
	msg->hdr.owner = l->owner;
	msg->hdr.epoch = l->epoch;
	msg->hdr.seq = ++l->seq;
	if (sendmsg(l->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -ENOTCONN;
}

/* Waits for the reply of a request that was sent; gives the lock up. */
static int
await(struct link *l, struct ike_msg *msg, struct pending *p)
{
	struct timespec until = in_ms(l->conf.timeout_ms);
	uint64_t epoch = l->epoch;
	int rc = 0;

	while (!p->done && rc == 0 && l->up && l->epoch == epoch && !l->stopping)
		rc = -pthread_cond_timedwait(&l->replied, &l->lock, &until);
	LIST_REMOVE(p, next);
	if (p->done)
		rc = msg->hdr.status;
	else if (rc == 0)
		rc = l->up && !l->stopping ? -ESTALE : -ENOTCONN;
	link_unlock(l);
	return rc;
}

int
link_call(struct link *l, struct ike_msg *msg, const void *key, size_t key_len)
{
	struct pending p = {.msg = msg};
	bool changes = msg->hdr.type == IKE_ADD_POLICY || msg->hdr.type == IKE_DEL_POLICY ||
		       msg->hdr.type == IKE_BYPASS_SOCKET || msg->hdr.type == IKE_UDP_DECAP;
	int rc = l->up ? send_locked(l, msg, key, key_len) : -ENOTCONN;

	if (rc < 0) {
		if (rc == -EAGAIN && changes)
			l->replay = true;
		pthread_cond_broadcast(&l->wake);
		link_unlock(l);
		return rc == -EAGAIN ? -ETIMEDOUT : rc;
	}
	p.seq = msg->hdr.seq;
	LIST_INSERT_HEAD(&l->pending, &p, next);
	rc = await(l, msg, &p);
	if (rc == -ETIMEDOUT && changes) {
		/* Whether the router has it, nobody knows. */
		link_lock(l);
		l->replay = true;
		pthread_cond_broadcast(&l->wake);
		link_unlock(l);
	}
	return rc;
}

/* The reader. */

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

static void
take_reply(struct link *l, const struct ike_msg *m)
{
	struct pending *p;

	link_lock(l);
	LIST_FOREACH (p, &l->pending, next) {
		if (p->seq != m->hdr.seq || p->done || p->msg->hdr.type != m->hdr.type)
			continue;
		memcpy(p->msg, m, m->hdr.len);
		p->done = true;
		pthread_cond_broadcast(&l->replied);
		break;
	}
	link_unlock(l);
}

static void
on_up(struct link *l, const struct ike_msg *m)
{
	say(l, 1, "router is there: epoch %016llx, up to %u SAs and %u policies",
		(unsigned long long)m->hdr.epoch, m->body.hello.max_sas,
		m->body.hello.max_policies);
	link_lock(l);
	l->up = true;
	l->epoch = m->hdr.epoch;
	l->replay = true;
	pthread_cond_broadcast(&l->wake);
	link_unlock(l);
}

static void
take(struct link *l, const struct ike_msg *m)
{
	char build[IKE_BUILD_LEN];

	switch (m->hdr.type) {
	case IKE_AGENT_UP:
		on_up(l, m);
		break;
	case IKE_AGENT_REFUSED:
		memcpy(build, m->body.hello.build, sizeof(build));
		build[sizeof(build) - 1] = '\0';
		say(l, 1,
			"this plugin is version " CYGNET_VERSION
			", the router is version %s: refused",
			build);
		break;
	case IKE_EVENT_RESYNC:
		say(l, 1, "events of the router were lost: comparing states");
		link_lock(l);
		l->replay = true;
		pthread_cond_broadcast(&l->wake);
		link_unlock(l);
		break;
	case IKE_EVENT_ACQUIRE:
	case IKE_EVENT_EXPIRE:
	case IKE_EVENT_MAPPING:
		l->conf.event(l->conf.ctx, m);
		break;
	default:
		take_reply(l, m);
	}
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
			say(l, 1, "the agent sent a malformed message of %zd bytes", n);
			continue;
		}
		was_up |= m.hdr.type == IKE_AGENT_UP;
		take(l, &m);
	}
}

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

static void
greeting(struct link *l, struct ike_msg *msg)
{
	desired_request(msg, IKE_HELLO);
	snprintf(msg->body.hello.build, sizeof(msg->body.hello.build), "%s", CYGNET_VERSION);
	msg->body.hello.pid = getpid();
	msg->body.hello.spi_min = l->conf.spi_min;
	msg->body.hello.spi_max = l->conf.spi_max;
}

static void
fail_pending(struct link *l)
{
	link_lock(l);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->up = false;
	pthread_cond_broadcast(&l->replied);
	link_unlock(l);
}

/* One life of an agent. Returns whether it reached a router. */
static bool
run_agent(struct link *l)
{
	int pair[2], rc, size = SOCKET_BUFFER;
	struct ike_msg hello;
	bool was_up = false;
	pid_t pid = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		say(l, 1, "no socket for the agent: %s", strerror(errno));
		return false;
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* dup2() of a descriptor onto itself keeps close-on-exec. */
	if (pair[1] == AGENT_FD) {
		int other = dup(pair[1]);

		close(pair[1]);
		pair[1] = other;
	}
	rc = spawn_agent(l, pair[1], &pid);
	if (l->conf.start_agent == NULL)
		close(pair[1]);
	if (rc < 0) {
		say(l, 1, "%s does not start: %s", l->conf.agent, strerror(-rc));
		close(pair[0]);
		return false;
	}
	link_lock(l);
	l->fd = pair[0];
	l->epoch = 0;
	greeting(l, &hello);
	rc = l->stopping ? -ECANCELED : send_locked(l, &hello, NULL, 0);
	link_unlock(l);
	if (rc == 0)
		was_up = read_all(l, pair[0]);
	fail_pending(l);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (was_up && !l->stopping)
		say(l, 1,
			"the router or the agent is gone: no SA can be installed until it is back");
	return was_up;
}

static void *
reader(void *arg)
{
	struct link *l = arg;
	unsigned int backoff = BACKOFF_MIN_MS;
	struct timespec until;

	link_lock(l);
	while (!l->stopping) {
		link_unlock(l);
		backoff = run_agent(l) ? BACKOFF_MIN_MS : 2 * backoff;
		if (backoff > BACKOFF_MAX_MS)
			backoff = BACKOFF_MAX_MS;
		link_lock(l);
		until = in_ms(backoff);
		while (!l->stopping && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
			;
	}
	link_unlock(l);
	return NULL;
}

/* The replay. */

/* Sends one message of a replay, with the lock held; waits without it while there is no room. */
static int
send_patiently(struct link *l, struct ike_msg *msg, uint64_t epoch)
{
	struct pollfd p = {.events = POLLOUT};
	int rc;

	for (;;) {
		if (!l->up || l->epoch != epoch || l->stopping)
			return -ECANCELED;
		rc = send_locked(l, msg, NULL, 0);
		if (rc != -EAGAIN)
			return rc;
		p.fd = l->fd;
		link_unlock(l);
		poll(&p, 1, ROOM_MS);
		link_lock(l);
	}
}

/* The same, and its reply; lock held before and after. */
static int
call_patiently(struct link *l, struct ike_msg *msg, uint64_t epoch)
{
	struct pending p = {.msg = msg};
	int rc = send_patiently(l, msg, epoch);

	if (rc < 0)
		return rc;
	p.seq = msg->hdr.seq;
	LIST_INSERT_HEAD(&l->pending, &p, next);
	rc = await(l, msg, &p);
	link_lock(l);
	return rc;
}

/* SAs that charon believes in and no router has any more: charon is told that they ended, hard. */
static void
expire(struct link *l, const struct desired_sa *sa)
{
	struct ike_msg msg;

	if (!sa->inbound)
		return;
	desired_request(&msg, IKE_EVENT_EXPIRE);
	msg.body.expire.dst = sa->id.dst;
	msg.body.expire.spi = sa->id.spi;
	msg.body.expire.proto = sa->id.proto;
	msg.body.expire.hard = 1;
	link_unlock(l);
	l->conf.event(l->conf.ctx, &msg);
	link_lock(l);
}

/* Whether each SA of this router's epoch is there still; lock held. */
static void
compare_sas(struct link *l, uint64_t epoch)
{
	struct desired_sa sa, was;
	struct ike_msg msg;

	for (unsigned int i = 0; desired_sa(l->desired, i, &sa); i++) {
		desired_request(&msg, IKE_QUERY_SA);
		msg.body.sa_id = sa.id;
		if (call_patiently(l, &msg, epoch) != -ENOENT || !sa.inbound)
			continue;
		if (desired_del_sa(l->desired, &sa.id, &was)) {
			expire(l, &was);
			i--;
		}
	}
}

/* Tells the router all that charon wants; lock held. */
static void
replay(struct link *l)
{
	uint64_t epoch = l->epoch;
	unsigned int told = 0, stale = 0;
	struct desired_sa sa;
	struct ike_msg msg;
	int rc;

	greeting(l, &msg);
	rc = call_patiently(l, &msg, epoch);
	desired_replay_start(l->desired);
	while (rc == 0 && desired_replay_next(l->desired, &msg)) {
		/* The last one is waited for: replies keep the order of requests. */
		rc = send_patiently(l, &msg, epoch);
		told++;
	}
	if (rc == 0) {
		desired_request(&msg, IKE_SYNC_DONE);
		rc = call_patiently(l, &msg, epoch);
	}
	if (rc < 0) {
		/* Another router, or none: on_up() asks for it again. A time-out: at once. */
		if (l->up && l->epoch == epoch)
			l->replay = true;
		return;
	}
	while (l->up && l->epoch == epoch && desired_take_stale_sa(l->desired, epoch, &sa)) {
		stale += sa.inbound;
		expire(l, &sa);
	}
	compare_sas(l, epoch);
	link_unlock(l);
	say(l, 1,
		"router knows our %u sockets and policies; %u inbound SAs of a former router "
		"expire",
		told, stale);
	link_lock(l);
}

static void *
replayer(void *arg)
{
	struct link *l = arg;

	link_lock(l);
	while (!l->stopping) {
		if (l->up && l->replay) {
			l->replay = false;
			replay(l);
		} else {
			pthread_cond_wait(&l->wake, &l->lock);
		}
	}
	link_unlock(l);
	return NULL;
}

struct link *
link_create(const struct link_conf *conf, struct desired *desired)
{
	struct link *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (l == NULL)
		return NULL;
	l->conf = *conf;
	l->desired = desired;
	l->fd = -1;
	LIST_INIT(&l->pending);
	if (getrandom(&l->owner, sizeof(l->owner), 0) != sizeof(l->owner)) {
		free(l);
		return NULL;
	}
	l->owner |= 1; /* 0 is the configuration's */
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->replied, &attr);
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&l->reader, NULL, reader, l) != 0) {
		free(l);
		return NULL;
	}
	if (pthread_create(&l->replayer, NULL, replayer, l) != 0) {
		l->replayer = l->reader;
		link_destroy(l);
		return NULL;
	}
	return l;
}

void
link_destroy(struct link *l)
{
	if (l == NULL)
		return;
	link_lock(l);
	l->stopping = true;
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
	pthread_cond_broadcast(&l->wake);
	pthread_cond_broadcast(&l->replied);
	link_unlock(l);
	pthread_join(l->reader, NULL);
	if (!pthread_equal(l->replayer, l->reader))
		pthread_join(l->replayer, NULL);
	pthread_cond_destroy(&l->wake);
	pthread_cond_destroy(&l->replied);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

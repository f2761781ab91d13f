/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000
#define SILENT_MS 100 /* what a call waits for a router that is known to be silent */

void
link_say(struct link *l, int level, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	l->conf.log(l->conf.ctx, level, line);
}

void
link_say_trouble(struct link *l, const char *fmt, ...)
{
	char line[sizeof(l->trouble)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	link_say(l, strcmp(line, l->trouble) != 0 ? 1 : 2, "%s", line);
	strcpy(l->trouble, line);
}

struct timespec
link_in_ms(unsigned int ms)
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

bool
link_is_past(const struct timespec *ts)
{
	struct timespec now = link_in_ms(0);

	return now.tv_sec > ts->tv_sec || (now.tv_sec == ts->tv_sec && now.tv_nsec >= ts->tv_nsec);
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
link_epoch(const struct link *l)
{
	return l->up ? l->epoch : 0;
}

void
link_wait_up(struct link *l)
{
	struct timespec until = link_in_ms(l->conf.timeout_ms);

	while (!l->up && l->expected && !l->stopping)
		if (pthread_cond_timedwait(&l->replied, &l->lock, &until) != 0)
			return;
}

void
link_expect(struct link *l, bool expected)
{
	link_lock(l);
	l->expected = expected;
	pthread_cond_broadcast(&l->replied);
	link_unlock(l);
}

/* Says that the router must be told all; lock held. */
void
link_replay(struct link *l)
{
	l->replay = true;
	pthread_cond_broadcast(&l->wake);
}

int
link_send(struct link *l, struct ike_msg *msg, const void *key, size_t key_len)
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

/* Whether a request that was lost leaves the router with another state than charon wants. */
static bool
is_state(uint16_t type)
{
	return type == IKE_ADD_POLICY || type == IKE_DEL_POLICY || type == IKE_BYPASS_SOCKET ||
	       type == IKE_UDP_DECAP || type == IKE_UPDATE_SA;
}

bool
link_is_passing(int status)
{
	return status == -ETIMEDOUT || status == -EBUSY || status == -EAGAIN || status == -EIO ||
	       status == -EPERM || status == -ESTALE;
}

int
link_await(struct link *l, struct ike_msg *msg, struct pending *p, unsigned int ms)
{
	struct timespec until = link_in_ms(ms);
	uint16_t type = msg->hdr.type;
	uint64_t epoch = l->epoch;
	int rc = 0;

	while (!p->done && rc == 0 && l->up && l->epoch == epoch && !l->stopping)
		rc = -pthread_cond_timedwait(&l->replied, &l->lock, &until);
	LIST_REMOVE(p, next);
	if (l->stopping && LIST_EMPTY(&l->pending))
		pthread_cond_signal(&l->left);
	if (p->done)
		rc = msg->hdr.status; /* take_reply() has looked at it */
	else if (rc == 0)
		rc = l->up && !l->stopping ? -ESTALE : -ENOTCONN;
	else if (rc == -ETIMEDOUT && l->up && !l->silent) {
		l->silent = true;
		pthread_cond_broadcast(&l->wake);
	}
	/* Whether the router has it, nobody knows. */
	if (!p->done && link_is_passing(rc) && is_state(type))
		link_replay(l);
	link_unlock(l);
	return rc;
}

int
link_call(struct link *l, struct ike_msg *msg, const void *key, size_t key_len)
{
	struct pending p = {.msg = msg};
	unsigned int ms = l->conf.timeout_ms;
	int rc = l->up ? link_send(l, msg, key, key_len) : -ENOTCONN;

	if (rc < 0) {
		if (rc == -EAGAIN && is_state(msg->hdr.type))
			link_replay(l);
		link_unlock(l);
		return rc == -EAGAIN ? -ETIMEDOUT : rc;
	}
	p.seq = msg->hdr.seq;
	LIST_INSERT_HEAD(&l->pending, &p, next);
	/* A time-out each for the hundreds of calls with which charon ends would take minutes. */
	return link_await(l, msg, &p, l->silent && ms > SILENT_MS ? SILENT_MS : ms);
}

/* The reader. */

static void
take_reply(struct link *l, const struct ike_msg *m)
{
	struct pending *p;

	link_lock(l);
	/* This status is the agent's word for it. */
	if (l->silent != (m->hdr.status == -ETIMEDOUT)) {
		l->silent = !l->silent;
		pthread_cond_broadcast(&l->wake);
	}
	/* At once, not when its caller wakes up: a replay under way is about to say that the router has all. */
	if (is_state(m->hdr.type) && link_is_passing(m->hdr.status))
		link_replay(l);
	LIST_FOREACH (p, &l->pending, next) {
		if (p->seq != m->hdr.seq || p->done || p->msg->hdr.type != m->hdr.type)
			continue;
		memcpy(p->msg, m, m->hdr.len);
		p->done = true;
		pthread_cond_broadcast(&l->replied);
		link_unlock(l);
		return;
	}
	/* Nobody waits: of a replay, or of a call that gave up. */
	if (m->hdr.status < 0 && is_state(m->hdr.type) && !link_is_passing(m->hdr.status))
		l->refused += m->hdr.type != IKE_UPDATE_SA;
	link_unlock(l);
}

static void
on_up(struct link *l, const struct ike_msg *m)
{
	l->trouble[0] = '\0';
	link_say(l, 1, "router is there: epoch %016llx, up to %u SAs and %u policies",
		(unsigned long long)m->hdr.epoch, m->body.hello.max_sas,
		m->body.hello.max_policies);
	link_lock(l);
	l->up = true;
	l->silent = false;
	l->epoch = m->hdr.epoch;
	link_replay(l);
	pthread_cond_broadcast(&l->replied);
	link_unlock(l);
}

void
link_take(struct link *l, const struct ike_msg *m)
{
	char build[IKE_BUILD_LEN];

	switch (m->hdr.type) {
	case IKE_AGENT_UP:
		on_up(l, m);
		break;
	case IKE_AGENT_WAITING:
		link_expect(l, false);
		break;
	case IKE_AGENT_REFUSED:
		link_expect(l, false);
		memcpy(build, m->body.hello.build, sizeof(build));
		build[sizeof(build) - 1] = '\0';
		link_say_trouble(l,
			"this plugin is version " CYGNET_VERSION
			", the router or the agent is version %s: refused",
			build);
		break;
	case IKE_EVENT_RESYNC:
		link_say(l, 1, "events of the router were lost: comparing states");
		link_lock(l);
		link_replay(l);
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

void
link_greeting(struct link *l, struct ike_msg *msg)
{
	desired_request(msg, IKE_HELLO);
	snprintf(msg->body.hello.build, sizeof(msg->body.hello.build), "%s", CYGNET_VERSION);
	msg->body.hello.pid = getpid();
	msg->body.hello.spi_min = l->conf.spi_min;
	msg->body.hello.spi_max = l->conf.spi_max;
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
		backoff = link_run_agent(l) ? BACKOFF_MIN_MS : 2 * backoff;
		if (backoff > BACKOFF_MAX_MS)
			backoff = BACKOFF_MAX_MS;
		link_lock(l);
		until = link_in_ms(backoff);
		while (!l->stopping && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
			;
	}
	link_unlock(l);
	return NULL;
}

/*
 * charon sets its signal mask only after its plugins are loaded: SIGTERM would end the process in the
 * midst of our thread. What a fault raises stays as it is.
 */
static int
start_threads(struct link *l)
{
	sigset_t ours, before;
	int rc;

	sigfillset(&ours);
	sigdelset(&ours, SIGSEGV);
	sigdelset(&ours, SIGBUS);
	sigdelset(&ours, SIGILL);
	sigdelset(&ours, SIGFPE);
	sigdelset(&ours, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &ours, &before);
	rc = pthread_create(&l->replayer, NULL, link_replayer, l);
	if (rc == 0) {
		rc = pthread_create(&l->reader, NULL, reader, l);
		if (rc != 0) {
			link_lock(l);
			l->stopping = true;
			pthread_cond_broadcast(&l->wake);
			link_unlock(l);
			pthread_join(l->replayer, NULL);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static void
free_link(struct link *l)
{
	pthread_cond_destroy(&l->wake);
	pthread_cond_destroy(&l->replied);
	pthread_cond_destroy(&l->left);
	pthread_mutex_destroy(&l->lock);
	free(l);
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
	l->expected = true;
	l->complete_by = link_in_ms(conf->complete_ms);
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
	pthread_cond_init(&l->left, &attr);
	pthread_condattr_destroy(&attr);
	if (start_threads(l) < 0) {
		free_link(l);
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
	pthread_join(l->replayer, NULL);
	/* Calls that wait have been woken; they touch the link until they are off the list. */
	link_lock(l);
	while (!LIST_EMPTY(&l->pending))
		pthread_cond_wait(&l->left, &l->lock);
	link_unlock(l);
	free_link(l);
}

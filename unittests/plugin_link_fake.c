/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugin_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct fake fake;

uint64_t
fake_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static void
garbled(int fd, const struct ike_msg *reply)
{
	struct ike_msg m;
	char big[4096] = {0};

	for (int i = 0; i < 10; i++) {
		size_t len = reply->hdr.len;
		const void *data = &m;

		m = *reply;
		m.hdr.status = -EDOM; /* nobody may see it */
		switch (i) {
		case 0:
			len = 1;
			break;
		case 1:
			len = sizeof(m.hdr) - 1;
			break;
		case 2:
			len = m.hdr.len - 1;
			break;
		case 3:
			m.hdr.magic ^= 1;
			break;
		case 4:
			m.hdr.len++;
			break;
		case 5:
			m.hdr.version++;
			break;
		case 6:
			m.hdr.type = 63;
			break;
		case 7:
			m.hdr.seq += 1000;
			break;
		case 8:
			memcpy(big, &m, sizeof(m));
			data = big;
			len = sizeof(big);
			break;
		case 9:
			m.hdr.type = m.hdr.type == IKE_PING ? IKE_SYNC_DONE : IKE_PING;
			m.hdr.len = len = ike_msg_len(m.hdr.type);
			break;
		}
		send(fd, data, len, MSG_NOSIGNAL);
	}
}

static bool
is_set(uint16_t type, enum what what)
{
	bool is;

	pthread_mutex_lock(&fake.lock);
	is = fake.what[type & 255] == what && !fake.quit;
	pthread_mutex_unlock(&fake.lock);
	return is;
}

/* One policy is not taken when it is told first; the lock is held. */
static void
spoil(struct ike_msg *m)
{
	unsigned int number = m->body.policy.sel.dst.b[0] + 1u;

	if (m->hdr.type == IKE_SYNC_DONE)
		fake.early += fake.lacks != 0;
	if (m->hdr.type != IKE_ADD_POLICY)
		return;
	if (fake.lacks == number)
		fake.lacks = 0;
	if (fake.spoil > 0 && --fake.spoil == 0) {
		fake.lacks = number;
		m->hdr.status = -ETIMEDOUT;
	}
}

/* Answers one request; false: the life ends. */
static bool
serve(int fd, struct ike_msg *m)
{
	enum what what;

	pthread_mutex_lock(&fake.lock);
	what = fake.what[m->hdr.type & 255];
	m->hdr.status = fake.status[m->hdr.type & 255];
	m->hdr.epoch = fake.epoch;
	fake.got[m->hdr.type & 255]++;
	spoil(m);
	if (m->hdr.type == IKE_QUERY_SA && m->body.sa_id.spi < 16) {
		fake.asked[m->body.sa_id.spi]++;
		if (fake.missing & 1u << m->body.sa_id.spi)
			m->hdr.status = -ENOENT;
	}
	pthread_mutex_unlock(&fake.lock);
	m->hdr.len = ike_reply_len(m->hdr.type);
	switch (what) {
	case SILENT:
		return true;
	case CLOSE:
		return false;
	case LATE:
		usleep(2 * TIMEOUT * 1000);
		break;
	case HOLD:
		while (is_set(m->hdr.type, HOLD))
			usleep(1000);
		break;
	case GARBLE:
		garbled(fd, m);
		pthread_mutex_lock(&fake.lock);
		fake.garbled++;
		pthread_mutex_unlock(&fake.lock);
		break;
	case REPEAT:
		send(fd, m, m->hdr.len, MSG_NOSIGNAL);
		send(fd, m, m->hdr.len, MSG_NOSIGNAL);
		break;
	default:
		break;
	}
	send(fd, m, m->hdr.len, MSG_NOSIGNAL);
	return true;
}

/* What the agent does with the first HELLO: waits for a router, and says that it is up. */
static bool
attach(int fd, struct ike_msg *m)
{
	struct ike_msg waiting = *m;
	unsigned int ms = fake_read(&fake.attach_ms);
	bool told = false;

	usleep(ms * 1000);
	for (;;) {
		bool up, quit;

		pthread_mutex_lock(&fake.lock);
		up = fake.epoch != 0;
		quit = fake.quit || fake.quiet || fake.fd != fd;
		m->hdr.epoch = fake.epoch;
		pthread_mutex_unlock(&fake.lock);
		if (quit)
			return false;
		if (up)
			break;
		if (!told) {
			waiting.hdr.type = IKE_AGENT_WAITING;
			waiting.hdr.len = ike_msg_len(IKE_AGENT_WAITING);
			send(fd, &waiting, waiting.hdr.len, MSG_NOSIGNAL);
		}
		told = true;
		usleep(1000);
	}
	m->hdr.type = IKE_AGENT_UP;
	m->hdr.len = ike_msg_len(IKE_AGENT_UP);
	return send(fd, m, m->hdr.len, MSG_NOSIGNAL) > 0;
}

static void *
live(void *arg)
{
	char packet[sizeof(struct ike_msg) + IKE_KEY_MAX];
	int fd = (int)(intptr_t)arg;
	bool greeted = false;
	struct ike_msg m;
	ssize_t n;

	while ((n = recv(fd, packet, sizeof(packet), 0)) >= (ssize_t)sizeof(m.hdr)) {
		memset(&m, 0, sizeof(m));
		memcpy(&m, packet, (size_t)n < sizeof(m) ? (size_t)n : sizeof(m));
		while (is_set(0, DEAF))
			usleep(2000);
		if (!(greeted ? serve(fd, &m) : attach(fd, &m)))
			break;
		greeted = true;
	}
	pthread_mutex_lock(&fake.lock);
	if (fake.fd == fd)
		fake.fd = -1;
	fake.gone++;
	close(fd);
	pthread_mutex_unlock(&fake.lock);
	return NULL;
}

static int
start_agent(void *ctx, int fd, pid_t *pid)
{
	pthread_t thread;
	int rc;

	(void)ctx;
	*pid = 0;
	pthread_mutex_lock(&fake.lock);
	rc = fake.start_error;
	if (rc == 0) {
		fake.lives++;
		fake.fd = fd;
	}
	pthread_mutex_unlock(&fake.lock);
	if (rc == 0) {
		ck_assert_int_eq(pthread_create(&thread, NULL, live, (void *)(intptr_t)fd), 0);
		pthread_detach(thread);
	}
	return rc;
}

static void
on_event(void *ctx, const struct ike_msg *m)
{
	/* No lock of the link is held. */
	link_lock(fake.link);
	link_unlock(fake.link);
	(void)ctx;
	pthread_mutex_lock(&fake.lock);
	fake.events++;
	fake.hard += m->hdr.type == IKE_EVENT_EXPIRE && m->body.expire.hard;
	pthread_mutex_unlock(&fake.lock);
}

static void
on_log(void *ctx, int level, const char *line)
{
	(void)ctx;
	ck_assert_uint_lt(strlen(line), 300);
	pthread_mutex_lock(&fake.lock);
	fake.lines += level <= 1;
	pthread_mutex_unlock(&fake.lock);
}

static void
setup(unsigned int timeout_ms)
{
	struct link_conf conf = {
		.agent = "/nonexistent/agent",
		.file_prefix = "test",
		.timeout_ms = timeout_ms,
		.retry_ms = RETRY,
		.start_agent = start_agent,
		.event = on_event,
		.log = on_log,
	};

	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	fake.epoch = EPOCH;
	fake.fd = -1;
	fake.desired = desired_create();
	fake.link = link_create(&conf, fake.desired);
	ck_assert_ptr_nonnull(fake.link);
}

void
fake_setup(void)
{
	setup(TIMEOUT);
}

void
fake_setup_patient(void)
{
	setup(PATIENT);
}

void
fake_teardown(void)
{
	uint64_t start = fake_ms();

	pthread_mutex_lock(&fake.lock);
	fake.quit = true;
	pthread_mutex_unlock(&fake.lock);
	link_destroy(fake.link);
	ck_assert_uint_lt(fake_ms() - start, 5000);
	desired_destroy(fake.desired);
	fake_wait(&fake.gone, fake_read(&fake.lives));
}

unsigned int
fake_read(const unsigned int *n)
{
	unsigned int value;

	pthread_mutex_lock(&fake.lock);
	value = *n;
	pthread_mutex_unlock(&fake.lock);
	return value;
}

void
fake_wait(const unsigned int *n, unsigned int least)
{
	uint64_t end = fake_ms() + 20000;

	while (fake_read(n) < least) {
		ck_assert_msg(
			fake_ms() < end, "not within 20 seconds: %u of %u", fake_read(n), least);
		usleep(1000);
	}
}

void
fake_wait_up(void)
{
	uint64_t end = fake_ms() + 20000;
	unsigned int ms;

	/* A call that is answered is the proof; PINGs change nothing. */
	while (fake_call(IKE_PING, &ms) != 0) {
		ck_assert_uint_lt(fake_ms(), end);
		usleep(2000);
	}
}

void
fake_set(uint16_t type, enum what what)
{
	pthread_mutex_lock(&fake.lock);
	fake.what[type] = what;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_send(const void *data, size_t len)
{
	pthread_mutex_lock(&fake.lock);
	ck_assert_int_ge(fake.fd, 0);
	ck_assert_int_eq(send(fake.fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
	pthread_mutex_unlock(&fake.lock);
}

void
fake_shrink(void)
{
	int type, small = 1 << 14;
	socklen_t len;

	/* The link's end is a descriptor of this process, too. */
	for (int fd = 3; fd < 256; fd++) {
		len = sizeof(type);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
}

void
fake_hang_up(void)
{
	pthread_mutex_lock(&fake.lock);
	if (fake.fd >= 0)
		shutdown(fake.fd, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
}

int
fake_call(uint16_t type, unsigned int *ms)
{
	uint64_t start = fake_ms();
	struct ike_msg m;
	int rc;

	desired_request(&m, type);
	link_lock(fake.link);
	rc = link_call(fake.link, &m, NULL, 0);
	if (ms != NULL)
		*ms = fake_ms() - start;
	if (rc == 0)
		ck_assert_uint_eq(m.hdr.type, type);
	return rc;
}

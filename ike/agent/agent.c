/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include "agent_router.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOOK_MS 100 /* how often what cannot be polled is looked at */
#define DRAIN_MAX 1024
#define ATTACH_SECONDS 10

static struct {
	int fd; /* the plugin */
	int router; /* pidfd; -1: none yet */
	int wake; /* eventfd: lost was set */
	struct ike_msg hello; /* of the plugin */
	_Atomic bool lost; /* an event found no room in the socket */
} agent;

/* The plugin's side. */

/*
 * The header of the packet that comes next, which stays where it is. -EAGAIN: none is there; -EPIPE:
 * charon is gone.
 */
static int
peek(struct ike_hdr *hdr)
{
	ssize_t n = recv(agent.fd, hdr, sizeof(*hdr), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return -EAGAIN;
	if (n <= 0)
		return -EPIPE;
	if (n < (ssize_t)sizeof(*hdr) || hdr->magic != IKE_WIRE_MAGIC || hdr->len < sizeof(*hdr) ||
		hdr->len > sizeof(struct ike_msg))
		return -EBADMSG;
	if (hdr->version == IKE_WIRE_VERSION &&
		(hdr->type > IKE_PING || hdr->len != ike_msg_len(hdr->type)))
		return -EBADMSG;
	return 0;
}

/* Takes the packet of that header; a key goes straight to where it shall be. Returns its length. */
static int
receive(const struct ike_hdr *hdr, struct ike_msg *msg, uint8_t key[IKE_KEY_MAX])
{
	struct iovec iov[2] = {{.iov_base = msg, .iov_len = hdr->len},
		{.iov_base = key, .iov_len = key != NULL ? IKE_KEY_MAX : 0}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	memset(msg, 0, sizeof(*msg));
	n = recvmsg(agent.fd, &h, MSG_DONTWAIT);
	return n < hdr->len || h.msg_flags & MSG_TRUNC ? -EBADMSG : (int)n - hdr->len;
}

/* Waits for room, but not longer than the router lives: nothing of it may hold up the next. */
static int
send_to_plugin(const struct ike_msg *msg)
{
	struct pollfd p[2] = {
		{.fd = agent.fd, .events = POLLOUT}, {.fd = agent.router, .events = POLLIN}};

	while (send(agent.fd, msg, msg->hdr.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -EPIPE;
		if (poll(p, 2, -1) > 0 && p[1].revents != 0)
			return -ESRCH;
	}
	return 0;
}

/* Runs on EAL's thread: an event of the router goes to the plugin, without waiting. */
static int
on_event(const struct rte_mp_msg *mp, const void *peer)
{
	const struct ike_msg *m = (const void *)mp->param;

	(void)peer;
	if (!router_message_valid(m, mp->len_param) || m->hdr.version != IKE_WIRE_VERSION ||
		m->hdr.type < IKE_EVENT_ACQUIRE || m->hdr.type > IKE_EVENT_RESYNC ||
		m->hdr.len != ike_msg_len(m->hdr.type))
		return 0;
	if (m->hdr.owner != 0 && m->hdr.owner != agent.hello.hdr.owner)
		return 0; /* another charon's: every secondary receives them */
	if (!atomic_load(&agent.lost) &&
		send(agent.fd, m, m->hdr.len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	atomic_store(&agent.lost, true);
	eventfd_write(agent.wake, 1);
	return 0;
}

static void
tell_lost(void)
{
	struct ike_msg m = {.hdr = agent.hello.hdr};

	m.hdr.type = IKE_EVENT_RESYNC;
	m.hdr.len = ike_msg_len(IKE_EVENT_RESYNC);
	/* Cleared first: an event that is lost meanwhile sets it again. */
	atomic_store(&agent.lost, false);
	if (send(agent.fd, &m, m.hdr.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		atomic_store(&agent.lost, true);
}

/* Requests. */

/* What came while the router was silent: its requesters need not wait as long again, one after the other. */
static int
refuse_waiting(void)
{
	uint8_t key[IKE_KEY_MAX];
	struct ike_hdr hdr;
	struct ike_msg m;
	int rc = 0;

	for (unsigned int i = 0; i < DRAIN_MAX && rc == 0 && peek(&hdr) == 0; i++) {
		if (receive(&hdr, &m, key) < 0)
			rc = -EBADMSG;
		m.hdr.status = -ETIMEDOUT;
		if (rc == 0)
			rc = send_to_plugin(&m);
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}

static int
forward_key(const struct ike_hdr *hdr, struct ike_msg *m)
{
	uint8_t nowhere[IKE_KEY_MAX];
	uint16_t index = 0;
	struct ike_key_slot *slot = router_claim_slot(&index);
	int len = receive(hdr, m, slot != NULL ? slot->key : nowhere), rc;

	if (slot == NULL) {
		explicit_bzero(nowhere, sizeof(nowhere));
		return len < 0 ? len : -EBUSY;
	}
	if (len != m->body.add_sa.enc_key_len + m->body.add_sa.int_key_len) {
		router_release_slot(slot, false);
		return -EBADMSG;
	}
	slot->len = len;
	m->body.add_sa.key_slot = index;
	rc = router_request(m);
	router_release_slot(slot, rc < 0);
	return rc;
}

/* One packet of the plugin. Less than 0 ends the agent. */
static int
forward(void)
{
	struct ike_hdr hdr;
	struct ike_msg m;
	int rc = peek(&hdr), len;

	if (rc == 0 && hdr.version != IKE_WIRE_VERSION)
		rc = -EBADMSG;
	if (rc < 0)
		return rc == -EAGAIN ? 0 : rc;
	if (hdr.type == IKE_ADD_SA) {
		rc = forward_key(&hdr, &m);
	} else {
		len = receive(&hdr, &m, NULL);
		if (len != 0)
			return -EBADMSG;
		if (m.hdr.type == IKE_HELLO)
			m.body.hello.pid = getpid(); /* the router watches us */
		rc = router_request(&m);
	}
	if (rc == -EBADMSG)
		return rc;
	if (rc < 0)
		m.hdr.status = rc;
	len = send_to_plugin(&m);
	return rc == -ETIMEDOUT && len == 0 ? refuse_waiting() : len;
}

static int
serve(void)
{
	struct pollfd p[2] = {
		{.fd = agent.fd, .events = POLLIN}, {.fd = agent.wake, .events = POLLIN}};
	uint64_t n;
	int rc = 0;

	while (rc == 0) {
		if (poll(p, 2, atomic_load(&agent.lost) ? LOOK_MS : -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (p[1].revents != 0 && read(agent.wake, &n, sizeof(n)) < 0)
			return -errno;
		if (p[0].revents != 0)
			rc = forward();
		if (atomic_load(&agent.lost))
			tell_lost();
	}
	if (rc == -EBADMSG)
		fprintf(stderr, "cygnet-agent: a message of the plugin is malformed\n");
	return rc;
}

/* The start. */

/* False: charon is gone. */
static bool
charon_stays(int ms)
{
	struct pollfd p = {.fd = agent.fd, .events = 0};

	return poll(&p, 1, ms) <= 0 || (p.revents & (POLLHUP | POLLERR)) == 0;
}

/*
 * Says once that versions differ, and stays: a new agent would say it again and again. It is worth
 * trying when another router has come, or another charon.
 */
static int
refused(const char *prefix, struct ike_msg *m, const char *who)
{
	m->body.hello.build[IKE_BUILD_LEN - 1] = '\0';
	fprintf(stderr,
		"cygnet-agent: this agent is version %s (wire %u), the %s is %s (wire %u): "
		"refused\n",
		CYGNET_VERSION, IKE_WIRE_VERSION, who, m->body.hello.build, m->hdr.version);
	/* The plugin is told of the version that is not its own. */
	if (prefix == NULL)
		snprintf(m->body.hello.build, sizeof(m->body.hello.build), "%s", CYGNET_VERSION);
	m->hdr.type = IKE_AGENT_REFUSED;
	m->hdr.version = IKE_WIRE_VERSION;
	m->hdr.len = ike_msg_len(IKE_AGENT_REFUSED);
	send_to_plugin(m);
	while (charon_stays(LOOK_MS) && (prefix == NULL || router_lives(prefix)))
		;
	return -EPROTO;
}

/* So that charon's calls need not wait for a router that is not coming. */
static void
tell_waiting(void)
{
	struct ike_msg m = {.hdr = agent.hello.hdr};

	m.hdr.type = IKE_AGENT_WAITING;
	m.hdr.len = ike_msg_len(IKE_AGENT_WAITING);
	send_to_plugin(&m);
}

static bool
same_version(struct ike_msg *m)
{
	m->body.hello.build[IKE_BUILD_LEN - 1] = '\0';
	return m->hdr.version == IKE_WIRE_VERSION &&
	       strcmp(m->body.hello.build, CYGNET_VERSION) == 0;
}

static int
take_hello(void)
{
	struct pollfd p = {.fd = agent.fd, .events = POLLIN};
	struct ike_hdr hdr;
	int rc;

	while ((rc = poll(&p, 1, -1) < 0 ? -EAGAIN : peek(&hdr)) == -EAGAIN)
		;
	if (rc < 0 || hdr.type != IKE_HELLO || receive(&hdr, &agent.hello, NULL) != 0) {
		fprintf(stderr, "cygnet-agent: no greeting came from the plugin\n");
		return -EBADMSG;
	}
	return same_version(&agent.hello) ? 0 : refused(NULL, &agent.hello, "plugin");
}

/*
 * Nothing of a dead router may hold up the next, and rte_mp may be waiting for the dead one: this thread
 * ends the agent in whatever it does.
 */
static void *
watch_router(void *arg)
{
	struct pollfd p = {.fd = agent.router, .events = POLLIN};

	while (poll(&p, 1, -1) <= 0)
		;
	_exit(EXIT_SUCCESS);
	return arg;
}

/* Both ends say their versions; different ones refuse each other. */
static int
greet(const char *prefix)
{
	struct ike_msg m = agent.hello;
	pthread_t watcher;
	int rc;

	m.body.hello.pid = getpid();
	rc = router_request(&m);
	if (rc == 0 && (m.hdr.status == -EPROTO || !same_version(&m)))
		return refused(prefix, &m, "router");
	if (rc == 0)
		rc = m.hdr.status;
	if (rc < 0) {
		fprintf(stderr, "cygnet-agent: the router does not greet: %s\n", strerror(-rc));
		return rc;
	}
	agent.router = syscall(SYS_pidfd_open, m.body.hello.pid, 0);
	if (agent.router < 0) {
		fprintf(stderr, "cygnet-agent: the router is gone: %s\n", strerror(errno));
		return -ESRCH;
	}
	rc = pthread_create(&watcher, NULL, watch_router, NULL);
	if (rc != 0) {
		fprintf(stderr, "cygnet-agent: no thread: %s\n", strerror(rc));
		return -rc;
	}
	m.hdr.type = IKE_AGENT_UP;
	return send_to_plugin(&m);
}

int
agent_run(const char *prefix, int fd)
{
	int rc;

	agent.fd = fd;
	agent.router = -1;
	agent.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (agent.wake < 0 || take_hello() < 0)
		return EXIT_FAILURE;
	if (!router_lives(prefix))
		tell_waiting();
	while (!router_lives(prefix))
		if (!charon_stays(LOOK_MS))
			return EXIT_SUCCESS;
	/* With a router that dies in the midst of it rte_eal_init() would wait, at full speed, for ever. */
	alarm(ATTACH_SECONDS);
	rc = router_attach(prefix, on_event);
	alarm(0);
	if (rc < 0 || greet(prefix) < 0)
		_exit(EXIT_FAILURE);
	rc = serve();
	/* No rte_eal_cleanup(): the router may be dead, and what is shared is its own. */
	_exit(rc == -EPIPE || rc == -ESRCH ? EXIT_SUCCESS : EXIT_FAILURE);
}

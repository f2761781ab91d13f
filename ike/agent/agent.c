/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memzone.h>

#define ROUTER_POLL_MS 100
#define REQUEST_SECONDS 1

static struct {
	int fd; /* the plugin */
	int router; /* pidfd */
	struct ike_key_slot *slots;
	struct ike_msg hello; /* of the plugin */
	_Atomic bool lost; /* an event found no room in the socket */
} agent;

static void
say(const char *what, const char *detail)
{
	fprintf(stderr, "cygnet-agent: %s%s%s\n", what, detail != NULL ? ": " : "",
		detail != NULL ? detail : "");
}

/* A whole message of a type that is known, as far as its header says. */
static bool
valid(const void *data, size_t len)
{
	const struct ike_msg *m = data;

	return len >= sizeof(m->hdr) && m->hdr.magic == IKE_WIRE_MAGIC && m->hdr.len <= len &&
	       m->hdr.len >= sizeof(m->hdr) && m->hdr.len <= sizeof(*m);
}

/*
 * Reads one packet of the plugin: the message, and its key into the slot. Returns the bytes of key, or a
 * negative errno; -EPIPE: charon is gone.
 */
static int
receive(struct ike_msg *msg, struct ike_key_slot *slot)
{
	uint8_t packet[sizeof(*msg) + IKE_KEY_MAX];
	ssize_t n = recv(agent.fd, packet, sizeof(packet), MSG_TRUNC);
	int key;

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		return -EPIPE;
	if (n < 0)
		return -EAGAIN;
	key = -EBADMSG;
	if ((size_t)n <= sizeof(packet) && valid(packet, n)) {
		memset(msg, 0, sizeof(*msg));
		memcpy(msg, packet, ((const struct ike_msg *)(void *)packet)->hdr.len);
		key = n - msg->hdr.len;
		if (msg->hdr.version == IKE_WIRE_VERSION &&
			msg->hdr.len != ike_msg_len(msg->hdr.type))
			key = -EBADMSG;
		if (key > (slot != NULL ? IKE_KEY_MAX : 0))
			key = -EBADMSG;
		if (key > 0) {
			memcpy(slot->key, packet + msg->hdr.len, key);
			slot->len = key;
		}
	}
	explicit_bzero(packet, sizeof(packet));
	return key;
}

static int
reply(const struct ike_msg *msg, int flags)
{
	return send(agent.fd, msg, msg->hdr.len, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

/* One request to the router, one reply; msg becomes the reply. */
static int
request(struct ike_msg *msg)
{
	const struct timespec timeout = {.tv_sec = REQUEST_SECONDS};
	struct rte_mp_msg req = {.name = IKE_MP_REQUEST, .len_param = msg->hdr.len};
	struct rte_mp_reply answer = {0};
	uint16_t want = ike_reply_len(msg->hdr.type), type = msg->hdr.type;
	uint32_t seq = msg->hdr.seq;
	int rc = -ETIMEDOUT;

	memcpy(req.param, msg, msg->hdr.len);
	if (rte_mp_request_sync(&req, &answer, &timeout) < 0)
		return rte_errno != 0 ? -rte_errno : -EIO;
	for (int i = 0; i < answer.nb_received; i++) {
		const struct rte_mp_msg *r = &answer.msgs[i];
		const struct ike_msg *m = (const void *)r->param;

		if (r->len_param < 0 || !valid(r->param, r->len_param) || m->hdr.type != type ||
			m->hdr.seq != seq || (m->hdr.status == 0 && m->hdr.len != want))
			continue;
		memcpy(msg, m, m->hdr.len);
		rc = 0;
		break;
	}
	free(answer.msgs);
	return rc;
}

/* Runs on EAL's thread: an event of the router goes to the plugin, without waiting. */
static int
on_event(const struct rte_mp_msg *mp, const void *peer)
{
	const struct ike_msg *m = (const void *)mp->param;

	(void)peer;
	if (mp->len_param < 0 || !valid(mp->param, mp->len_param) ||
		m->hdr.len != ike_msg_len(m->hdr.type))
		return 0;
	if (m->hdr.owner != 0 && m->hdr.owner != agent.hello.hdr.owner)
		return 0; /* another charon's: every secondary receives them */
	if (atomic_load(&agent.lost) || reply(m, MSG_DONTWAIT) < 0)
		atomic_store(&agent.lost, true);
	return 0;
}

static void
tell_lost(void)
{
	struct ike_msg m = {.hdr = agent.hello.hdr};

	m.hdr.type = IKE_EVENT_RESYNC;
	m.hdr.len = ike_msg_len(IKE_EVENT_RESYNC);
	if (reply(&m, MSG_DONTWAIT) == 0)
		atomic_store(&agent.lost, false);
}

/* Waits, at no cost, for a router to be there; false when charon goes first. */
static bool
wait_for_router(const char *prefix)
{
	struct pollfd p = {.fd = agent.fd, .events = 0};
	char path[256];

	snprintf(path, sizeof(path), "/var/run/dpdk/%s/config", prefix);
	while (access(path, F_OK) != 0 || !rte_eal_primary_proc_alive(path))
		if (poll(&p, 1, ROUTER_POLL_MS) > 0 && p.revents & (POLLHUP | POLLERR))
			return false;
	return true;
}

static int
attach(const char *prefix)
{
	char arg[256];
	char *argv[] = {"cygnet-agent", "--proc-type=secondary", arg, "--iova-mode=va", "--no-pci",
		"--no-telemetry", "--log-level=*:error", NULL};
	const struct rte_memzone *mz;

	snprintf(arg, sizeof(arg), "--file-prefix=%s", prefix);
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0) {
		say("could not attach to the router", rte_strerror(rte_errno));
		return -EIO;
	}
	mz = rte_memzone_lookup(IKE_KEY_MEMZONE);
	if (mz == NULL || mz->len < IKE_KEY_SLOTS * sizeof(*agent.slots)) {
		say("the router is not ready yet", NULL);
		return -EAGAIN;
	}
	agent.slots = mz->addr;
	if (rte_mp_action_register(IKE_MP_EVENT, on_event) < 0) {
		say("could not register for events", rte_strerror(rte_errno));
		return -EIO;
	}
	return 0;
}

/* Both ends say their versions; different ones refuse each other. */
static int
greet(void)
{
	struct ike_msg m = agent.hello;
	int rc;

	m.body.hello.pid = getpid();
	rc = request(&m);
	if (rc < 0) {
		say("the router did not answer", strerror(-rc));
		return rc;
	}
	m.body.hello.build[IKE_BUILD_LEN - 1] = '\0';
	if (m.hdr.status == -EPROTO || m.hdr.version != IKE_WIRE_VERSION ||
		strcmp(m.body.hello.build, CYGNET_VERSION) != 0) {
		fprintf(stderr, "cygnet-agent: this agent is %s, the router is %s: refused\n",
			CYGNET_VERSION, m.body.hello.build);
		m.hdr.type = IKE_AGENT_REFUSED;
		reply(&m, 0);
		return -EPROTO;
	}
	if (m.hdr.status != 0) {
		say("the router refused", strerror(-m.hdr.status));
		return m.hdr.status;
	}
	agent.router = syscall(SYS_pidfd_open, m.body.hello.pid, 0);
	if (agent.router < 0) {
		say("the router is gone", strerror(errno));
		return -ESRCH;
	}
	m.hdr.type = IKE_AGENT_UP;
	return reply(&m, 0);
}

static struct ike_key_slot *
claim_slot(uint16_t *index)
{
	for (uint16_t i = 0; i < IKE_KEY_SLOTS; i++) {
		uint32_t unused = 0;

		if (atomic_compare_exchange_strong(&agent.slots[i].busy, &unused, 1)) {
			*index = i;
			return &agent.slots[i];
		}
	}
	return NULL;
}

static void
release_slot(struct ike_key_slot *slot)
{
	explicit_bzero(slot->key, sizeof(slot->key));
	slot->len = 0;
	atomic_store(&slot->busy, 0);
}

static int
forward(void)
{
	struct ike_key_slot *slot;
	struct ike_msg m;
	uint16_t index = 0;
	int key, rc = 0;

	slot = claim_slot(&index);
	key = receive(&m, slot);
	if (key >= 0) {
		if (m.hdr.type == IKE_HELLO)
			m.body.hello.pid = getpid();
		if (m.hdr.type == IKE_ADD_SA) {
			m.body.add_sa.key_slot = index;
			rc = slot == NULL ? -EBUSY : 0;
			if (key != m.body.add_sa.enc_key_len + m.body.add_sa.int_key_len)
				rc = -EBADMSG;
		} else if (key > 0) {
			rc = -EBADMSG;
		}
		if (rc == 0)
			rc = request(&m);
		if (rc < 0)
			m.hdr.status = rc;
	}
	if (slot != NULL)
		release_slot(slot);
	if (key == -EAGAIN)
		return 0;
	if (key < 0) {
		if (key == -EBADMSG)
			say("a message of the plugin is malformed", NULL);
		return key;
	}
	return reply(&m, 0);
}

static int
serve(void)
{
	struct pollfd p[2] = {
		{.fd = agent.fd, .events = POLLIN}, {.fd = agent.router, .events = POLLIN}};
	int rc = 0;

	while (rc == 0) {
		if (poll(p, 2, atomic_load(&agent.lost) ? ROUTER_POLL_MS : -1) < 0 &&
			errno != EINTR)
			return -errno;
		if (p[1].revents != 0)
			return -ESRCH; /* the router died: nothing of it may hold up the next */
		if (p[0].revents != 0)
			rc = forward();
		if (atomic_load(&agent.lost))
			tell_lost();
	}
	return rc;
}

int
agent_run(const char *prefix, int fd)
{
	int rc;

	agent.fd = fd;
	agent.router = -1;
	rc = receive(&agent.hello, NULL);
	if (rc < 0 || agent.hello.hdr.type != IKE_HELLO) {
		say("no greeting came from the plugin", NULL);
		return EXIT_FAILURE;
	}
	agent.hello.body.hello.build[IKE_BUILD_LEN - 1] = '\0';
	if (agent.hello.hdr.version != IKE_WIRE_VERSION ||
		strcmp(agent.hello.body.hello.build, CYGNET_VERSION) != 0) {
		fprintf(stderr, "cygnet-agent: this agent is %s, the plugin is %s: refused\n",
			CYGNET_VERSION, agent.hello.body.hello.build);
		return EXIT_FAILURE;
	}
	if (!wait_for_router(prefix))
		return EXIT_SUCCESS;
	if (attach(prefix) < 0 || greet() < 0)
		return EXIT_FAILURE;
	rc = serve();
	/* No rte_eal_cleanup(): the router may be dead, and what is shared is its own. */
	_exit(rc == -EPIPE || rc == -ESRCH ? EXIT_SUCCESS : EXIT_FAILURE);
}

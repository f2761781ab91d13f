/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent_router.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_log.h>
#include <rte_memzone.h>

#define REQUEST_SECONDS 1
#define SETTLE_MAX_MS 256

static struct {
	struct ike_key_slot *slots;
	bool held[IKE_KEY_SLOTS]; /* of a request without a reply */
	bool unsettled; /* a reply may be on its way to which no request belongs */
	uint32_t ping; /* seq of the last PING */
} router;

bool
router_lives(const char *prefix)
{
	char path[256];

	snprintf(path, sizeof(path), "/var/run/dpdk/%s/config", prefix);
	return access(path, F_OK) == 0 && rte_eal_primary_proc_alive(path);
}

bool
router_message_valid(const void *data, int len)
{
	const struct ike_msg *m = data;

	return len >= (int)sizeof(m->hdr) && len <= (int)sizeof(*m) &&
	       m->hdr.magic == IKE_WIRE_MAGIC && m->hdr.len == len;
}

int
router_attach(const char *prefix, rte_mp_t on_event)
{
	char arg[256];
	char *argv[] = {"cygnet-agent", "--proc-type=secondary", arg, "--iova-mode=va", "--no-pci",
		"--no-telemetry", "--log-level=*:error", NULL};
	const struct rte_memzone *mz;

	snprintf(arg, sizeof(arg), "--file-prefix=%s", prefix);
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0) {
		fprintf(stderr, "cygnet-agent: could not attach to the router %s: %s\n", prefix,
			rte_strerror(rte_errno));
		return -EIO;
	}
	mz = rte_memzone_lookup(IKE_KEY_MEMZONE);
	if (mz == NULL || mz->len < IKE_KEY_SLOTS * sizeof(*router.slots)) {
		fprintf(stderr, "cygnet-agent: the router %s is not ready yet\n", prefix);
		return -EAGAIN;
	}
	router.slots = mz->addr;
	if (rte_mp_action_register(IKE_MP_EVENT, on_event) < 0) {
		fprintf(stderr, "cygnet-agent: could not register for events: %s\n",
			rte_strerror(rte_errno));
		return -EIO;
	}
	/* From here on, what fails has a status that says so; EAL would add a line for each late reply. */
	rte_log_set_level_pattern("*", RTE_LOG_CRIT);
	return 0;
}

/* Sends and waits. -EBADMSG: what came is not the reply to this. */
static int
exchange(struct ike_msg *msg)
{
	const struct timespec timeout = {.tv_sec = REQUEST_SECONDS};
	struct rte_mp_msg req = {.name = IKE_MP_REQUEST, .len_param = msg->hdr.len};
	struct rte_mp_reply answer = {0};
	const struct rte_mp_msg *r;
	const struct ike_msg *m;
	int rc = -EBADMSG;

	memcpy(req.param, msg, msg->hdr.len);
	if (rte_mp_request_sync(&req, &answer, &timeout) < 0)
		return rte_errno != 0 ? -rte_errno : -EIO;
	r = answer.msgs;
	m = r != NULL ? (const void *)r->param : NULL;
	/* The primary is alone: there is one reply. Of another version, or a refusal, the length may differ. */
	if (answer.nb_received == 1 && router_message_valid(m, r->len_param) &&
		m->hdr.type == msg->hdr.type && m->hdr.seq == msg->hdr.seq &&
		(m->hdr.len == ike_reply_len(msg->hdr.type) || m->hdr.status != 0 ||
			m->hdr.version != IKE_WIRE_VERSION)) {
		memset(&msg->body, 0, sizeof(msg->body));
		memcpy(msg, m, m->hdr.len);
		rc = 0;
	}
	free(answer.msgs);
	return answer.nb_received == 0 ? -ETIMEDOUT : rc;
}

/* Unless the router, which took us for dead, has done so already. */
static void
give_back(struct ike_key_slot *slot)
{
	uint32_t self = getpid();

	atomic_compare_exchange_strong(&slot->claimer, &self, 0);
}

/* The router has done, or dropped, all that was sent before. */
static void
settled(void)
{
	router.unsettled = false;
	for (unsigned int i = 0; i < IKE_KEY_SLOTS; i++) {
		if (!router.held[i])
			continue;
		router.held[i] = false;
		give_back(&router.slots[i]);
	}
}

/*
 * rte_mp takes a reply for that of any request that waits, by the name of the action alone. So a late
 * one would be the next request's, and that one's reply the next but one's, and so on: after a time-out
 * PINGs go first, until one gets its own reply.
 */
static int
settle(const struct ike_hdr *hdr)
{
	struct ike_msg ping;
	int rc;

	for (unsigned int ms = 1; ms <= SETTLE_MAX_MS; ms *= 2) {
		const struct timespec rest = {.tv_nsec = ms * 1000000l};

		memset(&ping, 0, sizeof(ping));
		ping.hdr = *hdr;
		ping.hdr.type = IKE_PING;
		ping.hdr.len = ike_msg_len(IKE_PING);
		ping.hdr.seq = ++router.ping;
		rc = exchange(&ping);
		if (rc == 0)
			settled();
		if (rc != -EBADMSG)
			return rc;
		nanosleep(&rest, NULL); /* its own reply comes meanwhile, and nobody waits for it */
	}
	return -ETIMEDOUT;
}

int
router_request(struct ike_msg *msg)
{
	int rc = router.unsettled ? settle(&msg->hdr) : 0;

	if (rc == 0)
		rc = exchange(msg);
	if (rc < 0)
		router.unsettled = true;
	return rc == -EBADMSG ? -ETIMEDOUT : rc;
}

struct ike_key_slot *
router_claim_slot(uint16_t *index)
{
	for (uint16_t i = 0; i < IKE_KEY_SLOTS; i++) {
		uint32_t unused = 0;

		if (atomic_compare_exchange_strong(&router.slots[i].claimer, &unused, getpid())) {
			*index = i;
			return &router.slots[i];
		}
	}
	return NULL;
}

void
router_release_slot(struct ike_key_slot *slot, bool unanswered)
{
	explicit_bzero(slot->key, sizeof(slot->key));
	slot->len = 0;
	if (unanswered)
		router.held[slot - router.slots] = true;
	else
		give_back(slot);
}

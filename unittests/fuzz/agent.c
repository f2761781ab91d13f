/* SPDX-License-Identifier: BSD-3-Clause */
#include "../../ike/agent/agent.c"

#include "fuzz.h"

#include <check.h>

/*
 * The agent between charon's plugin and the router: packets of the plugin on the socket, and events of the router. The
 * router of this test repeats requests.
 */

#define PACKETS_MAX 32

static struct ike_key_slot slot;
static bool slot_taken;
static int plugin_fd;

bool
router_message_valid(const void *data, int len)
{
	const struct ike_msg *m = data;

	return len >= (int)sizeof(m->hdr) && len <= (int)sizeof(*m) &&
	       m->hdr.magic == IKE_WIRE_MAGIC && m->hdr.len == len;
}

bool
router_lives(const char *prefix)
{
	(void)prefix;
	return true;
}

int
router_attach(const char *prefix, rte_mp_t event)
{
	(void)prefix;
	(void)event;
	return 0;
}

/* What it gets has sense. */
int
router_request(struct ike_msg *msg)
{
	ck_assert_uint_eq(msg->hdr.len, ike_msg_len(msg->hdr.type));
	ck_assert_uint_eq(msg->hdr.version, IKE_WIRE_VERSION);
	if (msg->hdr.type == IKE_ADD_SA)
		ck_assert_uint_eq(
			slot.len, msg->body.add_sa.enc_key_len + msg->body.add_sa.int_key_len);
	msg->hdr.len = ike_reply_len(msg->hdr.type);
	return msg->hdr.seq % 8 == 7 ? -ETIMEDOUT : 0;
}

struct ike_key_slot *
router_claim_slot(uint16_t *index)
{
	*index = 0;
	if (slot_taken)
		return NULL;
	slot_taken = true;
	return &slot;
}

void
router_release_slot(struct ike_key_slot *s, bool unanswered)
{
	ck_assert(slot_taken);
	slot_taken = unanswered;
	memset(s, 0, sizeof(*s));
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int pair[2];

	(void)argc;
	(void)argv;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	agent.fd = pair[0];
	plugin_fd = pair[1];
	agent.router = -1;
	agent.wake = eventfd(0, EFD_NONBLOCK);
	agent.hello.hdr.owner = 1;
	return 0;
}

/* What the plugin gets are messages. */
static void
drain(void)
{
	struct ike_msg m;
	ssize_t n;

	while ((n = recv(plugin_fd, &m, sizeof(m), MSG_TRUNC)) > 0) {
		ck_assert_int_ge(n, (ssize_t)sizeof(m.hdr));
		ck_assert_uint_eq(m.hdr.magic, IKE_WIRE_MAGIC);
		ck_assert_uint_eq(m.hdr.len, n);
	}
	while (recv(agent.fd, &m, sizeof(m), MSG_DONTWAIT) >= 0)
		;
}

static void
router_event(const uint8_t *bytes, size_t n)
{
	struct rte_mp_msg *mp = calloc(1, sizeof(*mp));

	mp->len_param = n;
	memcpy(mp->param, bytes, n < RTE_MP_MAX_PARAM_LEN ? n : RTE_MP_MAX_PARAM_LEN);
	on_event(mp, "");
	free(mp);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	slot_taken = false;
	for (unsigned int i = 0; i < PACKETS_MAX && in.left > 0; i++) {
		uint8_t what = fuzz_u8(&in);
		size_t n = fuzz_u16(&in) % 512;
		const uint8_t *at;
		struct ike_msg m;

		n = fuzz_bytes(&in, n, &at);
		if (what % 4 == 3) {
			router_event(at, n < RTE_MP_MAX_PARAM_LEN ? n : RTE_MP_MAX_PARAM_LEN);
			continue;
		}
		/* A packet of no octets is the end of charon. */
		if (n == 0 || send(plugin_fd, at, n, MSG_DONTWAIT) < 0)
			continue;
		if (what % 4 != 2 && forward() < 0)
			break;
		memset(&m, 0, sizeof(m));
		if (atomic_load(&agent.lost))
			tell_lost();
	}
	drain();
	return 0;
}

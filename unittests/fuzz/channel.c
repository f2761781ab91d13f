/* SPDX-License-Identifier: BSD-3-Clause */
#include "../channel_world.h"
#include "fuzz.h"

/*
 * Requests of an agent to the router, by rte_mp: a type, a flag octet, the octets of the message. The header is made
 * right unless the flags say raw.
 */

enum { RAW = 1, OTHER_OWNER = 2, TIME = 4, DEATH = 8, NO_KEY = 16 };

#define MESSAGES_MAX 64

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_eal("128");
	world_setup();
	return 0;
}

/* Returns what it is answered; -EBADMSG: nothing. */
static int
send_request(const void *bytes, size_t len)
{
	struct ike_msg m = {0}, reply;

	if (channel_check(bytes, len) < 0)
		return -EBADMSG;
	memcpy(&m, bytes, len);
	channel_request(w.c, &m, w.now, &reply);
	ck_assert_uint_eq(reply.hdr.magic, IKE_WIRE_MAGIC);
	ck_assert_uint_le(reply.hdr.len, sizeof(reply));
	ck_assert_int_le(reply.hdr.status, 0);
	ck_assert_uint_eq(reply.hdr.seq, m.hdr.seq);
	return reply.hdr.status;
}

static void
one(struct fuzz_input *in)
{
	uint8_t type = fuzz_u8(in), flags = fuzz_u8(in);
	struct ike_msg m = request(type % (IKE_PING + 2), flags & OTHER_OWNER ? OWNER_B : OWNER_A);
	const uint8_t *at;
	size_t n;
	int rc;

	if (flags & TIME)
		pass(1u << type % 8);
	if (flags & DEATH)
		owner_died(w.c, type % CHANNEL_MAX_OWNERS);
	if (flags & RAW) {
		n = fuzz_bytes(in, type, &at);
		send_request(at, n);
		return;
	}
	if (m.hdr.len < sizeof(m.hdr))
		return;
	n = fuzz_bytes(in, m.hdr.len - sizeof(m.hdr), &at);
	memcpy(&m.body, at, n);
	if (m.hdr.type == IKE_ADD_SA && !(flags & NO_KEY))
		fill_slot(m.body.add_sa.key_slot % IKE_KEY_SLOTS, 1);
	rc = send_request(&m, m.hdr.len);
	/* The slot of who may not ask may be another's. */
	if (m.hdr.type == IKE_ADD_SA && rc != -EPERM && m.body.add_sa.key_slot < IKE_KEY_SLOTS)
		ck_assert(slot_is_wiped(m.body.add_sa.key_slot));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 200);
	for (unsigned int i = 0; i < MESSAGES_MAX && in.left > 0; i++)
		one(&in);
	pass(1);
	pass(1000);
	world_reset();
	ck_assert_uint_eq(w.sessions, 0);
	for (int dir = 0; dir < SPD_DIRS; dir++)
		ck_assert_uint_eq(spd_count(w.c->spd, dir), 0);
	return 0;
}

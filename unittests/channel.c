/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_world.h"

#include "sad_lookup.h"

#define PEER "192.0.2.1"
#define PEER2 "192.0.2.2"
#define US "192.0.2.77"
#define NET "10.2.0.0"

START_TEST(check_refuses_what_is_not_a_request)
{
	struct ike_msg m = request(IKE_PING, OWNER_A), bad;
	uint8_t big[IKE_WIRE_MAX + 8] = {0};

	ck_assert_int_eq(channel_check(&m, m.hdr.len), 0);
	for (size_t len = 0; len < sizeof(m.hdr); len++)
		ck_assert_int_eq(channel_check(&m, len), -EBADMSG);
	ck_assert_int_eq(channel_check(&m, m.hdr.len + 1), -EBADMSG);
	bad = m;
	bad.hdr.magic ^= 1;
	ck_assert_int_eq(channel_check(&bad, bad.hdr.len), -EBADMSG);
	bad = m;
	bad.hdr.len++;
	ck_assert_int_eq(channel_check(&bad, m.hdr.len), -EBADMSG);
	bad = m;
	bad.hdr.version++;
	ck_assert_int_eq(channel_check(&bad, bad.hdr.len), -EBADMSG);
	for (uint16_t type = 0; type < 300; type++) {
		bad = m;
		bad.hdr.type = type;
		if (ike_msg_len(type) != m.hdr.len || type > IKE_PING)
			ck_assert_int_eq(channel_check(&bad, bad.hdr.len), -EBADMSG);
	}
	/* The body of another type. */
	bad = request(IKE_ADD_SA, OWNER_A);
	bad.hdr.type = IKE_DEL_SA;
	ck_assert_int_eq(channel_check(&bad, bad.hdr.len), -EBADMSG);
	m.hdr.len = sizeof(big);
	memcpy(big, &m.hdr, sizeof(m.hdr));
	ck_assert_int_eq(channel_check(big, sizeof(big)), -EBADMSG);
}
END_TEST

START_TEST(hello_tells_epoch_and_limits)
{
	struct ike_msg m = request(IKE_HELLO, OWNER_A), out;

	strcpy(m.body.hello.build, BUILD);
	m.body.hello.pid = 100;
	ck_assert_int_eq(ask(&m, &out), 0);
	ck_assert_str_eq(out.body.hello.build, BUILD);
	ck_assert_uint_eq(out.body.hello.pid, getpid());
	ck_assert_uint_eq(out.body.hello.max_sas, 256);
	ck_assert_uint_eq(out.body.hello.max_policies, 256);
	ck_assert_uint_eq(out.body.hello.spi_min, 0xc0000000);
	ck_assert_uint_eq(out.body.hello.spi_max, 0xcfffffff);
	ck_assert_int_eq(w.watched[0], 100);
	ck_assert_int_eq(say(IKE_PING, OWNER_A), 0);
	m.hdr.owner = 0;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	m.hdr.owner = OWNER_B;
	m.body.hello.pid = 0;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	m.body.hello.pid = 0x80000000u;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
}
END_TEST

/* charon's own range (charon.spi_min, spi_max), as far as there are enough SPIs in it. */
START_TEST(spis_are_of_charons_range)
{
	static const struct {
		uint32_t min, max, got_min, got_max;
	} v[] = {
		{0xc1000000, 0xc1ffffff, 0xc1000000, 0xc1ffffff},
		{0xb0000000, 0xc0ffffff, 0xc0000000, 0xc0ffffff},
		{0xcf000000, 0xffffffff, 0xcf000000, 0xcfffffff}, {0, 0, 0xc0000000, 0xcfffffff},
		{0x1000, 0x2000, 0xc0000000, 0xcfffffff}, /* none of them */
		{0xc0000000, 0xc00000ff, 0xc0000000, 0xcfffffff}, /* too few */
	};
	struct ike_msg m, out;

	for (unsigned int i = 0; i < RTE_DIM(v); i++) {
		m = request(IKE_HELLO, OWNER_A);
		strcpy(m.body.hello.build, BUILD);
		m.body.hello.pid = 100;
		m.body.hello.spi_min = v[i].min;
		m.body.hello.spi_max = v[i].max;
		ck_assert_int_eq(ask(&m, &out), 0);
		ck_assert_uint_eq(out.body.hello.spi_min, v[i].got_min);
		ck_assert_uint_eq(out.body.hello.spi_max, v[i].got_max);
		for (unsigned int n = 0; n < 30; n++) {
			m = request(IKE_GET_SPI, OWNER_A);
			m.body.sa_id.proto = 50;
			m.body.sa_id.dst.family = 4;
			ck_assert_int_eq(ask(&m, &out), 0);
			ck_assert_uint_ge(ntohl(out.body.sa_id.spi), v[i].got_min);
			ck_assert_uint_le(ntohl(out.body.sa_id.spi), v[i].got_max);
		}
	}
}
END_TEST

START_TEST(hello_tells_of_bypasses)
{
	struct ike_msg m, out;

	for (unsigned int i = 0; i < 2; i++) {
		w.c->bypasses = i;
		m = request(IKE_HELLO, OWNER_A);
		strcpy(m.body.hello.build, BUILD);
		m.body.hello.pid = 100;
		ck_assert_int_eq(ask(&m, &out), 0);
		ck_assert_uint_eq(out.body.hello.flags, i ? IKE_HELLO_BYPASS : 0);
	}
}
END_TEST

START_TEST(versions_must_be_equal)
{
	struct ike_msg m = request(IKE_HELLO, OWNER_A), out;

	m.body.hello.pid = 100;
	strcpy(m.body.hello.build, "0.2.0");
	ck_assert_int_eq(ask(&m, &out), -EPROTO);
	ck_assert_str_eq(out.body.hello.build, BUILD);
	memset(m.body.hello.build, '0', IKE_BUILD_LEN); /* no end */
	ck_assert_int_eq(ask(&m, &out), -EPROTO);
	strcpy(m.body.hello.build, BUILD);
	m.hdr.version++;
	ck_assert_int_eq(ask(&m, &out), -EPROTO);
	ck_assert_uint_eq(out.hdr.version, IKE_WIRE_VERSION);
	/* Another version's HELLO may be shorter than ours. */
	m.hdr.len = sizeof(m.hdr);
	ck_assert_int_eq(channel_check(&m, m.hdr.len), 0);
	ck_assert_int_eq(ask(&m, &out), -EPROTO);
	ck_assert_str_eq(out.body.hello.build, BUILD);
	ck_assert_int_eq(say(IKE_PING, OWNER_A), -EPERM);
}
END_TEST

START_TEST(strangers_and_the_past_are_refused)
{
	struct ike_msg m = request(IKE_PING, OWNER_A);

	for (uint16_t type = IKE_GET_SPI; type <= IKE_PING; type++)
		ck_assert_int_eq(say(type, OWNER_A), -EPERM);
	ck_assert_int_eq(say_hello(OWNER_A, 100), 0);
	ck_assert_int_eq(ask(&m, NULL), 0);
	m.hdr.epoch ^= 1;
	ck_assert_int_eq(ask(&m, NULL), -ESTALE);
	ck_assert_int_eq(say(IKE_PING, OWNER_B), -EPERM);
	ck_assert_int_eq(say(IKE_UPDATE_SA, OWNER_A), -ENOENT);
	owner_died(w.c, 0);
	ck_assert_int_eq(say(IKE_PING, OWNER_A), -EPERM);
	w.watch_rc = -ESRCH;
	ck_assert_int_eq(say_hello(OWNER_B, 101), -ESRCH);
	ck_assert_int_eq(say(IKE_PING, OWNER_B), -EPERM);
}
END_TEST

START_TEST(key_slots_are_checked_and_wiped)
{
	struct ike_msg m;

	say_hello(OWNER_A, 100);
	m = sa_request(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	m.body.add_sa.key_slot = IKE_KEY_SLOTS;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	m.body.add_sa.key_slot = 0xffff;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);

	m.body.add_sa.key_slot = 3;
	fill_slot(3, 1);
	w.slots[3].len = KEY_LEN - 1;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	ck_assert(slot_is_wiped(3));
	/* A length that no slot holds, on both sides. */
	fill_slot(3, 1);
	w.slots[3].len = 0xffff + 0xffff;
	m.body.add_sa.enc_key_len = m.body.add_sa.int_key_len = 0xffff;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	ck_assert(slot_is_wiped(3));
	ck_assert_uint_eq(w.sessions, 0);

	m.body.add_sa.enc_key_len = KEY_LEN;
	m.body.add_sa.int_key_len = 0;
	fill_slot(3, 7);
	fill_slot(4, 9);
	ck_assert_int_eq(ask(&m, NULL), 0);
	for (unsigned int i = 0; i < KEY_LEN; i++)
		ck_assert_uint_eq(w.key[i], 7 + i);
	ck_assert(slot_is_wiped(3));
	ck_assert(!slot_is_wiped(4));
	/* Refused by the SAD: wiped all the same. */
	fill_slot(3, 7);
	ck_assert_int_eq(ask(&m, NULL), -EEXIST);
	ck_assert(slot_is_wiped(3));
	ck_assert_uint_eq(w.sessions, 1);
}
END_TEST

START_TEST(an_old_add_sa_is_refused)
{
	struct ike_msg m, out;

	say_hello(OWNER_A, 100);
	m = sa_request(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	fill_slot(3, 7);
	channel_request(w.c, &m, w.now - CHANNEL_NSEC, &out);
	ck_assert_int_eq(out.hdr.status, -ETIMEDOUT);
	ck_assert(!slot_is_wiped(3)); /* may be somebody else's by now */
	channel_request(w.c, &m, w.now - CHANNEL_NSEC / 4, &out);
	ck_assert_int_eq(out.hdr.status, 0);
}
END_TEST

START_TEST(slots_of_a_dead_agent_are_wiped)
{
	/* Nobody's, or taken this very moment: not the router's to touch. */
	fill_slot(7, 1);
	w.slots[7].claimer = 0;
	say_hello(OWNER_A, 100);
	ck_assert(!slot_is_wiped(7));
	say_hello(OWNER_B, 101);
	fill_slot(5, 1);
	fill_slot(6, 1);
	w.slots[6].claimer = 101;
	owner_died(w.c, 0);
	ck_assert(slot_is_wiped(5));
	ck_assert_uint_eq(w.slots[5].claimer, 0);
	ck_assert(!slot_is_wiped(6)); /* the other's, which lives */
	ck_assert_uint_eq(w.slots[6].claimer, 101);
	owner_died(w.c, 1);
	ck_assert(slot_is_wiped(6));
	ck_assert_uint_eq(w.slots[6].claimer, 0);
	/* One whose death nobody has heard of yet. */
	say_hello(OWNER_A, 102);
	fill_slot(5, 1);
	w.slots[5].claimer = 102;
	say_hello(OWNER_A, 102);
	ck_assert(!slot_is_wiped(5));
	say_hello(OWNER_A, 103);
	ck_assert(slot_is_wiped(5));
	ck_assert_uint_eq(w.slots[5].claimer, 0);
}
END_TEST

START_TEST(life_of_an_inbound_sa)
{
	struct ike_msg m, out;
	uint32_t spi;

	say_hello(OWNER_A, 100);
	m = request(IKE_GET_SPI, OWNER_A);
	m.body.sa_id.proto = 50;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL); /* no destination */
	addr(&m.body.sa_id.dst, US);
	ck_assert_int_eq(ask(&m, &out), 0);
	spi = out.body.sa_id.spi;
	ck_assert_uint_ge(ntohl(spi), 0xc0000000);
	ck_assert_uint_le(ntohl(spi), 0xcfffffff);

	m = sa_request(OWNER_A, IKE_DIR_IN, spi, 1, US);
	m.body.add_sa.flags = IKE_SA_UPDATE;
	fill_slot(3, 1);
	ck_assert_int_eq(ask(&m, NULL), 0);
	m = request(IKE_QUERY_SA, OWNER_A);
	m.body.sa_id.proto = 50;
	m.body.sa_id.spi = spi;
	addr(&m.body.sa_id.dst, US);
	ck_assert_int_eq(ask(&m, &out), 0);
	ck_assert_uint_eq(out.body.usage.bytes, 0);

	/* The peer happens to have chosen the same number for the other direction. */
	ck_assert_int_eq(add_sa(OWNER_A, IKE_DIR_OUT, spi, 1, PEER), 0);
	m.hdr.type = IKE_DEL_SA;
	addr(&m.body.sa_id.dst, PEER);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert(!sa_is_there(SA_DIR_OUT, ntohl(spi), PEER));
	ck_assert(sa_is_there(SA_DIR_IN, ntohl(spi), US));
	ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	/* Nobody deletes another's. */
	say_hello(OWNER_B, 101);
	addr(&m.body.sa_id.dst, US);
	m.hdr.owner = OWNER_B;
	ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	m.hdr.owner = OWNER_A;
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert(!sa_is_there(SA_DIR_IN, ntohl(spi), US));
	ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	/* A reservation that is given back. */
	m.hdr.type = IKE_GET_SPI;
	ask(&m, &out);
	m.hdr.type = IKE_DEL_SA;
	m.body.sa_id.spi = out.body.sa_id.spi;
	ck_assert_int_eq(ask(&m, NULL), 0);
}
END_TEST

/* Takes an inbound SPI and adds its SA; SPI in network order. */
static uint32_t
add_reserved(uint32_t reqid, const char *peer)
{
	struct ike_msg m = request(IKE_GET_SPI, OWNER_A), out;

	m.body.sa_id.proto = 50;
	addr(&m.body.sa_id.dst, US);
	ck_assert_int_eq(ask(&m, &out), 0);
	m = sa_request(OWNER_A, IKE_DIR_IN, out.body.sa_id.spi, reqid, US);
	addr(&m.body.add_sa.id.src, peer);
	m.body.add_sa.flags = IKE_SA_UPDATE;
	fill_slot(3, 1);
	ck_assert_int_eq(ask(&m, NULL), 0);
	return m.body.add_sa.id.spi;
}

static int
del_inbound(uint32_t spi)
{
	struct ike_msg m = request(IKE_DEL_SA, OWNER_A);

	m.body.sa_id = (struct ike_msg_sa_id){.spi = spi, .proto = 50};
	addr(&m.body.sa_id.dst, US);
	return ask(&m, NULL);
}

/* charon gives the reqid of a CHILD_SA that is gone to the next one, whoever that one's peer is. */
START_TEST(a_reqid_that_is_given_again_is_not_the_old_peers)
{
	struct ike_msg m;
	uint32_t a, b;

	say_hello(OWNER_A, 100);
	a = add_reserved(5, PEER);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_IN, NET, 0, 5), 0);
	m = policy_request(IKE_DEL_POLICY, OWNER_A, IKE_DIR_IN, NET, 0, 5, "192.0.2.1");
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_int_eq(del_inbound(a), 0);
	b = add_reserved(5, PEER2);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_IN, "10.3.0.0", 0, 5), 0);
	ck_assert_ptr_null(sad_lookup(w.c->sad, a, 50));
	/* One that is replaced may be late, as its successor's policies are its own. */
	a = add_reserved(5, PEER2);
	ck_assert_int_eq(del_inbound(b), 0);
	ck_assert_ptr_nonnull(sad_lookup(w.c->sad, b, 50));
	ck_assert_int_eq(del_inbound(a), 0);
	ck_assert_ptr_null(sad_lookup(w.c->sad, a, 50));
	ck_assert_ptr_null(sad_lookup(w.c->sad, b, 50));
}
END_TEST

START_TEST(policies_find_their_sas)
{
	struct ike_msg m = request(IKE_DEL_SA, OWNER_A);

	say_hello(OWNER_A, 100);
	/* A trap, then the SA's policy before its SA. */
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 1), 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1), 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
	ck_assert_int_eq(add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER), 0);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	/* A rekey: the new SA is not used until the policy names it. */
	ck_assert_int_eq(add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x2000), 1, PEER), 0);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x2000), 1), 0);
	ck_assert_uint_eq(bound_spi(NET), 0x2000);
	/* Down to a trap again: its own SA that is still there is no excuse. */
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 1), 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x2000), 1), 0);
	m.body.sa_id.proto = 50;
	m.body.sa_id.spi = htonl(0x2000);
	addr(&m.body.sa_id.dst, PEER);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
}
END_TEST

/* Both ends rekeyed at once: of the two new SAs the newest is the one that is given up. */
START_TEST(a_policy_of_the_file_uses_what_is_left)
{
	struct spd_policy_conf conf = {
		.sel = {.src_plen = 16, .dst_plen = 16, .src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = 1,
		.dir = SPD_OUT,
		.action = SPD_PROTECT,
		.mode = SA_MODE_TUNNEL,
		.proto = 50};
	struct ike_msg m = request(IKE_DEL_SA, OWNER_A);

	ck_assert_int_eq(addr_parse("10.1.0.0", &conf.sel.src), 0);
	ck_assert_int_eq(addr_parse(NET, &conf.sel.dst), 0);
	ck_assert_int_eq(spd_add(w.c->spd, &conf, NULL), 0);
	say_hello(OWNER_A, 100);
	for (uint32_t spi = 0x1000; spi <= 0x3000; spi += 0x1000) {
		ck_assert_int_eq(add_sa(OWNER_A, IKE_DIR_OUT, htonl(spi), 1, PEER), 0);
		ck_assert_uint_eq(bound_spi(NET), spi);
	}
	m.body.sa_id.proto = 50;
	addr(&m.body.sa_id.dst, PEER);
	m.body.sa_id.spi = htonl(0x3000);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(bound_spi(NET), 0x2000);
	m.body.sa_id.spi = htonl(0x1000);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(bound_spi(NET), 0x2000);
	m.body.sa_id.spi = htonl(0x2000);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
}
END_TEST

START_TEST(policies_are_checked)
{
	struct ike_msg m, good;

	say_hello(OWNER_A, 100);
	good = policy_request(IKE_ADD_POLICY, OWNER_A, IKE_DIR_IN, NET, 0, 1, PEER);
#define REFUSED(field, value)                             \
	do {                                              \
		m = good;                                 \
		m.body.policy.field = value;              \
		ck_assert_int_eq(ask(&m, NULL), -EINVAL); \
	} while (0)
	REFUSED(dir, 0);
	REFUSED(dir, 4);
	REFUSED(action, 0);
	REFUSED(action, 4);
	REFUSED(sel.src_plen, 33);
	REFUSED(sel.dst_plen, 255);
	REFUSED(sel.src.family, 6);
	REFUSED(sel.src.family, 0);
	REFUSED(dst.family, 7);
	m = good;
	m.body.policy.sel.src_port_lo = 2;
	m.body.policy.sel.src_port_hi = 1;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_IN), 0);
	ck_assert_int_eq(ask(&good, NULL), 0);
}
END_TEST

START_TEST(policies_belong_to_their_owner)
{
	struct ike_msg m, out;
	struct spd_policy_conf conf;
	uint32_t id;

	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 101);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_FWD, NET, 0, 1), 0);
	policy(SPD_FWD, NET)->used = 77;
	m = policy_request(IKE_QUERY_POLICY, OWNER_A, IKE_DIR_FWD, NET, 0, 1, PEER);
	ck_assert_int_eq(ask(&m, &out), 0);
	ck_assert_uint_eq(out.body.usage.last_use, 77);
	m = policy_request(IKE_DEL_POLICY, OWNER_B, IKE_DIR_FWD, NET, 0, 1, PEER);
	ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	m.hdr.owner = OWNER_A;
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_ptr_null(policy(SPD_FWD, NET));
	ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	/* The operator's own policy is not charon's to replace or delete. */
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 1), 0);
	conf = policy(SPD_OUT, NET)->conf;
	m = policy_request(IKE_DEL_POLICY, OWNER_A, IKE_DIR_OUT, NET, 0, 1, PEER);
	ck_assert_int_eq(ask(&m, NULL), 0);
	conf.owner = 0;
	conf.action = SPD_DISCARD;
	ck_assert_int_eq(spd_add(w.c->spd, &conf, &id), 0);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 1), -EEXIST);
	ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->action, SPD_DISCARD);
}
END_TEST

/* Two had one selector, and one of them died, unnoticed at first: at the end of its time the other's stands. */
START_TEST(the_dead_do_not_discard_for_the_living)
{
	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 101);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_sa(OWNER_B, IKE_DIR_OUT, htonl(0x2000), 2, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	add_policy(OWNER_B, IKE_DIR_OUT, NET, htonl(0x2000), 2);
	add_policy(OWNER_A, IKE_DIR_OUT, "10.3.0.0", htonl(0x1000), 1);
	owner_died(w.c, 0);
	pass(60);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->action, SPD_PROTECT);
	ck_assert_uint_eq(bound_spi(NET), 0x2000);
	ck_assert_uint_eq(policy(SPD_OUT, "10.3.0.0")->action, SPD_DISCARD);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 2);
}
END_TEST

/* Two that live have one selector: the newer counts, and when it goes the older does again. */
START_TEST(two_owners_have_one_selector)
{
	struct ike_msg m;

	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 101);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_sa(OWNER_B, IKE_DIR_OUT, htonl(0x2000), 2, PEER);
	ck_assert_int_eq(add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1), 0);
	ck_assert_int_eq(add_policy(OWNER_B, IKE_DIR_OUT, NET, htonl(0x2000), 2), 0);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 2);
	ck_assert_uint_eq(bound_spi(NET), 0x2000);
	m = policy_request(IKE_DEL_POLICY, OWNER_B, IKE_DIR_OUT, NET, 0, 2, PEER);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	/* A dead one has no say: what it had goes when a living one says the same. */
	owner_died(w.c, 0);
	ck_assert_int_eq(add_policy(OWNER_B, IKE_DIR_OUT, NET, htonl(0x2000), 2), 0);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 1);
	ck_assert_uint_eq(bound_spi(NET), 0x2000);
}
END_TEST

START_TEST(policies_of_ranges)
{
	struct ike_msg m, bad;
	struct spd_policy *p;
	struct spd_cursor cursor = {0};

	say_hello(OWNER_A, 100);
	m = policy_request(IKE_ADD_POLICY, OWNER_A, IKE_DIR_OUT, NET, 0, 1, PEER);
	addr(&m.body.policy.sel.src, "10.1.0.7");
	m.body.policy.sel.src_plen = IKE_PLEN_RANGE;
	m.body.policy.sel.src_last[0] = 10;
	m.body.policy.sel.src_last[1] = 1;
	bad = m; /* 10.1.0.7-10.1.0.0 */
	ck_assert_int_eq(ask(&bad, NULL), -EINVAL);
	m.body.policy.sel.src_last[3] = 9;
	m.body.policy.if_id = 12;
	m.body.policy.mark = 3;
	m.body.policy.mark_mask = 0xff;
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(spd_page(w.c->spd, &cursor, &p, 1), 1);
	ck_assert_uint_eq(p->conf.sel.src_last.b[3], 9);
	ck_assert_uint_eq(p->conf.sel.src_plen, 28);
	ck_assert_uint_eq(p->if_id, 12);
	ck_assert_uint_eq(p->mark_mask, 0xff);
	m.hdr.type = IKE_DEL_POLICY;
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 0);
}
END_TEST

START_TEST(orphans_forward_until_the_new_owner_has_its_sa)
{
	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	owner_died(w.c, 0);
	pass(10);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);

	say_hello(OWNER_B, 101);
	add_policy(OWNER_B, IKE_DIR_OUT, NET, 0, 9); /* its trap */
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->conf.owner, OWNER_B);
	say(IKE_SYNC_DONE, OWNER_B);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	add_policy(OWNER_B, IKE_DIR_OUT, NET, htonl(0x5000), 9); /* its SA comes later */
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	add_sa(OWNER_B, IKE_DIR_OUT, htonl(0x5000), 9, PEER);
	ck_assert_uint_eq(bound_spi(NET), 0x5000);
	/* The orphan's number stays taken until its time is over. */
	ck_assert(sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	pass(60);
	ck_assert(!sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	ck_assert_uint_eq(bound_spi(NET), 0x5000);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->action, SPD_PROTECT);
}
END_TEST

static uint32_t
add_inbound(uint64_t owner, uint32_t spi, uint32_t reqid, const char *peer)
{
	struct ike_msg m = sa_request(owner, IKE_DIR_IN, htonl(spi), reqid, US);
	uint32_t slot;

	addr(&m.body.add_sa.id.src, peer);
	fill_slot(3, 1);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_int_eq(sad_find(w.c->sad, SA_DIR_IN, 50, htonl(spi), NULL, &slot), 0);
	return slot;
}

static void
add_in_policy(uint64_t owner, const char *net, uint32_t reqid, const char *peer)
{
	struct ike_msg m = policy_request(IKE_ADD_POLICY, owner, IKE_DIR_IN, net, 0, reqid, US);

	addr(&m.body.policy.src, peer);
	ck_assert_int_eq(ask(&m, NULL), 0);
}

/* For whose policies an SA's packets are. */
static bool
is_for(uint32_t slot, uint64_t owner, uint32_t reqid)
{
	return sa_is_for(sad_hot(w.c->sad, slot), sa_owner_tag(owner), reqid);
}

/* A charon that was started again counts its reqids anew. */
START_TEST(what_orphans_bring_is_for_the_new_policies)
{
	uint32_t a, b, other, late;

	say_hello(OWNER_A, 100);
	a = add_inbound(OWNER_A, 0x1000, 1, PEER);
	b = add_inbound(OWNER_A, 0x1001, 2, PEER);
	other = add_inbound(OWNER_A, 0x1002, 1, PEER2);
	late = add_inbound(OWNER_A, 0x1003, 3, PEER);
	add_in_policy(OWNER_A, NET, 1, PEER);
	add_in_policy(OWNER_A, "10.3.0.0", 2, PEER);
	add_in_policy(OWNER_A, "10.4.0.0", 3, PEER);
	ck_assert(is_for(a, OWNER_A, 1));
	owner_died(w.c, 0);
	say_hello(OWNER_B, 101);
	add_in_policy(OWNER_B, NET, 2, PEER);
	ck_assert(is_for(a, OWNER_B, 2) && !is_for(a, OWNER_B, 1));
	ck_assert(is_for(a, OWNER_A,
		1)); /* a policy that the peer made narrower, of the same reqid, is still there */
	ck_assert(is_for(b, OWNER_A, 2) && !is_for(b, OWNER_B, 2));
	ck_assert(!is_for(other, OWNER_B, 2)); /* it is another peer's */
	add_in_policy(OWNER_B, "10.3.0.0", 1, PEER);
	ck_assert(is_for(a, OWNER_B, 2));
	ck_assert(is_for(b, OWNER_B, 1));
	/* Each stays what it is for the control side. */
	ck_assert_uint_eq(sad_cold(w.c->sad, a)->conf.reqid, 1);
	ck_assert_uint_eq(sad_cold(w.c->sad, a)->conf.owner, OWNER_A);
	/* And once more: of the second charon that dies, too. */
	owner_died(w.c, 1);
	say_hello(3, 102);
	add_in_policy(3, NET, 7, "0.0.0.0"); /* a trap for any peer */
	add_in_policy(3, "10.3.0.0", 8, PEER2);
	ck_assert(is_for(a, 3, 7) && !is_for(a, OWNER_B, 2));
	ck_assert(is_for(b, OWNER_B, 1) && !is_for(b, 3, 8));
	/* An SA that has ended is nobody's. */
	ck_assert_int_eq(sad_retire(w.c->sad, late), 0);
	add_in_policy(3, "10.4.0.0", 9, PEER);
	ck_assert(!is_for(late, 3, 9));
	pass(60);
	ck_assert_int_eq(sad_cold(w.c->sad, a)->state, SA_DYING);
	ck_assert_int_eq(sad_cold(w.c->sad, other)->state, SA_DYING);
	ck_assert_uint_eq(policy(SPD_IN, NET)->action, SPD_PROTECT);
}
END_TEST

START_TEST(an_orphan_to_another_peer_is_not_used)
{
	struct ike_msg m;

	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	owner_died(w.c, 0);
	say_hello(OWNER_B, 101);
	m = policy_request(IKE_ADD_POLICY, OWNER_B, IKE_DIR_OUT, NET, 0, 1, "0.0.0.0");
	ck_assert_int_eq(ask(&m, NULL), 0); /* a trap for any peer */
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	m = policy_request(IKE_ADD_POLICY, OWNER_B, IKE_DIR_OUT, NET, 0, 1, PEER2);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
}
END_TEST

START_TEST(a_number_that_the_peer_gives_again_replaces_the_orphan)
{
	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	say_hello(OWNER_B, 101);
	ck_assert_int_eq(add_sa(OWNER_B, IKE_DIR_OUT, htonl(0x1000), 1, PEER), -EEXIST);
	owner_died(w.c, 0);
	ck_assert_int_eq(add_sa(OWNER_B, IKE_DIR_OUT, htonl(0x1000), 1, PEER), 0);
}
END_TEST

START_TEST(an_sa_moves_and_keeps_its_numbers)
{
	struct ike_msg m = request(IKE_UPDATE_SA, OWNER_A), q;
	const struct sa_template *t;
	struct ip_addr dst;
	struct sa *sa;
	uint32_t slot;

	say_hello(OWNER_A, 100);
	ck_assert_int_eq(add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER), 0);
	addr_parse(PEER, &dst);
	ck_assert_int_eq(sad_find(w.c->sad, SA_DIR_OUT, 50, htonl(0x1000), &dst, &slot), 0);
	sa = (struct sa *)(uintptr_t)sad_hot(w.c->sad, slot);
	sa->sqn = 1234;

	m.body.update_sa.id = (struct ike_msg_sa_id){.spi = htonl(0x1000), .proto = 50};
	addr(&m.body.update_sa.id.dst, PEER);
	addr(&m.body.update_sa.new_src, "192.0.2.78");
	addr(&m.body.update_sa.new_dst, "198.51.100.9");
	m.body.update_sa.flags = IKE_SA_ENCAP;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL); /* no ports */
	ck_assert_uint_eq(sa->template[sa->active].len, 20);
	m.body.update_sa.new_src_port = m.body.update_sa.new_dst_port = htons(4500);
	m.body.update_sa.new_reqid = 77;
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(sa->reqid, 77);
	ck_assert_uint_eq(sad_cold(w.c->sad, slot)->conf.reqid, 77);
	ck_assert_int_eq(ask(&m, NULL), -ENOENT); /* it is somewhere else now */
	q = request(IKE_QUERY_SA, OWNER_A);
	q.body.sa_id = (struct ike_msg_sa_id){.spi = htonl(0x1000), .proto = 50};
	q.body.sa_id.dst = m.body.update_sa.new_dst;
	ck_assert_int_eq(ask(&q, NULL), 0);
	q.body.sa_id.src = m.body.update_sa.new_src;
	ck_assert_int_eq(ask(&q, NULL), 0);
	addr(&q.body.sa_id.src, US); /* where it was: a change back has been lost */
	ck_assert_int_eq(ask(&q, NULL), -ENOENT);

	addr_parse("198.51.100.9", &dst);
	ck_assert_int_eq(sad_find(w.c->sad, SA_DIR_OUT, 50, htonl(0x1000), &dst, &slot), 0);
	t = &sa->template[sa->active];
	ck_assert_uint_eq(sa->sqn, 1234);
	ck_assert_uint_eq(t->len, 28);
	ck_assert(t->udp);
	ck_assert_mem_eq(&t->header[16], dst.b, 4);

	/* Back at once: packets may still read what was replaced. */
	m.body.update_sa.id.dst = m.body.update_sa.new_dst;
	addr(&m.body.update_sa.new_dst, PEER);
	m.body.update_sa.new_reqid = 0; /* as it is */
	ck_assert_int_eq(ask(&m, NULL), -EAGAIN);
	rcu_poll(w.rcu);
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_uint_eq(sa->sqn, 1234);
	ck_assert_uint_eq(sa->reqid, 77);
}
END_TEST

/* charon tells only once that its peer has moved: when the request is lost, the SA is not what charon believes in. */
START_TEST(an_inbound_sa_that_missed_a_change_is_not_there)
{
	struct ike_msg m = request(IKE_UPDATE_SA, OWNER_A), q = request(IKE_QUERY_SA, OWNER_A);
	uint32_t spi;

	say_hello(OWNER_A, 100);
	spi = add_reserved(5, PEER);
	q.body.sa_id = (struct ike_msg_sa_id){.spi = spi, .proto = 50, .reqid = 5};
	addr(&q.body.sa_id.dst, US);
	addr(&q.body.sa_id.src, PEER);
	ck_assert_int_eq(ask(&q, NULL), 0);
	addr(&q.body.sa_id.src, PEER2); /* the change that was lost */
	ck_assert_int_eq(ask(&q, NULL), -ENOENT);
	addr(&q.body.sa_id.src, PEER);
	q.body.sa_id.reqid = 6; /* the same, of a selector */
	ck_assert_int_eq(ask(&q, NULL), -ENOENT);
	/* The change comes. */
	m.body.update_sa.id = q.body.sa_id;
	addr(&m.body.update_sa.new_src, PEER2);
	addr(&m.body.update_sa.new_dst, US);
	m.body.update_sa.new_reqid = 6;
	ck_assert_int_eq(ask(&m, NULL), 0);
	ck_assert_int_eq(ask(&q, NULL), -ENOENT);
	addr(&q.body.sa_id.src, PEER2);
	ck_assert_int_eq(ask(&q, NULL), 0);
	q.body.sa_id.reqid = 0; /* charon itself does not say it */
	ck_assert_int_eq(ask(&q, NULL), 0);
}
END_TEST

START_TEST(after_the_grace_time_orphans_discard)
{
	struct ike_msg m;

	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_sa(OWNER_A, IKE_DIR_IN, htonl(0x1001), 1, US);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	add_policy(OWNER_A, IKE_DIR_IN, NET, 0, 1);
	m = policy_request(IKE_ADD_POLICY, OWNER_A, IKE_DIR_OUT, "10.3.0.0", 0, 0, PEER);
	m.body.policy.action = IKE_BYPASS;
	ck_assert_int_eq(ask(&m, NULL), 0);
	owner_died(w.c, 0);
	ck_assert_int_eq(w.watched[0], 0);
	pass(59);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	ck_assert(sa_is_there(SA_DIR_IN, 0x1001, US));
	pass(1);
	ck_assert(!sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	ck_assert(!sa_is_there(SA_DIR_IN, 0x1001, US));
	ck_assert_uint_eq(policy(SPD_OUT, NET)->action, SPD_DISCARD);
	ck_assert_uint_eq(policy(SPD_IN, NET)->action, SPD_DISCARD);
	ck_assert_uint_eq(policy(SPD_OUT, "10.3.0.0")->action, SPD_DISCARD);
	ck_assert_uint_eq(bound_spi(NET), 0);
	/* It comes back after all: its policies stand again, and it is told that SAs ended. */
	say_hello(OWNER_A, 102);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 1);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->action, SPD_PROTECT);
	pass(0);
	ck_assert_uint_eq(count_events(IKE_EVENT_RESYNC), 1);
}
END_TEST

START_TEST(an_agent_that_is_started_again_keeps_all)
{
	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	owner_died(w.c, 0);
	pass(30);
	say_hello(OWNER_A, 105);
	ck_assert_int_eq(w.watched[0], 105);
	pass(100);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	ck_assert_uint_eq(count_events(IKE_EVENT_RESYNC), 0);
}
END_TEST

START_TEST(what_is_not_replayed_goes)
{
	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 101);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 1);
	add_policy(OWNER_A, IKE_DIR_OUT, "10.3.0.0", 0, 2);
	add_policy(OWNER_B, IKE_DIR_OUT, "10.4.0.0", 0, 3);
	ck_assert(!spd_complete(w.c->spd));
	say(IKE_SYNC_DONE, OWNER_A);
	ck_assert(spd_complete(w.c->spd));
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 3);

	say_hello(OWNER_A, 100);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 3);
	add_policy(OWNER_A, IKE_DIR_OUT, "10.3.0.0", 0, 2);
	add_policy(OWNER_A, IKE_DIR_OUT, "10.5.0.0", 0, 5);
	say(IKE_SYNC_DONE, OWNER_A);
	ck_assert_ptr_null(policy(SPD_OUT, NET));
	ck_assert_ptr_nonnull(policy(SPD_OUT, "10.3.0.0"));
	ck_assert_ptr_nonnull(policy(SPD_OUT, "10.4.0.0"));
	ck_assert_ptr_nonnull(policy(SPD_OUT, "10.5.0.0"));
	/* A second SYNC_DONE finds nothing more. */
	say(IKE_SYNC_DONE, OWNER_A);
	ck_assert_uint_eq(spd_count(w.c->spd, SPD_OUT), 3);
}
END_TEST

START_TEST(entries_of_owners_are_reused)
{
	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++)
		ck_assert_int_eq(say_hello(1000 + i, 100 + i), 0);
	ck_assert_int_eq(say_hello(2000, 500), -ENOSPC);
	owner_died(w.c, 4);
	pass(60);
	ck_assert_int_eq(say_hello(2000, 500), 0);
	ck_assert_int_eq(w.watched[4], 500);
	ck_assert_int_eq(say(IKE_PING, 1004), -EPERM);
}
END_TEST

/* A charon that dies again and again must not be locked out by its own orphans: the oldest goes. */
START_TEST(orphans_make_room_for_the_living)
{
	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	owner_died(w.c, 0);
	for (unsigned int i = 1; i < CHANNEL_MAX_OWNERS; i++) {
		pass(1);
		ck_assert_int_eq(say_hello(1000 + i, 100 + i), 0);
		owner_died(w.c, i);
	}
	ck_assert(sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	ck_assert_int_eq(say_hello(2000, 500), 0);
	ck_assert_int_eq(w.watched[0], 500);
	ck_assert(!sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	ck_assert_uint_eq(policy(SPD_OUT, NET)->action, SPD_DISCARD);
	ck_assert_int_eq(say(IKE_PING, 2000), 0);
	ck_assert_int_eq(say_hello(2001, 501), 0);
	ck_assert_int_eq(w.watched[1], 501);
}
END_TEST

/* SAs that are left of requests whose answers were lost. */
START_TEST(sas_that_nobody_names_go)
{
	struct ike_msg m = request(IKE_QUERY_SA, OWNER_A), out;

	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 101);
	m.body.sa_id.proto = 50;
	for (unsigned int i = 0; i < 4; i++)
		add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000 + i), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	add_sa(OWNER_B, IKE_DIR_OUT, htonl(0x2000), 1, PEER);
	ck_assert_int_eq(say(IKE_SAS_DONE, OWNER_A), 0);
	ck_assert_uint_eq(sad_count(w.c->sad, SA_LIVE), 5);

	say_hello(OWNER_A, 100);
	addr(&m.body.sa_id.dst, PEER);
	m.body.sa_id.spi = htonl(0x1001);
	ck_assert_int_eq(ask(&m, NULL), 0); /* asked for */
	m = request(IKE_UPDATE_SA, OWNER_A);
	m.body.update_sa.id = (struct ike_msg_sa_id){.spi = htonl(0x1002), .proto = 50};
	addr(&m.body.update_sa.id.dst, PEER);
	addr(&m.body.update_sa.new_src, US);
	addr(&m.body.update_sa.new_dst, PEER2);
	ck_assert_int_eq(ask(&m, NULL), 0); /* moved */
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1004), 1, PEER); /* new */
	m = request(IKE_GET_SPI, OWNER_A);
	m.body.sa_id.proto = 50;
	addr(&m.body.sa_id.dst, US);
	ck_assert_int_eq(ask(&m, &out), 0); /* reserved */
	ck_assert_int_eq(say(IKE_SAS_DONE, OWNER_A), 0);
	ck_assert(!sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	ck_assert_uint_eq(bound_spi(NET), 0);
	ck_assert(!sa_is_there(SA_DIR_OUT, 0x1003, PEER));
	ck_assert(sa_is_there(SA_DIR_OUT, 0x1001, PEER));
	ck_assert(sa_is_there(SA_DIR_OUT, 0x1002, PEER2));
	ck_assert(sa_is_there(SA_DIR_OUT, 0x1004, PEER));
	ck_assert(sa_is_there(SA_DIR_OUT, 0x2000, PEER)); /* another's */
	ck_assert_uint_eq(sad_count(w.c->sad, SA_LARVAL), 1);
}
END_TEST

static int
tell_socket(uint16_t type, uint64_t owner, const char *a, uint16_t port)
{
	struct ike_msg m = request(type, owner);

	if (a != NULL)
		addr(&m.body.socket.addr, a);
	m.body.socket.port = htons(port);
	return ask(&m, NULL);
}

START_TEST(sockets_are_merged_and_swept)
{
	struct ike_msg m;

	say_hello(OWNER_A, 100);
	ck_assert_int_eq(tell_socket(IKE_BYPASS_SOCKET, OWNER_A, "0.0.0.0", 500), 0);
	ck_assert_int_eq(tell_socket(IKE_BYPASS_SOCKET, OWNER_A, "0.0.0.0", 4500), 0);
	ck_assert_int_eq(tell_socket(IKE_UDP_DECAP, OWNER_A, NULL, 4500), 0);
	ck_assert_int_eq(tell_socket(IKE_UDP_DECAP, OWNER_A, NULL, 4500), 0);
	ck_assert_int_eq(tell_socket(IKE_BYPASS_SOCKET, OWNER_A, US, 0), -EINVAL);
	m = request(IKE_BYPASS_SOCKET, OWNER_A);
	m.body.socket.addr.family = 6;
	m.body.socket.port = htons(500);
	ck_assert_int_eq(ask(&m, NULL), 0);
	/* One for each address and port; ESP in UDP is for all that have its port, also for those to come. */
	ck_assert_uint_eq(w.sockets.n, 4);
	ck_assert(w.sockets.s[0].ike && !w.sockets.s[0].decap && w.sockets.s[0].addr.family == 4);
	ck_assert(w.sockets.s[1].ike && !w.sockets.s[1].decap);
	ck_assert_uint_eq(w.sockets.s[1].port, htons(4500));
	ck_assert(!w.sockets.s[2].ike && w.sockets.s[2].decap && w.sockets.s[2].addr.family == 0);
	ck_assert_uint_eq(w.sockets.s[2].port, htons(4500));
	ck_assert(w.sockets.s[3].ike && !w.sockets.s[3].decap && w.sockets.s[3].addr.family == 6);
	m.body.socket.addr.family = 5;
	ck_assert_int_eq(ask(&m, NULL), -EINVAL);
	/* Nobody listens any more, but ESP in UDP goes on. */
	owner_died(w.c, 0);
	ck_assert_uint_eq(w.sockets.n, 1);
	ck_assert(!w.sockets.s[0].ike && w.sockets.s[0].decap);
	say_hello(OWNER_A, 101);
	ck_assert_uint_eq(w.sockets.n, 4);
	tell_socket(IKE_BYPASS_SOCKET, OWNER_A, "0.0.0.0", 500);
	say(IKE_SYNC_DONE, OWNER_A);
	ck_assert_uint_eq(w.sockets.n, 1);
	ck_assert_uint_eq(w.sockets.s[0].port, htons(500));
	owner_died(w.c, 0);
	pass(60);
	ck_assert_uint_eq(w.sockets.n, 0);
	/* More than fit. */
	say_hello(OWNER_A, 102);
	for (unsigned int i = 1; i <= WORKER_MAX_SOCKETS; i++)
		ck_assert_int_eq(tell_socket(IKE_BYPASS_SOCKET, OWNER_A, US, i), 0);
	ck_assert_int_eq(tell_socket(IKE_BYPASS_SOCKET, OWNER_A, US, 99), -ENOSPC);
}
END_TEST

/* Whatever passes the check is answered, and nothing outside of the message is read. */
static unsigned int
add_outbound_sas(unsigned int n)
{
	unsigned int added = 0;

	for (unsigned int i = 0; i < n; i++) {
		int rc = add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000 + i), i + 1, "192.0.2.1");

		ck_assert(rc == 0 || rc == -ENOSPC);
		added += rc == 0;
	}
	return added;
}

/*
 * A lcore stands still: what was deleted is not given back before it moves, nothing grows beyond the tables, each
 * request is answered at once, and what cannot be done is said.
 */
START_TEST(a_thousand_sas_beside_a_stalled_lcore)
{
	struct rte_rcu_qsbr *qsbr = rcu_qsbr(w.rcu);
	struct ike_msg m;

	say_hello(OWNER_A, 100);
	ck_assert_int_eq(rte_rcu_qsbr_thread_register(qsbr, 1), 0);
	rte_rcu_qsbr_thread_online(qsbr, 1);
	ck_assert_uint_eq(add_outbound_sas(1000), 256);
	ck_assert_uint_eq(w.sessions, 256);
	for (unsigned int i = 0; i < 256; i++) {
		m = request(IKE_DEL_SA, OWNER_A);
		m.body.sa_id.spi = htonl(0x1000 + i);
		m.body.sa_id.proto = 50;
		addr(&m.body.sa_id.dst, "192.0.2.1");
		ck_assert_int_eq(ask(&m, NULL), 0);
		ck_assert_int_eq(ask(&m, NULL), -ENOENT);
	}
	for (unsigned int i = 0; i < 10; i++)
		rcu_poll(w.rcu);
	ck_assert_uint_eq(sad_count(w.c->sad, SA_DYING), 256);
	ck_assert_uint_eq(add_outbound_sas(1000), 0);
	ck_assert_uint_eq(w.sessions, 256);
	ck_assert_int_eq(say(IKE_GET_SPI, OWNER_A), -EINVAL); /* it is answered all the same */
	/* It goes on: all is as it was. */
	for (unsigned int i = 0; i < 4; i++) {
		rte_rcu_qsbr_quiescent(qsbr, 1);
		rcu_poll(w.rcu);
	}
	ck_assert_uint_eq(w.sessions, 0);
	ck_assert_uint_eq(sad_count(w.c->sad, SA_FREE), 256);
	ck_assert_uint_eq(add_outbound_sas(1000), 256);
	rte_rcu_qsbr_thread_offline(qsbr, 1);
	rte_rcu_qsbr_thread_unregister(qsbr, 1);
}
END_TEST

START_TEST(garbage_is_survived)
{
	uint64_t x = 88172645463325252ull;
	struct ike_msg out;

	say_hello(OWNER_A, 100);
	for (unsigned int i = 0; i < 50000; i++) {
		uint16_t type = 1 + i % IKE_PING;
		struct ike_msg m = request(type, i % 3 == 0 ? OWNER_B : OWNER_A);
		uint8_t *exact;

		for (size_t b = 0; b < m.hdr.len - sizeof(m.hdr); b++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* Mostly small numbers, which get further. */
			((uint8_t *)&m.body)[b] = x % 5 == 0 ? x >> 8 : (x >> 16) % 5;
		}
		if (x % 7 == 0)
			strcpy(m.body.hello.build, BUILD);
		exact = malloc(m.hdr.len);
		memcpy(exact, &m, m.hdr.len);
		ck_assert_int_eq(channel_check(exact, m.hdr.len), 0);
		free(exact);
		channel_request(w.c, &m, w.now, &out);
		ck_assert_uint_eq(out.hdr.type, type);
		if (i % 1000 == 0)
			pass(1);
	}
	ck_assert_uint_ge(w.c->stats.requests, 50000);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		check_refuses_what_is_not_a_request,
		hello_tells_epoch_and_limits,
		spis_are_of_charons_range,
		hello_tells_of_bypasses,
		versions_must_be_equal,
		strangers_and_the_past_are_refused,
		key_slots_are_checked_and_wiped,
		an_old_add_sa_is_refused,
		slots_of_a_dead_agent_are_wiped,
		life_of_an_inbound_sa,
		a_reqid_that_is_given_again_is_not_the_old_peers,
		policies_find_their_sas,
		a_policy_of_the_file_uses_what_is_left,
		policies_are_checked,
		policies_belong_to_their_owner,
		two_owners_have_one_selector,
		the_dead_do_not_discard_for_the_living,
		policies_of_ranges,
		orphans_forward_until_the_new_owner_has_its_sa,
		what_orphans_bring_is_for_the_new_policies,
		an_orphan_to_another_peer_is_not_used,
		a_number_that_the_peer_gives_again_replaces_the_orphan,
		an_sa_moves_and_keeps_its_numbers,
		an_inbound_sa_that_missed_a_change_is_not_there,
		after_the_grace_time_orphans_discard,
		an_agent_that_is_started_again_keeps_all,
		what_is_not_replayed_goes,
		entries_of_owners_are_reused,
		orphans_make_room_for_the_living,
		sas_that_nobody_names_go,
		sockets_are_merged_and_swept,
		a_thousand_sas_beside_a_stalled_lcore,
		garbage_is_survived,
	};
	Suite *s = suite_create("channel");
	TCase *t = tcase_create("requests");

	tcase_set_timeout(t, 60); /* garbage takes its time on a machine that is busy */
	tcase_add_checked_fixture(t, world_setup, world_teardown);
	for (unsigned int i = 0; i < RTE_DIM(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	return run_suite(s);
}

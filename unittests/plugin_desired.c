/* SPDX-License-Identifier: BSD-3-Clause */
#include "desired.h"
#include "one_way_sas.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define AUTO 1000 /* the automatic priority, where it does not matter */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct desired *d;
static struct ike_msg_policy best;

static void
setup(void)
{
	d = desired_create();
	ck_assert_ptr_nonnull(d);
	memset(&best, 0, sizeof(best));
}

static void
teardown(void)
{
	desired_destroy(d);
}

/* The next message of a replay, as sent. */
static bool
replay_next(struct ike_msg *m)
{
	if (!desired_replay_next(d, m))
		return false;
	desired_replay_sent(d);
	return true;
}

/* A policy for 10.1.0.0/16 -> 10.2.NET.0/24. */
static struct ike_msg_policy
policy(enum ike_dir dir, uint8_t net, uint32_t priority, uint32_t reqid, uint32_t spi)
{
	struct ike_msg_policy p = {
		.sel = {.src = {.family = 4, .b = {10, 1}},
			.dst = {.family = 4, .b = {10, 2, net}},
			.src_plen = 16,
			.dst_plen = 24,
			.src_port_hi = UINT16_MAX,
			.dst_port_hi = UINT16_MAX},
		.src = {.family = 4, .b = {192, 0, 2, 1}},
		.dst = {.family = 4, .b = {192, 0, 2, 2}},
		.spi = spi,
		.reqid = reqid,
		.priority = priority,
		.dir = dir,
		.action = IKE_PROTECT,
		.mode = IKE_MODE_TUNNEL,
		.proto = 50,
	};

	return p;
}

/* As the CHILD_SA whose own SA in that direction has that SPI. */
static enum desired_change
add_for(struct ike_msg_policy p, uint32_t own_spi)
{
	return desired_add_policy(d, &p, AUTO, own_spi, &best);
}

static enum desired_change
del_for(struct ike_msg_policy p, uint32_t own_spi)
{
	return desired_del_policy(d, &p, AUTO, own_spi, &best);
}

static enum desired_change
add(struct ike_msg_policy p)
{
	return add_for(p, 0);
}

static enum desired_change
del(struct ike_msg_policy p)
{
	return del_for(p, 0);
}

START_TEST(references_are_counted)
{
	struct ike_msg_policy p = policy(IKE_DIR_IN, 0, 5, 1, 0);

	ck_assert_int_eq(add(p), DESIRED_SET);
	ck_assert_int_eq(add(p), DESIRED_SAME);
	ck_assert_uint_eq(desired_policies(d), 1);
	ck_assert_int_eq(del(p), DESIRED_SAME);
	ck_assert_int_eq(del(p), DESIRED_GONE);
	ck_assert_mem_eq(&best, &p, sizeof(p));
	ck_assert_int_eq(del(p), DESIRED_UNKNOWN);
	ck_assert_uint_eq(desired_policies(d), 0);
}
END_TEST

START_TEST(smallest_priority_wins)
{
	ck_assert_int_eq(add(policy(IKE_DIR_OUT, 0, 20, 1, 0x20)), DESIRED_SET);
	ck_assert_int_eq(add(policy(IKE_DIR_OUT, 0, 30, 1, 0x30)), DESIRED_SAME);
	ck_assert_uint_eq(best.spi, 0x20);
	ck_assert_int_eq(add(policy(IKE_DIR_OUT, 0, 10, 1, 0x10)), DESIRED_SET);
	ck_assert_uint_eq(best.spi, 0x10);
	/* One in the middle goes and nobody notices; the first goes and the next takes over. */
	ck_assert_int_eq(del(policy(IKE_DIR_OUT, 0, 20, 1, 0x20)), DESIRED_SAME);
	ck_assert_int_eq(del(policy(IKE_DIR_OUT, 0, 10, 1, 0x10)), DESIRED_SET);
	ck_assert_uint_eq(best.spi, 0x30);
	ck_assert_int_eq(del(policy(IKE_DIR_OUT, 0, 30, 1, 0x30)), DESIRED_GONE);
}
END_TEST

START_TEST(reqid_then_newest_decides_ties)
{
	add(policy(IKE_DIR_OUT, 0, 5, 0, 0));
	ck_assert_int_eq(add(policy(IKE_DIR_OUT, 0, 5, 7, 0x70)), DESIRED_SET);
	/* Without a reqid it goes behind, though it is newer; its like goes before its like. */
	ck_assert_int_eq(add(policy(IKE_DIR_OUT, 0, 5, 0, 1)), DESIRED_SAME);
	ck_assert_int_eq(add(policy(IKE_DIR_OUT, 0, 5, 8, 0x80)), DESIRED_SET);
	ck_assert_uint_eq(best.reqid, 8);
	ck_assert_int_eq(del(policy(IKE_DIR_OUT, 0, 5, 8, 0x80)), DESIRED_SET);
	ck_assert_uint_eq(best.reqid, 7);
	ck_assert_int_eq(del(policy(IKE_DIR_OUT, 0, 5, 7, 0x70)), DESIRED_SET);
	ck_assert_uint_eq(best.spi, 1);
}
END_TEST

/* Equal manual priorities: a trap that is set again later does not take its SA's place. */
START_TEST(automatic_priority_decides_between_manual_ones)
{
	struct ike_msg_policy sa = policy(IKE_DIR_OUT, 0, 42, 3, 0x1234);
	struct ike_msg_policy trap = policy(IKE_DIR_OUT, 0, 42, 3, 0);

	ck_assert_int_eq(desired_add_policy(d, &sa, 999, 0, &best), DESIRED_SET);
	ck_assert_int_eq(desired_add_policy(d, &trap, 1000, 0, &best), DESIRED_SAME);
	ck_assert_uint_eq(best.spi, 0x1234);
	/* It is another reference under another automatic priority. */
	ck_assert_int_eq(desired_del_policy(d, &sa, 1000, 0, &best), DESIRED_UNKNOWN);
	ck_assert_int_eq(desired_del_policy(d, &sa, 999, 0, &best), DESIRED_SET);
	ck_assert_uint_eq(best.spi, 0);
	ck_assert_int_eq(desired_del_policy(d, &trap, 1000, 0, &best), DESIRED_GONE);
}
END_TEST

/* charon's order: IN and FWD again, OUT with the new SPI, then the old ones go. */
START_TEST(rekey_changes_the_spi_alone)
{
	struct ike_msg_policy in = policy(IKE_DIR_IN, 0, 5, 1, 0),
			      fwd = policy(IKE_DIR_FWD, 0, 5, 1, 0);
	struct ike_msg_policy old = policy(IKE_DIR_OUT, 0, 5, 1, 0xa);
	struct ike_msg_policy new = policy(IKE_DIR_OUT, 0, 5, 1, 0xb);

	ck_assert_int_eq(add(in), DESIRED_SET);
	ck_assert_int_eq(add(fwd), DESIRED_SET);
	ck_assert_int_eq(add(old), DESIRED_SET);
	ck_assert_int_eq(add(in), DESIRED_SAME);
	ck_assert_int_eq(add(fwd), DESIRED_SAME);
	ck_assert_int_eq(add(new), DESIRED_SET);
	ck_assert_uint_eq(best.spi, 0xb);
	ck_assert_int_eq(del(old), DESIRED_SAME);
	ck_assert_uint_eq(best.spi, 0xb);
	ck_assert_int_eq(del(in), DESIRED_SAME);
	ck_assert_int_eq(del(fwd), DESIRED_SAME);
	ck_assert_uint_eq(desired_policies(d), 3);
	/* A rekey that fails half way: the old SA's policy is back. */
	ck_assert_int_eq(add(old), DESIRED_SET);
	ck_assert_int_eq(del(old), DESIRED_SET);
	ck_assert_uint_eq(best.spi, 0xb);
}
END_TEST

/* charon destroys a CHILD_SA whose SAs could not be added, and with it policies that it never added: those of the one to be rekeyed. */
START_TEST(a_failed_rekey_takes_no_policy_away)
{
	struct ike_msg_policy in = policy(IKE_DIR_IN, 0, 5, 1, 0);

	ck_assert_int_eq(add_for(in, 0xa), DESIRED_SET);
	ck_assert_int_eq(del_for(in, 0xb), DESIRED_UNKNOWN);
	ck_assert_uint_eq(desired_policies(d), 1);
	/* The next one: for the router it is one policy all the time. */
	ck_assert_int_eq(add_for(in, 0xc), DESIRED_SAME);
	ck_assert_int_eq(del_for(in, 0xa), DESIRED_SAME);
	ck_assert_mem_eq(&best, &in, sizeof(in));
	ck_assert_int_eq(add_for(in, 0xd), DESIRED_SAME);
	ck_assert_int_eq(del_for(in, 0xd), DESIRED_SAME); /* the best goes */
	ck_assert_int_eq(del_for(in, 0xa), DESIRED_UNKNOWN);
	ck_assert_int_eq(del_for(in, 0xc), DESIRED_GONE);
}
END_TEST

/* DROP in, old out, new in, DROP out: of equal priority and reqid, the newest counts. Never is none there. */
START_TEST(drop_policies_stand_during_an_address_change)
{
	struct ike_msg_policy old = policy(IKE_DIR_OUT, 0, 100, 1, 0xa), moved = old, drop = old;

	drop.action = IKE_DISCARD;
	drop.spi = 0;
	moved.dst.b[3] = 99;
	ck_assert_int_eq(add(old), DESIRED_SET);
	ck_assert_int_eq(add(drop), DESIRED_SET);
	ck_assert_int_eq(best.action, IKE_DISCARD);
	ck_assert_int_eq(del(old), DESIRED_SAME);
	ck_assert_int_eq(add(moved), DESIRED_SET);
	ck_assert_int_eq(best.action, IKE_PROTECT);
	ck_assert_uint_eq(best.dst.b[3], 99);
	ck_assert_int_eq(del(drop), DESIRED_SAME);
	ck_assert_uint_eq(desired_policies(d), 1);
	ck_assert_int_eq(del(old), DESIRED_UNKNOWN);
	/* An update that fails: DROP is what is left, until it goes as well. */
	ck_assert_int_eq(add(drop), DESIRED_SET);
	ck_assert_int_eq(del(moved), DESIRED_SAME);
	ck_assert_int_eq(best.action, IKE_DISCARD);
	ck_assert_int_eq(del(drop), DESIRED_GONE);
}
END_TEST

START_TEST(selectors_are_told_apart)
{
	struct ike_msg_policy base = policy(IKE_DIR_OUT, 0, 5, 1, 0xa), v[8];

	for (unsigned int i = 0; i < COUNT(v); i++)
		v[i] = base;
	v[1].dir = IKE_DIR_FWD;
	v[2].if_id = 1;
	v[3].mark = 1;
	v[4].mark_mask = 0xff;
	v[5].sel.dst_port_lo = v[5].sel.dst_port_hi = 80;
	v[6].sel.proto = 17;
	v[7].sel.src_plen = 17;
	for (unsigned int i = 0; i < COUNT(v); i++)
		ck_assert_int_eq(add(v[i]), DESIRED_SET);
	ck_assert_uint_eq(desired_policies(d), COUNT(v));
	for (unsigned int i = 0; i < COUNT(v); i++) {
		ck_assert_int_eq(del(v[i]), DESIRED_GONE);
		ck_assert_mem_eq(&best, &v[i], sizeof(best));
	}
}
END_TEST

/* A second, plain book of the same calls: a list in the order of the calls, searched for its best. */
struct booked {
	struct ike_msg_policy p;
	uint32_t auto_priority, own_spi;
	unsigned int when;
};

static bool
better(const struct booked *a, const struct booked *b)
{
	if (a->p.priority != b->p.priority)
		return a->p.priority < b->p.priority;
	if (a->auto_priority != b->auto_priority)
		return a->auto_priority < b->auto_priority;
	if ((a->p.reqid != 0) != (b->p.reqid != 0))
		return a->p.reqid != 0;
	return a->when > b->when;
}

static const struct booked *
best_booked(const struct booked *v, unsigned int n)
{
	const struct booked *b = NULL;

	for (unsigned int i = 0; i < n; i++)
		if (b == NULL || better(&v[i], b))
			b = &v[i];
	return b;
}

START_TEST(random_calls_agree_with_a_plain_list)
{
	static struct booked book[512];
	struct ike_msg_policy before = {0}, p;
	unsigned int n = 0, changes = 0;

	srandom(_i + 1);
	for (unsigned int step = 0; step < 20000; step++) {
		bool had = n > 0, adds = n == 0 || (random() % 2 == 0 && n < COUNT(book));
		uint32_t auto_priority = 100 + random() % 2, own_spi = random() % 2;
		enum desired_change change;
		unsigned int at = 0;

		if (had)
			before = best_booked(book, n)->p;
		if (adds) {
			p = policy(
				IKE_DIR_OUT, 0, 1 + random() % 3, random() % 3, 1 + random() % 4);
			/* Again what is there: it becomes the newest. */
			for (unsigned int i = 0; i < n; i++)
				if (memcmp(&book[i].p, &p, sizeof(p)) == 0 &&
					book[i].auto_priority == auto_priority &&
					book[i].own_spi == own_spi)
					book[i].when = step;
			book[n++] = (struct booked){p, auto_priority, own_spi, step};
			change = desired_add_policy(d, &p, auto_priority, own_spi, &best);
		} else {
			at = random() % n;
			p = book[at].p;
			auto_priority = book[at].auto_priority;
			own_spi = book[at].own_spi;
			book[at] = book[--n];
			change = desired_del_policy(d, &p, auto_priority, own_spi, &best);
		}
		if (n == 0) {
			ck_assert_int_eq(change, DESIRED_GONE);
			continue;
		}
		p = best_booked(book, n)->p;
		ck_assert(memcmp(&p, &best, sizeof(p)) == 0);
		/* Whatever changes the best one is said to, and nothing else. */
		if (!had || memcmp(&p, &before, sizeof(p)) != 0) {
			ck_assert_int_eq(change, DESIRED_SET);
			changes++;
		} else {
			ck_assert_int_eq(change, DESIRED_SAME);
		}
	}
	ck_assert_uint_gt(changes, 100);
}
END_TEST

START_TEST(replay_tells_each_best_policy_once)
{
	struct ike_msg_socket s = {.addr = {.family = 4}, .port = htons(500)};
	unsigned int told[8] = {0};
	struct ike_msg m;

	ck_assert(desired_add_socket(d, &s) && desired_add_socket(d, &s));
	s.port = htons(4500);
	ck_assert(desired_add_socket(d, &s));
	ck_assert(desired_add_decap(d, s.port) && desired_add_decap(d, s.port));
	for (unsigned int net = 0; net < 4; net++) {
		add(policy(IKE_DIR_OUT, net, 5, 1, 0x10 + net));
		add(policy(IKE_DIR_OUT, net, 4, 1, 0x20 + net));
	}
	for (unsigned int turn = 0; turn < 2; turn++) {
		desired_replay_start(d);
		ck_assert(replay_next(&m) && m.hdr.type == IKE_BYPASS_SOCKET);
		ck_assert_uint_eq(m.body.socket.port, htons(500));
		ck_assert(replay_next(&m) && m.hdr.type == IKE_BYPASS_SOCKET);
		ck_assert(replay_next(&m) && m.hdr.type == IKE_UDP_DECAP);
		ck_assert_uint_eq(m.body.socket.port, htons(4500));
		while (replay_next(&m)) {
			ck_assert_int_eq(m.hdr.type, IKE_ADD_POLICY);
			ck_assert_uint_eq(m.hdr.len, ike_msg_len(IKE_ADD_POLICY));
			ck_assert_uint_eq(m.body.policy.spi, 0x20u + m.body.policy.sel.dst.b[2]);
			told[m.body.policy.sel.dst.b[2]]++;
		}
	}
	for (unsigned int net = 0; net < 8; net++)
		ck_assert_uint_eq(told[net], net < 4 ? 2 : 0);
}
END_TEST

/* Who changes something meanwhile says so himself: the replay neither repeats nor forgets. */
START_TEST(replay_goes_on_while_policies_change)
{
	unsigned int told[8] = {0};
	struct ike_msg m;

	for (unsigned int net = 0; net < 4; net++)
		add(policy(IKE_DIR_OUT, net, 5, 1, 0x10));
	desired_replay_start(d);
	ck_assert(replay_next(&m));
	told[m.body.policy.sel.dst.b[2]]++;
	add(policy(IKE_DIR_OUT, 7, 5, 1, 0x10));
	/* One that was told goes, and one that was not. */
	ck_assert_int_eq(del(m.body.policy), DESIRED_GONE);
	ck_assert_int_eq(del(policy(IKE_DIR_OUT, 3, 5, 1, 0x10)), DESIRED_GONE);
	while (replay_next(&m))
		told[m.body.policy.sel.dst.b[2]]++;
	for (unsigned int net = 0; net < 8; net++)
		ck_assert_uint_eq(told[net], net < 3);
	desired_replay_start(d);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert(replay_next(&m));
	ck_assert(!replay_next(&m));
}
END_TEST

/* There was no room for it, and meanwhile another policy is the best: that one is sent, once. */
START_TEST(what_was_not_sent_is_made_anew)
{
	struct ike_msg m;

	add(policy(IKE_DIR_OUT, 0, 5, 1, 0x10));
	desired_replay_start(d);
	ck_assert(desired_replay_next(d, &m) && m.body.policy.spi == 0x10);
	add(policy(IKE_DIR_OUT, 0, 5, 1, 0x20));
	ck_assert(desired_replay_next(d, &m) && m.body.policy.spi == 0x20);
	desired_replay_sent(d);
	ck_assert(!desired_replay_next(d, &m));
	/* And one that went meanwhile is not sent at all. */
	desired_replay_start(d);
	ck_assert(desired_replay_next(d, &m));
	del(policy(IKE_DIR_OUT, 0, 5, 1, 0x20));
	del(policy(IKE_DIR_OUT, 0, 5, 1, 0x10));
	ck_assert(!desired_replay_next(d, &m));
	desired_replay_sent(d);
}
END_TEST

START_TEST(the_best_of_a_selector)
{
	struct ike_msg_policy p = policy(IKE_DIR_OUT, 0, 5, 1, 0x10);

	ck_assert(!desired_best(d, &p, &best));
	add(p);
	add(policy(IKE_DIR_OUT, 0, 4, 2, 0x20));
	ck_assert(desired_best(d, &p, &best));
	ck_assert_uint_eq(best.spi, 0x20);
	p = policy(IKE_DIR_IN, 0, 5, 1, 0);
	ck_assert(!desired_best(d, &p, &best));
}
END_TEST

START_TEST(policies_are_flushed)
{
	for (unsigned int net = 0; net < 3; net++) {
		add(policy(IKE_DIR_OUT, net, 5, 1, 0x10));
		add(policy(IKE_DIR_OUT, net, 4, 1, 0x20));
	}
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(desired_take_policy(d, &best));
		ck_assert_uint_eq(best.spi, 0x20);
	}
	ck_assert(!desired_take_policy(d, &best));
	ck_assert_uint_eq(desired_policies(d), 0);
}
END_TEST

static struct desired_sa
sa(uint32_t spi, uint64_t epoch)
{
	struct desired_sa s = {
		.id = {.dst = {.family = 4, .b = {192, 0, 2, 1}}, .spi = spi, .proto = 50},
		.epoch = epoch,
		.inbound = true};

	return s;
}

START_TEST(sas_of_another_epoch_are_stale)
{
	struct desired_sa s, was;
	bool tell;

	for (uint32_t spi = 1; spi <= 6; spi++) {
		s = sa(spi, spi % 2);
		s.inbound = spi != 2;
		s.doomed = spi == 4;
		ck_assert(desired_add_sa(d, &s));
	}
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(desired_kill_stale_sa(d, 1, 0, &s, &tell));
		ck_assert_uint_eq(s.epoch, 0);
		ck_assert(tell == (s.id.spi == 6));
	}
	ck_assert(!desired_kill_stale_sa(d, 1, 0, &s, &tell));
	s = sa(2, 1);
	ck_assert(!desired_del_sa(d, &s.id, &was));
	s = sa(3, 1);
	ck_assert(desired_del_sa(d, &s.id, &was));
	ck_assert_uint_eq(was.id.spi, 3);
	/* The same SPI at another destination, or of AH, is another SA. */
	s = sa(1, 1);
	s.id.dst.b[3]++;
	ck_assert(!desired_del_sa(d, &s.id, &was));
	s = sa(1, 1);
	s.id.proto = 51;
	ck_assert(!desired_del_sa(d, &s.id, &was));
	s = sa(1, 9);
	ck_assert(desired_add_sa(d, &s));
	s.epoch = 0;
	ck_assert(desired_del_sa(d, &s.id, &was));
	ck_assert_uint_eq(was.epoch, 9);
}
END_TEST

/* charon is told of a dead SA again and again, ever less often, until it deletes it or has it anew. */
START_TEST(dead_sas_are_told_of_until_they_go)
{
	unsigned int told = 0;
	struct desired_sa s, was;

	for (uint32_t spi = 1; spi <= 2; spi++) {
		s = sa(spi, 1);
		desired_add_sa(d, &s);
		ck_assert(desired_kill_sa(d, &s.id, 1000));
		ck_assert(!desired_kill_sa(d, &s.id, 1000));
	}
	ck_assert_uint_eq(desired_dead_sas(d), 2);
	desired_compare_sas(d);
	ck_assert(!desired_next_sa(d, &was)); /* the router need not be asked for them */
	ck_assert(!desired_next_dead_sa(d, 3999, &was));
	ck_assert(desired_next_dead_sa(d, 4000, &was) && was.id.spi == 1);
	ck_assert(desired_del_sa(d, &was.id, &s));
	ck_assert(desired_next_dead_sa(d, 4000, &was) && was.id.spi == 2);
	ck_assert(!desired_next_dead_sa(d, 4000, &was));
	for (uint64_t now = 4000; now < 604000; now += 1000)
		while (desired_next_dead_sa(d, now, &was))
			told++;
	ck_assert(told >= 10 && told <= 15);
	s = sa(2, 5);
	ck_assert(desired_add_sa(d, &s));
	ck_assert_uint_eq(desired_dead_sas(d), 0);
	desired_compare_sas(d);
	ck_assert(desired_next_sa(d, &was) && was.epoch == 5);
	ck_assert(!desired_next_dead_sa(d, 999999, &was));
}
END_TEST

/* The next one that is to be asked for, and it is; false: there is none. */
static bool
ask(struct desired_sa *s)
{
	return desired_next_sa(d, s) && desired_asked_sa(d, &s->id);
}

START_TEST(a_comparison_asks_for_each_sa_once_while_others_change)
{
	unsigned int seen[16] = {0};
	struct desired_sa s, was;

	for (uint32_t spi = 0; spi < 8; spi++) {
		s = sa(spi, 1);
		desired_add_sa(d, &s);
	}
	desired_compare_sas(d);
	ck_assert(ask(&s));
	seen[s.id.spi]++;
	ck_assert(!desired_asked_sa(d, &s.id));
	desired_del_sa(d, &s.id, &was);
	s = sa(7, 1);
	desired_del_sa(d, &s.id, &was);
	s = sa(12, 1);
	desired_add_sa(d, &s);
	while (ask(&s))
		seen[s.id.spi]++;
	for (uint32_t spi = 0; spi < 16; spi++)
		ck_assert_uint_eq(seen[spi], spi < 7);
	desired_compare_sas(d);
	for (unsigned int i = 0; i < 7; i++)
		ck_assert(ask(&s));
	ck_assert(!ask(&s));
}
END_TEST

/* One that moves is asked for when it has its new name, also when it was under the old one. */
START_TEST(a_comparison_waits_for_what_moves)
{
	struct desired_sa s, moving, was;

	for (uint32_t spi = 0; spi < 3; spi++) {
		s = sa(spi, 1);
		desired_add_sa(d, &s);
	}
	desired_compare_sas(d);
	moving = sa(1, 1);
	moving.moving = true;
	desired_add_sa(d, &moving);
	ck_assert(ask(&s) && s.id.spi == 0);
	ck_assert(ask(&s) && s.id.spi == 2);
	ck_assert(!desired_next_sa(d, &s));
	ck_assert(desired_sas_move(d));
	s = sa(11, 1);
	ck_assert(desired_move_sa(d, &moving.id, &s));
	ck_assert(!desired_move_sa(d, &moving.id, &s));
	ck_assert(!desired_sas_move(d));
	ck_assert(ask(&s) && s.id.spi == 11);
	ck_assert(!desired_next_sa(d, &s));
	was = sa(0, 1);
	s = sa(10, 1);
	ck_assert(desired_move_sa(d, &was.id, &s));
	ck_assert(ask(&s) && s.id.spi == 10);
	ck_assert(!desired_next_sa(d, &s));
	ck_assert(!desired_sas_move(d));
	/* One that moves, but was asked for, is not waited for; nor is one that has gone. */
	s.moving = true;
	desired_add_sa(d, &s);
	ck_assert(!desired_sas_move(d));
	desired_compare_sas(d);
	ck_assert(desired_sas_move(d));
	ck_assert(desired_del_sa(d, &s.id, &was));
	ck_assert(!desired_sas_move(d));
}
END_TEST

static struct ike_msg_policy
one_way_policy(uint8_t dir, unsigned int net, uint32_t spi, uint32_t mark)
{
	struct ike_msg_policy p = policy(dir, net, 5, 7, spi);

	p.dst = sa(0, 0).id.dst;
	p.mark = p.mark_mask = mark;
	if (dir == IKE_DIR_IN) {
		struct ike_addr src = p.sel.src;

		p.sel.src = p.sel.dst;
		p.sel.dst = src;
		p.sel.src_plen = 24;
		p.sel.dst_plen = 16;
	}
	return p;
}

/* A CHILD_SA that receives and does not send; and what is none, as it looks much the same. */
START_TEST(sas_without_a_way_out)
{
	struct ike_msg_policy out = one_way_policy(IKE_DIR_OUT, 1, 0x20, 1), in;
	struct ike_msg_sa_id found[2];
	struct desired_sa s, was;

	for (uint32_t spi = 0x10; spi <= 0x21; spi++) {
		s = sa(spi, 1);
		s.id.reqid = spi == 0x12 ? 8 : 7;
		s.doomed = spi == 0x13;
		s.inbound = spi < 0x20;
		if (spi < 0x14 || s.id.spi == 0x21)
			desired_add_sa(d, &s);
	}
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 0); /* it ends: nothing comes in either */
	in = one_way_policy(IKE_DIR_IN, 1, 0, 2); /* its marks differ */
	add(in);
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 2);
	ck_assert_uint_eq(one_way_sas(d, &out, found, 1), 1);
	ck_assert(found[0].spi < 0x12 && found[1].spi < 0x12);
	/* A rekeying with narrower selectors: the old ones have gone, the new SA is used. */
	add(one_way_policy(IKE_DIR_OUT, 2, 0x21, 1));
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 0);
	ck_assert_int_eq(del(one_way_policy(IKE_DIR_OUT, 2, 0x21, 1)), DESIRED_GONE);
	/* A policy of another SA, a trap, or of another CHILD_SA, is no way out. */
	add(one_way_policy(IKE_DIR_OUT, 3, 0x99, 1));
	add(one_way_policy(IKE_DIR_OUT, 4, 0, 1));
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 2);
	/* The selector is somebody's again. */
	add(out);
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 0);
	del(out);
	s = sa(0x21, 1);
	ck_assert(desired_del_sa(d, &s.id, &was));
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 0); /* it never had one */
	/* Inbound policies of others. */
	s.id.reqid = 7;
	s.inbound = false;
	desired_add_sa(d, &s);
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 2);
	del(in);
	in.reqid = 8;
	add(in);
	ck_assert_uint_eq(one_way_sas(d, &out, found, 2), 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		references_are_counted,
		smallest_priority_wins,
		reqid_then_newest_decides_ties,
		automatic_priority_decides_between_manual_ones,
		rekey_changes_the_spi_alone,
		a_failed_rekey_takes_no_policy_away,
		drop_policies_stand_during_an_address_change,
		selectors_are_told_apart,
		replay_tells_each_best_policy_once,
		replay_goes_on_while_policies_change,
		what_was_not_sent_is_made_anew,
		the_best_of_a_selector,
		policies_are_flushed,
		sas_of_another_epoch_are_stale,
		dead_sas_are_told_of_until_they_go,
		a_comparison_asks_for_each_sa_once_while_others_change,
		a_comparison_waits_for_what_moves,
		sas_without_a_way_out,
	};
	Suite *s = suite_create("plugin_desired");
	TCase *t = tcase_create("desired");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	for (unsigned int i = 0; i < COUNT(tests); i++)
		tcase_add_test(t, tests[i]);
	tcase_add_loop_test(t, random_calls_agree_with_a_plain_list, 0, 5);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

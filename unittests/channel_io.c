/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_io.h"
#include "channel_world.h"
#include "router.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define PEER "192.0.2.1"
#define US "192.0.2.77"
#define NET "10.2.0.0"

static uint32_t
slot_of(uint8_t dir, uint32_t spi, const char *dst)
{
	struct ip_addr a;
	uint32_t slot;

	addr_parse(dst, &a);
	ck_assert_int_eq(sad_find(w.c->sad, dir, 50, htonl(spi), &a, &slot), 0);
	return slot;
}

/* As a lcore does: a UDP packet of 10.1.0.5 to there found no SA. */
static void
packet(struct spd_policy *p, const char *dst)
{
	p->trigger = (struct spd_key){.src4 = inet_addr("10.1.0.5"),
		.dst4 = inet_addr(dst),
		.src_port = 1024,
		.dst_port = 53,
		.proto = 17};
	p->acquire = SPD_ACQUIRE_READY;
}

START_TEST(an_acquire_is_raised_once_in_a_while)
{
	const struct ike_selector *sel = &w.events[0].body.acquire.packet;
	uint32_t src = inet_addr("10.1.0.5"), dst = inet_addr("10.2.0.9");

	say_hello(OWNER_A, 100);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 7);
	pass(1);
	ck_assert_uint_eq(w.n_events, 0);
	policy(SPD_OUT, NET)->acquire = SPD_ACQUIRE_WRITING; /* the lcore is at it */
	pass(1);
	ck_assert_uint_eq(w.n_events, 0);
	packet(policy(SPD_OUT, NET), "10.2.0.9");
	pass(1);
	ck_assert_uint_eq(w.n_events, 1);
	ck_assert_uint_eq(w.events[0].hdr.type, IKE_EVENT_ACQUIRE);
	ck_assert_uint_eq(w.events[0].hdr.len, ike_msg_len(IKE_EVENT_ACQUIRE));
	ck_assert_uint_eq(w.events[0].hdr.owner, OWNER_A);
	ck_assert_uint_eq(w.events[0].hdr.epoch, EPOCH);
	ck_assert_uint_eq(w.events[0].body.acquire.reqid, 7);
	ck_assert(sel->src.family == 4 && sel->dst.family == 4);
	ck_assert_uint_eq(sel->src_plen, 32);
	ck_assert_uint_eq(sel->dst_plen, 32);
	ck_assert_mem_eq(sel->src.b, &src, 4);
	ck_assert_mem_eq(sel->dst.b, &dst, 4);
	ck_assert_uint_eq(sel->proto, 17);
	ck_assert(sel->src_port_lo == 1024 && sel->src_port_hi == 1024);
	ck_assert(sel->dst_port_lo == 53 && sel->dst_port_hi == 53);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->acquire, SPD_ACQUIRE_IDLE);
	/* Too early. */
	packet(policy(SPD_OUT, NET), "10.2.0.9");
	pass(1);
	ck_assert_uint_eq(w.n_events, 1);
	packet(policy(SPD_OUT, NET), "10.2.0.9");
	policy(SPD_OUT, NET)->trigger.no_ports = true;
	pass(1);
	ck_assert_uint_eq(w.n_events, 2);
	sel = &w.events[1].body.acquire.packet;
	ck_assert(sel->src_port_lo == 0 && sel->src_port_hi == UINT16_MAX);
	/* With an SA there is nothing to ask for. */
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 7, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 7);
	packet(policy(SPD_OUT, NET), "10.2.0.9");
	pass(10);
	ck_assert_uint_eq(w.n_events, 2);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->acquire, SPD_ACQUIRE_IDLE);
}
END_TEST

/* A trap for any peer: each one is asked for, and each by itself not too often. */
START_TEST(acquires_for_any_peer)
{
	static const char *const peers[] = {"10.2.0.1", "10.2.0.2", "10.2.0.1", "10.2.0.3"};

	say_hello(OWNER_A, 100);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 7);
	policy(SPD_OUT, NET)->conf.sa_dst = (struct ip_addr){.family = 4};
	for (unsigned int i = 0; i < 4; i++) {
		packet(policy(SPD_OUT, NET), peers[i]);
		channel_core_tick(w.c);
	}
	ck_assert_uint_eq(w.n_events, 3);
	ck_assert_uint_eq(w.events[2].body.acquire.packet.dst.b[3], 3);
	pass(2);
	packet(policy(SPD_OUT, NET), peers[0]);
	channel_core_tick(w.c);
	ck_assert_uint_eq(w.n_events, 4);
}
END_TEST

/* Two charons count their reqids alike: what one asks for is not the other's answer. */
START_TEST(owners_do_not_take_each_others_acquires)
{
	unsigned int n[2] = {0};

	say_hello(OWNER_A, 100);
	say_hello(OWNER_B, 101);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 7);
	add_policy(OWNER_B, IKE_DIR_OUT, "10.3.0.0", 0, 7);
	for (unsigned int tick = 0; tick < 100; tick++) {
		packet(policy(SPD_OUT, NET), "10.2.0.9");
		packet(policy(SPD_OUT, "10.3.0.0"), "10.3.0.9");
		w.now += CHANNEL_NSEC / 10;
		channel_core_tick(w.c);
		for (unsigned int i = 0; i < w.n_events; i++)
			n[w.events[i].hdr.owner == OWNER_B]++;
		w.n_events = 0;
		if (tick == 20)
			ck_assert(n[0] > 0 && n[1] > 0);
	}
	/* Each is asked as often as one alone is: each two seconds. */
	ck_assert_uint_ge(n[0], 4);
	ck_assert_uint_le(n[0], 6);
	ck_assert_uint_ge(n[1], 4);
	ck_assert_uint_le(n[1], 6);
}
END_TEST

START_TEST(acquires_wait_for_room_and_for_an_owner)
{
	say_hello(OWNER_A, 100);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, 0, 7);
	packet(policy(SPD_OUT, NET), "10.2.0.9");
	w.max_events = 10;
	pass(1);
	ck_assert_uint_eq(w.n_events, 0);
	ck_assert_uint_eq(policy(SPD_OUT, NET)->acquire, SPD_ACQUIRE_READY);
	w.max_events = MAX_EVENTS;
	pass(1);
	ck_assert_uint_eq(w.n_events, 1);
	owner_died(w.c, 0);
	packet(policy(SPD_OUT, NET), "10.2.0.9");
	pass(10);
	ck_assert_uint_eq(w.n_events, 1);
}
END_TEST

START_TEST(expiries_go_to_the_owner)
{
	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	channel_core_expire(w.c, slot_of(SA_DIR_OUT, 0x1000, PEER), false);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	channel_core_expire(w.c, slot_of(SA_DIR_OUT, 0x1000, PEER), true);
	ck_assert_uint_eq(w.n_events, 2);
	ck_assert_uint_eq(w.events[0].hdr.type, IKE_EVENT_EXPIRE);
	ck_assert_uint_eq(w.events[0].hdr.owner, OWNER_A);
	ck_assert_uint_eq(w.events[0].body.expire.spi, htonl(0x1000));
	ck_assert_uint_eq(w.events[0].body.expire.proto, 50);
	ck_assert_uint_eq(w.events[0].body.expire.dst.b[3], 1);
	ck_assert_uint_eq(w.events[0].body.expire.hard, 0);
	ck_assert_uint_eq(w.events[1].body.expire.hard, 1);
	/* The policy is a trap again; charon deletes the SA. */
	ck_assert_uint_eq(bound_spi(NET), 0);
	ck_assert(sa_is_there(SA_DIR_OUT, 0x1000, PEER));
}
END_TEST

START_TEST(expiries_of_orphans_are_carried_out)
{
	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);
	add_policy(OWNER_A, IKE_DIR_OUT, NET, htonl(0x1000), 1);
	owner_died(w.c, 0);
	channel_core_expire(w.c, slot_of(SA_DIR_OUT, 0x1000, PEER), false);
	ck_assert_uint_eq(bound_spi(NET), 0x1000);
	channel_core_expire(w.c, slot_of(SA_DIR_OUT, 0x1000, PEER), true);
	ck_assert_uint_eq(w.n_events, 0);
	ck_assert_uint_eq(bound_spi(NET), 0);
	ck_assert(!sa_is_there(SA_DIR_OUT, 0x1000, PEER));
	/* Its agent comes back and is told that it missed something, once. */
	say_hello(OWNER_A, 101);
	pass(1);
	pass(1);
	ck_assert_uint_eq(count_events(IKE_EVENT_RESYNC), 1);
}
END_TEST

/* What sad_tick() raises in the router. */
static void
expire(void *ctx, uint32_t slot, bool hard)
{
	(void)ctx;
	channel_core_expire(w.c, slot, hard);
}

START_TEST(an_overflow_ends_in_a_resync)
{
	enum { SAS = 200 };
	bool told[SAS] = {false};
	unsigned int n = 0;

	say_hello(OWNER_A, 100);
	for (unsigned int i = 0; i < SAS; i++) {
		struct ike_msg m = sa_request(OWNER_A, IKE_DIR_OUT, htonl(0x1000 + i), 1, PEER);

		m.body.add_sa.life.packets_hard = 1;
		fill_slot(3, 1);
		ck_assert_int_eq(ask(&m, NULL), 0);
		sad_worker_counters(w.c->sad, 0)[slot_of(SA_DIR_OUT, 0x1000 + i, PEER)]
			.use.packets = 1;
	}
	w.max_events = 100;
	for (unsigned int i = 0; i < 10; i++)
		sad_tick(w.c->sad, expire, NULL);
	ck_assert_uint_eq(w.n_events, 100);
	ck_assert_uint_eq(w.c->owners[0].lost_events, SAS - 100);
	pass(1);
	ck_assert_uint_eq(w.n_events, 100);
	/* The agent goes on: one RESYNC, and every expiry is told again, as there is room. */
	w.n_events = 0;
	for (unsigned int i = 0; i < 20; i++) {
		pass(1);
		for (unsigned int e = 0; e < w.n_events; e++)
			if (w.events[e].hdr.type == IKE_EVENT_RESYNC) {
				ck_assert_uint_eq(n++, 0);
			} else {
				ck_assert_uint_eq(w.events[e].body.expire.hard, 1);
				told[ntohl(w.events[e].body.expire.spi) - 0x1000] = true;
			}
		w.n_events = 0;
	}
	ck_assert_uint_eq(n, 1);
	for (unsigned int i = 0; i < SAS; i++)
		ck_assert(told[i]);
}
END_TEST

/* Events that were under way when an agent died, or that its plugin had no room for, come again with the next HELLO. */
START_TEST(a_hello_brings_what_was_under_way)
{
	struct ike_msg m = sa_request(OWNER_A, IKE_DIR_OUT, htonl(0x1000), 1, PEER);

	say_hello(OWNER_A, 100);
	m.body.add_sa.life.packets_soft = 1;
	fill_slot(3, 1);
	ck_assert_int_eq(ask(&m, NULL), 0);
	sad_worker_counters(w.c->sad, 0)[slot_of(SA_DIR_OUT, 0x1000, PEER)].use.packets = 1;
	for (unsigned int i = 0; i < 20; i++) {
		sad_tick(w.c->sad, expire, NULL);
		pass(1);
	}
	ck_assert_uint_eq(w.n_events, 1);
	for (int pid = 101; pid <= 102; pid++) {
		owner_died(w.c, 0);
		w.n_events = 0;
		say_hello(OWNER_A, pid);
		pass(1);
		pass(1);
		ck_assert_uint_eq(w.n_events, 1);
		ck_assert_uint_eq(w.events[0].hdr.type, IKE_EVENT_EXPIRE);
		ck_assert_uint_eq(w.events[0].body.expire.hard, 0);
	}
	/* The plugin asks its agent, which lost some, to compare. */
	w.n_events = 0;
	say_hello(OWNER_A, 102);
	pass(1);
	ck_assert_uint_eq(w.n_events, 1);
}
END_TEST

/* New addresses come again: they leave room to what does not. */
START_TEST(mappings_leave_room)
{
	struct sa_mapping m = {.spi = htonl(0x1000), .port = htons(4500)};

	say_hello(OWNER_A, 100);
	add_sa(OWNER_A, IKE_DIR_IN, htonl(0x1000), 1, PEER);
	m.slot = slot_of(SA_DIR_IN, 0x1000, PEER);
	addr_parse("198.51.100.1", &m.addr);
	w.max_events = 65;
	channel_core_mapping(w.c, &m);
	ck_assert_uint_eq(w.n_events, 1);
	ck_assert_uint_eq(w.events[0].hdr.type, IKE_EVENT_MAPPING);
	channel_core_mapping(w.c, &m);
	ck_assert_uint_eq(w.n_events, 1);
}
END_TEST

START_TEST(the_inbox_is_bounded)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct ike_msg m = request(IKE_PING, OWNER_A);
	struct channel_in in;
	char longest[CHANNEL_PEER_MAX + 1];

	inbox_put(&m, m.hdr.len, "/peer"); /* not open */
	inbox_open(fd);
	ck_assert(!inbox_get(&in));
	for (unsigned int i = 0; i < CHANNEL_INBOX + 10; i++) {
		m.hdr.seq = i;
		inbox_put(&m, m.hdr.len, "/peer");
	}
	ck_assert_uint_eq(inbox_full(), 10);
	for (unsigned int i = 0; i < CHANNEL_INBOX; i++) {
		ck_assert(inbox_get(&in));
		ck_assert_uint_eq(in.msg.hdr.seq, i);
		ck_assert_str_eq(in.peer, "/peer");
	}
	ck_assert(!inbox_get(&in));
	inbox_put(&m, m.hdr.len - 1, "/peer");
	inbox_put(&m, 0, "/peer");
	memset(longest, 'x', sizeof(longest));
	inbox_put(&m, m.hdr.len, longest);
	inbox_put(&m, m.hdr.len, "");
	ck_assert_uint_eq(inbox_malformed(), 4);
	ck_assert(!inbox_get(&in));
	inbox_close();
	inbox_put(&m, m.hdr.len, "/peer");
	ck_assert(!inbox_get(&in));
	close(fd);
}
END_TEST

/* A send that blocks like one to a stopped agent: in a system call, until the pipe has something. */
struct blocking {
	int pipe[2];
	_Atomic unsigned int sent;
};

static void
blocking_send(void *ctx, const struct channel_out *out)
{
	struct blocking *b = ctx;
	char byte;

	(void)out;
	while (read(b->pipe[0], &byte, 1) != 1)
		;
	b->sent++;
}

START_TEST(the_sender_is_bounded_and_never_blocks_us)
{
	struct channel_out event = {0}, reply = {.peer = "/peer"};
	struct blocking b = {0};
	unsigned int events = 0, replies = 0;
	struct sender *s;

	ck_assert_int_eq(pipe(b.pipe), 0);
	s = sender_start(blocking_send, &b);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(sender_room(s), CHANNEL_OUTBOX - CHANNEL_OUTBOX_REPLIES);
	alarm(20);
	while (sender_put(s, &event))
		ck_assert_uint_le(events++, CHANNEL_OUTBOX);
	ck_assert_uint_eq(sender_room(s), 0);
	/* One more may be in the thread's hand. */
	ck_assert_uint_ge(events, CHANNEL_OUTBOX - CHANNEL_OUTBOX_REPLIES);
	ck_assert_uint_le(events, CHANNEL_OUTBOX - CHANNEL_OUTBOX_REPLIES + 1);
	while (sender_put(s, &reply))
		ck_assert_uint_le(replies++, CHANNEL_OUTBOX);
	ck_assert_uint_ge(replies, CHANNEL_OUTBOX_REPLIES);
	ck_assert_int_eq(write(b.pipe[1], "xxxxx", 5), 5);
	while (b.sent < 5)
		usleep(1000);
	ck_assert(sender_put(s, &reply));
	/* Blocked again, and yet it ends. */
	sender_stop(s);
	ck_assert_uint_eq(b.sent, 5);
	alarm(0);
	close(b.pipe[0]);
	close(b.pipe[1]);
}
END_TEST

/* For channel.c, which is linked without the router around it. */
int
router_set_sockets(struct router *r, const struct worker_sockets *s)
{
	(void)r;
	w.sockets = *s;
	return 0;
}

static void
put_hello(struct router *r, uint64_t owner, int pid)
{
	struct ike_msg m = request(IKE_HELLO, owner);

	strcpy(m.body.hello.build, CYGNET_VERSION);
	m.body.hello.pid = pid;
	inbox_put(&m, m.hdr.len, "/peer");
	event_base_loop(r->base, EVLOOP_NONBLOCK);
}

START_TEST(the_channel_watches_its_agents)
{
	struct config config = {.orphan_grace = 60, .limits = {.policies = 256}};
	struct router r = {.config = &config, .epoch = EPOCH, .sad = w.c->sad, .spd = w.c->spd};
	struct channel_owner owners[4];
	struct ike_msg m;
	pid_t agent = fork();

	if (agent == 0) {
		pause();
		_exit(0);
	}
	r.base = event_base_new();
	r.channel = channel_start(&r);
	ck_assert_ptr_nonnull(r.channel);
	ck_assert_uint_eq(channel_owners(r.channel, owners, 4), 0);
	put_hello(&r, OWNER_A, agent);
	ck_assert_uint_eq(channel_owners(r.channel, owners, 4), 1);
	ck_assert(owners[0].alive);
	ck_assert_int_eq(owners[0].pid, agent);
	/* More requests than are taken in one turn are all answered. */
	m = policy_request(IKE_ADD_POLICY, OWNER_A, IKE_DIR_OUT, NET, 0, 1, PEER);
	for (unsigned int i = 0; i < 200; i++)
		inbox_put(&m, m.hdr.len, "/peer");
	for (unsigned int i = 0; i < 10; i++)
		event_base_loop(r.base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(channel_stats(r.channel)->requests, 201);
	ck_assert_uint_eq(channel_stats(r.channel)->refused, 0);
	ck_assert_uint_eq(channel_owners(r.channel, owners, 4), 1);
	ck_assert_uint_eq(owners[0].policies, 1);

	kill(agent, SIGKILL);
	waitpid(agent, NULL, 0);
	event_base_loop(r.base, EVLOOP_NONBLOCK);
	channel_owners(r.channel, owners, 4);
	ck_assert(!owners[0].alive);
	put_hello(&r, OWNER_B, agent); /* a process that is no more */
	ck_assert_uint_eq(channel_owners(r.channel, owners, 4), 1);
	channel_stop(r.channel);
	event_base_free(r.base);
}
END_TEST

START_TEST(latencies_have_quantiles)
{
	static struct channel_stats s;

	ck_assert_uint_eq(channel_latency_us(&s, IKE_ADD_SA, 500), 0);
	s.latency[IKE_ADD_SA][3] = 50;
	s.latency[IKE_ADD_SA][20] = 49;
	s.latency[IKE_ADD_SA][CHANNEL_LATENCY_US - 1] = 1;
	ck_assert_uint_eq(channel_latency_us(&s, IKE_ADD_SA, 500), 3);
	ck_assert_uint_eq(channel_latency_us(&s, IKE_ADD_SA, 990), 20);
	ck_assert_uint_eq(channel_latency_us(&s, IKE_ADD_SA, 1000), CHANNEL_LATENCY_US - 1);
	ck_assert_uint_eq(channel_latency_us(&s, IKE_PING, 500), 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		an_acquire_is_raised_once_in_a_while,
		acquires_for_any_peer,
		owners_do_not_take_each_others_acquires,
		acquires_wait_for_room_and_for_an_owner,
		expiries_go_to_the_owner,
		expiries_of_orphans_are_carried_out,
		an_overflow_ends_in_a_resync,
		a_hello_brings_what_was_under_way,
		mappings_leave_room,
		the_inbox_is_bounded,
		the_sender_is_bounded_and_never_blocks_us,
		the_channel_watches_its_agents,
		latencies_have_quantiles,
	};
	Suite *s = suite_create("channel-io");
	TCase *t = tcase_create("events and queues");

	tcase_add_checked_fixture(t, world_setup, world_teardown);
	for (unsigned int i = 0; i < RTE_DIM(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	return run_suite(s);
}

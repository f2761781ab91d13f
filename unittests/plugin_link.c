/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugin_link.h"

#include "one_way_sas.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The link to the router with an agent that answers, hesitates, lies, dies and comes back. */

START_TEST(an_answer_is_brought_back)
{
	unsigned int ms;

	fake_wait_up();
	fake.status[IKE_GET_SPI] = -ENOSPC;
	ck_assert_int_eq(fake_call(IKE_GET_SPI, &ms), -ENOSPC);
	ck_assert_uint_lt(ms, PATIENT / 2);
	ck_assert_int_eq(fake_call(IKE_QUERY_SA, &ms), 0);
	link_lock(fake.link);
	ck_assert_uint_eq(link_epoch(fake.link), EPOCH);
	link_unlock(fake.link);
}
END_TEST

START_TEST(no_answer_ends_with_the_time_out)
{
	unsigned int ms;

	fake_wait_up();
	fake_set(IKE_GET_SPI, SILENT);
	ck_assert_int_eq(fake_call(IKE_GET_SPI, &ms), -ETIMEDOUT);
	ck_assert_uint_ge(ms, TIMEOUT - 10);
	ck_assert_uint_lt(ms, PATIENT);
	ck_assert_int_eq(fake_call(IKE_QUERY_SA, &ms), 0);
}
END_TEST

START_TEST(a_late_answer_is_nobodys)
{
	struct ike_msg m;

	fake_wait_up();
	fake_set(IKE_GET_SPI, LATE);
	fake.status[IKE_GET_SPI] = -ENOSPC;
	ck_assert_int_eq(fake_call(IKE_GET_SPI, NULL), -ETIMEDOUT);
	fake_set(IKE_GET_SPI, SILENT); /* so that only the late one can come */
	desired_request(&m, IKE_GET_SPI);
	link_lock(fake.link);
	ck_assert_int_eq(link_call(fake.link, &m, NULL, 0), -ETIMEDOUT);
	fake_wait_up();
}
END_TEST

START_TEST(repeated_and_garbled_answers)
{
	fake_wait_up();
	fake_set(IKE_QUERY_SA, REPEAT);
	fake_set(IKE_GET_SPI, GARBLE);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(fake_call(IKE_QUERY_SA, NULL), 0);
		ck_assert_int_eq(fake_call(IKE_GET_SPI, NULL), 0);
	}
	ck_assert_uint_eq(fake_read(&fake.garbled), 20);
	ck_assert_uint_eq(fake_read(&fake.lives), 1);
	/* An agent that babbles does not fill charon's log. */
	ck_assert_uint_lt(fake_read(&fake.lines), 10);
}
END_TEST

START_TEST(noise_does_no_harm)
{
	uint8_t noise[512];

	fake_wait_up();
	srand(7);
	for (int i = 0; i < 2000; i++) {
		size_t len = 1 + rand() % sizeof(noise);
		struct ike_hdr h = {.magic = IKE_WIRE_MAGIC, .version = IKE_WIRE_VERSION};

		for (size_t j = 0; j < len; j++)
			noise[j] = rand();
		if (len >= sizeof(h) && i % 2) {
			h.type = rand() % 140;
			if (h.type == IKE_AGENT_UP)
				continue;
			h.len = rand() % 2 ? len : (size_t)rand();
			h.seq = rand() % 64;
			memcpy(noise, &h, sizeof(h));
		}
		fake_send(noise, len);
	}
	fake_wait_up();
	ck_assert_uint_eq(fake_read(&fake.lives), 1);
}
END_TEST

START_TEST(without_a_router_calls_fail_at_once)
{
	unsigned int ms;

	fake_wait_up();
	pthread_mutex_lock(&fake.lock);
	fake.epoch = 0;
	pthread_mutex_unlock(&fake.lock);
	fake_hang_up();
	fake_wait(&fake.lives, 2);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(fake_call(IKE_GET_SPI, &ms), -ENOTCONN);
		ck_assert_uint_lt(ms, PATIENT / 2);
	}
	link_lock(fake.link);
	ck_assert_uint_eq(link_epoch(fake.link), 0);
	link_unlock(fake.link);
}
END_TEST

START_TEST(an_agent_that_dies_ends_its_calls)
{
	unsigned int ms;

	fake_wait_up();
	fake_set(IKE_GET_SPI, CLOSE);
	ck_assert_int_eq(fake_call(IKE_GET_SPI, &ms), -ENOTCONN);
	ck_assert_uint_lt(ms, PATIENT / 2);
	fake_wait_up();
	ck_assert_uint_eq(fake_read(&fake.lives), 2);
}
END_TEST

/* The agent is killed; the next one takes that long to attach. What a wait for it brings, and in *ms its time. */
static uint64_t
wait_for_next(unsigned int attach_ms, uint64_t epoch, unsigned int *ms)
{
	uint64_t start, found;

	pthread_mutex_lock(&fake.lock);
	fake.attach_ms = attach_ms;
	fake.epoch = epoch;
	pthread_mutex_unlock(&fake.lock);
	fake_hang_up();
	fake_wait(&fake.lives, 2);
	start = fake_ms();
	link_lock(fake.link);
	link_wait_up(fake.link);
	found = link_epoch(fake.link);
	link_unlock(fake.link);
	*ms = fake_ms() - start;
	return found;
}

START_TEST(an_agent_on_its_way_is_waited_for)
{
	unsigned int ms;

	fake_wait_up();
	ck_assert_uint_eq(wait_for_next(TIMEOUT / 2, EPOCH, &ms), EPOCH);
	ck_assert_uint_ge(ms, TIMEOUT / 10);
	ck_assert_uint_lt(ms, PATIENT);
}
END_TEST

START_TEST(one_that_is_too_slow_is_not)
{
	unsigned int ms;

	fake_wait_up();
	ck_assert_uint_eq(wait_for_next(4 * TIMEOUT, EPOCH, &ms), 0);
	ck_assert_uint_ge(ms, TIMEOUT - 10);
	ck_assert_uint_lt(ms, PATIENT);
}
END_TEST

START_TEST(one_that_finds_no_router_is_not)
{
	unsigned int ms;

	fake_wait_up();
	ck_assert_uint_eq(wait_for_next(0, 0, &ms), 0);
	ck_assert_uint_lt(ms, PATIENT / 2);
}
END_TEST

static void
add_state(void)
{
	struct ike_msg_socket s = {.port = htons(500), .addr.family = 4};
	struct ike_msg_policy best, p = {.dir = IKE_DIR_OUT, .action = IKE_PROTECT, .reqid = 1};

	link_lock(fake.link);
	desired_add_socket(fake.desired, &s);
	desired_add_decap(fake.desired, htons(4500));
	for (int i = 0; i < 10; i++) {
		p.sel.dst.b[0] = i;
		desired_add_policy(fake.desired, &p, 0, 0, &best);
	}
	link_unlock(fake.link);
}

static void
add_sas(uint64_t epoch)
{
	link_lock(fake.link);
	for (int i = 0; i < 6; i++) {
		struct desired_sa sa = {.epoch = epoch, .inbound = i % 2};

		sa.id.spi = i;
		desired_add_sa(fake.desired, &sa);
	}
	link_unlock(fake.link);
}

START_TEST(a_router_that_comes_back_is_told_all)
{
	unsigned int policies, syncs;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	add_state();
	add_sas(EPOCH);
	policies = fake_read(&fake.got[IKE_ADD_POLICY]);
	syncs = fake_read(&fake.got[IKE_SYNC_DONE]);
	fake_hang_up(); /* the same epoch: the agent alone died */
	fake_wait(&fake.got[IKE_SYNC_DONE], syncs + 1);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_ADD_POLICY]), policies + 10);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_BYPASS_SOCKET]), 1);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_UDP_DECAP]), 1);
	fake_wait(&fake.got[IKE_QUERY_SA], 6); /* states are compared */
	usleep(50000);
	ck_assert_uint_eq(fake_read(&fake.events), 0);
	/* Another epoch: inbound SAs end, each once. */
	pthread_mutex_lock(&fake.lock);
	fake.epoch = EPOCH + 1;
	pthread_mutex_unlock(&fake.lock);
	fake_hang_up();
	fake_wait(&fake.hard, 3);
	fake_hang_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], syncs + 3);
	usleep(50000);
	ck_assert_uint_eq(fake_read(&fake.hard), 3);
	ck_assert_uint_eq(fake_read(&fake.events), 3);
}
END_TEST

/* The router opens its gates when it hears that policies are complete. */
START_TEST(what_was_not_taken_is_told_before_the_end_is)
{
	unsigned int syncs;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	add_state();
	for (unsigned int i = 1; i <= 10; i += 3) { /* the last one, too */
		syncs = fake_read(&fake.got[IKE_SYNC_DONE]);
		pthread_mutex_lock(&fake.lock);
		fake.spoil = i;
		pthread_mutex_unlock(&fake.lock);
		fake_hang_up();
		fake_wait(&fake.got[IKE_SYNC_DONE], syncs + 1);
		ck_assert_uint_eq(fake_read(&fake.spoil), 0);
		ck_assert_uint_eq(fake_read(&fake.lacks), 0);
	}
	ck_assert_uint_eq(fake_read(&fake.early), 0);
}
END_TEST

START_TEST(a_resync_replays_and_finds_what_is_gone)
{
	struct ike_msg m;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	add_state();
	add_sas(EPOCH);
	pthread_mutex_lock(&fake.lock);
	fake.status[IKE_QUERY_SA] = -ENOENT;
	pthread_mutex_unlock(&fake.lock);
	desired_request(&m, IKE_EVENT_RESYNC);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_SYNC_DONE], 2);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_ADD_POLICY]), 10);
	fake_wait(&fake.hard, 6);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_SYNC_DONE], 3);
	usleep(50000);
	ck_assert_uint_eq(fake_read(&fake.hard), 6);
}
END_TEST

/* A change of the peer's address was lost: the router has the outbound SA under another name, and the inbound one as it was. */
START_TEST(an_outbound_sa_alone_that_is_gone_is_told)
{
	struct desired_sa doomed = {.epoch = EPOCH, .doomed = true, .id.spi = 9};
	struct ike_msg m;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 1);
	add_sas(EPOCH);
	link_lock(fake.link);
	desired_add_sa(fake.desired, &doomed);
	link_unlock(fake.link);
	pthread_mutex_lock(&fake.lock);
	fake.missing = 1 << 4 | 1 << 9;
	pthread_mutex_unlock(&fake.lock);
	desired_request(&m, IKE_EVENT_RESYNC);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_SAS_DONE], 2);
	usleep(50000);
	ck_assert_uint_eq(fake_read(&fake.hard), 1);
	ck_assert_uint_eq(fake_read(&fake.events), 1);
}
END_TEST

/* A change whose fate is unknown is told again, until the router has answered. */
START_TEST(a_change_that_timed_out_is_told_again)
{
	struct ike_msg m;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	add_state();
	fake_set(IKE_ADD_POLICY, SILENT);
	desired_request(&m, IKE_ADD_POLICY);
	link_lock(fake.link);
	ck_assert_int_eq(link_call(fake.link, &m, NULL, 0), -ETIMEDOUT);
	fake_set(IKE_ADD_POLICY, ANSWER);
	fake_wait(&fake.got[IKE_SYNC_DONE], 2);
	ck_assert_uint_ge(fake_read(&fake.got[IKE_ADD_POLICY]), 11);
}
END_TEST

/* Its addresses have changed: here it is the SPI. */
static void
move_sa(struct desired_sa *sa, uint32_t spi)
{
	struct ike_msg_sa_id old = sa->id;

	sa->moving = false;
	sa->id.spi = spi;
	link_lock(fake.link);
	ck_assert(desired_move_sa(fake.desired, &old, sa));
	link_unlock(fake.link);
}

/* Another comparison begins, and the agent holds its first question. */
static void
begin_comparison(void)
{
	unsigned int queries = fake_read(&fake.got[IKE_QUERY_SA]);
	struct ike_msg m;

	fake_set(IKE_QUERY_SA, HOLD);
	desired_request(&m, IKE_EVENT_RESYNC);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_QUERY_SA], queries + 1);
}

/* Whoever looks at all SAs meanwhile: each is asked for, and only then is it said that each was. */
START_TEST(a_comparison_is_not_disturbed)
{
	struct ike_msg_policy best, p = {.dir = IKE_DIR_IN, .action = IKE_PROTECT};
	struct ike_msg_sa_id found[8];

	fake_wait_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 1);
	add_state();
	add_sas(EPOCH);
	begin_comparison();
	link_lock(fake.link);
	desired_add_policy(fake.desired, &p, 0, 0, &best);
	p.dir = IKE_DIR_OUT;
	p.sel.src.b[0] = p.sel.dst.b[0] = 0;
	p.mark = 1; /* another than those of add_state() */
	ck_assert_uint_eq(one_way_sas(fake.desired, &p, found, 8), 3);
	link_unlock(fake.link);
	fake_set(IKE_QUERY_SA, ANSWER);
	fake_wait(&fake.got[IKE_SAS_DONE], 2);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_QUERY_SA]), 6);
}
END_TEST

/* Policies are not told again for each of them. */
START_TEST(sas_that_move_are_asked_for_by_their_new_names)
{
	struct desired_sa sa = {.epoch = EPOCH, .inbound = true};

	fake_wait_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 1);
	add_state();
	add_sas(EPOCH);
	sa.id.spi = 5;
	for (unsigned int i = 1; i <= 3; i++) {
		begin_comparison();
		move_sa(&sa, 10 + i);
		fake_set(IKE_QUERY_SA, ANSWER);
		fake_wait(&fake.got[IKE_SAS_DONE], 1 + i);
		ck_assert_uint_eq(fake_read(&fake.asked[10 + i]), 1);
		usleep(100000);
		ck_assert_uint_eq(fake_read(&fake.got[IKE_ADD_POLICY]), 10 * i);
		ck_assert_uint_eq(fake_read(&fake.got[IKE_SAS_DONE]), 1 + i);
	}
	ck_assert_uint_eq(fake_read(&fake.events), 0);
}
END_TEST

/* Our own address changed while the question was on its way: the router does not know an SA of the old one any more. */
START_TEST(an_sa_whose_source_moves_is_asked_for_again)
{
	struct desired_sa sa = {.epoch = EPOCH, .inbound = false};
	struct ike_msg_sa_id old;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 1);
	sa.id.spi = 9;
	link_lock(fake.link);
	desired_add_sa(fake.desired, &sa);
	link_unlock(fake.link);
	pthread_mutex_lock(&fake.lock);
	fake.missing = 1u << 9;
	pthread_mutex_unlock(&fake.lock);
	begin_comparison();
	old = sa.id;
	sa.id.src.b[3] = 1;
	link_lock(fake.link);
	ck_assert(desired_move_sa(fake.desired, &old, &sa));
	link_unlock(fake.link);
	pthread_mutex_lock(&fake.lock);
	fake.missing = 0;
	pthread_mutex_unlock(&fake.lock);
	fake_set(IKE_QUERY_SA, ANSWER);
	fake_wait(&fake.got[IKE_SAS_DONE], 2);
	ck_assert_uint_eq(fake_read(&fake.asked[9]), 2);
	ck_assert_uint_eq(fake_read(&fake.events), 0);
}
END_TEST

/* When each SA was asked for the router may forget the others; not when one was being renamed meanwhile. */
START_TEST(what_was_not_asked_for_may_go)
{
	struct desired_sa sa = {.epoch = EPOCH, .inbound = true, .moving = true};
	unsigned int queries;
	struct ike_msg m;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 1);
	add_sas(EPOCH);
	desired_request(&m, IKE_EVENT_RESYNC);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_SAS_DONE], 2);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_QUERY_SA]), 6);
	link_lock(fake.link);
	sa.id.spi = 1;
	desired_add_sa(fake.desired, &sa);
	link_unlock(fake.link);
	queries = fake_read(&fake.got[IKE_QUERY_SA]);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_QUERY_SA], queries + 5);
	usleep(100000); /* the last one has no name to be asked for by */
	ck_assert_uint_eq(fake_read(&fake.got[IKE_QUERY_SA]), queries + 5);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_SAS_DONE]), 2);
	move_sa(&sa, 7);
	fake_wait(&fake.got[IKE_SAS_DONE], 3);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_QUERY_SA]), queries + 6);
	ck_assert_uint_eq(fake_read(&fake.asked[7]), 1);
	/* A query without an answer proves nothing. */
	fake_set(IKE_QUERY_SA, SILENT);
	fake_send(&m, m.hdr.len);
	queries = fake_read(&fake.got[IKE_QUERY_SA]);
	fake_wait(&fake.got[IKE_QUERY_SA], queries + 2);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_SAS_DONE]), 3);
	fake_set(IKE_QUERY_SA, ANSWER);
	fake_wait(&fake.got[IKE_SAS_DONE], 4);
	ck_assert_uint_eq(fake_read(&fake.hard), 0);
}
END_TEST

/* A table that was full: what it had no room for is offered again, until it is taken; said once. */
START_TEST(what_was_refused_is_offered_again)
{
	unsigned int lines, policies;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 1);
	pthread_mutex_lock(&fake.lock);
	fake.status[IKE_ADD_POLICY] = -ENOSPC;
	pthread_mutex_unlock(&fake.lock);
	add_state();
	fake_hang_up();
	fake_wait(&fake.got[IKE_SAS_DONE], 2);
	usleep(200000);
	lines = fake_read(&fake.lines);
	fake_wait(&fake.got[IKE_SAS_DONE], 4);
	usleep(200000);
	ck_assert_uint_eq(fake_read(&fake.lines), lines);
	pthread_mutex_lock(&fake.lock);
	fake.status[IKE_ADD_POLICY] = 0;
	pthread_mutex_unlock(&fake.lock);
	fake_wait(&fake.lines, lines + 1);
	policies = fake_read(&fake.got[IKE_ADD_POLICY]);
	usleep(2 * RETRY * 1000);
	ck_assert_uint_eq(fake_read(&fake.got[IKE_ADD_POLICY]), policies);
}
END_TEST

/* A router that refuses a replay is not asked in a busy loop, and does not fill the log. */
START_TEST(a_refused_replay_is_tried_again_at_leisure)
{
	unsigned int hellos, lines;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	pthread_mutex_lock(&fake.lock);
	fake.status[IKE_HELLO] = -ENOSPC;
	pthread_mutex_unlock(&fake.lock);
	lines = fake_read(&fake.lines);
	hellos = fake_read(&fake.got[IKE_HELLO]);
	fake_hang_up();
	fake_wait(&fake.got[IKE_HELLO], hellos + 2);
	sleep(2);
	ck_assert_uint_lt(fake_read(&fake.got[IKE_HELLO]), hellos + 40);
	ck_assert_uint_lt(fake_read(&fake.lines), lines + 8);
	/* And it succeeds when the router does. */
	pthread_mutex_lock(&fake.lock);
	fake.status[IKE_HELLO] = 0;
	pthread_mutex_unlock(&fake.lock);
	fake_wait(&fake.got[IKE_SYNC_DONE], 2);
}
END_TEST

START_TEST(an_agent_that_cannot_start_is_said_once)
{
	unsigned int lines;

	fake_wait_up();
	pthread_mutex_lock(&fake.lock);
	fake.start_error = -ENOENT;
	lines = fake.lines;
	pthread_mutex_unlock(&fake.lock);
	fake_hang_up();
	sleep(3);
	ck_assert_uint_lt(fake_read(&fake.lines), lines + 4);
	pthread_mutex_lock(&fake.lock);
	fake.start_error = 0;
	pthread_mutex_unlock(&fake.lock);
	fake_wait_up();
}
END_TEST

static void *
caller(void *arg)
{
	unsigned int *bad = arg;

	for (int i = 0; i < 200; i++) {
		int rc = fake_call(i % 2 ? IKE_GET_SPI : IKE_QUERY_SA, NULL);

		if (rc != 0 && rc != -ENOTCONN && rc != -ESTALE)
			++*bad;
	}
	return NULL;
}

START_TEST(many_threads_call_while_agents_die)
{
	unsigned int bad[16] = {0};
	pthread_t threads[16];

	fake_wait_up();
	add_state();
	for (int i = 0; i < 16; i++)
		pthread_create(&threads[i], NULL, caller, &bad[i]);
	for (int i = 0; i < 5; i++) {
		usleep(5000);
		fake_hang_up();
	}
	for (int i = 0; i < 16; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_eq(bad[i], 0);
	}
	fake_wait_up();
}
END_TEST

START_TEST(many_threads_get_their_own_answers)
{
	unsigned int bad[16] = {0};
	pthread_t threads[16];

	fake_wait_up();
	for (int i = 0; i < 16; i++)
		pthread_create(&threads[i], NULL, caller, &bad[i]);
	for (int i = 0; i < 16; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_eq(bad[i], 0);
	}
	ck_assert_uint_ge(fake_read(&fake.got[IKE_GET_SPI]), 1600);
}
END_TEST

static void *
one_call(void *arg)
{
	int *rc = arg;

	*rc = fake_call(IKE_GET_SPI, NULL);
	return NULL;
}

struct changing {
	pthread_t thread;
	int rc;
	unsigned int ms;
};

static void *
changing_call(void *arg)
{
	struct changing *c = arg;

	c->rc = fake_call(IKE_ADD_POLICY, &c->ms);
	return NULL;
}

/* The agent does not read. Nothing lasts longer than its time-out, and what was changed is told later. */
START_TEST(a_full_socket_blocks_nobody)
{
	static struct changing v[200];
	unsigned int n, at_once = 0;
	pthread_attr_t attr;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	fake_shrink();
	fake_set(0, DEAF);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 17);
	for (n = 0; n < 200; n++)
		if (pthread_create(&v[n].thread, &attr, changing_call, &v[n]) != 0)
			break;
	pthread_attr_destroy(&attr);
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(v[i].thread, NULL);
		ck_assert_int_eq(v[i].rc, -ETIMEDOUT);
		ck_assert_uint_lt(v[i].ms, 5 * TIMEOUT);
		at_once += v[i].ms < TIMEOUT / 2;
	}
	ck_assert_uint_gt(at_once, 0); /* for these the socket was full */
	fake_set(0, ANSWER);
	fake_wait(&fake.got[IKE_SYNC_DONE], 2);
}
END_TEST

START_TEST(destroy_ends_pending_calls)
{
	pthread_t threads[8];
	uint64_t start;
	int rc[8];

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	fake_set(IKE_GET_SPI, SILENT);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, one_call, &rc[i]);
	fake_wait(&fake.got[IKE_GET_SPI], 8);
	start = fake_ms();
	link_destroy(fake.link);
	ck_assert_uint_lt(fake_ms() - start, PATIENT / 2);
	fake.link = NULL;
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(rc[i], -ENOTCONN);
	}
}
END_TEST

START_TEST(destroy_ends_a_replay)
{
	struct ike_msg m;
	uint64_t start;

	fake_wait_up();
	fake_wait(&fake.got[IKE_SYNC_DONE], 1);
	fake_set(IKE_HELLO, SILENT);
	desired_request(&m, IKE_EVENT_RESYNC);
	fake_send(&m, m.hdr.len);
	fake_wait(&fake.got[IKE_HELLO], 2);
	start = fake_ms();
	link_destroy(fake.link);
	ck_assert_uint_lt(fake_ms() - start, PATIENT / 2);
	fake.link = NULL;
}
END_TEST

START_TEST(a_refused_version_is_said_once)
{
	struct ike_msg m;
	unsigned int lines;

	fake_wait_up();
	fake_wait(&fake.lines, 2); /* of the router that is there, and of what it was told */
	lines = fake_read(&fake.lines);
	desired_request(&m, IKE_AGENT_REFUSED);
	memset(m.body.hello.build, 'x', sizeof(m.body.hello.build)); /* no NUL */
	for (int i = 0; i < 10; i++)
		fake_send(&m, m.hdr.len);
	fake_wait_up();
	ck_assert_uint_eq(fake_read(&fake.lines), lines + 1);
}
END_TEST

START_TEST(events_are_raised)
{
	struct ike_msg m;

	fake_wait_up();
	for (int i = 0; i < 100; i++) {
		desired_request(&m, IKE_EVENT_ACQUIRE + i % 3);
		if (i % 3 == 1)
			m.body.expire.hard = 1;
		fake_send(&m, m.hdr.len);
	}
	fake_wait(&fake.events, 100);
	ck_assert_uint_eq(fake_read(&fake.hard), 33);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin_link");
	TCase *t = tcase_create("link");
	TCase *patient = tcase_create("patient");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, fake_setup, fake_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, no_answer_ends_with_the_time_out);
	tcase_add_test(t, a_late_answer_is_nobodys);
	tcase_add_test(t, repeated_and_garbled_answers);
	tcase_add_test(t, noise_does_no_harm);
	tcase_add_test(t, one_that_is_too_slow_is_not);
	tcase_add_test(t, a_router_that_comes_back_is_told_all);
	tcase_add_test(t, what_was_not_taken_is_told_before_the_end_is);
	tcase_add_test(t, a_resync_replays_and_finds_what_is_gone);
	tcase_add_test(t, an_outbound_sa_alone_that_is_gone_is_told);
	tcase_add_test(t, a_change_that_timed_out_is_told_again);
	tcase_add_test(t, an_sa_whose_source_moves_is_asked_for_again);
	tcase_add_test(t, what_was_not_asked_for_may_go);
	tcase_add_test(t, a_comparison_is_not_disturbed);
	tcase_add_test(t, sas_that_move_are_asked_for_by_their_new_names);
	tcase_add_test(t, what_was_refused_is_offered_again);
	tcase_add_test(t, a_refused_replay_is_tried_again_at_leisure);
	tcase_add_test(t, an_agent_that_cannot_start_is_said_once);
	tcase_add_test(t, many_threads_get_their_own_answers);
	tcase_add_test(t, many_threads_call_while_agents_die);
	tcase_add_test(t, a_full_socket_blocks_nobody);
	tcase_add_test(t, a_refused_version_is_said_once);
	tcase_add_test(t, events_are_raised);
	suite_add_tcase(s, t);
	/* A machine that stands still for a moment reaches no time-out of these. */
	tcase_add_checked_fixture(patient, fake_setup_patient, fake_teardown);
	tcase_set_timeout(patient, 60);
	tcase_add_test(patient, an_answer_is_brought_back);
	tcase_add_test(patient, without_a_router_calls_fail_at_once);
	tcase_add_test(patient, an_agent_that_dies_ends_its_calls);
	tcase_add_test(patient, an_agent_on_its_way_is_waited_for);
	tcase_add_test(patient, one_that_finds_no_router_is_not);
	tcase_add_test(patient, destroy_ends_pending_calls);
	tcase_add_test(patient, destroy_ends_a_replay);
	suite_add_tcase(s, patient);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

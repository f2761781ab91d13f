/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define ROOM_MS 10 /* between two tries when the socket is full */
#define MOVE_MS 10 /* between two looks at an SA whose addresses change */
#define QUIET_MS 1000 /* without a new policy: the configuration is loaded */
#define QUIET_LOOK_MS 100
#define REMIND_MS 1000
#define AGAIN_MIN_MS 50
#define REPLAY_AT_ONCE 64 /* messages of a replay that are under way; some milliseconds */
#define AGAIN_MAX_MS 2000

static uint64_t
now_ms(void)
{
	struct timespec ts = link_in_ms(0);

	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* Whether the router that a replay is for is still the one that is there. */
static bool
current(const struct link *l, uint64_t epoch)
{
	return l->up && l->epoch == epoch && !l->stopping;
}

/* Rests without the lock; not longer than that router is there. */
static void
rest(struct link *l, unsigned int ms, uint64_t epoch)
{
	struct timespec until = link_in_ms(ms);

	while (current(l, epoch) && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
		;
}

/* Sends one message of a replay; lock held, and given up while there is no room. */
static int
send_patiently(struct link *l, struct ike_msg *msg, uint64_t epoch)
{
	int rc;

	while (current(l, epoch)) {
		rc = link_send(l, msg, NULL, 0);
		if (rc != -EAGAIN)
			return rc;
		rest(l, ROOM_MS, epoch);
	}
	return -ECANCELED;
}

/* The same, and its reply; lock held before and after. */
static int
call_patiently(struct link *l, struct ike_msg *msg, uint64_t epoch)
{
	struct pending p = {.msg = msg};
	int rc = send_patiently(l, msg, epoch);

	if (rc < 0)
		return rc;
	p.seq = msg->hdr.seq;
	LIST_INSERT_HEAD(&l->pending, &p, next);
	rc = link_await(l, msg, &p, l->conf.timeout_ms);
	link_lock(l);
	return rc;
}

/* charon is told that an SA ended, hard; lock held, and given up meanwhile. */
static void
expire(struct link *l, const struct desired_sa *sa)
{
	struct ike_msg msg;

	desired_request(&msg, IKE_EVENT_EXPIRE);
	msg.body.expire.dst = sa->id.dst;
	msg.body.expire.spi = sa->id.spi;
	msg.body.expire.proto = sa->id.proto;
	msg.body.expire.hard = 1;
	link_unlock(l);
	l->conf.event(l->conf.ctx, &msg);
	link_lock(l);
}

/* What the router said of an SA, or of what charon gave up; lock held, and given up meanwhile. */
static void
take_answer(struct link *l, const struct desired_sa *sa, bool found)
{
	struct desired_sa now;

	/*
	 * Which name it has is not known, or it has another source than it had when it was asked for: it is asked for under the
	 * one that it gets, or has.
	 */
	if (desired_find_sa(l->desired, &sa->id, &now) &&
		((!found && now.moving) ||
			memcmp(&now.id.src, &sa->id.src, sizeof(now.id.src)) != 0))
		return;
	if (!desired_asked_sa(l->desired, &sa->id) || (found && !sa->doomed))
		return;
	if (desired_kill_sa(l->desired, &sa->id, now_ms()))
		expire(l, sa);
}

/*
 * Whether each SA of this router's epoch is there still, and deletes those that charon gave up. When each has been asked
 * for the router may forget what it has beside them.
 */
static int
compare_sas(struct link *l, uint64_t epoch)
{
	struct desired_sa sa;
	struct ike_msg msg;
	int rc;

	desired_compare_sas(l->desired);
	while (current(l, epoch)) {
		if (!desired_next_sa(l->desired, &sa)) {
			if (!desired_sas_move(l->desired))
				break;
			rest(l, MOVE_MS, epoch);
			continue;
		}
		desired_request(&msg, sa.doomed ? IKE_DEL_SA : IKE_QUERY_SA);
		msg.body.sa_id = sa.id;
		rc = call_patiently(l, &msg, epoch);
		if (!current(l, epoch) || (rc < 0 && rc != -ENOENT))
			return rc;
		take_answer(l, &sa, rc == 0);
	}
	desired_request(&msg, IKE_SAS_DONE);
	return call_patiently(l, &msg, epoch);
}

/*
 * charon tells nobody when its configuration has been loaded. Where a router lets pass in clear what no policy
 * names, it must not hear too soon that policies are complete: the first ones are waited for, and that no more
 * come, but once in charon's life and not longer than configured. Lock held.
 */
static void
wait_for_policies(struct link *l, uint64_t epoch)
{
	struct timespec quiet_by = {0};
	unsigned int n = 0;

	while (current(l, epoch) && !link_is_past(&l->complete_by)) {
		if (desired_policies(l->desired) != n) {
			n = desired_policies(l->desired);
			quiet_by = link_in_ms(QUIET_MS);
		}
		if (n > 0 && link_is_past(&quiet_by))
			return;
		rest(l, QUIET_LOOK_MS, epoch);
	}
}

/* Tells the router all that charon wants; lock held. */
static int
replay(struct link *l, uint64_t epoch)
{
	unsigned int told = 0, stale = 0, refused;
	struct desired_sa sa;
	struct ike_msg msg;
	bool bypasses, tell, again;
	int rc;

	l->refused = 0;
	link_greeting(l, &msg);
	rc = call_patiently(l, &msg, epoch);
	bypasses = msg.body.hello.flags & IKE_HELLO_BYPASS;
	desired_replay_start(l->desired);
	/* The last one is waited for: replies keep the order of requests. */
	while (rc == 0 && current(l, epoch) && desired_replay_next(l->desired, &msg)) {
		rc = link_send(l, &msg, NULL, 0);
		if (rc == 0) {
			desired_replay_sent(l->desired);
			/* charon's calls must not stand behind all of it. */
			if (++told % REPLAY_AT_ONCE == 0) {
				desired_request(&msg, IKE_PING);
				rc = call_patiently(l, &msg, epoch);
			}
		} else if (rc == -EAGAIN) {
			/* Then it is made anew: sent later as it was, it would undo what came between. */
			rc = 0;
			rest(l, ROOM_MS, epoch);
		}
	}
	if (rc == 0 && !current(l, epoch))
		rc = -ECANCELED;
	if (rc == 0) {
		if (bypasses && !l->completed)
			wait_for_policies(l, epoch);
		/* When this is answered, all before it is. */
		desired_request(&msg, IKE_PING);
		rc = call_patiently(l, &msg, epoch);
	}
	/* Something was refused for the moment: it is told again before the router hears that it has all. */
	if (rc == 0 && l->replay)
		rc = -EAGAIN;
	if (rc == 0) {
		desired_request(&msg, IKE_SYNC_DONE);
		rc = call_patiently(l, &msg, epoch);
		l->completed |= rc == 0;
	}
	while (rc == 0 && current(l, epoch) &&
		desired_kill_stale_sa(l->desired, epoch, now_ms(), &sa, &tell)) {
		stale += tell;
		if (tell)
			expire(l, &sa);
	}
	if (rc == 0)
		rc = compare_sas(l, epoch);
	if (rc < 0)
		return rc;
	refused = l->refused < told ? l->refused : told;
	/* A table that is full now has room one day, and nobody would hear of it. */
	again = l->lacks > 0 && refused == l->lacks;
	l->lacks = refused;
	l->retry_at = link_in_ms(l->conf.retry_ms);
	link_unlock(l);
	link_say(l, again ? 2 : 1,
		"router knows our %u sockets and policies, and refused %u; %u inbound SAs of a "
		"former "
		"router expire",
		told - refused, refused, stale);
	link_lock(l);
	return 0;
}

/*
 * Reminds charon of dead SAs that it has not deleted, and the router of what it refused, and waits a second or until
 * something is to be done.
 */
static void
remind(struct link *l)
{
	struct timespec until = link_in_ms(REMIND_MS);
	bool lacks = l->lacks > 0 && l->conf.retry_ms > 0;
	uint64_t epoch = l->epoch;
	struct desired_sa sa;

	if (desired_dead_sas(l->desired) == 0 && !lacks) {
		pthread_cond_wait(&l->wake, &l->lock);
		return;
	}
	while (current(l, epoch) && desired_next_dead_sa(l->desired, now_ms(), &sa))
		expire(l, &sa);
	if (lacks && link_is_past(&l->retry_at))
		link_replay(l);
	else
		pthread_cond_timedwait(&l->wake, &l->lock, &until);
}

/* Whether a router that was silent answers again; a reply ends its silence. */
static void
probe(struct link *l, uint64_t epoch)
{
	struct ike_msg msg;

	desired_request(&msg, IKE_PING);
	if (call_patiently(l, &msg, epoch) < 0)
		rest(l, AGAIN_MIN_MS, epoch);
}

void *
link_replayer(void *arg)
{
	struct link *l = arg;
	unsigned int again = AGAIN_MIN_MS;
	uint64_t epoch;
	int rc;

	link_lock(l);
	while (!l->stopping) {
		if (!l->up) {
			pthread_cond_wait(&l->wake, &l->lock);
			continue;
		}
		if (!l->replay && !l->silent) {
			remind(l);
			continue;
		}
		if (!l->replay) {
			probe(l, l->epoch);
			continue;
		}
		l->replay = false;
		epoch = l->epoch;
		rc = replay(l, epoch);
		if (!current(l, epoch))
			continue; /* with the next router all is told anyway */
		l->replay |= rc < 0;
		again = l->replay ? 2 * again : AGAIN_MIN_MS;
		if (again > AGAIN_MAX_MS)
			again = AGAIN_MAX_MS;
		if (l->replay)
			rest(l, again, epoch);
	}
	link_unlock(l);
	return NULL;
}

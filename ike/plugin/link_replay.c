/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link_priv.h"

#include <errno.h>
#include <poll.h>

#define ROOM_MS 10 /* between two tries when the socket is full */
#define AGAIN_MIN_MS 50
#define AGAIN_MAX_MS 2000

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

/* An SA that charon believes in and no router has any more: charon is told that it ended, hard. */
static void
expire(struct link *l, const struct desired_sa *sa)
{
	struct ike_msg msg;

	if (!sa->inbound || sa->doomed)
		return;
	desired_request(&msg, IKE_EVENT_EXPIRE);
	msg.body.expire.dst = sa->id.dst;
	msg.body.expire.spi = sa->id.spi;
	msg.body.expire.proto = sa->id.proto;
	msg.body.expire.hard = 1;
	link_unlock(l);
	l->conf.event(l->conf.ctx, &msg);
	link_lock(l);
}

/* Whether each SA of this router's epoch is there still, and deletes those that charon gave up. */
static int
compare_sas(struct link *l, uint64_t epoch)
{
	struct desired_sa sa, was;
	struct ike_msg msg;
	int rc;

	desired_walk_sas(l->desired);
	while (desired_next_sa(l->desired, &sa)) {
		desired_request(&msg, sa.doomed ? IKE_DEL_SA : IKE_QUERY_SA);
		msg.body.sa_id = sa.id;
		rc = call_patiently(l, &msg, epoch);
		if (!current(l, epoch) || rc == -ETIMEDOUT)
			return rc;
		if (rc != -ENOENT && !(sa.doomed && rc == 0))
			continue;
		if (!desired_find_sa(l->desired, &sa.id, &was) || was.moving ||
			was.epoch != sa.epoch)
			continue; /* it changed while it was asked for */
		desired_del_sa(l->desired, &sa.id, &was);
		expire(l, &was);
	}
	return 0;
}

/* Tells the router all that charon wants; lock held. */
static int
replay(struct link *l, uint64_t epoch)
{
	unsigned int told = 0, stale = 0, refused;
	struct desired_sa sa;
	struct ike_msg msg;
	int rc;

	l->refused = 0;
	link_greeting(l, &msg);
	rc = call_patiently(l, &msg, epoch);
	desired_replay_start(l->desired);
	/* The last one is waited for: replies keep the order of requests. */
	while (rc == 0 && current(l, epoch) && desired_replay_next(l->desired, &msg)) {
		rc = link_send(l, &msg, NULL, 0);
		if (rc == 0) {
			desired_replay_sent(l->desired);
			told++;
		} else if (rc == -EAGAIN) {
			/* Then it is made anew: sent later as it was, it would undo what came between. */
			rc = 0;
			rest(l, ROOM_MS, epoch);
		}
	}
	if (rc == 0 && !current(l, epoch))
		rc = -ECANCELED;
	if (rc == 0) {
		desired_request(&msg, IKE_SYNC_DONE);
		rc = call_patiently(l, &msg, epoch);
	}
	while (rc == 0 && current(l, epoch) && desired_take_stale_sa(l->desired, epoch, &sa)) {
		stale += sa.inbound && !sa.doomed;
		expire(l, &sa);
	}
	if (rc == 0)
		rc = compare_sas(l, epoch);
	if (rc < 0)
		return rc;
	refused = l->refused < told ? l->refused : told;
	link_unlock(l);
	link_say(l, 1,
		"router knows our %u sockets and policies, and refused %u; %u inbound SAs of a "
		"former "
		"router expire",
		told - refused, refused, stale);
	link_lock(l);
	return 0;
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
		if (!l->up || (!l->replay && !l->silent)) {
			pthread_cond_wait(&l->wake, &l->lock);
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

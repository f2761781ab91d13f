/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_DESIRED_H
#define CYGNET_DESIRED_H

#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What charon wants of the router, kept here so that it can be told to every new one: the sockets, and for each
 * selector (direction, if_id, mark) the list of policies that charon added, of which the best one counts.
 * And what the router has of charon: the SAs, so that those that died with a router can be expired.
 *
 * No locks: the caller serialises. Nothing here knows charon or the router.
 */

struct desired;

/* One SA that a router has taken. */
struct desired_sa {
	struct ike_msg_sa_id id;
	uint64_t epoch; /* of that router */
	bool inbound;
	bool doomed; /* charon wants it no more, and whether the router knows is unknown */
	bool moving; /* its addresses change: which ones the router has is unknown for the moment */
	/* Another of its SPI and destination could not be added so often: charon is still to delete that, and means not this one. */
	unsigned int refused;
};

/* What a change means for the router. */
enum desired_change {
	DESIRED_SAME, /* the best policy of the selector stays as it is, for the router */
	DESIRED_SET, /* *best is the best one now */
	DESIRED_GONE, /* none is left; *best is what was */
	DESIRED_UNKNOWN, /* nothing to remove */
	DESIRED_NO_MEMORY,
};

struct desired *desired_create(void);
void desired_destroy(struct desired *d);

/*
 * Adds a reference to a policy. Its priority is in it, and smaller wins; at a tie the smaller automatic
 * priority (a policy with SA before the trap of the same manual priority), then one with a reqid, then the
 * newest.
 * own_spi is that of the CHILD_SA's SA in the policy's direction, also where the policy itself has none: charon takes back
 * also what it never added, when the SAs of a rekey cannot be added, and that must not be the live CHILD_SA's.
 */
enum desired_change desired_add_policy(struct desired *d, const struct ike_msg_policy *policy,
	uint32_t auto_priority, uint32_t own_spi, struct ike_msg_policy *best);

/* Takes one reference of the policy with that selector, those priorities, action and SA back. */
enum desired_change desired_del_policy(struct desired *d, const struct ike_msg_policy *policy,
	uint32_t auto_priority, uint32_t own_spi, struct ike_msg_policy *best);

/* The best policy of the selector of this one; false: there is none. */
bool desired_best(
	const struct desired *d, const struct ike_msg_policy *policy, struct ike_msg_policy *best);

/* Whether a best policy has the selector, direction and reqid of this one, with whatever mark and interface id. */
bool desired_has_policy(const struct desired *d, const struct ike_msg_policy *policy);

unsigned int desired_policies(const struct desired *d); /* selectors */
/* The best policy of each selector; fn may change nothing. */
void desired_each_policy(const struct desired *d,
	void (*fn)(void *ctx, const struct ike_msg_policy *policy), void *ctx);

/* Remembers a socket of charon's; a second time is no change. false: no memory. */
bool desired_add_socket(struct desired *d, const struct ike_msg_socket *socket);
bool desired_add_decap(struct desired *d, uint16_t port); /* network order */

/* An SA of the same SPI and destination is replaced. false: no memory. */
bool desired_add_sa(struct desired *d, const struct desired_sa *sa);
bool desired_find_sa(
	const struct desired *d, const struct ike_msg_sa_id *id, struct desired_sa *sa);
bool desired_del_sa(struct desired *d, const struct ike_msg_sa_id *id, struct desired_sa *was);
/* Whether a deletion of that SA is of one that was refused because of it; it counts that one off. */
bool desired_spare_sa(struct desired *d, const struct ike_msg_sa_id *id);
/*
 * An SA that charon believes in and the router does not have is dead from now on: charon is told that it expired
 * until it deletes it, as it forgets what it hears of an SA that it has not quite set up. One that charon gave up just
 * goes. Returns whether it is to be told.
 */
bool desired_kill_sa(struct desired *d, const struct ike_msg_sa_id *id, uint64_t now_ms);
/*
 * Does that with one SA of another epoch than this, and tells which; false when none is left. Of these the outbound ones just
 * go: all that are inbound have ended, too.
 */
bool desired_kill_stale_sa(
	struct desired *d, uint64_t epoch, uint64_t now_ms, struct desired_sa *sa, bool *tell);
/* A dead one whose turn it is to be told of again, each time later; false when there is none now. */
bool desired_next_dead_sa(struct desired *d, uint64_t now_ms, struct desired_sa *sa);
unsigned int desired_dead_sas(const struct desired *d);
/*
 * The SA goes on under another name, *sa: the comparison that is under way asks for it anew. False: there is none of the old
 * name, or no memory.
 */
bool desired_move_sa(
	struct desired *d, const struct ike_msg_sa_id *old, const struct desired_sa *sa);
/*
 * A comparison with a router, one at a time: each SA that was there when it began is asked for, while SAs may come, go and
 * move. desired_next_sa() gives one that was not and does not move just now, the same until desired_asked_sa() says that it
 * was, and false when there is none; desired_sas_move() then says whether some are left that move. desired_asked_sa() returns
 * whether it is still the one that was given.
 */
void desired_compare_sas(struct desired *d);
bool desired_next_sa(const struct desired *d, struct desired_sa *sa);
bool desired_asked_sa(struct desired *d, const struct ike_msg_sa_id *id);
bool desired_sas_move(const struct desired *d);
/* Any SA that is not dead; false: there is none. */
bool desired_any_sa(const struct desired *d, struct desired_sa *sa);
/* Each SA that is not dead; fn may change nothing. */
void desired_each_sa(
	const struct desired *d, void (*fn)(void *ctx, const struct desired_sa *sa), void *ctx);

/*
 * The replay: desired_replay_start(), then each desired_replay_next() gives the message to be sent now (sockets,
 * decapsulation ports, best policies), until it returns false; desired_replay_sent() when it was. What was
 * not sent is made anew by the next call: it may have changed meanwhile, and who changed it has sent that.
 */
void desired_replay_start(struct desired *d);
bool desired_replay_next(struct desired *d, struct ike_msg *msg);
void desired_replay_sent(struct desired *d);

/* Fills the header of a request. */
void desired_request(struct ike_msg *msg, uint16_t type);

/* Removes the best policy of any selector and all under it, for flush_policies(); false when none is left. */
bool desired_take_policy(struct desired *d, struct ike_msg_policy *best);

#endif

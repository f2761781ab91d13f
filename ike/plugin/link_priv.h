/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_LINK_PRIV_H
#define CYGNET_LINK_PRIV_H

#include "link.h"

#include <pthread.h>
#include <sys/queue.h>

/* What link.c (calls), link_agent.c (the agent's lives) and link_replay.c (telling a router all) share. */

/* A call that waits for its reply, on its caller's stack. */
struct pending {
	LIST_ENTRY(pending) next;
	struct ike_msg *msg;
	uint32_t seq;
	bool done;
};

struct link {
	struct link_conf conf;
	struct desired *desired;
	pthread_mutex_t lock;
	pthread_cond_t replied; /* a pending call is done, or up or expected changed */
	pthread_cond_t left; /* the last pending call has gone */
	pthread_cond_t wake; /* the replay thread, or one that backs off: something changed */
	pthread_t reader, replayer;
	LIST_HEAD(, pending) pending;
	int fd; /* to the agent; -1: none */
	bool up; /* the agent is attached to a router */
	bool expected; /* it may be soon: no agent has said yet that no router is there */
	bool replay; /* the router must be told everything */
	bool silent; /* a request was not answered in its time, and since then none was */
	bool stopping;
	uint64_t owner, epoch;
	uint32_t seq;
	unsigned int refused; /* of a replay, by the router */
	unsigned int lacks; /* what the router refused of the last one, and so does not have */
	struct timespec retry_at; /* then it may have room for it */
	struct timespec complete_by; /* until then policies are waited for */
	bool completed; /* policies were said to be complete, to any router */
	char trouble[256]; /* the last line about it; "": there is none */
};

__attribute__((format(printf, 3, 4))) void link_say(
	struct link *l, int level, const char *fmt, ...);
/* The same, once for as long as it is the same trouble; the reader alone. */
__attribute__((format(printf, 2, 3))) void link_say_trouble(struct link *l, const char *fmt, ...);

struct timespec link_in_ms(unsigned int ms);
bool link_is_past(const struct timespec *ts);

/* Whether an agent may be attached soon. */
void link_expect(struct link *l, bool expected);

/* Gives a packet to the agent without waiting; lock held. -EAGAIN: no room. */
int link_send(struct link *l, struct ike_msg *msg, const void *key, size_t key_len);

/* Waits so long for the reply of a request that was sent; lock held, and given up. */
int link_await(struct link *l, struct ike_msg *msg, struct pending *p, unsigned int ms);

/* The plugin's HELLO. */
void link_greeting(struct link *l, struct ike_msg *msg);

/* What the agent sent, which is valid; the reader. */
void link_take(struct link *l, const struct ike_msg *m);

/* One life of an agent, by the reader. Returns whether it reached a router. */
bool link_run_agent(struct link *l);

/* The thread that tells routers all. */
void *link_replayer(void *arg);

#endif

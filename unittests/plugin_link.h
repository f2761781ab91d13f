/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_UNITTESTS_PLUGIN_LINK_H
#define CYGNET_UNITTESTS_PLUGIN_LINK_H

#include "link.h"

#include <check.h>
#include <pthread.h>

/*
 * A link with an agent of our own at the other end of its socket: a thread that answers as it is told.
 * Each life of an agent is a thread; what it does with a request is `behave`.
 */

#define TIMEOUT 1000 /* ms, of a request: what is answered is, within that, on a busy machine too */
#define PATIENT 10000 /* ms, the time-out of a link that must not come to it */
#define RETRY 500 /* ms, between replays of which a part was refused */
#define EPOCH 77

enum what {
	ANSWER, /* status 0 */
	SILENT, /* read and forget */
	REPEAT, /* the same answer three times */
	GARBLE, /* each time another malformation, and then the answer */
	LATE, /* the answer after twice the time-out */
	CLOSE, /* instead of an answer */
	HOLD, /* the answer when that is no longer set */
	DEAF, /* does not read any more */
};

struct fake {
	pthread_mutex_t lock;
	enum what what[256]; /* by type of request */
	int status[256];
	unsigned int got[256];
	unsigned int asked[16]; /* QUERY_SA, by SPI */
	uint32_t missing; /* SPIs below 32 as bits: the router has no SA with them */
	unsigned int
		spoil; /* the policy that is told as the so-manieth is not taken for the moment; 0: all are */
	unsigned int lacks; /* that policy, which was not told again yet: its number and 1 */
	unsigned int early; /* SYNC_DONE meanwhile */
	unsigned int lives, gone; /* agents that were started, that ended */
	unsigned int garbled;
	unsigned int events, hard, lines; /* that the link raised, that it logged */
	uint64_t epoch; /* of the router; 0: none is there */
	unsigned int attach_ms; /* that an agent takes to attach, saying nothing */
	int start_error; /* of start_agent() */
	int fd; /* of the life that is; -1: none */
	bool quit;
	bool quiet; /* says no AGENT_UP */
	struct link *link;
	struct desired *desired;
};

extern struct fake fake;

void fake_setup(void);
/* The same with a time-out of PATIENT. */
void fake_setup_patient(void);
void fake_teardown(void);

/* Waits up to 20 seconds until *n, under the lock, is at least that. */
void fake_wait(const unsigned int *n, unsigned int least);
void fake_wait_up(void);
void fake_set(uint16_t type, enum what what);
unsigned int fake_read(const unsigned int *n);
/* Sends a message to the link, as the agent. */
void fake_send(const void *data, size_t len);
/* Leaves room for a few messages only on the way to the agent. */
void fake_shrink(void);
/* Ends the agent's life. */
void fake_hang_up(void);

/* A request of that type; its result, and in *ms how long it took. */
int fake_call(uint16_t type, unsigned int *ms);
uint64_t fake_ms(void);

#endif

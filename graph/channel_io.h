/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CHANNEL_IO_H
#define CYGNET_CHANNEL_IO_H

#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The two queues between rte_mp and the control thread. Sending over rte_mp blocks for as long as the
 * other end is stopped, and its callback may neither block nor allocate nor send: so requests come in
 * through a ring that the callback fills, and replies and events leave through a thread of their own.
 */

#define CHANNEL_PEER_MAX 128 /* path of a Unix socket: struct sockaddr_un has 108 */
#define CHANNEL_INBOX 256
#define CHANNEL_OUTBOX 1024
#define CHANNEL_OUTBOX_REPLIES 64 /* of these for replies alone */

struct channel_in {
	struct ike_msg msg;
	uint64_t received; /* CLOCK_MONOTONIC nanoseconds */
	char peer[CHANNEL_PEER_MAX];
};

/*
 * One inbox, as rte_mp callbacks have no context. Control thread: opens it (wakefd: an eventfd that is
 * written for each request), and closes it, after which no callback touches it any more.
 */
void inbox_open(int wakefd);
void inbox_close(void);

/* Puts a request in, or drops and counts it. EAL's mp thread. */
void inbox_put(const void *param, size_t len, const char *peer);

/* Takes the oldest request. Control thread. */
bool inbox_get(struct channel_in *in);

uint64_t inbox_malformed(void);
uint64_t inbox_full(void);

struct channel_out {
	struct ike_msg msg;
	char peer[CHANNEL_PEER_MAX]; /* of a reply; empty: an event, to all */
};

struct sender;

/*
 * Starts the sender thread, which calls send(ctx, out) for each message and may block there. Its sends
 * are where pthread_cancel() takes effect, so send() holds no lock. Returns NULL when there is no memory.
 */
struct sender *sender_start(void (*send)(void *ctx, const struct channel_out *out), void *ctx);

/* Ends the thread, also while it is blocked in send(); what was not sent is lost. */
void sender_stop(struct sender *s);

/* Queues a message. Returns false when there is no room. Never blocks. */
bool sender_put(struct sender *s, const struct channel_out *out);

/* Events that would be queued now. */
unsigned int sender_room(struct sender *s);

#endif

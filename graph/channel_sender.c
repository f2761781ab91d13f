/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_io.h"

#include "log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The lock is held for a copy, never over a send. */
struct sender {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	void (*send)(void *ctx, const struct channel_out *out);
	void *ctx;
	bool stop;
	unsigned int head, n;
	struct channel_out q[CHANNEL_OUTBOX];
};

static void *
run(void *arg)
{
	struct sender *s = arg;
	struct channel_out out;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	for (;;) {
		pthread_mutex_lock(&s->lock);
		while (s->n == 0 && !s->stop)
			pthread_cond_wait(&s->more, &s->lock);
		if (s->stop) {
			pthread_mutex_unlock(&s->lock);
			return NULL;
		}
		out = s->q[s->head];
		s->head = (s->head + 1) % CHANNEL_OUTBOX;
		s->n--;
		pthread_mutex_unlock(&s->lock);

		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
		s->send(s->ctx, &out);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	}
}

struct sender *
sender_start(void (*send)(void *ctx, const struct channel_out *out), void *ctx)
{
	struct sender *s = calloc(1, sizeof(*s));
	sigset_t all, old;
	int rc;

	if (s == NULL)
		return NULL;
	s->send = send;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		LOG(ERR, "the sender thread could not be started: %s", strerror(rc));
		free(s);
		return NULL;
	}
	pthread_setname_np(s->thread, "cygnet-sender");
	return s;
}

void
sender_stop(struct sender *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	/* Takes effect in a blocked send alone: elsewhere the thread is about to see the flag. */
	pthread_cancel(s->thread);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

bool
sender_put(struct sender *s, const struct channel_out *out)
{
	unsigned int size = CHANNEL_OUTBOX;
	bool room;

	if (out->peer[0] == '\0')
		size -= CHANNEL_OUTBOX_REPLIES;
	pthread_mutex_lock(&s->lock);
	room = s->n < size;
	if (room) {
		s->q[(s->head + s->n++) % CHANNEL_OUTBOX] = *out;
		pthread_cond_signal(&s->more);
	}
	pthread_mutex_unlock(&s->lock);
	return room;
}

unsigned int
sender_room(struct sender *s)
{
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n < CHANNEL_OUTBOX - CHANNEL_OUTBOX_REPLIES
		       ? CHANNEL_OUTBOX - CHANNEL_OUTBOX_REPLIES - n
		       : 0;
}

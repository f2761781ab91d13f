/* SPDX-License-Identifier: BSD-3-Clause */
#include "sqn_store.h"

#include "log.h"
#include "sad.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_SLOT UINT32_MAX

struct sqn_entry {
	char *path;
	struct sqn_id id;
	int lock;
	/* The control thread's. */
	uint32_t slot;
	uint64_t max, reserved; /* last number there is; last that the SA may give */
	int told; /* error that was logged last */
	bool gone; /* its SA is */
	/* Under the store's lock. */
	uint64_t want, written; /* to be on the disk; there */
	int error;
	bool busy; /* the thread writes it */
};

struct sqn_store {
	struct sad *sad;
	struct sqn_entry **v;
	unsigned int n;
	pthread_t thread;
	bool running, stop;
	pthread_mutex_t lock; /* never held while a disk is waited for */
	pthread_cond_t work;
};

/* An entry whose file is behind; NULL: none. Called and returns with the lock. */
static struct sqn_entry *
behind(struct sqn_store *s)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->v[i]->want > s->v[i]->written && s->v[i]->error == 0)
			return s->v[i];
	return NULL;
}

static void *
write_files(void *arg)
{
	struct sqn_store *s = arg;
	struct sqn_entry *e;
	uint64_t want;
	int rc;

	pthread_setname_np(pthread_self(), "cygnet-state");
	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		e = behind(s);
		if (e == NULL) {
			pthread_cond_wait(&s->work, &s->lock);
			continue;
		}
		want = e->want;
		e->busy = true;
		pthread_mutex_unlock(&s->lock);
		rc = sqn_file_write(e->path, &e->id, want);
		pthread_mutex_lock(&s->lock);
		e->busy = false;
		if (rc == 0)
			e->written = want;
		e->error = rc; /* the control thread asks again */
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct sqn_store *
sqn_store_create(struct sad *sad)
{
	struct sqn_store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->sad = sad;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	return s;
}

static uint64_t
block_after(uint64_t last, uint64_t max)
{
	return max - last > SQN_BLOCK ? last + SQN_BLOCK : max;
}

/* written: what was there; want: what is there now. */
static int
reserve(struct sqn_entry *e, char *why, size_t size)
{
	int rc;

	e->lock = sqn_file_lock(e->path);
	if (e->lock < 0) {
		snprintf(why, size, "%s",
			e->lock == -EBUSY ? "is in use by another SA or router"
					  : strerror(-e->lock));
		return e->lock;
	}
	rc = sqn_file_read(e->path, &e->id, &e->written, why, size);
	if (rc < 0)
		return rc;
	if (e->written >= e->max) {
		snprintf(why, size, "%s", "says that all numbers are used: the SA needs a new key");
		return -EOVERFLOW;
	}
	e->want = e->reserved = block_after(e->written, e->max);
	rc = sqn_file_write(e->path, &e->id, e->want);
	if (rc < 0)
		snprintf(why, size, "cannot be written: %s", strerror(-rc));
	return rc;
}

void
sqn_store_close(struct sqn_entry *e)
{
	if (e == NULL)
		return;
	if (e->lock >= 0)
		close(e->lock);
	free(e->path);
	free(e);
}

/* The thread's view changes with the lock alone. */
static int
append(struct sqn_store *s, struct sqn_entry *e)
{
	struct sqn_entry **v;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	v = realloc(s->v, (s->n + 1) * sizeof(*v));
	if (v != NULL) {
		s->v = v;
		s->v[s->n++] = e;
	}
	if (v == NULL)
		rc = -ENOMEM;
	else if (!s->running)
		rc = -pthread_create(&s->thread, NULL, write_files, s);
	s->running |= rc == 0;
	s->n -= v != NULL && rc < 0;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
sqn_store_open(const char *path, const struct sqn_id *id, uint64_t max, struct sqn_entry **entry,
	char *why, size_t size)
{
	struct sqn_entry *e = calloc(1, sizeof(*e));
	int rc = -ENOMEM;

	*entry = NULL;
	snprintf(why, size, "%s", strerror(ENOMEM));
	if (e == NULL)
		return rc;
	e->lock = -1;
	e->slot = NO_SLOT;
	e->id = *id;
	e->max = max;
	e->path = strdup(path);
	if (e->path != NULL)
		rc = reserve(e, why, size);
	if (rc < 0)
		sqn_store_close(e);
	else
		*entry = e;
	return rc;
}

int
sqn_store_add(struct sqn_store *s, struct sqn_entry *e, uint64_t *from, uint64_t *reserved)
{
	int rc;

	*from = e->written;
	*reserved = e->written = e->want;
	rc = append(s, e);
	if (rc == 0)
		return s->n - 1;
	sqn_store_close(e);
	return rc;
}

void
sqn_store_cancel(struct sqn_store *s, int index)
{
	s->v[index]->gone = true;
}

void
sqn_store_attach(struct sqn_store *s, int index, uint32_t slot)
{
	s->v[index]->slot = slot;
}

static uint64_t
given(const struct sqn_store *s, const struct sqn_entry *e)
{
	return atomic_load_explicit(&sad_hot(s->sad, e->slot)->sqn, memory_order_relaxed);
}

static void
tell(struct sqn_entry *e, int error)
{
	if (error == e->told)
		return;
	e->told = error;
	if (error != 0)
		LOG(ERR, "%s cannot be written: %s: its SA stops at number %" PRIu64, e->path,
			strerror(-error), e->reserved);
	else
		LOG(NOTICE, "%s is written again", e->path);
}

void
sqn_store_release(struct sqn_store *s, uint32_t slot)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->v[i]->slot == slot) {
			s->v[i]->slot = NO_SLOT;
			s->v[i]->gone = true;
		}
}

/* Entries whose SA has gone, but for one that is being written. The lock is held. */
static void
forget_gone(struct sqn_store *s)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < s->n; i++) {
		if (s->v[i]->gone && !s->v[i]->busy)
			sqn_store_close(s->v[i]);
		else
			s->v[left++] = s->v[i];
	}
	s->n = left;
}

void
sqn_store_tick(struct sqn_store *s)
{
	bool work = false;

	if (!s->running)
		return;
	pthread_mutex_lock(&s->lock);
	forget_gone(s);
	pthread_mutex_unlock(&s->lock);
	for (unsigned int i = 0; i < s->n; i++) {
		struct sqn_entry *e = s->v[i];
		uint64_t last, written;
		bool settled;
		int error;

		if (e->slot == NO_SLOT || sad_cold(s->sad, e->slot)->state != SA_LIVE)
			continue;
		last = given(s, e);
		pthread_mutex_lock(&s->lock);
		written = e->written;
		error = e->error;
		e->error = 0;
		settled = error != 0 || written == e->want; /* else a try is under way */
		/* A quarter of a block is used: the rest is for the time that the disk takes. */
		if (last < e->max && e->want == written &&
			(last >= written || written - last < SQN_BLOCK / 4 * 3))
			e->want = block_after(last, e->max);
		work |= e->want > written;
		pthread_mutex_unlock(&s->lock);
		if (written > e->reserved) {
			e->reserved = written;
			sad_reserve(s->sad, e->slot, written);
		}
		if (settled)
			tell(e, error);
	}
	if (work)
		pthread_cond_signal(&s->work);
}

void
sqn_store_destroy(struct sqn_store *s)
{
	if (s == NULL)
		return;
	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_mutex_unlock(&s->lock);
		pthread_cond_signal(&s->work);
		pthread_join(s->thread, NULL);
	}
	for (unsigned int i = 0; i < s->n; i++) {
		struct sqn_entry *e = s->v[i];

		/* What was never given need not be lost. */
		if (e->slot != NO_SLOT && sad_cold(s->sad, e->slot)->state == SA_LIVE &&
			given(s, e) < e->written)
			sqn_file_write(e->path, &e->id, given(s, e));
		sqn_store_close(e);
	}
	free(s->v);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"
#include "channel_io.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One producer (EAL's mp thread), one consumer (the control thread). */
static struct {
	_Atomic bool open;
	_Atomic bool busy; /* the producer is inside */
	int wakefd;
	_Atomic uint32_t head, tail; /* put, taken */
	_Atomic uint64_t malformed, full;
	struct channel_in entries[CHANNEL_INBOX];
} inbox;

void
inbox_open(int wakefd)
{
	inbox.wakefd = wakefd;
	atomic_store(&inbox.head, 0);
	atomic_store(&inbox.tail, 0);
	atomic_store(&inbox.malformed, 0);
	atomic_store(&inbox.full, 0);
	atomic_store(&inbox.open, true);
}

void
inbox_close(void)
{
	atomic_store(&inbox.open, false);
	/* The callback does not block: it is out in a moment. */
	while (atomic_load(&inbox.busy))
		sched_yield();
}

static void
put(const void *param, size_t len, const char *peer)
{
	uint32_t head = atomic_load_explicit(&inbox.head, memory_order_relaxed);
	struct channel_in *in = &inbox.entries[head % CHANNEL_INBOX];
	size_t peer_len = strnlen(peer, CHANNEL_PEER_MAX);
	uint64_t one = 1;
	struct timespec ts;

	if (channel_check(param, len) < 0 || peer_len == 0 || peer_len == CHANNEL_PEER_MAX) {
		atomic_fetch_add(&inbox.malformed, 1);
		return;
	}
	if (head - atomic_load_explicit(&inbox.tail, memory_order_acquire) == CHANNEL_INBOX) {
		atomic_fetch_add(&inbox.full, 1);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	memset(&in->msg, 0, sizeof(in->msg));
	memcpy(&in->msg, param, len < sizeof(in->msg) ? len : sizeof(in->msg));
	in->received = ts.tv_sec * CHANNEL_NSEC + ts.tv_nsec;
	memcpy(in->peer, peer, peer_len + 1);
	atomic_store_explicit(&inbox.head, head + 1, memory_order_release);
	/* Nonblocking; fails only when it is set anyway. */
	if (write(inbox.wakefd, &one, sizeof(one)) < 0)
		return;
}

void
inbox_put(const void *param, size_t len, const char *peer)
{
	atomic_store(&inbox.busy, true);
	if (atomic_load(&inbox.open))
		put(param, len, peer);
	atomic_store(&inbox.busy, false);
}

bool
inbox_get(struct channel_in *in)
{
	uint32_t tail = atomic_load_explicit(&inbox.tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&inbox.head, memory_order_acquire))
		return false;
	*in = inbox.entries[tail % CHANNEL_INBOX];
	atomic_store_explicit(&inbox.tail, tail + 1, memory_order_release);
	return true;
}

uint64_t
inbox_malformed(void)
{
	return atomic_load(&inbox.malformed);
}

uint64_t
inbox_full(void)
{
	return atomic_load(&inbox.full);
}

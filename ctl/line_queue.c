/* SPDX-License-Identifier: BSD-3-Clause */
#include "line_queue.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES (4u << 20)

struct line_queue {
	pthread_mutex_t lock;
	const char *lost_text;
	int wake; /* something was added */
	size_t at, len; /* of text: written, and added */
	unsigned long lost;
	unsigned long telling; /* of lost: in the first line, of which nothing is written */
	char text[QUEUE_BYTES];
};

struct line_queue *
line_queue_new(const char *lost)
{
	struct line_queue *q = malloc(sizeof(*q));

	if (q == NULL)
		return NULL;
	pthread_mutex_init(&q->lock, NULL);
	q->lost_text = lost;
	q->at = q->len = 0;
	q->lost = q->telling = 0;
	q->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->wake >= 0)
		return q;
	line_queue_free(q);
	return NULL;
}

void
line_queue_free(struct line_queue *q)
{
	if (q == NULL)
		return;
	if (q->wake >= 0)
		close(q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* Under the lock. */
static bool
add(struct line_queue *q, const char *line)
{
	size_t n = strlen(line);

	if (q->len + n + 1 > QUEUE_BYTES) {
		memmove(q->text, q->text + q->at, q->len - q->at);
		q->len -= q->at;
		q->at = 0;
	}
	if (q->len + n + 1 > QUEUE_BYTES)
		return false;
	memcpy(q->text + q->len, line, n);
	q->len += n;
	q->text[q->len++] = '\n';
	return true;
}

void
line_queue_add(struct line_queue *q, const char *line)
{
	static const uint64_t one = 1;

	pthread_mutex_lock(&q->lock);
	/* After the first that is lost all are, until the reader has caught up. */
	q->lost += q->lost > 0 || !add(q, line);
	pthread_mutex_unlock(&q->lock);
	if (write(q->wake, &one, sizeof(one)) < 0)
		return; /* so often that nobody needs to be told again */
}

/* A piece that a pipe takes whole when it says that it takes any; 0: there is nothing to write. */
static size_t
take(struct line_queue *q, char piece[PIPE_BUF])
{
	char line[256];
	size_t n;

	pthread_mutex_lock(&q->lock);
	if (q->at == q->len)
		q->at = q->len = 0;
	if (q->len == 0 && q->lost > 0) {
		snprintf(line, sizeof(line), q->lost_text, q->lost);
		q->telling = q->lost;
		q->lost = 0;
		add(q, line);
	}
	n = q->len - q->at < PIPE_BUF ? q->len - q->at : PIPE_BUF;
	memcpy(piece, q->text + q->at, n);
	pthread_mutex_unlock(&q->lock);
	return n;
}

static int64_t
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
line_queue_write(struct line_queue *q, int fd, int ms)
{
	int64_t end = milliseconds() + ms, left;
	char piece[PIPE_BUF];
	uint64_t count;
	ssize_t n;

	while ((left = end - milliseconds()) > 0) {
		size_t len = take(q, piece);
		struct pollfd p[] = {{.fd = q->wake, .events = POLLIN},
			{.fd = len > 0 ? fd : -1, .events = POLLOUT}};

		if (poll(p, 2, (int)left) < 0)
			return true;
		if (p[0].revents != 0 && read(q->wake, &count, sizeof(count)) < 0)
			continue;
		if (p[1].revents == 0)
			continue;
		n = write(fd, piece, len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		pthread_mutex_lock(&q->lock);
		q->at += n > 0 ? (size_t)n : 0;
		q->telling = n > 0 ? 0 : q->telling;
		pthread_mutex_unlock(&q->lock);
	}
	return true;
}

void
line_queue_drop(struct line_queue *q)
{
	pthread_mutex_lock(&q->lock);
	for (size_t i = q->at; i < q->len; i++)
		q->lost += q->text[i] == '\n';
	if (q->telling > 0)
		q->lost += q->telling - 1; /* that line was no event */
	q->telling = 0;
	q->at = q->len = 0;
	pthread_mutex_unlock(&q->lock);
}

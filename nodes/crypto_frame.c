/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"

#include <errno.h>

#include <rte_malloc.h>

int
crypto_queue_init(struct crypto_queue *q, uint32_t size, int socket)
{
	uint32_t n = rte_align32pow2(size + 1);

	q->size = size;
	q->mask = n - 1;
	q->frames = rte_zmalloc_socket(
		"frames", (size + 1) * sizeof(*q->frames), RTE_CACHE_LINE_SIZE, socket);
	q->order = rte_zmalloc_socket("order", n * sizeof(*q->order), RTE_CACHE_LINE_SIZE, socket);
	q->idle = rte_zmalloc_socket("idle", size * sizeof(*q->idle), RTE_CACHE_LINE_SIZE, socket);
	if (q->frames == NULL || q->order == NULL || q->idle == NULL) {
		crypto_queue_free(q);
		return -ENOMEM;
	}
	q->order[0] = &q->frames[size];
	for (uint32_t i = 0; i < size; i++)
		q->idle[q->n_idle++] = &q->frames[i];
	return 0;
}

void
crypto_queue_free(struct crypto_queue *q)
{
	rte_free(q->frames);
	rte_free(q->order);
	rte_free(q->idle);
	q->frames = NULL;
	q->order = q->idle = NULL;
}

/* The server with the fewest frames of ours, and, at a tie, the next in turn. */
static uint16_t
least_loaded(const struct crypto_queue *q)
{
	uint16_t best = q->head % q->n_servers;

	for (uint16_t i = 0; i < q->n_servers; i++)
		if (q->load[i] + rte_ring_count(q->to_server[i]) <
			q->load[best] + rte_ring_count(q->to_server[best]))
			best = i;
	return best;
}

void
crypto_flush(struct crypto_queue *q)
{
	struct crypto_frame *f = crypto_frame_at(q, q->head);

	if (f->n == 0)
		return;
	f->server = q->n_servers == 1 ? 0 : least_loaded(q);
	q->load[f->server]++;
	q->head++;
	/* Of all but one, which is open, no more than size are in flight: there is an idle one. */
	q->order[q->head & q->mask] = q->idle[--q->n_idle];
	/* A server's ring holds all frames that the worker has: never full. */
	rte_ring_sp_enqueue(q->to_server[f->server], f);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_frame.h"

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
	struct crypto_frame *f = &q->frames[q->head & q->mask];

	if (f->n == 0)
		return;
	f->server = q->n_servers == 1 ? 0 : least_loaded(q);
	q->load[f->server]++;
	q->head++;
	/* A server's ring holds all frames that the worker has: never full. */
	rte_ring_sp_enqueue(q->to_server[f->server], f);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_HOST_BUCKET_H
#define CYGNET_HOST_BUCKET_H

#include <stdint.h>

/*
 * The ration of a class of packets: a token bucket that holds a quarter of a second, at least one burst.
 * Time is in TSC cycles.
 */
struct bucket {
	uint64_t rate; /* tokens a second; 0: no limit */
	uint64_t hz;
	uint64_t full; /* cycles that fill it */
	uint64_t credit; /* cycles saved; a token costs hz / rate of them */
	uint64_t last;
};

#define BUCKET_BURST 32

static inline void
bucket_init(struct bucket *b, uint64_t rate, uint64_t hz, uint64_t now)
{
	uint64_t burst = rate / 4 > BUCKET_BURST ? rate / 4 : BUCKET_BURST;

	if (rate > hz)
		rate = 0;
	b->rate = rate;
	b->hz = hz;
	b->full = rate != 0 ? burst * (hz / rate) : 0;
	b->credit = b->full;
	b->last = now;
}

/* How many of n packets may pass now; takes their tokens. */
static inline unsigned int
bucket_take(struct bucket *b, unsigned int n, uint64_t now)
{
	uint64_t cost, may;

	if (b->rate == 0)
		return n;
	cost = b->hz / b->rate;
	/* The TSC of another core may lie behind by a little. */
	if (now > b->last) {
		b->credit =
			now - b->last > b->full - b->credit ? b->full : b->credit + (now - b->last);
		b->last = now;
	}
	may = b->credit / cost;
	if (may > n)
		may = n;
	b->credit -= may * cost;
	return may;
}

#endif

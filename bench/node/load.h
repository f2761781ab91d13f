/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdint.h>

#include <rte_common.h>

/*
 * What bench-source and bench-sink share. The nodes of one worker write, telemetry reads; "/bench/load" sets the rate
 * and starts the counters anew.
 */

/* Latency in buckets of 2^-4: values of four significant bits. */
#define LOAD_BUCKETS (64 * 16)

struct load {
	_Atomic uint64_t rate; /* packets a second; 0: as many as the worker takes */
	_Atomic uint32_t generation; /* the nodes forget what they counted when it changes */
	_Alignas(RTE_CACHE_LINE_SIZE) uint64_t sent, lost; /* source */
	_Alignas(RTE_CACHE_LINE_SIZE) uint64_t received, bucket[LOAD_BUCKETS]; /* sink */
	int stamp; /* offset in mbufs of the TSC at which a packet was due */
};

extern struct load load;

static inline unsigned int
load_bucket(uint64_t v)
{
	unsigned int top = v < 16 ? 4 : 63 - __builtin_clzll(v);

	return v < 16 ? v : (top - 3) * 16 + (v >> (top - 4)) % 16;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CHANNEL_STATS_H
#define CYGNET_CHANNEL_STATS_H

#include "wire.h"

#include <stdint.h>

struct channel;

#define CHANNEL_LATENCY_US 256 /* buckets of a microsecond; the last holds all that took longer */
#define CHANNEL_TYPES (IKE_PING + 1)

struct channel_stats {
	uint64_t requests; /* answered */
	uint64_t refused; /* of these, with an error */
	uint64_t malformed, inbox_full; /* dropped: the requester times out */
	uint64_t acquires, expires, resyncs; /* events sent */
	uint64_t lost_replies, lost_events; /* no room: the agent is stopped */
	/* From the receipt of a request to its reply in the sender's queue, by request type. */
	uint32_t latency[CHANNEL_TYPES][CHANNEL_LATENCY_US];
};

/* The figures since the start; stats belongs to the channel. Control thread. */
const struct channel_stats *channel_stats(struct channel *c);

/* A quantile of the latency of a request type in whole microseconds (500: the median); 0 without any. */
unsigned int channel_latency_us(
	const struct channel_stats *stats, unsigned int type, unsigned int permille);

#endif

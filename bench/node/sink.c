/* SPDX-License-Identifier: BSD-3-Clause */

/* bench-sink stands before port-tx and counts how long packets took since they were due. */

#include "load.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf_dyn.h>
#include <rte_telemetry.h>

static uint32_t generation;

static uint16_t
sink_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	uint64_t now = rte_rdtsc();
	uint32_t is = atomic_load_explicit(&load.generation, memory_order_acquire);

	if (is != generation) {
		generation = is;
		load.received = 0;
		memset(load.bucket, 0, sizeof(load.bucket));
	}
	for (uint16_t i = 0; i < n; i++) {
		uint64_t due = *RTE_MBUF_DYNFIELD((struct rte_mbuf *)objs[i], load.stamp, uint64_t *);

		load.bucket[load_bucket(now > due ? now - due : 0)]++;
	}
	load.received += n;
	rte_node_next_stream_move(graph, node, 0);
	return n;
}

static struct rte_node_register sink = {
	.name = "bench-sink",
	.init = worker_node_init,
	.process = sink_process,
	.nb_edges = 1,
	.next_nodes = {"port-tx"},
};
RTE_NODE_REGISTER(sink);

/* Lower edge of a bucket, in TSC cycles. */
static uint64_t
edge_of(unsigned int b)
{
	return b < 16 ? b : (16ull + b % 16) << (b / 16 - 1);
}

static uint64_t
percentile(double q)
{
	uint64_t sum = 0, want;

	for (unsigned int b = 0; b < LOAD_BUCKETS; b++)
		sum += load.bucket[b];
	want = q * (double)sum;
	sum = 0;
	for (unsigned int b = 0; b < LOAD_BUCKETS; b++) {
		sum += load.bucket[b];
		if (sum > want)
			return edge_of(b) * 1000000 / (rte_get_tsc_hz() / 1000);
	}
	return 0;
}

/* Nanoseconds. */
static int
show(const char *cmd, const char *params, struct rte_tel_data *d)
{
	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_u64(d, "sent", load.sent);
	rte_tel_data_add_dict_u64(d, "lost", load.lost);
	rte_tel_data_add_dict_u64(d, "received", load.received);
	rte_tel_data_add_dict_u64(d, "p50", percentile(0.5));
	rte_tel_data_add_dict_u64(d, "p90", percentile(0.9));
	rte_tel_data_add_dict_u64(d, "p99", percentile(0.99));
	rte_tel_data_add_dict_u64(d, "p99_9", percentile(0.999));
	return 0;
}

static int
set(const char *cmd, const char *params, struct rte_tel_data *d)
{
	(void)cmd;
	if (params == NULL)
		return -1;
	atomic_store(&load.rate, strtoull(params, NULL, 10));
	atomic_fetch_add(&load.generation, 1);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_u64(d, "rate", load.rate);
	return 0;
}

RTE_INIT(bench_telemetry)
{
	rte_telemetry_register_cmd("/bench/show", show, "What was sent, lost, received, and how late.");
	rte_telemetry_register_cmd("/bench/load", set, "Packets a second from now on; 0: all there is.");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An example of a node from outside: dscp-count stands on an edge where packets begin with their IPv4
 * header, counts them by DSCP, and sends each on its way. `plugins:` in router.yaml loads it and names the
 * edge; DPDK's telemetry shows the counters as /cygnet/dscp.
 */

#include <stdio.h>

#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_telemetry.h>

#include "worker.h"

#define DSCPS 64

/* Each lcore writes its own line alone. */
static struct {
	_Alignas(RTE_CACHE_LINE_SIZE) uint64_t packets[DSCPS];
} count[RTE_MAX_LCORE];

static uint16_t
dscp_count_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	uint64_t *mine = count[rte_lcore_id()].packets;

	for (uint16_t i = 0; i < nb_objs; i++) {
		struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod((struct rte_mbuf *)objs[i], struct rte_ipv4_hdr *);

		mine[ip->type_of_service >> 2]++;
	}
	/* All go the same way: the router makes edge 0 the one that the node stands on. */
	rte_node_next_stream_move(graph, node, 0);
	return nb_objs;
}

static struct rte_node_register dscp_count = {
	.name = "dscp-count",
	.process = dscp_count_process,
	.init = worker_node_init,
	.nb_edges = 1,
	.next_nodes = {"drop"},
};

RTE_NODE_REGISTER(dscp_count);

static int
show(const char *cmd, const char *params, struct rte_tel_data *d)
{
	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	for (unsigned int dscp = 0; dscp < DSCPS; dscp++) {
		uint64_t sum = 0;
		char name[8];

		for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE; lcore++)
			sum += count[lcore].packets[dscp];
		snprintf(name, sizeof(name), "%u", dscp);
		if (sum > 0)
			rte_tel_data_add_dict_u64(d, name, sum);
	}
	return 0;
}

RTE_INIT(dscp_count_telemetry)
{
	rte_telemetry_register_cmd("/cygnet/dscp", show, "Packets by DSCP.");
}

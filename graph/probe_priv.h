/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_PROBE_PRIV_H
#define CYGNET_PROBE_PRIV_H

#include "probe.h"

#include <rte_ether.h>
#include <rte_ip.h>

/* What probe*.c share. */

#define PROBE_TRACE_RECORDS \
	4096 /* of a lcore; a power of two: PROBE_TRACE_MAX packets at once through 20 nodes */
#define PROBE_CAPTURE_BYTES (2u << 20) /* of a lcore; a power of two */

/* One writer, the lcore; one reader, the control thread. Positions only grow. */
struct probe_ring {
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t head; /* written up to here */
	_Atomic uint64_t lost;
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t tail; /* read up to here */
};

/* A lcore's. */
struct probe_lcore {
	struct probe *probe;
	struct worker *w;
	rte_node_process_t *process; /* by node id: the nodes' own functions */
	uint8_t *kind; /* by node id: enum probe_kind */
	struct probe_ring trace_ring, capture_ring;
	struct probe_trace_record *trace; /* [PROBE_TRACE_RECORDS] */
	uint8_t *capture; /* [PROBE_CAPTURE_BYTES] */
	_Atomic uint64_t *edges; /* [node id * PROBE_EDGES_MAX + edge] */
};

/* What a node means to us; nodes of plugins are plain ones. */
enum probe_kind {
	PROBE_PLAIN,
	PROBE_SA, /* its packets have their SA: nobody else may look at pkt->sa */
	PROBE_SEAL, /* the same, and they are still clear */
	PROBE_OPENED, /* may come out of a tunnel */
	PROBE_DROPPED,
	PROBE_SENT,
	PROBE_SOURCE, /* what it finds is seen when it has given it on */
	PROBE_PORT, /* the same, and packets begin here */
	PROBE_HOST, /* the same, from Linux */
};

struct probe {
	unsigned int n;
	struct worker *const *lcores;
	struct probe_lcore *per_lcore; /* [n] */
	unsigned int wanted; /* PROBE_* */
	unsigned int edge_users;

	/* Of the trace; constant while it runs but for next. */
	struct probe_filter trace_filter;
	unsigned int packets;
	uint8_t first; /* id of the first packet */
	_Atomic unsigned int next; /* packets found */

	struct probe_capture_conf capture;
};

/* The ids of a trace's packets go on where the last trace ended: what an mbuf still bears is told apart. */
static inline bool
probe_traced(const struct probe *p, const struct pkt *k)
{
	return k->trace != 0 && (uint8_t)(k->trace - p->first) < p->packets && k->trace >= p->first;
}

/* On the lcore: packets that a node is about to see, or that a source has found. */
void probe_trace_node(struct probe_lcore *l, const struct rte_node *node, enum probe_kind kind,
	struct rte_mbuf *const *pkts, uint16_t n);
void probe_capture_node(
	struct probe_lcore *l, enum probe_kind kind, struct rte_mbuf *const *pkts, uint16_t n);

/* SPI of the SA that the packet has or had, network order; 0 for none. */
uint32_t probe_spi(const struct pkt *k, enum probe_kind kind);

/* Where the frame begins, for a packet whose Ethernet header was taken off by host-rx. */
static inline bool
probe_has_frame(const struct rte_mbuf *m, const struct pkt *k)
{
	return k->flags & PKT_F_OWN_L2 && m->data_off >= RTE_ETHER_HDR_LEN;
}

/* Between ether-input and ip4-rewrite a packet begins with IP; its length makes a chance match unlikely. */
static inline bool
probe_is_ip(const uint8_t *data, uint32_t len, uint32_t data_len)
{
	const struct rte_ipv4_hdr *ip4 = (const void *)data;
	const struct rte_ipv6_hdr *ip6 = (const void *)data;

	if (data_len >= sizeof(*ip4) && data[0] >> 4 == 4)
		return (data[0] & 15) >= 5 && rte_be_to_cpu_16(ip4->total_length) <= len;
	return data_len >= sizeof(*ip6) && data[0] >> 4 == 6 &&
	       rte_be_to_cpu_16(ip6->payload_len) + sizeof(*ip6) <= len;
}

#endif

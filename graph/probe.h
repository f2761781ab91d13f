/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_PROBE_H
#define CYGNET_PROBE_H

#include "pkt.h"
#include "worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pcap/pcap.h>
#include <rte_graph.h>

/*
 * Looking at packets on their way: for a trace (what each node saw) and for a capture (the packets themselves).
 *
 * While nobody looks, the nodes run as they are and a lcore tests one flag a walk. While somebody looks, each
 * lcore puts its own function before those of its nodes, and takes it away afterwards. What it sees it writes
 * into its own ring, which the control thread reads; a full ring loses what is new, counted. Records hold
 * copies: numbers and the head of a packet, never a pointer to anything.
 *
 * The rings are made at the first use and stay until the end. At most one trace and one capture run at a time.
 */

#define PROBE_FILTER_MAX 448 /* BPF instructions */
#define PROBE_TRACE_MAX 200 /* packets of one trace: their ids are bytes */
#define PROBE_HEAD 96 /* bytes of a packet in a trace's record */

enum { PROBE_TRACE = 1u << 0, PROBE_CAPTURE = 1u << 1, PROBE_EDGES = 1u << 2 };

/* A packet filter: one program for Ethernet frames, one for IP packets that a tunnel carried. */
struct probe_filter {
	unsigned int n_frame, n_inner; /* 0: everything matches */
	struct bpf_insn frame[PROBE_FILTER_MAX], inner[PROBE_FILTER_MAX];
};

/*
 * Reads a program as cygnetctl sends it, 16 hexadecimal digits an instruction. Returns how many there are, or
 * -EINVAL for what is no program, may not end, or reaches out of its memory.
 */
int probe_filter_parse(const char *hex, struct bpf_insn insns[PROBE_FILTER_MAX]);
/* Any thread. data: of the packet's first segment. */
bool probe_match(const struct bpf_insn *insns, unsigned int n, const void *data, uint32_t len,
	uint32_t data_len);

/* A node saw a packet. Byte order as in struct pkt. */
struct probe_trace_record {
	uint64_t tsc;
	uint64_t sqn;
	uint32_t spi, reqid, nexthop;
	rte_node_t node;
	uint16_t burst; /* packets that the node got at once */
	uint16_t in_port, out_port, flags, mtu, icmp_mtu, l3_len, len, head_len;
	uint8_t id, drop, punt, pad_len, icmp_type, icmp_code, op_status;
	bool entry; /* here the trace of the packet began */
	bool frame; /* the head begins with an Ethernet header; else with IP */
	uint8_t head[PROBE_HEAD];
};

/* Where a captured packet was. */
enum probe_place { PROBE_RX, PROBE_TX, PROBE_INNER_IN, PROBE_INNER_OUT, PROBE_DROP };
#define PROBE_PLACES 5
#define PROBE_NO_PORT UINT16_MAX

/* A packet, or the first snaplen bytes of it, which follow. Multiples of 8 bytes. */
struct probe_capture_record {
	uint64_t tsc;
	uint64_t sqn;
	uint32_t spi; /* network order; 0: no SA had to do with it */
	uint32_t size; /* of record and data, to the next record; */
	uint32_t len, caplen; /* caplen UINT32_MAX: nothing is here, the ring begins anew */
	uint16_t port;
	uint8_t place; /* enum probe_place */
	uint8_t drop;
	bool frame; /* it begins with an Ethernet header; else with IP */
	uint8_t data[];
};

struct probe;

/* All of it runs on the control thread, but for probe_switch(). NULL without memory. */
struct probe *probe_create(struct worker *const *lcores, unsigned int n);
void probe_destroy(struct probe *p); /* no lcore runs any more */

/* -EBUSY: one runs. -EAGAIN: one has ended, and lcores still write for it: microseconds. The filter is copied. */
int probe_trace_start(struct probe *p, const struct probe_filter *f, unsigned int packets);
void probe_trace_stop(struct probe *p);
/* Whether all lcores look by now: nothing is missed from here on. For traces and captures (PROBE_*). */
bool probe_ready(const struct probe *p, unsigned int bit);
/* Copies what there is of a lcore's records, at most max; returns how many. */
unsigned int probe_trace_read(
	struct probe *p, unsigned int lcore, struct probe_trace_record *v, unsigned int max);
uint64_t probe_trace_lost(const struct probe *p); /* records of all lcores, since the start */

struct probe_capture_conf {
	struct probe_filter filter;
	uint32_t snaplen;
	uint8_t places; /* bits by enum probe_place */
	uint16_t port; /* PROBE_RX and PROBE_TX of this one alone; PROBE_NO_PORT: of all */
};

int probe_capture_start(struct probe *p, const struct probe_capture_conf *conf);
void probe_capture_stop(struct probe *p);
/* The oldest record of a lcore, good until probe_capture_next(); NULL: none. */
const struct probe_capture_record *probe_capture_peek(struct probe *p, unsigned int lcore);
void probe_capture_next(struct probe *p, unsigned int lcore);
uint64_t probe_capture_lost(const struct probe *p);

/*
 * Counts the packets of each edge of the graphs, for as many as ask: each start wants its stop. The counts go on from
 * where they were. probe_edge(): of a lcore's node, by its id; edges beyond PROBE_EDGES_MAX are not counted.
 */
#define PROBE_EDGES_MAX 32
void probe_edges_start(struct probe *p);
void probe_edges_stop(struct probe *p);
uint64_t probe_edge(const struct probe *p, unsigned int lcore, rte_node_t node, rte_edge_t edge);

/* Each walk: whether what is to be seen has changed. */
static inline bool
probe_changed(const struct worker *w)
{
	return atomic_load_explicit(&w->probe_wanted, memory_order_relaxed) !=
	       atomic_load_explicit(&w->probe_done, memory_order_relaxed);
}

/* It has. Worker and crypto lcores, between two walks. */
void probe_switch(struct worker *w);

#endif

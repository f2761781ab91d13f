/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CTL_H
#define CYGNET_CTL_H

#include "router.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

/*
 * The router's end of cygnetctl; what ctl*.c share. All of it runs on the control thread.
 *
 * A client writes one JSON object a line, {"command": "sa", "args": {...}}, and gets one document a line:
 * {"status":"ok","data":...} or {"status":"error","message":"..."}. A table comes in pages, an array each,
 * so that no request keeps the control thread for long: while there is more the answer has a "next", which
 * the client sends back as args.cursor. Rows that exist during the whole of it come exactly once.
 */

#define CTL_CLIENTS 32
#define CTL_LINE_MAX 16384 /* of a request, without its newline */
#define CTL_PAGE_ROWS 100
#define CTL_PAGE_SCAN 16384 /* slots looked at for a page, however few of them are rows */
#define CTL_OWNERS 32

struct evbuffer;
struct probe;

/*
 * What follows the answer on its connection until the client hangs up, which is all that it can say. pump() adds what
 * is new, a bounded part of it, every 10 ms as long as the client takes it; false: it is over. close() frees it.
 */
struct ctl_stream {
	bool (*pump)(struct ctl_stream *s, struct evbuffer *out);
	void (*close)(struct ctl_stream *s);
};

/* A lcore's counters at one moment. */
struct ctl_sample {
	uint64_t tsc, walks, sleeps, sleep_cycles, busy_cycles;
};

struct ctl {
	struct router *r;
	uint64_t started; /* CLOCK_MONOTONIC nanoseconds */
	bool *isolated; /* [config->n_lcores]: looked up once, it means reading many files */
	struct ctl_sample (*samples)[2]; /* [r->n_lcores]: of the last tick and of the one before */
	unsigned int ticks;
	struct ctl_server *server;
	struct probe *probe; /* once somebody traced or captured */
	/* Of the request that is being answered: */
	uid_t peer; /* who asks */
	struct ctl_stream *stream; /* the stream that it opened: the server's, after its answer */
};

struct ctl_reply {
	json_t *data;
	char next[64]; /* cursor of the next page; empty: that was all */
	char message[192]; /* of an error */
};

/* A command fills the reply and returns 0, or a message and a negative errno. args may be NULL. */
struct ctl_command {
	const char *name;
	int (*run)(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
};

/* ctl.c: all but the socket, for ctl_start() and for tests; NULL without memory. */
struct ctl *ctl_new(struct router *r);
void ctl_free(struct ctl *ctl);
/* Takes a sample of the lcores' counters; each second. */
void ctl_sample(struct ctl *ctl);

/* ctl_server.c: listens on the configuration's socket; NULL after one log line. */
struct ctl_server *ctl_server_start(struct ctl *ctl);
void ctl_server_stop(struct ctl_server *server);

/*
 * ctl_request.c: answers one line. Returns the answer with its newline (free it) and its length, or NULL
 * without memory.
 */
char *ctl_answer(struct ctl *ctl, const char *line, size_t len, size_t *answer_len);
/* An answer that is an error. */
char *ctl_answer_error(const char *message, size_t *answer_len);

/* Fills message and returns rc. */
int ctl_fail(struct ctl_reply *reply, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* For commands that know no arguments, or the cursor alone (*cursor is NULL for the first page). */
int ctl_no_args(json_t *args, struct ctl_reply *reply);
int ctl_cursor_arg(json_t *args, struct ctl_reply *reply, const char **cursor);
/* A cursor that is a number below limit; 0 for NULL. */
int ctl_cursor_index(const char *cursor, uint32_t limit, uint32_t *index, struct ctl_reply *reply);

/* The commands. */
int ctl_capture(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_complete(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_edges(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_graph(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_lcores(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_policy(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_port(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_reload(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_route(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_sa(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_status(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_trace(struct ctl *ctl, json_t *args, struct ctl_reply *reply);
int ctl_version(struct ctl *ctl, json_t *args, struct ctl_reply *reply);

/* Who owns SAs and policies: read once a page. */
struct ctl_owners {
	unsigned int n;
	struct channel_owner v[CTL_OWNERS];
};
void ctl_owners_read(const struct ctl *ctl, struct ctl_owners *owners);
/* "static", "alive" or "orphan". */
const char *ctl_owner_state(const struct ctl_owners *owners, uint64_t owner);

/* A next hop: kind, gateway, port, MAC, MTU. */
json_t *ctl_next_hop(const struct ctl *ctl, const struct nexthop *nh);
/* "worker", "crypto", or "worker+crypto". */
const char *ctl_role(const struct worker *w);
/* Name of an enum punt_class. */
const char *ctl_punt_class(unsigned int class);

/*
 * Packets and bytes of a VLAN by its port id, all else 0: its counters are the workers' own; what was lost on the wire, its device
 * knows.
 */
struct rte_eth_stats;
void ctl_vlan_stats(const struct router *r, uint16_t id, struct rte_eth_stats *s);

/* Of a port of the configuration by its DPDK id; NULL when it is none. */
const char *ctl_port_name(const struct ctl *ctl, uint16_t port_id);

/* ctl_format.c: values as they stand in answers. */
uint64_t ctl_now(void); /* CLOCK_MONOTONIC nanoseconds */
json_int_t ctl_int(uint64_t v); /* JSON has no more than 63 bits here */
json_t *ctl_hex32(uint32_t v); /* host order */
json_t *ctl_hex64(uint64_t v);
json_t *ctl_addr(const struct ip_addr *a); /* null for none */
json_t *ctl_mac(const uint8_t mac[6]);
json_t *ctl_age(uint64_t seconds); /* now less that moment; null for 0 */
json_t *ctl_mark(uint32_t mark, uint32_t mask); /* null without a mask */
/* swanctl's names: "AES_GCM_16-256", "HMAC_SHA2_256_128"; null for none, "unknown-<id>". */
json_t *ctl_encryption(uint16_t alg, uint16_t key_len);
json_t *ctl_integrity(uint16_t alg);
json_t *ctl_protocol(uint8_t proto);

#endif

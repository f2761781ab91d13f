/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNITTESTS_NODES_PAIR_H
#define UNITTESTS_NODES_PAIR_H

#include "nodes.h"
#include "transform.h"

/*
 * Both ends of an SA in one router: it seals to PEER, or PEER6, and then becomes that one and opens what it sealed. Jumbo
 * frames, every crypto device.
 */

#define PAIR_MTU 9000

struct pair {
	struct sa_conf conf;
	uint8_t key[SA_KEY_MAX];
	uint32_t in, out; /* slots */
	struct spd_policy_conf policy;
	bool outer6, inner6;
};

/* Fixtures: crypto inline; on crypto lcores. */
void pair_world(void);
void pair_world_dedicated(void);

/* A random number below n, of eal_rand(). */
unsigned int below(unsigned int n);

static inline bool
pair_tunnel(const struct pair *p)
{
	return p->conf.mode == SA_MODE_TUNNEL;
}

/* Sets addresses and algorithms, encr or integ NULL: none, of p->conf. Without encryption it is AH. */
void pair_choose(struct pair *p, const struct transform_encr *encr, unsigned int key_len,
	const struct transform_integ *integ);
/* Adds both SAs, with a random key; the end that seals is ours. */
void pair_add(struct pair *p, uint32_t spi);
/* Packets from HOST_A to HOST_B, in transport mode from US to PEER, are protected when they leave. */
void pair_seals(struct pair *p);
/* The same when they come; PEER is ours now. */
void pair_opens(struct pair *p);
void pair_delete(struct pair *p);

/* Addresses of the packets that the pair protects. */
const char *pair_src(const struct pair *p);
const char *pair_dst(const struct pair *p);
/* Gives the router a packet to seal. */
void pair_send(const struct pair *p, struct rte_mbuf *m);
/* What came out at the other end: as sent(). */
uint16_t pair_opened(const struct pair *p, uint8_t *buf);

#endif

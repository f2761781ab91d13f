/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNITTESTS_FUZZ_WORLD_H
#define UNITTESTS_FUZZ_WORLD_H

#include "../nodes.h"
#include "fuzz.h"

/*
 * The real nodes of unittests/nodes_world.c, with an SA of each kind and policies for what comes out of them: in tunnels
 * between 10.2/16 and 10.1/16 and 2001:db8:2::/48 and 2001:db8:1::/48 (AH's from 10.2.1/24, 2001:db8:2:1::/64), in transport
 * mode UDP (AH's: protocol 253). It lives from one input to the next.
 */

#define SPI_TRANSPORT 0x3000u
#define SPI_UDP 0x3001u
#define SPI_GMAC 0x3002u
#define SPI_ESN 0x3003u
#define SPI_AH 0x3004u
#define SPI_AH_TRANSPORT 0x3005u
#define SPI_TUNNEL6 0x3006u
#define SPI_TRANSPORT6 0x3007u
#define SPI_UDP6 0x3008u
#define SPI_AH6 0x3009u
#define SPI_AH6_TRANSPORT 0x300au
#define SPI_OUT6 0x300bu

extern const uint8_t fuzz_ah_key[20];

void fuzz_world(void);

/*
 * Ends an input: all packets have their way, and waiting ones their time-out. Whatever left is an IP packet as it
 * should be, whatever was dropped has its reason, and no buffer is lost.
 */
void fuzz_settle(void);

#endif

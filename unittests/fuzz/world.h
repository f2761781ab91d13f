/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNITTESTS_FUZZ_WORLD_H
#define UNITTESTS_FUZZ_WORLD_H

#include "../nodes.h"
#include "fuzz.h"

/* The real nodes of unittests/nodes_world.c, with an SA of each kind; it lives from one input to the next. */

#define SPI_TRANSPORT 0x3000u
#define SPI_UDP 0x3001u
#define SPI_GMAC 0x3002u
#define SPI_ESN 0x3003u
#define SPI_AH 0x3004u
#define SPI_AH_TRANSPORT 0x3005u

void fuzz_world(void);

/*
 * Ends an input: all packets have their way, and waiting ones their time-out. Whatever left is an IP packet as it
 * should be, whatever was dropped has its reason, and no buffer is lost.
 */
void fuzz_settle(void);

#endif

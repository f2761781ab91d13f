/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CTL_CAPTURE_H
#define CYGNET_CTL_CAPTURE_H

#include <stdint.h>

/*
 * What follows the answer to a capture command, until the client hangs up: packets, each this head and then caplen
 * bytes. Both ends are on one machine: native byte order. cygnetctl includes this file.
 */
struct ctl_capture_packet {
	uint64_t ns; /* since 1970 */
	uint64_t sqn; /* with an SPI */
	uint32_t spi; /* host order; 0: none */
	uint32_t len; /* of the packet on its way */
	uint32_t caplen;
	uint16_t
		port; /* DPDK port: it came in by it, or leaves by it; UINT16_MAX: Linux or the router itself */
	uint8_t place; /* enum ctl_capture_place */
	uint8_t drop; /* index into the answer's drops */
	uint64_t lost; /* packets lost so far: the router's rings were full */
	uint8_t frame; /* it begins with an Ethernet header; else with IP */
	uint8_t reserved[7];
};

_Static_assert(sizeof(struct ctl_capture_packet) == 48, "no padding");

/* As enum probe_place. */
enum ctl_capture_place {
	CTL_CAPTURE_RX, /* as a port received it */
	CTL_CAPTURE_TX, /* as a port is to send it */
	CTL_CAPTURE_INNER_IN, /* what came out of a tunnel */
	CTL_CAPTURE_INNER_OUT, /* what is about to be sealed */
	CTL_CAPTURE_DROP,
	CTL_CAPTURE_READY = 255, /* no packet: all lcores look from here on */
};

#endif

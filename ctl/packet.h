/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_PACKET_H
#define CYGNETCTL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_TEXT 192

/*
 * A packet in a line, from its first len bytes: "10.1.0.2 > 10.2.0.2 ICMP echo request 7.1". frame: it begins with an
 * Ethernet header, else with IP. Nothing is believed of lengths in it. Returns buf.
 */
const char *packet_text(char buf[PACKET_TEXT], const uint8_t *data, size_t len, bool frame);

#endif

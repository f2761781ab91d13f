/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_FILTER_H
#define CYGNETCTL_FILTER_H

#include <jansson.h>

/*
 * A packet filter in pcap's language (man pcap-filter), words as on a command line, compiled for Ethernet frames and
 * for bare IP packets: into args as the router wants them. An expression that has no meaning for IP packets
 * ("arp", "ether host ...") matches none of them. No words: everything matches. Returns CTL_OK, or CTL_USAGE
 * after one line on stderr.
 */
int filter_compile(char **words, int n, json_t *args);

#endif

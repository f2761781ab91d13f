/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_PCAPNG_H
#define CYGNETCTL_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* Writes a pcapng file (draft-ietf-opsawg-pcapng), in native byte order. Each returns false when the file takes no more. */

#define PCAPNG_ETHERNET 1
#define PCAPNG_RAW_IP 101

/* Section header: which program wrote it; comments: an array of strings of less than 64 KiB, or NULL. */
bool pcapng_begin(FILE *f, const char *program, const json_t *comments);
/* Interfaces are numbered from 0 in their order. Times are nanoseconds. filter may be NULL. */
bool pcapng_interface(FILE *f, const char *name, const char *description, uint16_t link,
	uint32_t snaplen, const char *filter);

struct pcapng_packet {
	uint32_t interface;
	uint64_t ns; /* since 1970 */
	uint32_t caplen, len;
	const uint8_t *data; /* [caplen] */
	bool in, out; /* direction; neither: not known */
	const char *comment; /* NULL: none */
};

bool pcapng_packet(FILE *f, const struct pcapng_packet *p);
/* An array of strings of less than 64 KiB, as comments of interface 0 at that time. */
bool pcapng_comments(FILE *f, uint64_t ns, const json_t *comments);
/* Interface statistics: packets that were lost, as interface 0's. */
bool pcapng_lost(FILE *f, uint64_t ns, uint64_t received, uint64_t lost);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAILURES_H
#define FAILURES_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/*
 * The last failure of each gateway, of each of its tunnels, and of each address that no gateway was found for, from
 * the lines of charon's log (ike_words.h). In memory alone and bounded: peers choose what is in the log. Not
 * thread-safe; it knows nothing of charon.
 */

struct failures;

/* NULL without memory. names, addresses: how many are kept; the oldest make room. */
struct failures *failures_create(unsigned int names, unsigned int addresses);
void failures_destroy(struct failures *f);

/*
 * A line of the log at now (wall clock, seconds). gateway: charon's name of the connection, or NULL when it is
 * not known yet; peer: its address, as text. Lines that tell of no failure are passed over, and so is one that
 * weighs less than that of a moment ago: it follows from it.
 */
void failures_line(
	struct failures *f, const char *gateway, const char *peer, const char *line, time_t now);

/* A tunnel of the gateway was given up before it stood: if what failed last was a tunnel, it was this. */
void failures_given_up(struct failures *f, const char *gateway, const char *tunnel);

/* A tunnel came up, or has new keys: what was with it and its gateway is over. */
void failures_over(struct failures *f, const char *gateway, const char *peer, const char *tunnel);

/*
 * All, a line each: "TIME\tGATEWAY\tTUNNEL\tWORDS\n"; the tunnel is empty where it is the gateway's, and where the
 * gateway is empty the second is the peer's address. free() it; NULL without memory.
 */
char *failures_text(const struct failures *f, size_t *len);

#endif

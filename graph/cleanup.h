/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CLEANUP_H
#define CYGNET_CLEANUP_H

/*
 * Removes the huge-page files of a file prefix, which hold keys, and its runtime directory, for a router
 * that is not running. Returns 0, -EBUSY when a router with this prefix lives, or another negative errno;
 * prints nothing.
 */
int cleanup_prefix(const char *prefix);

/* The same without asking whether it lives: for the router itself, at its end. */
int cleanup_own(const char *prefix);

#endif

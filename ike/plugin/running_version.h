/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_RUNNING_VERSION_H
#define CYGNET_RUNNING_VERSION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the running daemon is of that strongSwan version. strongSwan has no symbol that says its version at
 * run time, but each of its daemons has it among its constants, for its first log line: charon as
 * "strongSwan VERSION", charon-systemd as a string of its own.
 * running: the version found, or "unknown".
 */
bool running_version(const char *version, char *running, size_t size);

/* The same for the program file at path. */
bool running_version_of(const char *path, const char *version, char *running, size_t size);

#endif

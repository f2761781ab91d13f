/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_PLAIN_TEXT_H
#define CYGNET_PLAIN_TEXT_H

#include <stddef.h>

/*
 * Makes n bytes that somebody else chose fit to be shown on a terminal: each byte that is not of valid UTF-8, and each of a
 * control character (those of ASCII, DEL, U+0080 to U+009F), becomes '?'. The length stays.
 */
void plain_text(char *s, size_t n);

#endif

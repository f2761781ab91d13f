/* SPDX-License-Identifier: BSD-3-Clause */
#include "plain_text.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether the three bytes are a character that has no width, or turns the direction of what follows: U+200B to U+200F, U+2028 to
 * U+202E, U+2066 to U+2069. */
static bool
steers(const uint8_t *s)
{
	if (s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 &&
		       ((s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

/* Bytes of the character at s that may be shown, or 0 (RFC 3629, 4). */
static size_t
shown(const uint8_t *s, size_t n)
{
	/* What the second byte must be at least and at most: no longer form than needed, no surrogates, none after U+10FFFF. */
	uint8_t lo = 0x80, hi = 0xbf;
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (len == 1)
		return s[0] >= ' ' && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
		return 0;
	if (s[0] == 0xc2 || s[0] == 0xe0)
		lo = 0xa0; /* after 0xc2: U+0080 to U+009F are control characters */
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len == 3 && steers(s) ? 0 : len;
}

void
plain_text(char *s, size_t n)
{
	for (size_t at = 0, len; at < n; at += len) {
		len = shown((const uint8_t *)s + at, n - at);
		if (len == 0) {
			s[at] = '?';
			len = 1;
		}
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_text.h"

#include <string.h>

/* Edit distance with swaps of neighbours, words of at most 63 letters. */
static unsigned int
distance(const char *a, const char *b)
{
	unsigned int rows[3][65], *before = rows[0], *last = rows[1], *now = rows[2];
	size_t na = strlen(a), nb = strlen(b);

	if (na > 63 || nb > 63)
		return 64;
	for (size_t j = 0; j <= nb; j++)
		last[j] = (unsigned int)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned int *spare = before;

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned int best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

const char *
config_nearest(const char *word, const char *(*candidate)(void *ctx, unsigned int n), void *ctx)
{
	unsigned int best = (unsigned int)strlen(word) / 3 + 2, d;
	const char *found = NULL, *c;
	static _Thread_local char kept[64];

	for (unsigned int n = 0; (c = candidate(ctx, n)) != NULL; n++) {
		d = distance(word, c);
		if (d < best) {
			best = d;
			snprintf(kept, sizeof(kept), "%s", c);
			found = kept;
		}
	}
	return found;
}

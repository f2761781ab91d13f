/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_WORDS_H
#define CYGNET_IKE_WORDS_H

#include <stdbool.h>

struct ike_words {
	const char *words; /* static: plain words, with the line's own notification in brackets */
	unsigned int weight; /* of two that follow each other the heavier one tells the cause */
	bool of_tunnel; /* a tunnel failed; else its gateway, with all its tunnels */
};

/* What a line of charon's log means for an operator, when it says that something went wrong; false: nothing did. */
bool ike_words(const char *line, struct ike_words *w);

#endif

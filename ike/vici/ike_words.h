/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_WORDS_H
#define CYGNET_IKE_WORDS_H

#include <stddef.h>

/*
 * What a line of charon's log means for an operator, when it says that something went wrong: plain words, with the
 * line's own notification in brackets where it has one. NULL for other lines. weight: of two that follow each
 * other the heavier one tells the cause.
 */
const char *ike_words(const char *line, char *buf, size_t size, unsigned int *weight);

#endif

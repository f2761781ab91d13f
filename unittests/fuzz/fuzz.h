/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNITTESTS_FUZZ_H
#define UNITTESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* libFuzzer's two entry points. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* EAL without huge pages, of that many MB. For targets that have no world of nodes. */
void fuzz_eal(const char *megabytes);

/* An input that is read from its front; what is not there is zero. */
struct fuzz_input {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t
fuzz_u8(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t
fuzz_u16(struct fuzz_input *in)
{
	uint8_t high = fuzz_u8(in);

	return high << 8 | fuzz_u8(in);
}

/* Up to n bytes; returns how many there were, which *at points to. */
static inline size_t
fuzz_bytes(struct fuzz_input *in, size_t n, const uint8_t **at)
{
	if (n > in->left)
		n = in->left;
	*at = in->p;
	in->p += n;
	in->left -= n;
	return n;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SQN_FILE_H
#define CYGNET_SQN_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The file in which a static SA reserves its sequence numbers, so that none is given twice over any number of starts:
 * with a counter-mode cipher a number is a nonce (RFC 4106, 2; RFC 8750).
 *
 *	cygnet sequence numbers 1
 *	sa 0x00001001 5d0e3c7a9b1f2844      SPI, digest of algorithm and key
 *	reserved 4194304                    all up to this one may have been given
 *	check 90c1a2d37be4f566              digest of the lines above
 */

#define SQN_DIGEST 8

/* Which SA a file is for: numbers of one key are of no use to another. */
struct sqn_id {
	uint32_t spi; /* host order */
	uint8_t digest[SQN_DIGEST];
};

/* Any thread. key: n bytes, salt included; what they are cannot be told from the digest. Returns 0 or -ENOMEM. */
int sqn_id_make(struct sqn_id *id, uint32_t spi, uint16_t enc_alg, const uint8_t *key, size_t n);

/*
 * Takes the file for this process: PATH.lock is locked as long as the descriptor that is returned stays open, which a process
 * that dies cannot prevent. -EBUSY: another SA or router has it; or another negative errno.
 */
int sqn_file_lock(const char *path);

/*
 * Reads what is reserved. On an error writes to why (size bytes) what is wrong with the file, in words that follow its
 * name, and returns a negative errno: -ENOENT none, -EPERM others may write it, -EBADMSG not ours or damaged, -ESTALE
 * another SA's or key's.
 */
int sqn_file_read(
	const char *path, const struct sqn_id *id, uint64_t *reserved, char *why, size_t size);

/*
 * Puts a new file in the place of the old one: when it returns 0 the new one is on the disk, and at any moment
 * before it one of the two. Blocks as long as the disk does. Returns 0 or a negative errno.
 */
int sqn_file_write(const char *path, const struct sqn_id *id, uint64_t reserved);

/* Makes a file for a key that was never used. -EEXIST: there is one; or another negative errno. */
int sqn_file_create(const char *path, const struct sqn_id *id);

#endif

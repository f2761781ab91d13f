/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SQN_STORE_H
#define CYGNET_SQN_STORE_H

#include "sqn_file.h"

#include <stdint.h>

struct sad;

/*
 * Sequence numbers of static SAs that have a state file. An SA gives numbers only up to what its file says on the disk;
 * blocks are reserved ahead by a thread of its own, which is the only one that waits for a disk. When the disk is too slow or full
 * the SA runs dry: packets are dropped (esp-unreserved), and no number is given twice.
 */

#define SQN_BLOCK (1u << 22) /* numbers; what a start after a crash skips at most */

struct sqn_store;

struct sqn_entry; /* a file of it */

struct sqn_store *sqn_store_create(struct sad *sad);

/*
 * Takes the file, and reserves a first block, which waits for the disk. max: the SA's last number. Returns 0, *entry being for
 * sqn_store_add() or sqn_store_close(), or a negative errno, why (size bytes) saying in words what is wrong with the file. Any thread.
 */
int sqn_store_open(const char *path, const struct sqn_id *id, uint64_t max,
	struct sqn_entry **entry, char *why, size_t size);

/* Closes one that was not added, or NULL; the block is lost. Any thread. */
void sqn_store_close(struct sqn_entry *entry);

/*
 * The SA may give numbers from *from + 1 to *reserved. Returns an index for sqn_store_attach(), or a negative errno, and has closed
 * the file. Control thread.
 */
int sqn_store_add(
	struct sqn_store *store, struct sqn_entry *entry, uint64_t *from, uint64_t *reserved);

/* The SA could not be added: the file is closed. Control thread. */
void sqn_store_cancel(struct sqn_store *store, int index);

/* The SA of that file has this slot now. Control thread. */
void sqn_store_attach(struct sqn_store *store, int index, uint32_t slot);

/* The SA of that slot goes: its file is closed once the thread has left it, and keeps all that was reserved. Control thread. */
void sqn_store_release(struct sqn_store *store, uint32_t slot);

/* Hands new blocks to SAs and asks for more. Control thread, each 100 ms; never waits. */
void sqn_store_tick(struct sqn_store *store);

/* When no lcore runs any more: writes down what was really given, and frees all. Control thread. */
void sqn_store_destroy(struct sqn_store *store);

#endif

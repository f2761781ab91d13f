/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CRYPTO_H
#define CYGNET_CRYPTO_H

#include "config.h"
#include "sad.h"
#include "worker.h"

/* The crypto devices of the configuration, in its order of preference, and the sessions of SAs on them. */

#define CRYPTO_MAX_DEVS 8

struct crypto;

/*
 * Makes and starts the devices with a queue pair for each lcore that does crypto, and a pool for the
 * sessions. A device of the list that cannot be made is left out with a log line; none at all is an
 * error. Control thread. Returns NULL after one log line.
 */
struct crypto *crypto_create(
	const struct config *config, unsigned int queue_pairs, unsigned int max_sessions);
void crypto_destroy(struct crypto *c);

/* Gives an lcore its queue pair on every device. */
void crypto_assign(const struct crypto *c, struct crypto_server *server, uint16_t queue_pair);

/* The functions by which the SAD makes and destroys sessions. */
struct sad_crypto crypto_sad_ops(struct crypto *c);

unsigned int crypto_sessions_left(const struct crypto *c); /* that can still be made */

unsigned int crypto_devs(const struct crypto *c);
const char *crypto_dev_name(const struct crypto *c, unsigned int dev);

#endif

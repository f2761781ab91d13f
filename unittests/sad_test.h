/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TEST_SAD_H
#define CYGNET_TEST_SAD_H

#include "eal.h"
#include "sad.h"
#include "sad_lookup.h"
#include "wire.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>

/* A SAD with a crypto device that counts its sessions and fails when it is told to. */

#define SPI_MIN 0xc0000000u
#define SPI_MAX 0xcfffffffu
#define SLOTS 64
#define WORKERS 3
#define OWNER 0xabcdull

static struct rcu *rcu;
static struct sad *sad;
static const char *why;
static unsigned int sessions;
static int crypto_rc;
static bool ah_keys;
static const uint8_t key[SA_KEY_MAX] = {[0] = 0x5a, [35] = 0xa5};

static int
session_create(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *k)
{
	must(ctx == &sessions && k == key && (ah_keys || conf->enc_key_len == 36));
	if (crypto_rc < 0)
		return crypto_rc;
	sa->session = malloc(1);
	sa->salt = 0x5a175a17;
	sessions++;
	return 0;
}

static void
session_destroy(void *ctx, struct sa *sa)
{
	(void)ctx;
	free(sa->session);
	sa->session = NULL;
	sessions--;
}

static const struct sad_crypto crypto = {session_create, session_destroy, &sessions};

static inline void
make_sad(uint32_t slots)
{
	struct sad_conf conf = {.max_sas = slots,
		.spi_min = SPI_MIN,
		.spi_max = SPI_MAX,
		.workers = WORKERS,
		.rcu = rcu};

	sad = sad_create(&conf, &crypto);
	ck_assert_ptr_nonnull(sad);
}

static inline void
setup(void)
{
	eal_start();
	rcu = rcu_create();
	ck_assert_ptr_nonnull(rcu);
	make_sad(SLOTS);
}

static inline void
teardown(void)
{
	rcu_flush(rcu);
	sad_destroy(sad);
	rcu_destroy(rcu);
	ck_assert_uint_eq(sessions, 0);
	eal_stop();
}

static inline struct sa_conf
sa_in(uint32_t spi)
{
	return (struct sa_conf){.src = ip("192.0.2.1"),
		.dst = ip("192.0.2.2"),
		.owner = OWNER,
		.spi = rte_cpu_to_be_32(spi),
		.reqid = spi,
		.replay_window = 64,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 36,
		.dir = SA_DIR_IN,
		.mode = SA_MODE_TUNNEL,
		.proto = 50};
}

static inline struct sa_conf
sa_out(uint32_t spi, const char *dst)
{
	struct sa_conf conf = sa_in(spi);

	conf.dir = SA_DIR_OUT;
	conf.dst = ip(dst);
	conf.src = ip("192.0.2.2");
	return conf;
}

static inline int
add(const struct sa_conf *conf, bool from_get_spi, uint32_t *slot)
{
	return sad_add(sad, conf, key, from_get_spi, slot, &why);
}

/* Adds an SA whose SPI is not of get_spi; returns its slot. */
static inline uint32_t
must_add(const struct sa_conf *conf)
{
	uint32_t slot;
	int rc = add(conf, false, &slot);

	must_msg(rc == 0, "%d: %s", rc, why);
	return slot;
}

static inline uint32_t
reserve(void) /* host order */
{
	struct ip_addr dst = ip("192.0.2.2");
	uint32_t spi;
	int rc = sad_get_spi(sad, OWNER, 50, &dst, &spi);

	must_msg(rc == 0, "get_spi: %d", rc);
	return rte_be_to_cpu_32(spi);
}

static inline uint32_t
must_add_reserved(uint32_t spi)
{
	struct sa_conf conf = sa_in(spi);
	uint32_t slot;
	int rc = add(&conf, true, &slot);

	must_msg(rc == 0, "%d: %s", rc, why);
	return slot;
}

static inline struct sa *
lookup(uint32_t spi)
{
	return sad_lookup(sad, rte_cpu_to_be_32(spi), 50);
}

static inline int
find_in(uint32_t spi, uint32_t *slot)
{
	return sad_find(sad, SA_DIR_IN, 50, rte_cpu_to_be_32(spi), NULL, slot);
}

static inline int
find_out(uint32_t spi, const char *dst, uint32_t *slot)
{
	struct ip_addr a = ip(dst);

	return sad_find(sad, SA_DIR_OUT, 50, rte_cpu_to_be_32(spi), &a, slot);
}

static inline struct sa *
hot(uint32_t slot)
{
	return (struct sa *)(uintptr_t)sad_hot(sad, slot);
}

#endif

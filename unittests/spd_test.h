/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_TEST_SPD_H
#define CYGNET_TEST_SPD_H

#include "eal.h"
#include "sad.h"
#include "spd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_byteorder.h>

#define MAX_POLICIES 400
#define NO_PORT 0, 65535

static struct rcu *rcu;
static struct spd *spd;
static struct sad *sad; /* of SAs that policies may want */

static inline int
no_session_create(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *key)
{
	(void)ctx, (void)sa, (void)conf, (void)key;
	return 0;
}

static inline void
make_spd(uint32_t max)
{
	spd = spd_create(max, rcu);
	ck_assert_ptr_nonnull(spd);
}

static inline void
setup(void)
{
	eal_start();
	rcu = rcu_create();
	ck_assert_ptr_nonnull(rcu);
	make_spd(MAX_POLICIES);
	sad = sad_create(&(struct sad_conf){.max_sas = 16,
				 .spi_min = 0xc0000000,
				 .spi_max = 0xcfffffff,
				 .workers = 1,
				 .rcu = rcu},
		&(struct sad_crypto){.create = no_session_create});
	ck_assert_ptr_nonnull(sad);
}

static inline void
teardown(void)
{
	rcu_flush(rcu);
	spd_destroy(spd);
	sad_destroy(sad);
	rcu_destroy(rcu);
	eal_stop();
}

/* Addresses in host order. */
static inline struct spd_policy_conf
policy(uint32_t src, uint8_t src_plen, uint32_t dst, uint8_t dst_plen, uint32_t priority)
{
	return (struct spd_policy_conf){.sel = {.src = {.family = 4, .v4 = rte_cpu_to_be_32(src)},
						.dst = {.family = 4, .v4 = rte_cpu_to_be_32(dst)},
						.src_plen = src_plen,
						.dst_plen = dst_plen,
						.src_port_hi = UINT16_MAX,
						.dst_port_hi = UINT16_MAX},
		.priority = priority,
		.dir = SPD_OUT,
		.action = SPD_PROTECT,
		.mode = SA_MODE_TUNNEL,
		.proto = 50};
}

static inline struct spd_policy_conf
with_ports(struct spd_policy_conf conf, uint8_t proto, uint16_t lo, uint16_t hi)
{
	conf.sel.proto = proto;
	conf.sel.dst_port_lo = lo;
	conf.sel.dst_port_hi = hi;
	return conf;
}

static inline uint32_t
must_add(const struct spd_policy_conf *conf)
{
	uint32_t id;
	int rc = spd_add(spd, conf, &id);

	must_msg(rc == 0, "spd_add: %d", rc);
	return id;
}

static inline struct spd_key
packet(uint32_t src, uint32_t dst, uint8_t proto, uint16_t src_port, uint16_t dst_port)
{
	return (struct spd_key){.src4 = rte_cpu_to_be_32(src),
		.dst4 = rte_cpu_to_be_32(dst),
		.proto = proto,
		.src_port = src_port,
		.dst_port = dst_port};
}

/* One packet, n times in one burst: all must say the same. */
static inline struct spd_policy *
lookup_n(enum spd_dir dir, const struct spd_key *key, unsigned int n)
{
	const struct spd_key *keys[64];
	struct spd_policy *found[64];

	for (unsigned int i = 0; i < n; i++)
		keys[i] = key;
	spd_lookup4(spd, dir, keys, n, found);
	for (unsigned int i = 1; i < n; i++)
		must_msg(found[i] == found[0], "packet %u of %u finds another policy", i, n);
	return found[0];
}

#endif

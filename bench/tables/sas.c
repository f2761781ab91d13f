/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad_lookup.h"
#include "tables.h"

#include <netinet/in.h>
#include <stdlib.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

/* Inbound SAs, found by their SPIs; without crypto sessions, whose cost is the device's. */

static struct sad *sad;
static uint32_t n_sas, out;
static _Atomic uint32_t *spis;
static bool own; /* SPIs of sad_get_spi() */
static const uint8_t key[SA_KEY_MAX];

static int
no_session(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *k)
{
	(void)ctx;
	(void)sa;
	(void)conf;
	(void)k;
	return 0;
}

static void
no_session_either(void *ctx, struct sa *sa)
{
	(void)ctx;
	(void)sa;
}

static void
add(uint32_t i)
{
	struct sa_conf c = {.src = {.family = 4, .v4 = rte_cpu_to_be_32(0xc0000201)},
		.dst = {.family = 4, .v4 = rte_cpu_to_be_32(0xc0000202)},
		.owner = 1,
		.spi = rte_cpu_to_be_32(1000 + i * 2654435761u % 0xb0000000u),
		.reqid = i + 1,
		.replay_window = 128,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 20,
		.dir = SA_DIR_IN,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_ESP};
	const char *why;
	uint32_t slot;

	if (own)
		must(sad_get_spi(sad, 1, IPPROTO_ESP, &c.dst, &c.spi) == 0);
	must(sad_add(sad, &c, key, own, &slot, &why) == 0);
	atomic_store_explicit(&spis[i], c.spi, memory_order_release);
}

static uint64_t
lookup(const uint32_t *v)
{
	uint64_t begin = rte_rdtsc();
	const struct sa *sa;
	uint32_t found = 0;

	for (unsigned int i = 0; i < BURST; i++) {
		sa = sad_lookup(sad, v[i], IPPROTO_ESP);
		found += sa != NULL && sa->dir == SA_DIR_IN;
	}
	begin = rte_rdtsc() - begin;
	must(found == BURST || updating);
	return begin;
}

static uint64_t
random_sas(void)
{
	uint32_t v[BURST];

	for (unsigned int i = 0; i < BURST; i++)
		v[i] = atomic_load_explicit(&spis[random_below(n_sas)], memory_order_acquire);
	return lookup(v);
}

static uint64_t
one_flow(void)
{
	uint32_t v[BURST];

	for (unsigned int i = 0; i < BURST; i++)
		v[i] = atomic_load_explicit(&spis[n_sas / 2], memory_order_acquire);
	return lookup(v);
}

static void
take(void)
{
	uint32_t slot;

	out = random_below(n_sas);
	must(sad_find(sad, SA_DIR_IN, IPPROTO_ESP, spis[out], NULL, &slot) == 0);
	must(sad_del(sad, slot) == 0);
	/* Slots rest for a grace period: with few of them all would soon be on their way. */
	if (sad_count(sad, SA_DYING) > 256)
		rcu_poll(rcu);
}

static void
put(void)
{
	add(out);
}

static void
row(uint32_t n, bool with_own, const char *note)
{
	static const struct sad_crypto crypto = {no_session, no_session_either, NULL};
	const struct sad_conf conf = {.max_sas = n + 65536,
		.spi_min = 0xc0000000,
		.spi_max = 0xffffffff,
		.workers = 1,
		.rcu = rcu};
	const struct table t = {.name = "SAs",
		.n = n,
		.note = note,
		.random = random_sas,
		.flow = one_flow,
		.take = take,
		.put = put};

	n_sas = n;
	own = with_own;
	sad = sad_create(&conf, &crypto);
	spis = calloc(n, sizeof(*spis));
	must(sad != NULL && spis != NULL);
	fill_and_measure(&t, add);
	sad_destroy(sad);
	free(spis);
}

void
bench_sas(uint32_t max)
{
	for (uint32_t n = 10; n <= max; n *= n == 10 ? 100 : 10)
		row(n, true, "the router's SPIs");
	for (uint32_t n = 10; n <= max; n *= n == 10 ? 100 : 10)
		row(n, false, "scattered SPIs of others");
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include "early.h"

#include <pthread.h>

#include <rte_pause.h>

/* ESP of an SA that the peer uses already while ours is still being negotiated. */

static const struct ip4 inner = {.src = HOST_B, .dst = HOST_A};
static struct sa_conf conf;

static uint32_t
reserve(void)
{
	struct ip_addr us = address(US);

	conf = (struct sa_conf){.src = address(PEER),
		.dst = us,
		.reqid = REQID,
		.replay_window = 32,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 20,
		.dir = SA_DIR_IN,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_ESP};
	ck_assert_int_eq(sad_get_spi(world.r.sad, 0, IPPROTO_ESP, &us, &conf.spi), 0);
	tunnel_policies(SPD_NO_SA);
	return rte_be_to_cpu_32(conf.spi);
}

static uint32_t
install(void)
{
	const char *why = "";
	uint32_t slot;
	int rc = sad_add(world.r.sad, &conf, key_in.b, true, &slot, &why);

	ck_assert_msg(rc == 0, "SA: %s", why);
	return slot;
}

static void
put_number(uint32_t spi, uint64_t number, uint16_t len)
{
	struct esp e = ESP_IN(number);
	struct ip4 p = inner;

	e.spi = spi;
	p.len = len;
	put_esp(&e, &p);
}

/* They wait, and go on in their order when the SA is there, with a window that a disorder would overtax. */
START_TEST(wait_for_their_sa)
{
	uint32_t spi = reserve(), slot;
	uint8_t got[PACKET_MAX];

	for (unsigned int i = 1; i <= 100; i++)
		put_number(spi, i, 100 + i);
	run();
	no_drops();
	nothing_left();
	wait_ms(100);
	run();
	no_drops();
	slot = install();
	/* One that comes in the same walk does not overtake them. */
	put_number(spi, 101, 201);
	run();
	no_drops();
	for (unsigned int i = 1; i <= 101; i++)
		ck_assert_uint_eq(sent(LAN, got), 100 + i);
	nothing_left();
	ck_assert_uint_eq(sa_at(slot)->use.packets, 101);
	ck_assert_uint_eq(worker(0)->early.n, 0);
	put_number(spi, 100, 100);
	run();
	drops_are(DROP_ESP_REPLAY, 1);
}
END_TEST

/* The SA came in the middle of a walk: what is behind the waiting packets keeps its place though the SPI waits no more. */
START_TEST(nobody_overtakes)
{
	uint32_t spi = reserve();
	struct early_hold *h = &worker(0)->early;
	struct worker *w = worker(0);
	uint8_t got[PACKET_MAX];
	struct rte_mbuf *last;
	struct sa *sa;

	for (unsigned int i = 1; i <= 100; i++)
		put_number(spi, i, 100 + i);
	run();
	ck_assert_uint_eq(h->n, 100);
	last = h->pkts[--h->n];
	sa = sa_at(install());
	/* Nothing waits there. */
	ck_assert_int_eq(early_look(w, last, htonl(spi + 1), IPPROTO_ESP, &sa), EARLY_GO);
	ck_assert_int_eq(early_look(w, last, conf.spi, IPPROTO_ESP, &sa), EARLY_KEPT);
	h->n = RTE_DIM(h->pkts);
	ck_assert_int_eq(early_look(w, last, conf.spi, IPPROTO_ESP, &sa), EARLY_NO_ROOM);
	h->n = 100;
	run();
	no_drops();
	for (unsigned int i = 1; i <= 100; i++)
		ck_assert_uint_eq(sent(LAN, got), 100 + i);
	nothing_left();
}
END_TEST

START_TEST(not_for_ever)
{
	uint32_t spi = reserve();

	put_number(spi, 1, 100);
	run();
	no_drops();
	wait_ms(501);
	run();
	drops_are(DROP_ESP_NO_SA, 1);
	nothing_left();
}
END_TEST

/* charon gives the SPI back: nobody will open what waits for it. */
START_TEST(not_when_the_spi_is_given_up)
{
	uint32_t spi = reserve(), slot;

	put_number(spi, 1, 100);
	run();
	no_drops();
	ck_assert_int_eq(sad_find(world.r.sad, SA_DIR_IN, IPPROTO_ESP, conf.spi, NULL, &slot), 0);
	ck_assert_int_eq(sad_del(world.r.sad, slot), 0);
	run();
	drops_are(DROP_ESP_NO_SA, 1);
	put_number(spi, 2, 100);
	run();
	drops_are(DROP_ESP_NO_SA, 1);
}
END_TEST

/* Another generation's SPI of the same slot is unknown, as ever; and room is limited: one SPI leaves some for others. */
START_TEST(not_any_number)
{
	uint32_t spi = reserve(), other;
	unsigned int room = RTE_DIM(worker(0)->early.pkts);
	struct ip_addr us = address(US);

	put_number(spi + sad_slots(world.r.sad), 1, 100);
	run();
	drops_are(DROP_ESP_NO_SA, 1);
	for (unsigned int i = 1; i <= room; i++) {
		put_number(spi, i, 100);
		if (i % 32 == 0)
			run();
	}
	run();
	drops_are(DROP_ESP_NO_SA, room / 2);
	ck_assert_uint_eq(worker(0)->early.n, room / 2);
	ck_assert_int_eq(sad_get_spi(world.r.sad, 0, IPPROTO_ESP, &us, &other), 0);
	for (unsigned int i = 1; i <= 32; i++)
		put_number(rte_be_to_cpu_32(other), i, 100);
	run();
	no_drops();
	ck_assert_uint_eq(worker(0)->early.n, room / 2 + 32);
	/* What is left here at the end is given back: world_stop() counts. */
}
END_TEST

static _Atomic uint32_t
	there; /* the SPI, network order, from when it is reserved until its SA goes */
static _Atomic unsigned int missed;

/* Looks all the time, as a worker does with a packet of it: there is the SA, or the packet is kept. */
static void *
looks(void *stop)
{
	static struct worker w;
	struct rte_mbuf *m = NULL;

	w.sad = world.r.sad;
	while (!atomic_load((_Atomic bool *)stop)) {
		uint32_t spi = atomic_load(&there);
		struct sa *sa = sad_lookup(w.sad, spi, IPPROTO_ESP);

		w.early.n = 0;
		if (sa == NULL && early_look(&w, m, spi, IPPROTO_ESP, &sa) == EARLY_GO &&
			sa == NULL && spi != 0 && atomic_load(&there) == spi)
			missed++;
	}
	return NULL;
}

/* Just when an SA comes no packet of it is unknown. */
START_TEST(as_it_comes)
{
	_Atomic bool stop = false;
	pthread_t thread;

	missed = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, looks, &stop), 0);
	for (unsigned int i = 0; i < 20000; i++) {
		const char *why = "";
		struct ip_addr us = address(US);
		uint32_t slot;

		if (i == 0)
			reserve();
		else
			ck_assert_int_eq(
				sad_get_spi(world.r.sad, 0, IPPROTO_ESP, &us, &conf.spi), 0);
		atomic_store(&there, conf.spi);
		for (unsigned int k = 0; k < i % 64; k++)
			rte_pause();
		ck_assert_int_eq(sad_add(world.r.sad, &conf, key_in.b, true, &slot, &why), 0);
		atomic_store(&there, 0);
		ck_assert_int_eq(sad_del(world.r.sad, slot), 0);
		for (unsigned int k = 0; k < 8; k++)
			walk_all();
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(missed, 0);
}
END_TEST

TCase *
nodes_early_case(void)
{
	TCase *tc = tcase_create("early");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, wait_for_their_sa);
	tcase_add_test(tc, nobody_overtakes);
	tcase_add_test(tc, not_for_ever);
	tcase_add_test(tc, not_when_the_spi_is_given_up);
	tcase_add_test(tc, not_any_number);
	tcase_add_test(tc, as_it_comes);
	return tc;
}

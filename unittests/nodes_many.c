/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <stdlib.h>

#include <rte_cryptodev.h>

/* Two workers, and crypto lcores beside them. */

static const struct ip4 inner = {.src = HOST_B, .dst = HOST_A};

static uint32_t in, out;

static void
put_at(unsigned int w, const struct esp *e)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	uint16_t len = esp_packet(e, clear, ip4_build(clear, &inner), 0, 0, packet);

	put(world.rx[WAN][w], frame(WAN, packet, len));
}

static uint32_t
number_of(const uint8_t *frame)
{
	const uint8_t *seq = frame + 34 + 4;

	return (uint32_t)seq[0] << 24 | seq[1] << 16 | seq[2] << 8 | seq[3];
}

/* The window is one worker's: whichever worker gets the packet, each number passes once. */
START_TEST(one_window)
{
	struct esp e = ESP_IN(0);
	uint8_t got[PACKET_MAX];
	unsigned int n;

	tunnel(0, 128, &in, &out);
	for (e.sqn = 1; e.sqn <= 640;) {
		for (unsigned int k = 0; k < 64; k++, e.sqn++)
			put_at(k % 2, &e);
		run();
		no_drops();
		for (n = 0; sent(LAN, got) != 0; n++)
			;
		ck_assert_uint_eq(n, 64);
		/* The whole window again, by both. */
		for (uint64_t back = 1; back <= 64; back++) {
			struct esp again = e;

			again.sqn = e.sqn - back;
			put_at(0, &again);
			put_at(1, &again);
		}
		run();
		drops_are(DROP_ESP_REPLAY, 128);
		nothing_left();
	}
	ck_assert_uint_eq(sa_at(in)->worker, 0);
	ck_assert_uint_eq(sa_at(in)->use.packets, 640);
}
END_TEST

/* The same number at both workers at once. */
START_TEST(at_once)
{
	struct esp e = ESP_IN(0);
	uint8_t got[PACKET_MAX];

	tunnel(0, 128, &in, &out);
	for (e.sqn = 1; e.sqn < 200; e.sqn++) {
		put_at(e.sqn % 2, &e);
		put_at(!(e.sqn % 2), &e);
		run();
		drops_are(DROP_ESP_REPLAY, 1);
		ck_assert_uint_eq(sent(LAN, got), 100);
		nothing_left();
	}
}
END_TEST

/* In the ring when its SA goes: looked up again by the owner, and refused. */
START_TEST(handed_over_too_late)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	put_at(0, &e);
	run();
	ck_assert_uint_eq(sent(LAN, got), 100);
	e.sqn = 2;
	put_at(1, &e);
	walk_all();
	ck_assert_uint_eq(rte_ring_count(worker(0)->handover), 1);
	ck_assert_int_eq(sad_del(world.r.sad, in), 0);
	run();
	drops_are(DROP_ESP_NO_SA, 1);
	nothing_left();
}
END_TEST

START_TEST(handover_full)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];
	unsigned int room;

	tunnel(0, 4096, &in, &out);
	put_at(0, &e);
	run();
	ck_assert_uint_eq(sent(LAN, got), 100);
	room = rte_ring_get_capacity(worker(0)->handover);
	for (unsigned int i = 0; i < room + 10; i++) {
		e.sqn++;
		put_at(1, &e);
		if (i % 128 == 127 || i == room + 9)
			rte_graph_walk(worker(1)->graph); /* the owner is asleep */
	}
	drops_are(DROP_HANDOVER_FULL, 10);
	while (rte_ring_count(worker(0)->handover) > 0) {
		walk_all();
		while (sent(LAN, got) != 0)
			;
	}
	run();
	no_drops();
}
END_TEST

/* One outbound SA on both workers: no number and no IV comes twice, and none is left out. */
START_TEST(numbers_once)
{
	static uint8_t seen[20000];
	uint8_t ip[PACKET_MAX], got[PACKET_MAX], clear[PACKET_MAX];
	unsigned int n = 0;
	uint16_t len;

	tunnel(0, 0, &in, &out);
	srand(7);
	while (n < 10000) {
		for (unsigned int w = 0; w < 2; w++)
			for (unsigned int k = rand() % 100; k > 0; k--)
				put(world.rx[LAN][w],
					frame(LAN, ip,
						ip4_build(ip, &(struct ip4){.src = HOST_A,
								      .dst = HOST_B})));
		run();
		no_drops();
		while ((len = sent(WAN, got)) != 0) {
			uint32_t seq = number_of(got);

			ck_assert_uint_lt(seq, sizeof(seen));
			ck_assert_uint_eq(seen[seq]++, 0);
			ck_assert_mem_eq(got + 34 + 8, "\0\0\0", 4);
			ck_assert_mem_eq(got + 34 + 12, got + 34 + 4, 4);
			ck_assert_uint_ne(
				esp_open(&key_out, false, 0, got + 34, len - 20, clear), 0);
			n++;
		}
	}
	for (unsigned int i = 1; i <= n; i++)
		ck_assert_uint_eq(seen[i], 1);
}
END_TEST

/* At the end of the numbers, both workers. */
START_TEST(numbers_run_out)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	uint16_t len = ip4_build(ip, &(struct ip4){.src = HOST_A, .dst = HOST_B});
	uint32_t last = UINT32_MAX - 50;

	tunnel(0, 0, &in, &out);
	sa_at(out)->sqn = last;
	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int k = 0; k < 20; k++)
			put(world.rx[LAN][k % 2], frame(LAN, ip, len));
		run();
		while (sent(WAN, got) != 0)
			ck_assert_uint_eq(number_of(got), ++last);
	}
	ck_assert_uint_eq(last, UINT32_MAX);
	drops_are(DROP_ESP_OVERFLOW, 200 - 50);
}
END_TEST

/* Three crypto lcores, one SA, frames that overtake one another: what goes in first comes out first. */
START_TEST(order)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	uint32_t seq = 0;
	unsigned int sent_in = 0;

	tunnel(0, 0, &in, &out);
	srand(8);
	while (sent_in < 5000) {
		for (unsigned int k = 1 + rand() % 200; k > 0; k--, sent_in++)
			put(world.rx[LAN][0], frame(LAN, ip,
						      ip4_build(ip, &(struct ip4){.src = HOST_A,
									    .dst = HOST_B})));
		/* Lcores in any order, some of them not at all. */
		for (unsigned int k = 0; k < 20; k++) {
			struct worker *w = worker(rand() % world.r.n_lcores);

			w->now = world.now;
			rte_graph_walk(w->graph);
			if (w->worker)
				crypto_walk_end(&w->crypto_queue);
		}
		while (take(world.tx[WAN][0], got) != 0)
			ck_assert_uint_eq(number_of(got), ++seq);
	}
	run();
	while (take(world.tx[WAN][0], got) != 0)
		ck_assert_uint_eq(number_of(got), ++seq);
	ck_assert_uint_eq(seq, sa_at(out)->sqn);
	ck_assert_uint_eq(seq + worker(0)->drops[DROP_CRYPTO_OVERLOAD], sent_in);
}
END_TEST

static uint16_t (*enqueue)(void *qp, struct rte_crypto_op **ops, uint16_t n);
static uint32_t refused[2]; /* the numbers that a device does not take, ever */
static unsigned int refusals;

static uint16_t
refuse_some(void *qp, struct rte_crypto_op **ops, uint16_t n)
{
	uint16_t good = 0;

	while (good < n && pkt_of_op(ops[good])->sqn != refused[0] &&
		pkt_of_op(ops[good])->sqn != refused[1])
		good++;
	refusals += good < n;
	return good > 0 ? enqueue(qp, ops, good) : 0;
}

/* A device that does not take an operation for good: that packet is lost, those behind it are not, and the order stays. */
START_TEST(refused_for_good)
{
	struct sa_conf conf = {.src = address(US),
		.dst = address(PEER),
		.spi = rte_cpu_to_be_32(SPI_OUT),
		.reqid = REQID,
		.int_alg = AUTH_HMAC_SHA2_256_128,
		.int_key_len = 32,
		.dir = SA_DIR_OUT,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_AH};
	static const uint8_t key[32] = "key of AH, that has thirty-two b";
	unsigned int dev, n = 0;
	uint8_t got[PACKET_MAX];
	const char *why = "";

	ck_assert_int_eq(sad_add(world.r.sad, &conf, key, false, &out, &why), 0);
	ck_assert_uint_eq(sa_at(out)->sync, SA_SYNC_NO); /* by its device's queue */
	tunnel_policies(out);
	dev = worker(world.r.n_lcores - 1)->crypto_server.dev_id[sa_at(out)->dev];
	enqueue = rte_crypto_fp_ops[dev].enqueue_burst;
	rte_crypto_fp_ops[dev].enqueue_burst = refuse_some;
	refused[0] = 1 + _i * 30; /* the first, one within, the last */
	refused[1] = RTE_MIN(refused[0] + 1, 61u);
	refusals = 0;
	for (unsigned int i = 0; i < 61; i++)
		put(world.rx[LAN][0],
			frame(LAN, got,
				ip4_build(got, &(struct ip4){.src = HOST_A, .dst = HOST_B})));
	for (unsigned int i = 0; i < 1000; i++)
		walk_all();
	rte_crypto_fp_ops[dev].enqueue_burst = enqueue;
	drops_are(DROP_CRYPTO_ERROR, refused[0] == refused[1] ? 1 : 2);
	/* It was asked again for a while: a queue may be full for a moment. */
	ck_assert_uint_ge(refusals, 50);
	for (unsigned int seq = 1; seq <= 61; seq++) {
		if (seq == refused[0] || seq == refused[1])
			continue;
		ck_assert_uint_ne(sent(WAN, got), 0);
		ck_assert_uint_eq(got[34 + 11], seq);
		n++;
	}
	nothing_left();
	ck_assert_uint_eq(sa_at(out)->use.packets, n);
}
END_TEST

/*
 * A worker that walks fast, with a packet a walk, while its crypto lcore does not run: there is room for as many packets as with
 * bursts, and none is overtaken. Those that wait for the crypto lcore hold their SA, in a frame or in the open one.
 */
START_TEST(one_packet_a_walk)
{
	struct worker *w = worker(0);
	uint32_t room = w->crypto_queue.limit;
	uint8_t packet[PACKET_MAX], got[PACKET_MAX];
	uint16_t len = ip4_build(packet, &(struct ip4){.src = HOST_A, .dst = HOST_B});
	uint32_t sealed = 0;

	tunnel(0, 64, &in, &out);
	run();
	ck_assert_uint_eq(rcu_pending(world.r.rcu), 0);
	for (uint32_t round = 0; round < 3; round++) {
		/* At last few, and the last of them in the open frame. */
		uint32_t n = round == 2 ? CRYPTO_FRAMES_AHEAD + 3 : room + 10;

		for (uint32_t i = 0; i < n; i++) {
			put(world.rx[LAN][0], frame(LAN, packet, len));
			walk_lcore(0);
		}
		if (round == 2) {
			ck_assert_uint_eq(crypto_in_flight(&w->crypto_queue), CRYPTO_FRAMES_AHEAD);
			ck_assert_int_eq(sad_del(world.r.sad, out), 0);
		}
		for (uint32_t i = 0; i < RTE_MIN(n, room); i++, sealed++) {
			while (sent(WAN, got) == 0) {
				for (unsigned int k = 0; round == 2 && k < 10; k++) {
					rte_rcu_qsbr_quiescent(w->qsbr, 0);
					rte_rcu_qsbr_quiescent(w->qsbr, 1);
					rcu_poll(world.r.rcu);
					ck_assert_uint_gt(rcu_pending(world.r.rcu), 0);
				}
				walk_lcore(1);
				walk_lcore(0);
			}
			ck_assert_uint_eq(number_of(got), sealed + 1);
		}
		run();
		drops_are(DROP_CRYPTO_OVERLOAD, n - RTE_MIN(n, room));
		nothing_left();
	}
	ck_assert_uint_eq(rcu_pending(world.r.rcu), 0);
}
END_TEST

/* What a node plugin drops on its way to the crypto lcores leaves its room to others. */
START_TEST(room_is_given_back)
{
	struct crypto_queue *q = &worker(0)->crypto_queue;

	for (unsigned int i = 0; i < q->limit; i++) {
		ck_assert_uint_eq(crypto_admit(q, 3), 3);
		crypto_unadmit(q, 1);
		walk_lcore(0);
	}
	ck_assert_uint_eq(q->packets + q->admitted, 0);
}
END_TEST

static void
world_two(void)
{
	const struct world_conf conf = {.workers = 2, .mtu = 1500, .frames = 16};

	world_start(&conf);
}

static void
world_dedicated(void)
{
	const struct world_conf conf = {
		.workers = 2, .crypto_lcores = 3, .mtu = 1500, .frames = 16};

	world_start(&conf);
}

static void
world_one_crypto_lcore(void)
{
	const struct world_conf conf = {
		.workers = 1, .crypto_lcores = 1, .mtu = 1500, .frames = 16, .every_device = true};

	world_start(&conf);
}

static void
world_inline(void)
{
	const struct world_conf conf = {
		.workers = 1, .mtu = 1500, .frames = 16, .every_device = true};

	world_start(&conf);
}

static void
add_tests(TCase *tc)
{
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, one_window);
	tcase_add_test(tc, at_once);
	tcase_add_test(tc, handed_over_too_late);
	tcase_add_test(tc, handover_full);
	tcase_add_test(tc, numbers_once);
	tcase_add_test(tc, numbers_run_out);
	tcase_add_test(tc, order);
}

TCase *
nodes_many_case(void)
{
	TCase *tc = tcase_create("two-workers");

	tcase_add_checked_fixture(tc, world_two, world_stop);
	add_tests(tc);
	return tc;
}

TCase *
nodes_dedicated_case(void)
{
	TCase *tc = tcase_create("crypto-lcores");

	tcase_set_tags(tc, WORLD_CRYPTO);
	tcase_add_checked_fixture(tc, world_dedicated, world_stop);
	add_tests(tc);
	return tc;
}

TCase *
nodes_refused_case(bool dedicated)
{
	TCase *tc = tcase_create(dedicated ? "crypto-lcore-one" : "crypto-refused");

	tcase_add_checked_fixture(
		tc, dedicated ? world_one_crypto_lcore : world_inline, world_stop);
	tcase_add_loop_test(tc, refused_for_good, 0, 3);
	if (!dedicated)
		return tc;
	tcase_add_test(tc, one_packet_a_walk);
	tcase_add_test(tc, room_is_given_back);
	return tc;
}

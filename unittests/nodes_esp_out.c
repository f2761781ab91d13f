/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <stdlib.h>

/* ESP that we make: byte for byte what OpenSSL makes of the same packet. */

static uint32_t in, out;

static void
put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = v;
}

/* The packet in is the next hop's: what leaves must be this ESP packet. */
static uint16_t
expect(uint8_t *want, const struct ip4 *p, const struct ip4 *outer, uint64_t sqn, bool esn)
{
	struct esp e = {.key = &key_out,
		.spi = SPI_OUT,
		.sqn = sqn,
		.esn = esn,
		.pad = -1,
		.pad_field = -1};
	uint8_t clear[PACKET_MAX], esp[PACKET_MAX];
	uint16_t len = ip4_build(clear, p), udp = outer->sport != 0 ? 8 : 0;
	struct ip4 o = *outer;

	clear[8]--;
	ip4_mend(clear);
	put64(e.iv, sqn);
	len = esp_seal(&e, clear, len, esp);
	o.src = US;
	o.dst = PEER;
	o.proto = udp != 0 ? IPPROTO_UDP : IPPROTO_ESP;
	o.len = 20 + udp + len;
	o.id = OUTER_ID + sqn;
	ip4_build(want, &o);
	memcpy(want + 20 + udp, esp, len);
	return o.len;
}

static void
seals(const struct ip4 *p, const struct ip4 *outer, uint64_t sqn, bool esn)
{
	uint8_t want[PACKET_MAX], got[PACKET_MAX];
	uint16_t len = expect(want, p, outer, sqn, esn);

	put_ip4(LAN, p);
	run();
	no_drops();
	ck_assert_uint_eq(sent(WAN, got), len);
	ck_assert_mem_eq(got + 14, want, len);
	nothing_left();
}

static const struct ip4 plain = {0};

START_TEST(sizes)
{
	uint64_t bytes = 0;

	tunnel(0, 0, &in, &out);
	/* 1438 is what 1500 bytes of MTU hold: 20, 8, 8, 2 and 16 are ours. */
	for (uint16_t size = 20; size <= 1446; size++) {
		seals(&(struct ip4){.src = HOST_A, .dst = HOST_B, .len = size, .id = size}, &plain,
			size - 19, false);
		bytes += size;
	}
	ck_assert_uint_eq(sa_at(out)->use.packets, 1427);
	ck_assert_uint_eq(sa_at(out)->use.bytes, bytes);
	ck_assert_uint_eq(sa_at(out)->sqn, 1427);
}
END_TEST

START_TEST(pieces)
{
	uint8_t ip[PACKET_MAX], want[PACKET_MAX], got[PACKET_MAX];

	tunnel(0, 0, &in, &out);
	srand(4);
	for (unsigned int sqn = 1; sqn <= 500; sqn++) {
		struct ip4 p = {.src = HOST_A, .dst = HOST_B, .len = 20 + rand() % 1427};
		uint16_t cuts[4], n = 1 + rand() % 4, len = ip4_build(ip, &p);

		for (unsigned int k = 0, at = 20; k < n; k++)
			cuts[k] = at = at + rand() % (len - at + 1);
		put(world.rx[LAN][0], frame_cut(LAN, ip, len, cuts, n));
		run();
		no_drops();
		len = expect(want, &p, &plain, sqn, false);
		ck_assert_uint_eq(sent(WAN, got), len);
		ck_assert_mem_eq(got + 14, want, len);
	}
}
END_TEST

/* What the outer header takes from the inner one, and only if it shall. */
START_TEST(outer_header)
{
	static const uint32_t flags[] = {0, IKE_SA_COPY_DF, IKE_SA_NO_COPY_ECN,
		IKE_SA_COPY_DSCP_OUT, IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT,
		IKE_SA_NO_COPY_ECN | IKE_SA_COPY_DSCP_OUT};

	tunnel_policies(SPD_NO_SA);
	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		struct spd_policy *p =
			policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL);
		uint64_t sqn = 0;

		out = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .flags = flags[i]});
		spd_bind(world.r.spd, p, out);
		for (unsigned int tos = 0; tos < 256; tos += 7)
			for (unsigned int df = 0; df < 2; df++) {
				struct ip4 q = {.src = HOST_A,
					.dst = HOST_B,
					.tos = tos,
					.frag = df != 0 ? 0x4000 : 0};
				struct ip4 o = {
					.tos = (flags[i] & IKE_SA_COPY_DSCP_OUT ? tos & 0xfc : 0) |
					       (flags[i] & IKE_SA_NO_COPY_ECN ? 0 : tos & 3),
					.frag = flags[i] & IKE_SA_COPY_DF ? q.frag : 0};

				seals(&q, &o, ++sqn, false);
			}
		spd_unbind_sa(world.r.spd, world.r.sad, out);
		ck_assert_int_eq(sad_del(world.r.sad, out), 0);
		run();
	}
}
END_TEST

/* A fragment is a packet like others to a tunnel. */
START_TEST(inner_fragments)
{
	tunnel(0, 0, &in, &out);
	seals(&(struct ip4){.src = HOST_A, .dst = HOST_B, .frag = 0x2000}, &plain, 1, false);
	seals(&(struct ip4){.src = HOST_A, .dst = HOST_B, .frag = 0x0123}, &plain, 2, false);
}
END_TEST

START_TEST(extended_numbers)
{
	const struct ip4 p = {.src = HOST_A, .dst = HOST_B};

	tunnel(IKE_SA_ESN, 64, &in, &out);
	seals(&p, &plain, 1, true);
	for (unsigned int turn = 1; turn < 4; turn++) {
		uint64_t edge = (uint64_t)turn << 32;

		sa_at(out)->sqn = edge - 11;
		for (uint64_t sqn = edge - 10; sqn < edge + 10; sqn++)
			seals(&p, &plain, sqn, true);
	}
}
END_TEST

/* The last number is given once; then none ever again. */
START_TEST(numbers_run_out)
{
	const struct ip4 p = {.src = HOST_A, .dst = HOST_B};
	uint8_t got[PACKET_MAX];
	unsigned int n = 0;

	for (unsigned int esn = 0; esn < 2; esn++) {
		uint64_t last = esn != 0 ? UINT64_MAX - UINT32_MAX : UINT32_MAX;

		if (esn == 0) {
			tunnel(0, 64, &in, &out);
		} else {
			spd_unbind_sa(world.r.spd, world.r.sad, out);
			out = sa(&(struct sa_spec){
				.dir = SA_DIR_OUT, .spi = 0x7777, .flags = IKE_SA_ESN});
			tunnel_policies(out);
		}
		sa_at(out)->sqn = last - 10;
		for (unsigned int i = 0; i < 100; i++)
			put_ip4(LAN, &p);
		run();
		drops_are(DROP_ESP_OVERFLOW, 90);
		for (n = 0; sent(WAN, got) != 0; n++)
			ck_assert_uint_eq(got[14 + 20 + 7], (uint8_t)(last - 9 + n));
		ck_assert_uint_eq(n, 10);
		for (unsigned int i = 0; i < 50; i++) {
			for (unsigned int k = 0; k < 1 + i % 3; k++)
				put_ip4(LAN, &p);
			run();
			drops_are(DROP_ESP_OVERFLOW, 1 + i % 3);
			nothing_left();
		}
		ck_assert_uint_eq(worker(0)->sa_counters[out].errors[SA_ERR_OVERFLOW], 90 + 99);
		ck_assert_uint_eq(worker(0)->crypto_queue.admitted, 0);
	}
}
END_TEST

/* A state file that is behind: dropped, and when it has caught up the next number follows. */
START_TEST(numbers_are_reserved)
{
	const struct ip4 p = {.src = HOST_A, .dst = HOST_B};
	uint8_t got[PACKET_MAX], n = 0;

	tunnel(0, 64, &in, &out);
	sa_at(out)->sqn = 100;
	sa_at(out)->sqn_limit = 107;
	for (unsigned int i = 0; i < 20; i++)
		put_ip4(LAN, &p);
	run();
	drops_are(DROP_ESP_UNRESERVED, 13);
	ck_assert_uint_eq(worker(0)->sa_counters[out].errors[SA_ERR_OVERLOAD], 13);
	sad_reserve(world.r.sad, out, 105); /* never back */
	put_ip4(LAN, &p);
	run();
	drops_are(DROP_ESP_UNRESERVED, 1);
	sad_reserve(world.r.sad, out, 110);
	for (unsigned int i = 0; i < 5; i++)
		put_ip4(LAN, &p);
	run();
	drops_are(DROP_ESP_UNRESERVED, 2);
	while (sent(WAN, got) != 0)
		ck_assert_uint_eq(got[14 + 20 + 7], 101 + n++);
	ck_assert_uint_eq(n, 10);
}
END_TEST

/* Without room at the crypto lcores no number is taken, so the peer's window has no holes. */
START_TEST(overload)
{
	const struct ip4 p = {.src = HOST_A, .dst = HOST_B};
	uint8_t got[PACKET_MAX];
	uint64_t number = 0;

	tunnel(0, 64, &in, &out);
	worker(0)->crypto_queue.size = 1;
	for (unsigned int round = 1; round <= 20; round++) {
		for (unsigned int i = 0; i < 100; i++)
			put_ip4(LAN, &p);
		run();
		drops_are(DROP_CRYPTO_OVERLOAD, 36);
		for (unsigned int n = 0; n < 64; n++) {
			ck_assert_uint_gt(sent(WAN, got), 100);
			number++;
			ck_assert_uint_eq(got[34 + 6] << 8 | got[34 + 7], number);
		}
		nothing_left();
		ck_assert_uint_eq(sa_at(out)->sqn, number);
		ck_assert_uint_eq(worker(0)->crypto_queue.admitted, 0);
	}
}
END_TEST

/* Several SAs, too large ones, and clear packets in one burst: each SA keeps its order and its numbers. */
START_TEST(mixed_burst)
{
	uint64_t number[3] = {0};
	uint8_t got[PACKET_MAX], clear[PACKET_MAX];
	uint32_t slots[3];
	unsigned int n = 0;
	uint16_t len;

	for (unsigned int i = 0; i < 3; i++) {
		char selector[64];

		slots[i] = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .spi = 0x5000 + i});
		sa_at(slots[i])->mtu = 1000;
		snprintf(selector, sizeof(selector), "10.1.0.0/16 > 10.2.%u.0/24", i);
		spd_bind(
			world.r.spd, policy(SPD_OUT, SPD_PROTECT, selector, REQID, NULL), slots[i]);
	}
	srand(5);
	for (unsigned int i = 0; i < 128; i++) {
		static const char *const dsts[] = {"10.2.0.2", "10.2.1.2", "10.2.2.2", HOST_D};

		put_ip4(LAN, &(struct ip4){.src = HOST_A,
				     .dst = dsts[rand() % 4],
				     .len = rand() % 5 == 0 ? 1200 : 100,
				     .frag = 0x4000,
				     .id = i});
	}
	run();
	n = worker(0)->drops[DROP_IP4_MTU];
	ck_assert_uint_gt(n, 0);
	drops_are(DROP_IP4_MTU, n);
	while ((len = sent(WAN, got)) != 0) {
		unsigned int i = got[34 + 3];

		ck_assert_uint_lt(i, 3);
		ck_assert_uint_eq(got[34 + 7], ++number[i]);
		ck_assert_uint_ne(esp_open(&key_out, false, 0, got + 34, len - 20, clear), 0);
		ck_assert_uint_eq(clear[18], i);
		n++;
	}
	while (sent(DMZ, got) != 0)
		n++;
	ck_assert_uint_eq(n, 128);
	while (sent(LAN, got) != 0)
		continue; /* errors about the MTU */
	nothing_left();
}
END_TEST

/* No room in the buffer: dropped before a number is taken. */
START_TEST(no_room)
{
	uint8_t ip[PACKET_MAX];
	struct rte_mbuf *m;
	uint16_t len = ip4_build(ip, &(struct ip4){.src = HOST_A, .dst = HOST_B});

	tunnel(0, 64, &in, &out);
	for (unsigned int head = 0; head < 20 + 16; head += 4) {
		m = frame(LAN, ip, len);
		memmove((uint8_t *)m->buf_addr + head, rte_pktmbuf_mtod(m, uint8_t *), len + 14);
		m->data_off = head;
		put(world.rx[LAN][0], m);
		run();
		drops_are(DROP_ESP_NO_HEADROOM, 1);
	}
	for (unsigned int tail = 0; tail < 4 + 16 - 2; tail++) {
		m = frame(LAN, ip, len);
		m->buf_len = m->data_off + m->data_len + tail;
		put(world.rx[LAN][0], m);
		run();
		drops_are(DROP_ESP_NO_HEADROOM, 1);
		m->buf_len = rte_pktmbuf_data_room_size(world.r.mbufs);
	}
	nothing_left();
	ck_assert_uint_eq(sa_at(out)->sqn, 0);
}
END_TEST

/* The path is narrower than the SA knows: nothing too large leaves, and nobody is told in clear. */
START_TEST(sealed_too_large)
{
	tunnel(0, 64, &in, &out);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B, .len = 1500, .frag = 0x4000});
	run();
	drops_are(DROP_IP4_MTU, 1);
	nothing_left();
}
END_TEST

/* The peer's neighbour is not known yet: the sealed packet waits, and is sealed once. */
START_TEST(sealed_and_held)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 1, WAN};
	const struct ip4 p = {.src = HOST_A, .dst = HOST_B};
	uint8_t want[PACKET_MAX], got[PACKET_MAX];
	struct ip_addr peer = address(PEER);
	uint16_t len;
	uint32_t nh;

	tunnel(0, 64, &in, &out);
	ck_assert_int_eq(fib_nh_find(world.r.fib, WAN, &peer, &nh), 0);
	fib_nh_resolve(world.r.fib, nh, NULL);
	put_ip4(LAN, &p);
	run();
	nothing_left();
	/* The SA goes while its packet waits. */
	spd_unbind_sa(world.r.spd, world.r.sad, out);
	ck_assert_int_eq(sad_del(world.r.sad, out), 0);
	run();
	ck_assert_uint_eq(sad_count(world.r.sad, SA_DYING), 0);
	fib_nh_resolve(world.r.fib, nh, mac);
	wait_ms(2);
	run();
	no_drops();
	len = expect(want, &p, &plain, 1, false);
	ck_assert_uint_eq(sent(WAN, got), len);
	ck_assert_mem_eq(got + 14, want, len);
}
END_TEST

/* From Linux: without its Ethernet header, with no hop taken. */
START_TEST(from_linux)
{
	struct ip4 p = {.src = "10.1.0.1", .dst = HOST_B, .ttl = 65};
	uint8_t want[PACKET_MAX], got[PACKET_MAX];
	uint16_t len;

	tunnel(0, 64, &in, &out);
	len = expect(want, &p, &plain, 1, false);
	p.ttl = 64;
	put_host(WAN, &p);
	run();
	no_drops();
	ck_assert_uint_eq(sent(WAN, got), len);
	ck_assert_mem_eq(got + 14, want, len);
	nothing_left();
}
END_TEST

/* Both directions, with a larger MTU and its buffers. */
START_TEST(jumbo)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	srand(6);
	for (uint16_t size = 8900, sqn = 1; size <= 9000; size += 3, sqn++) {
		struct ip4 p = {.src = HOST_B, .dst = HOST_A, .len = size};
		struct esp e = ESP_IN(sqn);
		uint16_t cuts[8], len;

		ip4_build(clear, &p);
		len = esp_packet(&e, clear, size, 0, 0, packet);
		for (unsigned int k = 0; k < 8; k++)
			cuts[k] = 200 + k * 1000 + rand() % 1000;
		put(world.rx[WAN][0], frame_cut(WAN, packet, len, cuts, 8));
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), size);
		ck_assert_mem_eq(got + 14 + 20, clear + 20, size - 20);
		p = (struct ip4){.src = HOST_A, .dst = HOST_B, .len = size - 54};
		seals(&p, &plain, sqn, false);
	}
}
END_TEST

static void
world_jumbo(void)
{
	const struct world_conf conf = {.workers = 1, .mtu = 9100, .frames = 16};

	world_start(&conf);
}

TCase *
nodes_esp_out_case(void)
{
	TCase *tc = tcase_create("esp-out");

	tcase_set_tags(tc, WORLD_CRYPTO);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, pieces);
	tcase_add_test(tc, outer_header);
	tcase_add_test(tc, inner_fragments);
	tcase_add_test(tc, extended_numbers);
	tcase_add_test(tc, numbers_run_out);
	tcase_add_test(tc, numbers_are_reserved);
	tcase_add_test(tc, overload);
	tcase_add_test(tc, mixed_burst);
	tcase_add_test(tc, no_room);
	tcase_add_test(tc, sealed_too_large);
	tcase_add_test(tc, sealed_and_held);
	tcase_add_test(tc, from_linux);
	return tc;
}

TCase *
nodes_jumbo_case(void)
{
	TCase *tc = tcase_create("jumbo");

	tcase_set_tags(tc, WORLD_CRYPTO);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_jumbo, world_stop);
	tcase_add_test(tc, jumbo);
	return tc;
}

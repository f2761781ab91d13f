/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

/* ESP in UDP (RFC 3948). */

static const struct ip4 inner = {.src = HOST_B, .dst = HOST_A};

static uint32_t in, out;

static void
nat_tunnel(void)
{
	socket_add("0.0.0.0", 500, true, false);
	socket_add("0.0.0.0", 4500, true, true);
	in = sa(&(struct sa_spec){
		.dir = SA_DIR_IN, .window = 64, .src_port = 4500, .dst_port = 4500});
	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .src_port = 4500, .dst_port = 40001});
	tunnel_policies(out);
}

static void
put_udp(const struct esp *e, const char *from, uint16_t sport)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	uint16_t len = esp_packet(e, clear, ip4_build(clear, &inner), 0, sport, packet);
	uint32_t src = addr4(from);

	memcpy(packet + 12, &src, 4);
	ip4_mend(packet);
	put_frame(WAN, packet, len);
	run();
}

START_TEST(opens)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];

	nat_tunnel();
	for (; e.sqn < 100; e.sqn++) {
		put_udp(&e, PEER, 4500);
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), 100);
		nothing_left();
	}
	ck_assert_uint_eq(rte_ring_count(world.r.mappings), 0);
}
END_TEST

/* The peer moved: told once, and only when it proved to be the peer. */
START_TEST(moves)
{
	struct esp e = ESP_IN(1);
	struct sa_mapping to;
	uint8_t got[PACKET_MAX];

	nat_tunnel();
	e.key = &key_out;
	put_udp(&e, "203.0.113.9", 40002);
	drops_are(DROP_ESP_ICV, 1);
	ck_assert_uint_eq(rte_ring_count(world.r.mappings), 0);
	e.key = &key_in;
	put_udp(&e, PEER, 4500);
	ck_assert_uint_eq(sent(LAN, got), 100);
	/* A replay from elsewhere moves nothing. */
	put_udp(&e, "203.0.113.9", 40002);
	drops_are(DROP_ESP_REPLAY, 1);
	ck_assert_uint_eq(rte_ring_count(world.r.mappings), 0);
	for (e.sqn = 2; e.sqn < 20; e.sqn++) {
		put_udp(&e, "203.0.113.9", 40002);
		ck_assert_uint_eq(sent(LAN, got), 100);
	}
	no_drops();
	ck_assert_uint_eq(rte_ring_count(world.r.mappings), 1);
	rte_ring_dequeue_elem(world.r.mappings, &to, sizeof(to));
	ck_assert_uint_eq(to.addr.v4, addr4("203.0.113.9"));
	ck_assert_uint_eq(to.port, rte_cpu_to_be_16(40002));
	ck_assert_uint_eq(to.slot, in);
	ck_assert_uint_eq(to.spi, rte_cpu_to_be_32(SPI_IN));
}
END_TEST

START_TEST(seals)
{
	uint8_t got[PACKET_MAX], clear[PACKET_MAX], *udp = got + 34;

	nat_tunnel();
	for (uint16_t size = 20; size < 1438; size += 13) {
		struct ip4 p = {.src = HOST_A, .dst = HOST_B, .len = size};
		uint16_t len;

		put_ip4(LAN, &p);
		run();
		no_drops();
		len = sent(WAN, got);
		ck_assert_uint_eq(got[14 + 9], IPPROTO_UDP);
		ck_assert_uint_eq(got[14 + 2] << 8 | got[14 + 3], len);
		ck_assert_mem_eq(
			udp, ((uint8_t[]){4500 >> 8, 4500 & 255, 40001 >> 8, 40001 & 255}), 4);
		ck_assert_uint_eq(udp[4] << 8 | udp[5], len - 20);
		ck_assert_uint_eq(udp[6] | udp[7], 0);
		ck_assert_uint_gt(esp_open(&key_out, false, 0, udp + 8, len - 28, clear), size + 1);
		ip4_build(got, &p);
		ck_assert_mem_eq(clear + 12, got + 12, size - 12);
	}
}
END_TEST

/* Wherever a driver cuts it: it is ESP in UDP, and never IKE's. */
START_TEST(torn)
{
	struct esp e = ESP_IN(1);
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];

	nat_tunnel();
	for (uint16_t at = 1; at < 60; at++, e.sqn++) {
		uint16_t len = esp_packet(&e, clear, ip4_build(clear, &inner), 0, 4500, packet);

		put(world.rx[WAN][0], frame_cut(WAN, packet, len, &at, 1));
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), 100);
		nothing_left();
	}
}
END_TEST

/* Each SA takes only the encapsulation that it has. */
START_TEST(other_encapsulation)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];

	nat_tunnel();
	put_esp(&e, &inner);
	run();
	drops_are(DROP_ESP_ENCAP, 1);
	sa(&(struct sa_spec){.dir = SA_DIR_IN, .spi = 0x8888, .window = 64});
	e.spi = 0x8888;
	put_udp(&e, PEER, 4500);
	drops_are(DROP_ESP_ENCAP, 1);
	nothing_left();
	put_esp(&e, &inner);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
}
END_TEST

/* What is not ESP on that port is charon's, whole. */
START_TEST(for_charon)
{
	uint8_t payload[1500] = {0, 0, 0, 0, 1, 2, 3}, got[PACKET_MAX];
	struct ip4 p = {.src = PEER, .dst = US, .sport = 4500, .dport = 4500, .payload = payload};

	nat_tunnel();
	policy(SPD_IN, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	/* IKE behind four zero bytes, as short as it may be; empty datagrams, keepalives. */
	for (p.len = 28; p.len < 1500; p.len += 7) {
		put_ip4(WAN, &p);
		run();
		no_drops();
		ck_assert_uint_eq(punted(PUNT_IKE, got), p.len);
		ck_assert_mem_eq(got + 42, payload, p.len - 28);
	}
	payload[0] = 0xff;
	for (p.len = 28; p.len < 32; p.len++) {
		put_ip4(WAN, &p);
		run();
		no_drops();
		ck_assert_uint_eq(punted(PUNT_IKE, got), p.len);
	}
	/* More than that is ESP, of no SA or too short for one. */
	for (; p.len < 36; p.len++) {
		put_ip4(WAN, &p);
		run();
		drops_are(DROP_ESP_SHORT, 1);
	}
	for (; p.len < 100; p.len++) {
		put_ip4(WAN, &p);
		run();
		drops_are(DROP_ESP_NO_SA, 1);
	}
	nothing_left();
}
END_TEST

/* On other ports and to other hosts it is no ESP. */
START_TEST(elsewhere)
{
	struct esp e = ESP_IN(1);
	uint8_t esp[PACKET_MAX], clear[PACKET_MAX], got[PACKET_MAX];
	uint16_t n = esp_seal(&e, clear, ip4_build(clear, &inner), esp);
	struct ip4 p = {.src = PEER,
		.dst = US,
		.sport = 4500,
		.dport = 4501,
		.payload = esp,
		.len = 28 + n};

	nat_tunnel();
	put_ip4(WAN, &p);
	run();
	ck_assert_uint_eq(punted(PUNT_OTHER, got), p.len);
	p.dport = 500;
	put_ip4(WAN, &p);
	run();
	ck_assert_uint_eq(punted(PUNT_IKE, got), p.len);
	p.dport = 4500;
	p.dst = HOST_A;
	put_ip4(WAN, &p);
	run();
	ck_assert_uint_eq(sent(LAN, got), p.len);
	no_drops();
	nothing_left();
}
END_TEST

TCase *
nodes_nat_case(void)
{
	TCase *tc = tcase_create("nat");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, opens);
	tcase_add_test(tc, moves);
	tcase_add_test(tc, seals);
	tcase_add_test(tc, torn);
	tcase_add_test(tc, other_encapsulation);
	tcase_add_test(tc, for_charon);
	tcase_add_test(tc, elsewhere);
	return tc;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <stdlib.h>

/* ESP that comes to us, sealed by OpenSSL or long ago. */

static const struct ip4 inner = {.src = HOST_B, .dst = HOST_A};

static uint32_t in, out;

static const struct sa_counters *
counters(void)
{
	return &worker(0)->sa_counters[in];
}

/* One packet goes in, and comes out on the LAN, one hop older. */
static void
opens(const struct esp *e, const struct ip4 *p)
{
	uint8_t clear[PACKET_MAX], got[PACKET_MAX];
	uint16_t len = ip4_build(clear, p);

	put_esp(e, p);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), len);
	clear[8]--;
	ip4_mend(clear);
	ck_assert_mem_eq(got + 14, clear, len);
	nothing_left();
}

static void
refused(const struct esp *e, const struct ip4 *p, enum drop_reason reason)
{
	put_esp(e, p);
	run();
	drops_are(reason, 1);
	nothing_left();
}

static uint16_t
unhex(const char *hex, uint8_t *b)
{
	uint16_t n = 0;

	for (unsigned int v; sscanf(hex, "%2x", &v) == 1; n++) {
		b[n] = v;
		hex += 2;
	}
	return n;
}

/* draft-mcgrew-gcm-test-01, as DPDK's own tests have them: in tunnel mode and with sequence number 1. */
START_TEST(known_answers)
{
	static const struct {
		const char *key, *packet, *clear;
		uint32_t spi;
	} vectors[] = {
		{"feffe9928665731c6d6a8f9467308308cafebabe",
			"45000074698f000080324d75c0a80102c0a801010000a5f800000001facedbaddecaf888"
			"deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c"
			"3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd4"
			"29c737579ff19e58cffc607a3bce8994",
			"4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d0010000010000"
			"00000000037369700963796265726369747902646b0000010001",
			0xa5f8},
		{"feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe",
			"45000060698f000080324d89c0a80102c0a801010000a5f800000001facedbaddecaf888"
			"a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0"
			"315b2745214bcc7782ac9138f2bbbee4cf033689dd40d36e54052222",
			"45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d0"
			"75670001",
			0xa5f8},
		{"abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344",
			"45000068698f000080324d81c0a80102c0a801014a2cbfe3000000010102030405060708"
			"ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
			"748a637985771d347f0545659f14e99def842d8b00144a1fec6adf0c9a927fee"
			"a6c51160",
			"4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee00000000070024000"
			"20bf0000020405b401010402",
			0x4a2cbfe3},
	};
	static const char *const locals[] = {"192.168.1.1"};

	local_addresses(locals, 1);
	route("0.0.0.0/0", neighbour(LAN, HOST_A, 1500, true));
	policy(SPD_FWD, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	policy(SPD_IN, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	for (unsigned int i = 0; i < RTE_DIM(vectors); i++) {
		uint8_t packet[PACKET_MAX], clear[PACKET_MAX], got[PACKET_MAX];
		uint16_t len = unhex(vectors[i].packet, packet);
		struct test_key key;
		bool local;

		key.len = unhex(vectors[i].key, key.b) - 4;
		in = sa(&(struct sa_spec){
			.dir = SA_DIR_IN, .spi = vectors[i].spi, .window = 64, .key = &key});
		put_frame(WAN, packet, len);
		run();
		no_drops();
		len = unhex(vectors[i].clear, clear);
		local = memcmp(clear + 16, packet + 16, 4) == 0;
		if (!local) {
			clear[8]--;
			ip4_mend(clear);
		}
		ck_assert_uint_eq(local ? punted(PUNT_OTHER, got) : sent(LAN, got), len);
		ck_assert_mem_eq(got + 14, clear, len);
		ck_assert_uint_eq(sa_at(in)->use.packets, 1);
		ck_assert_uint_eq(sa_at(in)->use.bytes, len);
		ck_assert_int_eq(sad_del(world.r.sad, in), 0);
		run();
	}
}
END_TEST

START_TEST(sizes_and_pieces)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	uint64_t bytes = 0;

	tunnel(0, 64, &in, &out);
	srand(3);
	for (unsigned int size = 20; size <= 1500; size++) {
		struct esp e = ESP_IN(size);
		struct ip4 p = inner;
		uint16_t cuts[3], n = rand() % 4, len;

		p.len = size;
		for (unsigned int k = 0; k < 8; k++)
			e.iv[k] = rand();
		if (size % 5 == 0)
			e.pad = (-(size + 2u) & 3) + 4 * (rand() % 60);
		ip4_build(clear, &p);
		len = esp_packet(&e, clear, size, 0, 0, packet);
		for (unsigned int k = 0, at = 20; k < n; k++)
			cuts[k] = at = at + rand() % (len - at + 1);
		put(world.rx[WAN][0], frame_cut(WAN, packet, len, cuts, n));
		run();
		no_drops();
		clear[8]--;
		ip4_mend(clear);
		ck_assert_uint_eq(sent(LAN, got), size);
		ck_assert_mem_eq(got + 14, clear, size);
		bytes += size;
	}
	ck_assert_uint_eq(sa_at(in)->use.packets, 1481);
	ck_assert_uint_eq(sa_at(in)->use.bytes, bytes);
	ck_assert_uint_ne(sa_at(in)->use.last_use, 0);
}
END_TEST

/* RFC 4303, 2.7: what follows the inner packet is padding too. */
START_TEST(traffic_flow_padding)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	for (unsigned int more = 1; more < 300; more++) {
		struct esp e = ESP_IN(more);
		uint16_t len = ip4_build(clear, &inner);

		memset(clear + len, 0xdd, more);
		put_frame(WAN, packet, esp_packet(&e, clear, len + more, 0, 0, packet));
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), len);
	}
}
END_TEST

START_TEST(too_short)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	struct esp e = ESP_IN(1);
	uint16_t len, full;

	tunnel(0, 64, &in, &out);
	full = esp_packet(&e, clear, ip4_build(clear, &inner), 0, 0, packet);
	for (len = 20; len < full; len++) {
		packet[2] = len >> 8;
		packet[3] = len;
		ip4_mend(packet);
		put_frame(WAN, packet, len);
		run();
		/* 20 + 16 header and IV, at least 4 of trailer, 16 of ICV, all in words. */
		drops_are(len < 20 + 16 + 4 + 16 || (len - 20) % 4 != 0 ? DROP_ESP_SHORT
									: DROP_ESP_ICV,
			1);
	}
	nothing_left();
	/* Nothing of all that moved the window. */
	opens(&e, &inner);
}
END_TEST

START_TEST(no_sa)
{
	struct esp e = ESP_IN(1);

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < 70; i++) {
		e.spi = i < 2 ? i : i < 34 ? SPI_IN ^ (1u << (i - 2)) : 0xc0000000u + i;
		refused(&e, &inner, DROP_ESP_NO_SA);
	}
	/* The outbound SA is nothing that one may send to. */
	e.spi = SPI_OUT;
	e.key = &key_out;
	refused(&e, &inner, DROP_ESP_NO_SA);
	e = (struct esp)ESP_IN(1);
	opens(&e, &inner);
	ck_assert_int_eq(sad_del(world.r.sad, in), 0);
	e.sqn++;
	refused(&e, &inner, DROP_ESP_NO_SA);
}
END_TEST

/* An SPI from get_spi is found by its slot; the same slot's next SPI is another. */
START_TEST(own_spi)
{
	struct ip_addr us = address(US);
	struct sa_conf conf = {.src = address(PEER),
		.dst = us,
		.reqid = REQID,
		.replay_window = 32,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 20,
		.dir = SA_DIR_IN,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_ESP};
	struct esp e = ESP_IN(1);
	const char *why;

	ck_assert_int_eq(sad_get_spi(world.r.sad, 0, IPPROTO_ESP, &us, &conf.spi), 0);
	e.spi = rte_be_to_cpu_32(conf.spi);
	tunnel_policies(SPD_NO_SA);
	ck_assert_int_eq(sad_add(world.r.sad, &conf, key_in.b, true, &in, &why), 0);
	opens(&e, &inner);
	e.sqn = 2;
	e.spi += sad_slots(world.r.sad);
	refused(&e, &inner, DROP_ESP_NO_SA);
}
END_TEST

START_TEST(fragments)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	static const uint16_t frags[] = {0x2000, 0x2001, 0x0001, 0x1fff};
	struct esp e = ESP_IN(1);
	uint16_t len;

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < RTE_DIM(frags); i++) {
		len = esp_packet(&e, clear, ip4_build(clear, &inner), 0, 0, packet);
		packet[5] = i;
		packet[6] = frags[i] >> 8;
		packet[7] = frags[i];
		ip4_mend(packet);
		put_frame(WAN, packet, len);
		run();
		/* They wait for the rest of their datagram. */
		drops_are(DROP_FRAGMENT_INVALID, frags[i] == 0x1fff);
	}
	nothing_left();
	wait_ms(2001);
	run();
	drops_are(DROP_FRAGMENT_TIMEOUT, 3);
	opens(&e, &inner);
}
END_TEST

/* Each bit from SPI to ICV: dropped, and the window stands where it stood. */
START_TEST(flipped_bits)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], esp[PACKET_MAX];
	struct esp e = ESP_IN(100);
	uint64_t top, icv = 0;
	uint16_t len;

	tunnel(0, 64, &in, &out);
	opens(&e, &inner);
	top = sa_at(in)->replay->top;
	e.sqn = 101;
	len = esp_packet(&e, clear, ip4_build(clear, &inner), 0, 0, esp);
	for (unsigned int bit = 20 * 8; bit < len * 8u; bit++) {
		memcpy(packet, esp, len);
		packet[bit / 8] ^= 1 << bit % 8;
		put_frame(WAN, packet, len);
		run();
		if (bit < 24 * 8) {
			drops_are(DROP_ESP_NO_SA, 1);
		} else if (worker(0)->drops[DROP_ESP_REPLAY] > 0) {
			/* Sequence number: 100 itself, or left of the window. */
			ck_assert_uint_lt(bit, 28 * 8);
			drops_are(DROP_ESP_REPLAY, 1);
		} else {
			drops_are(DROP_ESP_ICV, 1);
			icv++;
		}
		ck_assert_uint_eq(sa_at(in)->replay->top, top);
	}
	nothing_left();
	ck_assert_uint_eq(counters()->errors[SA_ERR_ICV], icv);
	ck_assert_uint_eq(sa_at(in)->use.packets, 1);
	opens(&e, &inner);
}
END_TEST

START_TEST(replays)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	e.sqn = 0;
	refused(&e, &inner, DROP_ESP_REPLAY);
	for (e.sqn = 1; e.sqn <= 200; e.sqn += 3)
		opens(&e, &inner);
	for (e.sqn = 1; e.sqn <= 199; e.sqn++) {
		if (e.sqn % 3 == 1 || e.sqn + 64 <= 199)
			refused(&e, &inner, DROP_ESP_REPLAY);
		else
			opens(&e, &inner);
	}
	/* The second of two in one burst: the first has not been opened when it is looked at. */
	e.sqn = 300;
	for (unsigned int i = 0; i < 5; i++)
		put_esp(&e, &inner);
	e.sqn = 301;
	put_esp(&e, &inner);
	run();
	drops_are(DROP_ESP_REPLAY, 4);
	ck_assert_uint_eq(sent(LAN, got), 100);
	ck_assert_uint_eq(sent(LAN, got), 100);
	/* A forged number far ahead does not move the window. */
	e.sqn = 0xffffffff;
	e.key = &key_out;
	refused(&e, &inner, DROP_ESP_ICV);
	e.key = &key_in;
	e.sqn = 302;
	put_esp(&e, &inner);
	run();
	no_drops();
}
END_TEST

START_TEST(no_window)
{
	struct esp e = ESP_IN(5);

	tunnel(0, 0, &in, &out);
	opens(&e, &inner);
	opens(&e, &inner);
}
END_TEST

/* Numbers beyond 32 bits: over the edge, back into the window, and the same number of another turn. */
START_TEST(extended_numbers)
{
	struct esp e = ESP_IN(0);

	e.esn = true;
	tunnel(IKE_SA_ESN, 64, &in, &out);
	for (e.sqn = 1; e.sqn < 4; e.sqn++)
		opens(&e, &inner);
	for (unsigned int turn = 1; turn < 4; turn++) {
		uint64_t edge = (uint64_t)turn << 32;

		ck_assert(replay_update(sa_at(in)->replay, edge - 40));
		for (e.sqn = edge - 30; e.sqn < edge + 30; e.sqn += 2)
			opens(&e, &inner);
		for (e.sqn = edge - 29; e.sqn < edge + 30; e.sqn += 2)
			opens(&e, &inner);
		for (e.sqn = edge - 30; e.sqn < edge + 30; e.sqn++)
			refused(&e, &inner, DROP_ESP_REPLAY);
		e.sqn = edge - 60; /* left of the window: taken for the next turn's */
		refused(&e, &inner, DROP_ESP_ICV);
		ck_assert_uint_eq(sa_at(in)->replay->top, edge + 29);
		/* Without the high half in the AAD it is not authentic. */
		e.sqn = edge + 31;
		e.esn = false;
		refused(&e, &inner, DROP_ESP_ICV);
		e.esn = true;
		opens(&e, &inner);
	}
}
END_TEST

START_TEST(padding)
{
	struct esp e = ESP_IN(1);
	struct ip4 p = inner;

	tunnel(0, 64, &in, &out);
	p.len = 98;
	for (unsigned int pad = 0; pad < 256; pad += 4) {
		e.pad = pad;
		opens(&e, &p);
		e.sqn++;
		if (pad == 0)
			continue;
		e.bad_pad = 1 + pad % 255;
		refused(&e, &p, DROP_ESP_PADDING);
		e.bad_pad = 0;
		e.sqn++;
	}
	/* Longer than what there is. */
	for (unsigned int field = 99; field < 256; field++) {
		e.pad = 0;
		e.pad_field = field;
		refused(&e, &p, DROP_ESP_PADDING);
		e.sqn++;
	}
	ck_assert_uint_eq(counters()->errors[SA_ERR_MALFORMED], 63 + 157);
}
END_TEST

START_TEST(next_header)
{
	struct esp e = ESP_IN(1);

	tunnel(0, 1024, &in, &out);
	for (unsigned int next = 1; next < 256; next++, e.sqn++) {
		e.next_header = next;
		if (next == IPPROTO_IPIP)
			opens(&e, &inner);
		else
			refused(&e, &inner, next == 59 ? DROP_ESP_DUMMY : DROP_ESP_NEXT_HEADER);
	}
	/* A dummy is no error of the peer. */
	ck_assert_uint_eq(counters()->errors[SA_ERR_MALFORMED], 253);
}
END_TEST

/* The inside is as little trusted as the outside: it may be shorter than a header, or lie about its length. */
START_TEST(bad_inside)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	struct esp e = ESP_IN(1);
	uint16_t len;

	tunnel(0, 64, &in, &out);
	for (len = 0; len < 100; len++, e.sqn++) {
		ip4_build(clear, &inner);
		put_frame(WAN, packet, esp_packet(&e, clear, len, 0, 0, packet));
		run();
		/* Without even a version there is no packet for the next header. */
		if (len == 0 && worker(0)->drops[DROP_ESP_NEXT_HEADER] > 0)
			drops_are(DROP_ESP_NEXT_HEADER, 1);
		else
			drops_are(DROP_IP4_SHORT, 1);
	}
	for (unsigned int i = 0; i < 5; i++, e.sqn++) {
		static const enum drop_reason reasons[] = {DROP_IP4_HEADER_LEN, DROP_IP4_CHECKSUM,
			DROP_IP4_SHORT, DROP_IP4_SHORT, DROP_ESP_NEXT_HEADER};

		len = ip4_build(clear, &inner);
		if (i == 0)
			clear[0] = 0x44;
		if (i == 1)
			clear[11]++;
		if (i == 2)
			clear[3] = 19;
		if (i == 3)
			clear[2] = 0xff;
		if (i == 4)
			clear[0] = 0x65;
		if (i > 1)
			ip4_mend(clear);
		put_frame(WAN, packet, esp_packet(&e, clear, len, 0, 0, packet));
		run();
		drops_are(reasons[i], 1);
	}
	nothing_left();
}
END_TEST

/* What is not forwarded in clear is not forwarded out of a tunnel. */
START_TEST(forbidden_inside)
{
	static const char *const nowhere[] = {
		"127.0.0.1", "0.0.0.0", "0.1.2.3", "239.1.1.1", "240.0.0.1"};
	static const uint8_t source_route[] = {131, 3, 4, 0}, broken[] = {7, 0, 0, 0};
	struct esp e = ESP_IN(1);
	struct ip4 p = inner;
	uint8_t got[PACKET_MAX];

	in = sa(&(struct sa_spec){.dir = SA_DIR_IN, .window = 64});
	policy(SPD_FWD, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	policy(SPD_IN, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	route("0.0.0.0/0", neighbour(DMZ, HOST_D, 1500, true));
	for (unsigned int i = 0; i < RTE_DIM(nowhere); i++, e.sqn++) {
		p.dst = nowhere[i];
		refused(&e, &p, DROP_IP4_DESTINATION);
	}
	p.dst = HOST_A;
	p.n_options = 4;
	p.options = source_route;
	refused(&e, &p, DROP_IP4_OPTIONS);
	e.sqn++;
	p.options = broken;
	refused(&e, &p, DROP_IP4_OPTIONS);
	e.sqn++;
	p.n_options = 0;
	p.src = "127.0.0.1";
	refused(&e, &p, DROP_IP4_SOURCE);
	e.sqn++;
	p.src = "0.0.0.0";
	refused(&e, &p, DROP_IP4_SOURCE);
	e.sqn++;
	/* A routing protocol's group of the link is for Linux. */
	p = (struct ip4){.src = HOST_B, .dst = "224.0.0.5", .proto = 89};
	put_esp(&e, &p);
	run();
	no_drops();
	ck_assert_uint_eq(punted(PUNT_ROUTING, got), 100);
	nothing_left();
}
END_TEST

/* RFC 6040, figure 4: inner across, outer down. */
START_TEST(congestion_marks)
{
	enum { NOT, ECT1, ECT0, CE, GONE };
	static const uint8_t table[4][4] = {
		/* inner:    NOT  ECT1  ECT0  CE */
		[NOT] = {NOT, ECT1, ECT0, CE},
		[ECT0] = {NOT, ECT1, ECT0, CE},
		[ECT1] = {NOT, ECT1, ECT1, CE},
		[CE] = {GONE, CE, CE, CE},
	};
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	struct esp e = ESP_IN(1);

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < 16 * 64; i++, e.sqn++) {
		unsigned int outer = i / 4 % 4, ecn = i % 4, dscp = i / 16 << 2;
		struct ip4 p = inner;
		uint16_t len;

		p.tos = dscp | ecn;
		p.id = i * 31;
		len = esp_packet(
			&e, clear, ip4_build(clear, &p), (~dscp & 0xfc) | outer, 0, packet);
		put_frame(WAN, packet, len);
		run();
		if (table[outer][ecn] == GONE) {
			drops_are(DROP_IP4_ECN, 1);
			continue;
		}
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), 100); /* and its checksum is right */
		ck_assert_uint_eq(got[14 + 1], dscp | table[outer][ecn]);
	}
}
END_TEST

/* charon's copy_dscp and copy_ecn are words for both directions. */
START_TEST(marks_as_configured)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	struct esp e = ESP_IN(1);
	struct ip4 p = inner;
	uint16_t len;

	tunnel(IKE_SA_COPY_DSCP_IN | IKE_SA_NO_COPY_ECN, 64, &in, &out);
	p.tos = 10 << 2;
	len = esp_packet(&e, clear, ip4_build(clear, &p), 46 << 2 | 3, 0, packet);
	put_frame(WAN, packet, len);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
	ck_assert_uint_eq(got[14 + 1], 46 << 2);
}
END_TEST

START_TEST(local_delivery)
{
	uint8_t clear[PACKET_MAX], got[PACKET_MAX];
	struct esp e = ESP_IN(1);
	struct ip4 p = {.src = HOST_B, .dst = "10.1.0.1", .proto = IPPROTO_ICMP, .sport = 8};
	uint16_t len = ip4_build(clear, &p);

	tunnel(0, 64, &in, &out);
	put_esp(&e, &p);
	run();
	no_drops();
	ck_assert_uint_eq(punted(PUNT_OTHER, got), len);
	/* To the MAC of the port by which it came, and the packet as the peer sealed it. */
	ck_assert_mem_eq(got, ((uint8_t[]){2, 0, 0, 0, 0, WAN}), 6);
	ck_assert_mem_eq(got + 12, ((uint8_t[]){8, 0}), 2);
	ck_assert_mem_eq(got + 14, clear, len);
	nothing_left();
	/* IKE's bypass is not for what a tunnel brings. */
	socket_add("0.0.0.0", 500, true, false);
	e.sqn++;
	p = (struct ip4){.src = HOST_D, .dst = US, .dport = 500};
	refused(&e, &p, DROP_POLICY_MISMATCH);
}
END_TEST

/* Out of one tunnel into another: opened, checked, sealed again. */
START_TEST(hub_and_spoke)
{
	uint8_t clear[PACKET_MAX], esp[PACKET_MAX], opened[PACKET_MAX];
	struct ip4 p = {.src = HOST_B, .dst = "10.9.0.2"};
	struct esp e = ESP_IN(1);
	uint16_t len;

	tunnel(0, 64, &in, &out);
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.9.0.0/16", REQID, NULL);
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "10.2.0.0/16 > 10.9.0.0/16", REQID, NULL), out);
	route("10.9.0.0/16", neighbour(WAN, PEER, 1500, true));
	put_esp(&e, &p);
	run();
	no_drops();
	len = sent(WAN, esp);
	ck_assert_uint_gt(len, 100);
	ck_assert_uint_ne(esp_open(&key_out, false, 0, esp + 34, len - 20, opened), 0);
	ip4_build(clear, &p);
	clear[8]--;
	ip4_mend(clear);
	ck_assert_mem_eq(opened, clear, 100);
	nothing_left();
}
END_TEST

/* Crypto has no room: dropped with no harm to the window. */
START_TEST(overload)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];
	unsigned int n = 0;

	tunnel(0, 2048, &in, &out);
	worker(0)->crypto_queue.size = 1;
	for (e.sqn = 1; e.sqn <= 100; e.sqn++)
		put_esp(&e, &inner);
	run();
	drops_are(DROP_CRYPTO_OVERLOAD, 100 - 64);
	while (sent(LAN, got) != 0)
		n++;
	ck_assert_uint_eq(n, 64);
	for (e.sqn = 65; e.sqn <= 100; e.sqn++)
		opens(&e, &inner);
}
END_TEST

/* Transport mode: the header in clear stays, and what GMAC's ESN moves about is moved back. */
START_TEST(transport)
{
	uint8_t esp[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	struct spd_policy_conf conf = {.sel = {.src = address(PEER),
					       .dst = address(US),
					       .src_plen = 32,
					       .dst_plen = 32,
					       .src_port_hi = 65535,
					       .dst_port_hi = 65535},
		.reqid = REQID,
		.dir = SPD_IN,
		.action = SPD_PROTECT,
		.mode = SA_MODE_TRANSPORT,
		.proto = IPPROTO_ESP};

	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	for (unsigned int i = 0; i < 4; i++) {
		struct esp e = ESP_IN(1);
		struct ip4 p = {.src = PEER, .dst = US, .proto = IPPROTO_ESP};
		uint16_t n;

		e.gmac = i & 1;
		e.esn = i & 2;
		e.next_header = 89;
		in = sa(&(struct sa_spec){.dir = SA_DIR_IN,
			.window = 64,
			.transport = true,
			.gmac = e.gmac,
			.flags = e.esn ? IKE_SA_ESN : 0});
		n = esp_seal(
			&e, (const uint8_t *)"what OSPF says here, to be read by Linux", 40, esp);
		p.len = 20 + n;
		ip4_build(packet, &p);
		memcpy(packet + 20, esp, n);
		put_frame(WAN, packet, p.len);
		run();
		no_drops();
		ck_assert_uint_eq(punted(PUNT_ROUTING, got), 60);
		ck_assert(ip4_checksum_right(got + 14));
		ck_assert_mem_eq(got + 14 + 12, packet + 12, 8);
		ck_assert_uint_eq(got[14 + 9], 89);
		ck_assert_mem_eq(got + 14 + 20, "what OSPF says here, to be read by Linux", 40);
		sad_del(world.r.sad, in);
		run();
	}
}
END_TEST

TCase *
nodes_esp_in_case(void)
{
	TCase *tc = tcase_create("esp-in");

	tcase_set_tags(tc, WORLD_CRYPTO);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, known_answers);
	tcase_add_test(tc, sizes_and_pieces);
	tcase_add_test(tc, traffic_flow_padding);
	tcase_add_test(tc, too_short);
	tcase_add_test(tc, no_sa);
	tcase_add_test(tc, own_spi);
	tcase_add_test(tc, fragments);
	tcase_add_test(tc, flipped_bits);
	tcase_add_test(tc, replays);
	tcase_add_test(tc, no_window);
	tcase_add_test(tc, extended_numbers);
	tcase_add_test(tc, padding);
	tcase_add_test(tc, next_header);
	tcase_add_test(tc, bad_inside);
	tcase_add_test(tc, forbidden_inside);
	tcase_add_test(tc, congestion_marks);
	tcase_add_test(tc, marks_as_configured);
	tcase_add_test(tc, local_delivery);
	tcase_add_test(tc, hub_and_spoke);
	tcase_add_test(tc, overload);
	tcase_add_test(tc, transport);
	return tc;
}

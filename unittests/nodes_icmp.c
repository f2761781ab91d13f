/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

/* The errors that we send, and those that we must not (RFC 792, RFC 1122, 3.2.2, RFC 1812, 4.3.2). */

static uint32_t in, out;

static bool
sum_right(const uint8_t *p, unsigned int n)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += i % 2 == 0 ? p[i] << 8 : p[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* One error came out of the port, about that packet. Returns the MTU that it tells. */
static uint16_t
error_is(unsigned int port, uint8_t type, uint8_t code, const char *from, const uint8_t *about,
	uint16_t len)
{
	uint16_t quoted = RTE_MIN(len, 576 - 28), got_len;
	uint8_t got[PACKET_MAX], *ip = got + 14, quote[PACKET_MAX];
	uint32_t src = addr4(from);

	got_len = sent(port, got);
	ck_assert_uint_eq(got_len, 20 + 8 + quoted);
	ck_assert_uint_eq(ip[2] << 8 | ip[3], got_len);
	ck_assert_uint_eq(ip[9], IPPROTO_ICMP);
	ck_assert_mem_eq(ip + 12, &src, 4);
	ck_assert_mem_eq(ip + 16, about + 12, 4);
	ck_assert_uint_eq(ip[20], type);
	ck_assert_uint_eq(ip[21], code);
	ck_assert(sum_right(ip + 20, 8 + quoted));
	/* As it came, but that it may be one hop older. */
	memcpy(quote, ip + 28, quoted);
	quote[8] = about[8];
	memcpy(quote + 10, about + 10, 2);
	ck_assert_mem_eq(quote, about, quoted);
	return ip[26] << 8 | ip[27];
}

static void
silent(const struct ip4 *p, enum drop_reason reason)
{
	put_ip4(LAN, p);
	run();
	drops_are(reason, 1);
	nothing_left();
	wait_ms(100);
}

START_TEST(time_exceeded)
{
	uint8_t ip[PACKET_MAX];

	for (unsigned int n = 28; n <= 1500; n += 16) {
		struct ip4 p = {.src = HOST_A, .dst = HOST_D, .ttl = 1, .len = n};
		uint16_t len = ip4_build(ip, &p);

		put_frame(LAN, ip, len);
		run();
		drops_are(DROP_IP4_TTL, 1);
		ck_assert_uint_eq(error_is(LAN, 11, 0, "10.1.0.1", ip, len), 0);
		nothing_left();
		wait_ms(100);
	}
	/* TTL 0 is no less dead. */
	ip4_build(ip, &(struct ip4){.src = HOST_A, .dst = HOST_D});
	ip[8] = 0;
	ip4_mend(ip);
	put_frame(LAN, ip, 100);
	run();
	drops_are(DROP_IP4_TTL, 1);
	error_is(LAN, 11, 0, "10.1.0.1", ip, 100);
}
END_TEST

START_TEST(in_pieces)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	static const uint16_t cuts[] = {300, 301, 900};
	uint16_t len =
		ip4_build(ip, &(struct ip4){.src = HOST_A, .dst = HOST_D, .ttl = 1, .len = 1400});

	put(world.rx[LAN][0], frame_cut(LAN, ip, len, cuts, 3));
	run();
	drops_are(DROP_IP4_TTL, 1);
	ck_assert_uint_eq(sent(LAN, got), 28 + 300);
	ck_assert(sum_right(got + 14 + 20, 8 + 300));
}
END_TEST

START_TEST(silence)
{
	struct ip4 p = {.src = HOST_A, .dst = HOST_D, .ttl = 1};
	static const uint8_t answered[] = {0, 8, 13, 14};
	uint8_t got[PACKET_MAX];
	struct rte_mbuf *m;

	for (unsigned int type = 0; type < 256; type++) {
		struct ip4 icmp = p;

		icmp.proto = IPPROTO_ICMP;
		icmp.sport = type;
		if (memchr(answered, type, sizeof(answered)) == NULL) {
			silent(&icmp, DROP_IP4_TTL);
			continue;
		}
		put_ip4(LAN, &icmp);
		run();
		drops_are(DROP_IP4_TTL, 1);
		ck_assert_uint_eq(sent(LAN, got), 128);
		wait_ms(100);
	}
	/* A type that is not there, later fragments. */
	silent(
		&(struct ip4){
			.src = HOST_A, .dst = HOST_D, .ttl = 1, .proto = IPPROTO_ICMP, .len = 20},
		DROP_IP4_TTL);
	p.frag = 0x0001;
	silent(&p, DROP_IP4_TTL);
	p.frag = 0x2000;
	put_ip4(LAN, &p);
	run();
	drops_are(DROP_IP4_TTL, 1);
	ck_assert_uint_eq(sent(LAN, got), 128);
	/* Who was told by the link's broadcast is not known; a host with no address is nobody. */
	p.frag = 0;
	p.dst = "10.1.0.1";
	p.ttl = 64;
	m = frame(LAN, got, ip4_build(got, &p));
	memset(rte_pktmbuf_mtod(m, uint8_t *), 0xff, 6);
	put(world.rx[LAN][0], m);
	run();
	no_drops();
	ck_assert_uint_eq(punted(PUNT_OTHER, got), 100);
	nothing_left();
}
END_TEST

START_TEST(rate)
{
	struct ip4 p = {.src = HOST_A, .dst = HOST_D, .ttl = 1};
	uint8_t got[PACKET_MAX];
	unsigned int n = 0;

	/* A burst of 20, then 100 in a second. */
	for (unsigned int i = 0; i < 200; i++)
		put_ip4(LAN, &p);
	run();
	drops_are(DROP_IP4_TTL, 200);
	while (sent(LAN, got) != 0)
		n++;
	ck_assert_uint_eq(n, 20);
	for (unsigned int ms = 0; ms < 2000; ms += 2) {
		wait_ms(2);
		put_ip4(LAN, &p);
		run();
		n += sent(LAN, got) != 0;
	}
	ck_assert_uint_ge(n, 20 + 195);
	ck_assert_uint_le(n, 20 + 201);
}
END_TEST

/* Whoever sends what dies here keeps nobody from learning an MTU. */
START_TEST(rate_of_others)
{
	const struct ip4 dies = {.src = HOST_A, .dst = HOST_D, .ttl = 1};
	const struct ip4 large = {
		.src = HOST_A, .dst = "198.51.100.1", .len = 1401, .frag = 0x4000};
	uint8_t got[PACKET_MAX];
	unsigned int n = 0, told = 0;

	route("198.51.100.1", neighbour(DMZ, "10.3.0.9", 1400, true));
	for (unsigned int i = 0; i < 200; i++)
		put_ip4(LAN, &dies);
	put_ip4(LAN, &large);
	run();
	ck_assert_uint_eq(worker(0)->drops[DROP_IP4_TTL], 200);
	worker(0)->drops[DROP_IP4_TTL] = 0;
	drops_are(DROP_IP4_MTU, 1);
	for (; sent(LAN, got) != 0; n++)
		told += got[14 + 20] == 3;
	ck_assert_uint_eq(n, 21);
	ck_assert_uint_eq(told, 1);
	/* Those have a limit, too. */
	for (unsigned int i = 0; i < 200; i++)
		put_ip4(LAN, &large);
	run();
	drops_are(DROP_IP4_MTU, 200);
	for (n = 0; sent(LAN, got) != 0; n++)
		;
	ck_assert_uint_eq(n, 19);
}
END_TEST

/* The MTU of the port: with DF an error, without two pieces. */
START_TEST(port_mtu)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];

	route("198.51.100.1", neighbour(DMZ, "10.3.0.9", 1400, true));
	for (unsigned int df = 0; df < 2; df++) {
		struct ip4 p = {.src = HOST_A,
			.dst = "198.51.100.1",
			.len = 1400,
			.frag = df != 0 ? 0x4000 : 0};

		put_frame(LAN, ip, ip4_build(ip, &p));
		run();
		ck_assert_uint_eq(sent(DMZ, got), 1400);
		no_drops();
		p.len = 1401;
		put_frame(LAN, ip, ip4_build(ip, &p));
		run();
		drops_are(DROP_IP4_MTU, df);
		if (df != 0)
			ck_assert_uint_eq(error_is(LAN, 3, 4, "10.1.0.1", ip, 1401), 1400);
		else
			ck_assert_uint_eq(sent(DMZ, got) + sent(DMZ, got), 1401 + 20);
		nothing_left();
	}
}
END_TEST

/* The MTU through the tunnel is what it says: that size passes, and one byte more does not. */
START_TEST(tunnel_mtu)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];

	tunnel(0, 0, &in, &out);
	for (unsigned int mtu = 100; mtu <= 1500; mtu += mtu < 200 ? 1 : 13) {
		struct ip4 p = {.src = HOST_A, .dst = HOST_B, .frag = 0x4000, .len = 1500};
		uint16_t told, len;

		sa_at(out)->mtu = mtu;
		put_frame(LAN, ip, ip4_build(ip, &p));
		run();
		drops_are(DROP_IP4_MTU, 1);
		told = error_is(LAN, 3, 4, "10.1.0.1", ip, 1500);
		p.len = told;
		put_ip4(LAN, &p);
		run();
		no_drops();
		len = sent(WAN, got);
		ck_assert_uint_le(len, mtu);
		ck_assert_uint_gt(len, mtu - 4);
		p.len = told + 1;
		put_ip4(LAN, &p);
		run();
		drops_are(DROP_IP4_MTU, 1);
		ck_assert_uint_ne(sent(LAN, got), 0);
		nothing_left();
		wait_ms(100);
	}
	/* Nothing fits: no wrap to a large MTU. */
	for (unsigned int mtu = 1; mtu < 80; mtu++) {
		sa_at(out)->mtu = mtu;
		put_frame(LAN, ip,
			ip4_build(ip, &(struct ip4){.src = HOST_A, .dst = HOST_B, .frag = 0x4000}));
		run();
		drops_are(DROP_IP4_MTU, 1);
		ck_assert_uint_le(error_is(LAN, 3, 4, "10.1.0.1", ip, 100), mtu);
		wait_ms(100);
	}
	/* No number was taken by what did not fit. */
	ck_assert_uint_eq(sa_at(out)->sqn, sa_at(out)->use.packets);
}
END_TEST

/* About what came by a tunnel nothing goes out in clear, not even a quotation. */
START_TEST(no_clear_quotation)
{
	struct esp e = ESP_IN(1);
	struct ip4 p = {.src = HOST_B, .dst = HOST_A, .ttl = 1};
	uint8_t got[PACKET_MAX], clear[PACKET_MAX];
	uint16_t len;

	in = sa(&(struct sa_spec){.dir = SA_DIR_IN, .window = 64});
	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT});
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
	put_esp(&e, &p);
	run();
	ck_assert_uint_eq(worker(0)->drops[DROP_IP4_TTL], 1);
	worker(0)->drops[DROP_IP4_TTL] = 0;
	drops_are(DROP_POLICY_QUOTE, 1);
	nothing_left();
	policy(SPD_OUT, SPD_BYPASS, "192.0.2.1/32 > 0.0.0.0/0", 0, NULL);
	e.sqn++;
	put_esp(&e, &p);
	run();
	nothing_left();
	/* It may go where the policies seal it. */
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "192.0.2.1/32 > 10.2.0.0/16", REQID, NULL), out);
	memset(worker(0)->drops, 0, sizeof(worker(0)->drops));
	e.sqn++;
	put_esp(&e, &p);
	run();
	drops_are(DROP_IP4_TTL, 1);
	len = sent(WAN, got);
	ck_assert_uint_eq(esp_open(&key_out, false, 0, got + 34, len - 20, clear), 128 + 4);
	ck_assert_uint_eq(clear[20], 11);
	nothing_left();
}
END_TEST

/* An ESP packet of ours that finds no way: dropped, and nobody is told about it. */
START_TEST(no_error_about_sealed)
{
	struct ip_addr peer = address(PEER);

	tunnel(0, 64, &in, &out);
	ck_assert_int_eq(fib_route_del(world.r.fib, &peer, 32), 0);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B});
	run();
	drops_are(DROP_NO_ROUTE, 1);
	nothing_left();
}
END_TEST

TCase *
nodes_icmp_case(void)
{
	TCase *tc = tcase_create("icmp");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, time_exceeded);
	tcase_add_test(tc, in_pieces);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, rate);
	tcase_add_test(tc, rate_of_others);
	tcase_add_test(tc, port_mtu);
	tcase_add_test(tc, tunnel_mtu);
	tcase_add_test(tc, no_clear_quotation);
	tcase_add_test(tc, no_error_about_sealed);
	return tc;
}

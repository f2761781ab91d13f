/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

/* ICMPv6 errors that we send, and those that we must not (RFC 4443, 2.4). */

static uint16_t
sum6(const uint8_t *ip, unsigned int len)
{
	uint32_t sum = len - 40 + IPPROTO_ICMPV6;

	for (unsigned int i = 8; i < len; i++)
		sum += i % 2 == 0 ? ip[i] << 8 : ip[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* One error came out of the port, about that packet. Returns the MTU that it tells. */
static uint32_t
error_is(unsigned int port, uint8_t type, uint8_t code, const char *from, const uint8_t *about,
	uint16_t len)
{
	uint16_t quoted = RTE_MIN(len, 1280 - 48), got_len;
	uint8_t got[PACKET_MAX], *ip = got + 14;
	struct ip_addr src = address(from);

	got_len = sent(port, got);
	ck_assert_uint_eq(got_len, 48 + quoted);
	ck_assert_uint_eq(ip[6], IPPROTO_ICMPV6);
	ck_assert_mem_eq(ip + 8, src.b, 16);
	ck_assert_mem_eq(ip + 24, about + 8, 16);
	ck_assert_uint_eq(ip[40], type);
	ck_assert_uint_eq(ip[41], code);
	ck_assert_uint_eq(sum6(ip, got_len), 0xffff);
	ip[48 + 7] = about[7]; /* it may be one hop older */
	ck_assert_mem_eq(ip + 48, about, quoted);
	return (uint32_t)ip[44] << 24 | ip[45] << 16 | ip[46] << 8 | ip[47];
}

START_TEST(time_exceeded)
{
	uint8_t ip[PACKET_MAX];

	for (unsigned int n = 48; n <= 1500; n += 33) {
		struct ip6 p = {.src = HOST6_A, .dst = HOST6_D, .hops = 1, .len = n};
		uint16_t len = ip6_build(ip, &p);

		if (n % 2 == 0)
			ip[7] = 0;
		put_frame6(LAN, ip, len);
		run();
		drops_are(DROP_IP6_HOP_LIMIT, 1);
		ck_assert_uint_eq(error_is(LAN, 3, 0, LAN6, ip, len), 0);
		nothing_left();
		wait_ms(100);
	}
}
END_TEST

START_TEST(packet_too_big)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];

	route("2001:db8:3::5", neighbour(DMZ, "2001:db8:3::5", 1400, true));
	for (unsigned int n = 1399; n <= 1402; n++) {
		uint16_t len = ip6_build(
			ip, &(struct ip6){.src = HOST6_A, .dst = "2001:db8:3::5", .len = n});

		put_frame6(LAN, ip, len);
		run();
		if (n <= 1400) {
			ck_assert_uint_eq(sent(DMZ, out), n);
			no_drops();
			continue;
		}
		drops_are(DROP_IP6_MTU, 1);
		ck_assert_uint_eq(error_is(LAN, 2, 0, LAN6, ip, len), 1400);
		nothing_left();
	}
}
END_TEST

static void
silent(const struct ip6 *p)
{
	put_ip6(LAN, p);
	run();
	drops_are(DROP_IP6_HOP_LIMIT, 1);
	nothing_left();
	wait_ms(100);
}

/* A port without an address of its own speaks by another's; one that a reload took away has none. */
START_TEST(whose_address)
{
	uint8_t ip[PACKET_MAX];
	struct ip6 p = {.src = HOST6_A, .dst = HOST6_D, .hops = 1};
	uint16_t len = ip6_build(ip, &p);
	struct worker_port *port = worker(0)->port;

	memset(port[LAN].addr6, 0, sizeof(port[LAN].addr6));
	put_frame6(LAN, ip, len);
	run();
	drops_are(DROP_IP6_HOP_LIMIT, 1);
	error_is(LAN, 3, 0, US6, ip, len);
	wait_ms(100);
	port[WAN].present = false;
	put_frame6(LAN, ip, len);
	run();
	drops_are(DROP_IP6_HOP_LIMIT, 1);
	error_is(LAN, 3, 0, DMZ6, ip, len);
	port[WAN].present = true;
}
END_TEST

START_TEST(silence)
{
	static const uint8_t later[8] = {IPPROTO_ICMPV6, 0, 1, 0};
	struct ip6 p = {.src = HOST6_A, .dst = HOST6_D, .hops = 1, .proto = IPPROTO_ICMPV6};
	uint8_t ip[PACKET_MAX];
	struct rte_mbuf *m;

	/* Errors and redirects; of all else, what it says is asked for. */
	for (unsigned int type = 0; type < 256; type++) {
		uint16_t len;

		p.sport = type;
		if (type < 128 || type == 137) {
			silent(&p);
			continue;
		}
		len = ip6_build(ip, &p);
		put_frame6(LAN, ip, len);
		run();
		drops_are(DROP_IP6_HOP_LIMIT, 1);
		error_is(LAN, 3, 0, LAN6, ip, len);
		wait_ms(100);
	}
	/* What it is cannot be seen. */
	p.sport = 128;
	p.first = 44;
	p.chain = later;
	p.n_chain = 8;
	silent(&p);
	/* Made of one that came to a group. */
	p = (struct ip6){.src = HOST6_A, .dst = LAN6, .hops = 1};
	m = as_ip6(frame(LAN, ip, ip6_build(ip, &p)));
	memcpy(rte_pktmbuf_mtod(m, void *), ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}), 6);
	put(world.rx[LAN][0], m);
	run();
	ck_assert_uint_ne(punted(PUNT_OTHER, ip), 0);
	no_drops();
	nothing_left();
}
END_TEST

/* One bucket for both families: 20 at once, then 100 a second. */
START_TEST(rate)
{
	unsigned int n = 0;
	uint8_t out[PACKET_MAX];

	wait_ms(1000);
	for (unsigned int i = 0; i < 50; i++) {
		put_ip6(LAN, &(struct ip6){.src = HOST6_A, .dst = HOST6_D, .hops = 1});
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D, .ttl = 1});
	}
	run();
	while (sent(LAN, out) != 0)
		n++;
	ck_assert_uint_ge(n, 19);
	ck_assert_uint_le(n, 21);
	wait_ms(100);
	for (unsigned int i = 0; i < 50; i++)
		put_ip6(LAN, &(struct ip6){.src = HOST6_A, .dst = HOST6_D, .hops = 1});
	run();
	for (n = 0; sent(LAN, out) != 0;)
		n++;
	ck_assert_uint_ge(n, 9);
	ck_assert_uint_le(n, 11);
	memset(worker(0)->drops, 0, sizeof(worker(0)->drops));
}
END_TEST

TCase *
nodes_ip6_icmp_case(void)
{
	TCase *tc = tcase_create("ip6-icmp");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, time_exceeded);
	tcase_add_test(tc, packet_too_big);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, whose_address);
	tcase_add_test(tc, rate);
	return tc;
}

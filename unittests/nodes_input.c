/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <stdlib.h>

/* What may not come in: each kind of bad frame is dropped for its own reason, and nothing is let out. */

static const struct ip4 usual = {.src = HOST_A, .dst = HOST_D};

static void
refused(const uint8_t *ip, uint16_t len, enum drop_reason reason)
{
	put_frame(LAN, ip, len);
	run();
	drops_are(reason, 1);
	nothing_left();
}

static void
passes(const uint8_t *ip, uint16_t len)
{
	uint8_t out[PACKET_MAX];

	put_frame(LAN, ip, len);
	run();
	no_drops();
	ck_assert_uint_eq(sent(DMZ, out), len);
	nothing_left();
}

START_TEST(ethernet)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX], *eth;
	uint16_t len = ip4_build(ip, &usual);
	struct rte_mbuf *m;

	for (unsigned int short_of = 1; short_of <= 14; short_of++) {
		m = frame(LAN, ip, 0);
		rte_pktmbuf_trim(m, short_of);
		put(world.rx[LAN][0], m);
		run();
		drops_are(DROP_ETHER_SHORT, 1);
	}
	for (unsigned int type = 0; type <= 0xffff; type += 0x11) {
		if (type == 0x0800 || type == 0x0806)
			continue;
		m = frame(LAN, ip, len);
		eth = rte_pktmbuf_mtod(m, uint8_t *);
		eth[12] = type >> 8;
		eth[13] = type;
		put(world.rx[LAN][0], m);
		run();
		drops_are(type == 0x86dd ? DROP_IP6_VERSION : DROP_ETHER_TYPE, 1);
	}
	m = frame(LAN, ip, len);
	rte_pktmbuf_mtod(m, uint8_t *)[5] ^= 0x40;
	put(world.rx[LAN][0], m);
	run();
	drops_are(DROP_ETHER_NOT_US, 1);
	/* RFC 1812, 5.3.4: what came by a broadcast is not forwarded; what is for us is ours. */
	m = frame(LAN, ip, len);
	memset(rte_pktmbuf_mtod(m, uint8_t *), 0xff, 6);
	put(world.rx[LAN][0], m);
	run();
	drops_are(DROP_IP4_DESTINATION, 1);
	nothing_left();
	/* ARP goes to Linux as it came. */
	m = frame(LAN, ip, 28);
	eth = rte_pktmbuf_mtod(m, uint8_t *);
	memset(eth, 0xff, 6);
	eth[13] = 6;
	put(world.rx[LAN][0], m);
	run();
	no_drops();
	ck_assert_uint_eq(punted(PUNT_ARP, out), 28);
	ck_assert_mem_eq(out + 14, ip, 28);
	ck_assert_uint_eq(out[0], 0xff);
	ck_assert_uint_eq(out[13], 6);
	nothing_left();
}
END_TEST

START_TEST(ip4_header)
{
	uint8_t ip[PACKET_MAX];
	uint16_t len = ip4_build(ip, &usual);

	passes(ip, len);
	for (uint16_t n = 0; n < 20; n++)
		refused(ip, n, DROP_IP4_SHORT);
	for (uint16_t n = 20; n < len; n++)
		refused(ip, n, DROP_IP4_SHORT);
	for (unsigned int version = 0; version < 16; version++) {
		if (version == 4)
			continue;
		ip[0] = version << 4 | 5;
		ip4_mend(ip);
		refused(ip, len, DROP_IP4_VERSION);
	}
	for (unsigned int words = 0; words < 5; words++) {
		ip4_build(ip, &usual);
		ip[0] = 0x40 | words;
		refused(ip, len, DROP_IP4_HEADER_LEN);
	}
	/* Total length below the header, and a header longer than the packet. */
	for (unsigned int total = 0; total < 20; total++) {
		ip4_build(ip, &usual);
		ip[3] = total;
		ip4_mend(ip);
		refused(ip, len, DROP_IP4_SHORT);
	}
	ip4_build(ip, &usual);
	ip[0] = 0x4f;
	ip[3] = 59;
	refused(ip, 59, DROP_IP4_SHORT);
	ip[3] = 60;
	refused(ip, 59, DROP_IP4_SHORT);
	ip4_build(ip, &usual);
	ip[2] = ip[3] = 0xff;
	ip4_mend(ip);
	refused(ip, len, DROP_IP4_SHORT);
	/* One flipped bit of the header, but those that are refused for what they say. */
	for (unsigned int bit = 8; bit < 160; bit++) {
		if (bit / 8 == 2 || bit / 8 == 3)
			continue;
		ip4_build(ip, &usual);
		ip[bit / 8] ^= 1 << bit % 8;
		refused(ip, len, DROP_IP4_CHECKSUM);
	}
}
END_TEST

START_TEST(ip4_addresses)
{
	static const char *const sources[] = {"127.0.0.1", "224.0.0.5", "239.1.2.3", "240.0.0.1",
		"255.255.255.255", "0.0.0.1", "0.255.1.2"};
	static const char *const nowhere[] = {"127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.1.1",
		"239.255.255.250", "240.0.0.1", "255.255.255.254"};
	static const char *const link[] = {"224.0.0.5", "224.0.0.251", "255.255.255.255"};
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];

	route("0.0.0.0/0", neighbour(DMZ, HOST_D, 1500, true));
	for (unsigned int i = 0; i < RTE_DIM(sources); i++)
		refused(ip, ip4_build(ip, &(struct ip4){.src = sources[i], .dst = HOST_D}),
			DROP_IP4_SOURCE);
	for (unsigned int i = 0; i < RTE_DIM(nowhere); i++)
		refused(ip, ip4_build(ip, &(struct ip4){.src = HOST_A, .dst = nowhere[i]}),
			DROP_IP4_DESTINATION);
	/* What stays on the link is Linux's. */
	for (unsigned int i = 0; i < RTE_DIM(link); i++) {
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = link[i]});
		run();
		no_drops();
		ck_assert_uint_eq(punted(PUNT_OTHER, out), 100);
	}
	/* Who has no address yet may ask us for one, and reach nobody else (RFC 1812, 5.3.7). */
	put_ip4(LAN, &(struct ip4){.src = "0.0.0.0", .dst = "255.255.255.255", .dport = 67});
	run();
	no_drops();
	ck_assert_uint_eq(punted(PUNT_OTHER, out), 100);
	refused(ip, ip4_build(ip, &(struct ip4){.src = "0.0.0.0", .dst = HOST_D}), DROP_IP4_SOURCE);
}
END_TEST

START_TEST(ip4_options)
{
	static const struct {
		uint8_t n, b[8];
		bool good;
	} cases[] = {
		{4, {1, 1, 1, 0}, true}, /* no operation, end */
		{4, {0, 131, 3, 4}, true}, /* nothing is read after the end */
		{8, {148, 4, 0, 0, 7, 3, 4, 0}, true}, /* router alert, record route */
		{4, {131, 3, 4, 0}, false}, /* loose source route */
		{4, {137, 3, 4, 0}, false}, /* strict source route */
		{8, {1, 1, 1, 1, 131, 3, 4, 0}, false},
		{4, {7, 0, 0, 0}, false}, /* length 0, 1, too long, cut off */
		{4, {7, 1, 0, 0}, false},
		{4, {7, 5, 0, 0}, false},
		{4, {1, 1, 1, 7}, false},
		{8, {7, 255, 0, 0, 0, 0, 0, 0}, false},
	};
	uint8_t ip[PACKET_MAX];

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct ip4 p = usual;
		uint16_t len;

		p.options = cases[i].b;
		p.n_options = cases[i].n;
		len = ip4_build(ip, &p);
		if (cases[i].good)
			passes(ip, len);
		else
			refused(ip, len, DROP_IP4_OPTIONS);
	}
}
END_TEST

/* Packets in several pieces pass whole, when the first piece holds the headers; else they are dropped. */
START_TEST(chained)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];

	srand(1);
	for (unsigned int i = 0; i < 500; i++) {
		struct ip4 p = usual;
		uint16_t cuts[4], n = rand() % 5, len;

		p.len = 60 + rand() % 1441;
		len = ip4_build(ip, &p);
		for (unsigned int k = 0, at = 0; k < n; k++)
			cuts[k] = at = at + rand() % (len - at + 1);
		put(world.rx[LAN][0], frame_cut(LAN, ip, len, cuts, n));
		run();
		no_drops();
		ck_assert_uint_eq(sent(DMZ, out), len);
		ck_assert_mem_eq(out + 14 + 20, ip + 20, len - 20);
	}
}
END_TEST

/* The link's padding goes, in whatever piece it lies. */
START_TEST(padded)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];
	struct ip4 p = usual;

	for (uint16_t len = 20; len <= 46; len++)
		for (uint16_t cut = 20; cut <= 46; cut++) {
			p.len = len;
			ip4_build(ip, &p);
			memset(ip + len, 0xee, 46 - len);
			put(world.rx[LAN][0], frame_cut(LAN, ip, 46, &cut, cut < 46));
			run();
			ck_assert_uint_eq(sent(DMZ, out), len);
			no_drops();
			nothing_left();
		}
}
END_TEST

START_TEST(garbage)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];

	socket_add("0.0.0.0", 500, true, false);
	socket_add("0.0.0.0", 4500, true, true);
	srand(2);
	for (unsigned int i = 0; i < 20000; i++) {
		struct ip4 p = {.src = HOST_A, .dst = i % 2 == 0 ? US : HOST_D};
		uint16_t n = 20 + rand() % 100, cut = rand() % n;

		p.len = n;
		p.proto = (uint8_t[]){IPPROTO_UDP, IPPROTO_ESP, IPPROTO_ICMP, 0}[rand() % 4];
		p.dport = (uint16_t[]){500, 4500, 179}[rand() % 3];
		ip4_build(ip, &p);
		for (unsigned int k = 0; k < 2; k++)
			ip[rand() % n] = rand();
		if (rand() % 2 == 0)
			ip4_mend(ip);
		put(world.rx[i % PORTS][0], frame_cut(i % PORTS, ip, n, &cut, rand() % 2));
		if (i % 64 != 63)
			continue;
		run();
		for (unsigned int k = 0; k < PORTS; k++)
			while (take(world.tx[k][0], out) != 0)
				;
		for (unsigned int k = 0; k < PUNT_CLASSES; k++)
			while (punted(k, out) != 0)
				;
	}
	run();
	ck_assert_uint_eq(worker(0)->drops[DROP_NONE], 0);
}
END_TEST

TCase *
nodes_input_case(void)
{
	TCase *tc = tcase_create("input");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, ethernet);
	tcase_add_test(tc, ip4_header);
	tcase_add_test(tc, ip4_addresses);
	tcase_add_test(tc, ip4_options);
	tcase_add_test(tc, chained);
	tcase_add_test(tc, padded);
	tcase_add_test(tc, garbage);
	return tc;
}

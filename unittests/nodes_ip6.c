/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <netinet/icmp6.h>

/* IPv6 in clear: what comes in, extension headers, routes, hop limit, neighbours, Linux. */

static const struct ip6 usual = {.src = HOST6_A, .dst = HOST6_D};

/* The packet comes out of the DMZ one hop older, else as it was. */
static void
passes(const uint8_t *ip, uint16_t len)
{
	uint8_t out[PACKET_MAX], want[PACKET_MAX];

	put_frame6(LAN, ip, len);
	run();
	no_drops();
	ck_assert_uint_eq(sent(DMZ, out), len);
	memcpy(want, ip, len);
	want[7]--;
	ck_assert_mem_eq(out + 14, want, len);
	nothing_left();
}

static void
refused(const uint8_t *ip, uint16_t len, enum drop_reason reason)
{
	put_frame6(LAN, ip, len);
	run();
	drops_are(reason, 1);
	nothing_left();
}

START_TEST(header)
{
	uint8_t ip[PACKET_MAX];
	uint16_t len = ip6_build(ip, &usual);

	passes(ip, len);
	for (unsigned int n = 1; n < 40; n++)
		refused(ip, n, DROP_IP6_SHORT);
	refused(ip, 99, DROP_IP6_SHORT);
	ip[0] = 0x50;
	refused(ip, len, DROP_IP6_VERSION);
	ip[0] = 0x60;
	ip[5] = 61; /* longer than the frame */
	refused(ip, len, DROP_IP6_SHORT);
}
END_TEST

/* What link layers put after the packet is cut off. */
START_TEST(padding)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];
	static const uint16_t cut[] = {60}, tail[] = {101};
	uint16_t len = ip6_build(ip, &usual);

	memset(ip + len, 0xee, 20);
	put_frame6(LAN, ip, len + 20);
	run();
	ck_assert_uint_eq(sent(DMZ, out), len);
	put(world.rx[LAN][0], as_ip6(frame_cut(LAN, ip, len, cut, 1)));
	run();
	ck_assert_uint_eq(sent(DMZ, out), len);
	ck_assert_mem_eq(out + 14 + 40, ip + 40, len - 40);
	no_drops();
	put(world.rx[LAN][0], as_ip6(frame_cut(LAN, ip, len + 20, tail, 1)));
	run();
	ck_assert_uint_eq(sent(DMZ, out) != 0 ? 1 : worker(0)->drops[DROP_IP6_SHORT], 1);
	worker(0)->drops[DROP_IP6_SHORT] = 0;
	no_drops();
}
END_TEST

START_TEST(addresses)
{
	static const struct {
		const char *src, *dst;
		enum drop_reason reason;
	} bad[] = {
		{"ff02::1", HOST6_D, DROP_IP6_SOURCE},
		{"ff0e::1", HOST6_D, DROP_IP6_SOURCE},
		{"::", HOST6_D, DROP_IP6_SOURCE},
		{"::1", HOST6_D, DROP_IP6_SOURCE},
		{"::ffff:10.1.0.2", HOST6_D, DROP_IP6_SOURCE},
		{HOST6_A, "::", DROP_IP6_DESTINATION},
		{HOST6_A, "::1", DROP_IP6_DESTINATION},
		{HOST6_A, "::ffff:10.3.0.2", DROP_IP6_DESTINATION},
		{HOST6_A, "ff05::2", DROP_IP6_DESTINATION},
		{HOST6_A, "ff0e::2", DROP_IP6_DESTINATION},
		{HOST6_A, "ff01::1", DROP_IP6_DESTINATION},
		{"fe80::2", HOST6_D, DROP_IP6_SCOPE},
		{HOST6_A, "fe80::77", DROP_IP6_SCOPE},
	};
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		refused(ip, ip6_build(ip, &(struct ip6){.src = bad[i].src, .dst = bad[i].dst}),
			bad[i].reason);
	/* What came by the link's multicast is not forwarded. */
	m = as_ip6(frame(LAN, ip, ip6_build(ip, &usual)));
	memcpy(rte_pktmbuf_mtod(m, void *), ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}), 6);
	put(world.rx[LAN][0], m);
	run();
	drops_are(DROP_IP6_DESTINATION, 1);
	/* The link's own groups are ours. */
	put_ip6(LAN, &(struct ip6){.src = "fe80::2", .dst = "ff02::5", .proto = 89, .hops = 1});
	run();
	ck_assert_uint_eq(punted(PUNT_ROUTING, out), 100);
	no_drops();
	nothing_left();
}
END_TEST

/* RFC 8200, 4.1: any order, as long as they can be read; what follows them counts. */
START_TEST(extension_headers)
{
	static const struct {
		uint8_t first, chain[64], n;
		enum drop_reason reason;
	} cases[] = {
		{0, {17, 0, 1, 4, 0, 0, 0, 0}, 8, DROP_NONE},
		{60, {17, 1, 1, 4}, 16, DROP_NONE},
		{0, {60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 17, 2, 4, 0}, 40, DROP_NONE},
		{43, {17, 2, 4, 1}, 24, DROP_NONE}, /* segment routing: somebody else's */
		{44, {17, 0, 0, 0, 1, 2, 3, 4}, 8, DROP_NONE}, /* atomic */
		{44, {17, 0, 0, 1, 1, 2, 3, 4}, 8, DROP_NONE}, /* a first one */
		{44, {17, 0, 0, 0x41, 1, 2, 3, 4}, 8, DROP_NONE},
		{43, {17, 0, 0, 1}, 8, DROP_IP6_ROUTING}, /* RFC 5095 */
		{43, {17, 0, 0, 0}, 8, DROP_IP6_ROUTING},
		{60, {0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4}, 16,
			DROP_IP6_CHAIN}, /* hop by hop is first */
		{0, {17, 12, 1, 4}, 8, DROP_IP6_CHAIN}, /* longer than the packet */
		{44, {44, 0, 0, 1, 1, 2, 3, 4, 17, 0, 0, 1}, 16, DROP_IP6_CHAIN},
		{44, {60, 0, 0, 0x41, 1, 2, 3, 4, 17, 0, 1, 4}, 16, DROP_IP6_CHAIN},
		{60,
			{60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0,
				60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0,
				0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4},
			64, DROP_IP6_CHAIN},
	};
	uint8_t ip[PACKET_MAX];

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct ip6 p = usual;
		uint16_t len;

		p.chain = cases[i].chain;
		p.n_chain = cases[i].n;
		p.first = cases[i].first;
		p.len = 140;
		len = ip6_build(ip, &p);
		if (cases[i].reason == DROP_NONE)
			passes(ip, len);
		else
			refused(ip, len, cases[i].reason);
		/* Wherever the packet ends. */
		for (unsigned int end = 40; end < 40u + p.n_chain; end++) {
			ip[5] = end - 40;
			put_frame6(LAN, ip, end);
			run();
			if (cases[i].reason != DROP_IP6_ROUTING)
				drops_are(DROP_IP6_CHAIN, 1);
			else
				ck_assert_uint_eq(worker(0)->drops[DROP_IP6_CHAIN] +
							  worker(0)->drops[DROP_IP6_ROUTING],
					1);
			memset(worker(0)->drops, 0, sizeof(worker(0)->drops));
			nothing_left();
		}
	}
}
END_TEST

/* Nobody sends by us what was not sent to us. */
START_TEST(way_point)
{
	static const uint8_t sr[24] = {17, 2, 4, 1};
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];
	struct ip6 p = {.src = HOST6_A, .dst = LAN6, .first = 43, .n_chain = 24, .chain = sr};

	refused(ip, ip6_build(ip, &p), DROP_IP6_ROUTING);
	p.chain = (uint8_t[24]){17, 2, 4, 0};
	put_ip6(LAN, &p);
	run();
	ck_assert_uint_eq(punted(PUNT_OTHER, out), 100);
	no_drops();
}
END_TEST

START_TEST(routes)
{
	static const struct {
		enum nh_type type;
		enum drop_reason reason;
		int icmp_code; /* -1: silence */
	} types[] = {{NH_BLACKHOLE, DROP_ROUTE_BLACKHOLE, -1},
		{NH_UNREACHABLE, DROP_ROUTE_UNREACHABLE, ICMP6_DST_UNREACH_ADDR},
		{NH_FOREIGN, DROP_ROUTE_FOREIGN, ICMP6_DST_UNREACH_NOROUTE},
		{NH_NONE, DROP_NO_ROUTE, ICMP6_DST_UNREACH_NOROUTE}};
	uint8_t out[PACKET_MAX];

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		if (types[i].type != NH_NONE)
			route_to("2001:db8:77::/48", types[i].type);
		put_ip6(LAN, &(struct ip6){.src = HOST6_A,
				     .dst = types[i].type == NH_NONE ? "2001:db8:78::1"
								     : "2001:db8:77::1"});
		run();
		drops_are(types[i].reason, 1);
		if (types[i].icmp_code >= 0) {
			ck_assert_uint_eq(sent(LAN, out), 40 + 8 + 100);
			ck_assert_uint_eq(out[14 + 40], ICMP6_DST_UNREACH);
			ck_assert_int_eq(out[14 + 41], types[i].icmp_code);
		}
		nothing_left();
	}
}
END_TEST

START_TEST(multipath)
{
	uint32_t members[2] = {
		neighbour(WAN, PEER6, 1500, true), neighbour(DMZ, HOST6_D, 1500, true)};
	unsigned int on[PORTS] = {0};
	uint8_t out[PACKET_MAX];
	uint32_t nh;

	ck_assert_int_eq(fib_nh_multipath(world.r.fib, members, 2, &nh), 0);
	route("2001:db8:77::/48", nh);
	for (unsigned int i = 0; i < 200; i++) {
		struct ip6 p = {.src = HOST6_A, .dst = "2001:db8:77::9", .sport = 1000 + i};
		unsigned int way;

		put_ip6(LAN, &p);
		run();
		way = sent(WAN, out) != 0 ? WAN : DMZ;
		on[way]++;
		ck_assert(way == WAN || sent(DMZ, out) != 0);
		put_ip6(LAN, &p);
		run();
		ck_assert_uint_ne(sent(way, out), 0);
	}
	ck_assert_uint_gt(on[WAN], 60);
	ck_assert_uint_gt(on[DMZ], 60);
	/* The fragments of a packet stay together, whatever their first bytes are. */
	memset(on, 0, sizeof(on));
	for (unsigned int i = 0; i < 50; i++) {
		uint8_t frag[8] = {17, 0, i >> 5, i << 3 | 1, 1, 2, 3, 4};

		put_ip6(LAN, &(struct ip6){.src = HOST6_A,
				     .dst = "2001:db8:77::9",
				     .sport = 1 + i * 77,
				     .first = 44,
				     .n_chain = 8,
				     .chain = frag});
	}
	run();
	while (sent(WAN, out) != 0)
		on[WAN]++;
	while (sent(DMZ, out) != 0)
		on[DMZ]++;
	ck_assert(on[WAN] + on[DMZ] == 50 && (on[WAN] == 0 || on[DMZ] == 0));
	no_drops();
}
END_TEST

static unsigned int
asked(const char *addr)
{
	struct ip_addr want = address(addr);
	struct neigh_request ask;
	unsigned int n = 0;

	while (rte_ring_dequeue_elem(world.neigh, &ask, sizeof(ask)) == 0) {
		ck_assert(addr_equal(&ask.addr, &want));
		ck_assert_uint_eq(ask.port, DMZ);
		n++;
	}
	return n;
}

START_TEST(held_and_released)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 1, DMZ};
	uint32_t nh = neighbour(DMZ, "fe80::9", 1500, false), glean;
	uint8_t out[PACKET_MAX];

	route("2001:db8:9::/48", nh);
	for (unsigned int i = 1; i <= 20; i++)
		put_ip6(LAN, &(struct ip6){.src = HOST6_A, .dst = "2001:db8:9::9", .sport = i});
	run();
	nothing_left();
	drops_are(DROP_NEIGHBOUR_QUEUE, 12);
	ck_assert_uint_gt(asked("fe80::9"), 0);
	fib_nh_resolve(world.r.fib, nh, mac);
	wait_ms(2);
	run();
	for (unsigned int i = 1; i <= 8; i++) {
		ck_assert_uint_eq(sent(DMZ, out), 100);
		ck_assert_uint_eq(out[14 + 41], i);
		ck_assert_uint_eq(out[14 + 7], 63);
	}
	nothing_left();
	/* On the link: asked for by the destination itself. */
	ck_assert_int_eq(fib_nh_new(world.r.fib, NH_GLEAN, DMZ, 1500, &glean), 0);
	route("2001:db8:3::/64", glean);
	put_ip6(LAN, &(struct ip6){.src = HOST6_A, .dst = "2001:db8:3::77"});
	run();
	nothing_left();
	ck_assert_uint_gt(asked("2001:db8:3::77"), 0);
	route("2001:db8:3::77", neighbour(DMZ, "2001:db8:3::77", 1500, true));
	wait_ms(2);
	run();
	ck_assert_uint_eq(sent(DMZ, out), 100);
	no_drops();
	put_ip6(LAN, &(struct ip6){.src = HOST6_A, .dst = "2001:db8:3::78"});
	run();
	wait_ms(3100);
	run();
	drops_are(DROP_NEIGHBOUR_UNRESOLVED, 1);
}
END_TEST

/* Both families in one burst, each by its own way. */
START_TEST(mixed_burst)
{
	unsigned int n4 = 0, n6 = 0;
	uint8_t out[PACKET_MAX];
	uint16_t len;

	policy(SPD_FWD, SPD_DISCARD, "2001:db8:1::/48 > 2001:db8:3::/48", 0,
		&(struct spd_selector){.proto = IPPROTO_UDP,
			.src_port_hi = 65535,
			.dst_port_lo = 7,
			.dst_port_hi = 7});
	policy(SPD_FWD, SPD_DISCARD, "10.1.0.0/16 > 10.3.0.0/16", 0,
		&(struct spd_selector){.proto = IPPROTO_UDP,
			.src_port_hi = 65535,
			.dst_port_lo = 7,
			.dst_port_hi = 7});
	for (unsigned int i = 0; i < 120; i++) {
		unsigned int dport = i % 10 == 3 ? 7 : 8, local = i % 12 == 5;

		if (i % 3 == 0 || i % 7 == 0)
			put_ip6(LAN, &(struct ip6){.src = HOST6_A,
					     .dst = local ? LAN6 : HOST6_D,
					     .dport = dport});
		else
			put_ip4(LAN, &(struct ip4){.src = HOST_A,
					     .dst = local ? "10.1.0.1" : HOST_D,
					     .dport = dport});
	}
	run();
	while ((len = sent(DMZ, out)) != 0) {
		if (out[14] >> 4 == 6)
			n6++;
		else
			n4++;
		ck_assert_uint_eq(out[14 + (out[14] >> 4 == 6 ? 43 : 23)], 8);
	}
	while (punted(PUNT_OTHER, out) != 0) {
		if (out[14] >> 4 == 6)
			n6++;
		else
			n4++;
	}
	/* 120, of which 12 are to port 7 and one of those is local. */
	ck_assert_uint_eq(n4 + n6, 120 - worker(0)->drops[DROP_POLICY_DISCARD]);
	ck_assert_uint_gt(n4, 40);
	ck_assert_uint_gt(n6, 30);
	ck_assert_uint_gt(worker(0)->drops[DROP_POLICY_DISCARD], 8);
	worker(0)->drops[DROP_POLICY_DISCARD] = 0;
	no_drops();
}
END_TEST

static void
put_icmp(unsigned int port, bool host, const char *src, const char *dst, uint8_t hops, uint8_t type)
{
	struct ip6 p = {
		.src = src, .dst = dst, .hops = hops, .proto = IPPROTO_ICMPV6, .sport = type};

	if (host)
		put_host6(port, &p);
	else
		put_ip6(port, &p);
	run();
}

/* Neighbour discovery and MLD are between the link and Linux; all policies may refuse all else. */
START_TEST(link_talk)
{
	static const uint8_t alert[8] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
	uint8_t out[PACKET_MAX], ip[PACKET_MAX];
	uint16_t len;

	policy(SPD_IN, SPD_DISCARD, "::/0 > ::/0", 0, NULL);
	policy(SPD_OUT, SPD_DISCARD, "::/0 > ::/0", 0, NULL);
	for (unsigned int type = 0; type < 256; type++) {
		bool nd = type >= 133 && type <= 137;

		put_icmp(LAN, false, HOST6_A, LAN6, 255, type);
		ck_assert_uint_eq(punted(PUNT_ARP, out) != 0, nd);
		drops_are(DROP_POLICY_DISCARD, !nd);
		put_icmp(LAN, false, "fe80::2", "ff02::1:ff00:1", 255, type);
		ck_assert_uint_eq(punted(PUNT_ARP, out) != 0, nd);
		drops_are(DROP_POLICY_DISCARD, !nd);
		put_icmp(LAN, false, HOST6_A, LAN6, 254, type); /* somebody forwarded it */
		drops_are(DROP_POLICY_DISCARD, 1);
		put_icmp(LAN, true, LAN6, HOST6_A, 255, type);
		ck_assert_uint_eq(take(world.tx[LAN][0], out) != 0, nd);
		drops_are(DROP_POLICY_DISCARD, !nd);
		put_icmp(LAN, true, LAN6, HOST6_A, 254, type);
		drops_are(DROP_POLICY_DISCARD, 1);
	}
	/* What says that it is longer than it is, is no talk. */
	len = ip6_build(ip, &(struct ip6){.src = HOST6_A,
				    .dst = LAN6,
				    .hops = 255,
				    .proto = IPPROTO_ICMPV6,
				    .sport = 136});
	put_frame6(LAN, ip, len - 1);
	run();
	ck_assert_uint_eq(punted(PUNT_ARP, out), 0);
	drops_are(DROP_IP6_SHORT, 1);
	/* For somebody else it is a packet as any other. */
	put_icmp(LAN, false, HOST6_A, "2001:db8:1::99", 255, 136);
	ck_assert_uint_eq(worker(0)->drops[DROP_NO_ROUTE], 1);
	worker(0)->drops[DROP_NO_ROUTE] = 0;
	drops_are(DROP_POLICY_DISCARD, 1); /* the error about it */
	for (unsigned int type = 128; type < 150; type++) {
		bool mld = (type >= 130 && type <= 132) || type == 143;
		struct ip6 p = {.src = "fe80::2",
			.dst = "ff02::16",
			.hops = 1,
			.proto = IPPROTO_ICMPV6,
			.sport = type,
			.first = 0,
			.n_chain = 8,
			.chain = alert};

		put_ip6(LAN, &p);
		run();
		ck_assert_uint_eq(punted(PUNT_ARP, out) != 0, mld);
		drops_are(DROP_POLICY_DISCARD, !mld);
		put_host6(LAN, &p);
		run();
		ck_assert_uint_eq(take(world.tx[LAN][0], out) != 0, mld);
		drops_are(DROP_POLICY_DISCARD, !mld);
	}
	nothing_left();
}
END_TEST

START_TEST(linux_both_ways)
{
	static const struct {
		struct ip6 p;
		enum punt_class class;
	} cases[] = {
		{{.src = HOST6_A, .dst = LAN6}, PUNT_OTHER},
		{{.src = HOST6_A, .dst = US6}, PUNT_OTHER},
		{{.src = HOST6_A, .dst = LAN6, .proto = IPPROTO_TCP, .dport = 179}, PUNT_ROUTING},
		{{.src = HOST6_A, .dst = LAN6, .proto = IPPROTO_ICMPV6, .sport = 128}, PUNT_OTHER},
	};
	uint8_t out[PACKET_MAX], ip[PACKET_MAX];
	uint16_t len;

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		len = ip6_build(ip, &cases[i].p);
		put_frame6(LAN, ip, len);
		run();
		ck_assert_uint_eq(punted(cases[i].class, out), len);
		ck_assert_mem_eq(
			out, ((uint8_t[]){2, 0, 0, 0, 0, LAN, 2, 0, 0, 0, 1, LAN, 0x86, 0xdd}), 14);
		ck_assert_mem_eq(out + 14, ip, len);
	}
	/* What Linux sends goes as it is. */
	len = ip6_build(ip, &(struct ip6){.src = LAN6, .dst = HOST6_A, .hops = 1});
	put(world.host_rx[LAN], as_ip6(frame(LAN, ip, len)));
	run();
	ck_assert_uint_eq(take(world.tx[LAN][0], out), len);
	ck_assert_mem_eq(out + 14, ip, len);
	no_drops();
	put(world.host_rx[LAN], as_ip6(frame(LAN, ip, 39)));
	run();
	drops_are(DROP_IP6_SHORT, 1);
	nothing_left();
}
END_TEST

TCase *
nodes_ip6_case(void)
{
	TCase *tc = tcase_create("ip6");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, header);
	tcase_add_test(tc, padding);
	tcase_add_test(tc, addresses);
	tcase_add_test(tc, extension_headers);
	tcase_add_test(tc, way_point);
	tcase_add_test(tc, routes);
	tcase_add_test(tc, multipath);
	tcase_add_test(tc, held_and_released);
	tcase_add_test(tc, mixed_burst);
	tcase_add_test(tc, link_talk);
	tcase_add_test(tc, linux_both_ways);
	return tc;
}

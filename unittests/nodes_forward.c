/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <unistd.h>

/* Clear forwarding: routes, TTL, neighbours. */

START_TEST(ttl_and_checksum)
{
	uint8_t ip[PACKET_MAX], out[PACKET_MAX];

	for (unsigned int ttl = 2; ttl < 256; ttl++)
		for (unsigned int id = 0; id < 0x10000; id += 0x3ff) {
			struct ip4 p = {.src = HOST_A, .dst = HOST_D, .ttl = ttl, .id = id};
			uint16_t len = ip4_build(ip, &p);

			put_frame(LAN, ip, len);
			run();
			ck_assert_uint_eq(sent(DMZ, out), len); /* the checksum too */
			ip[8]--;
			ip4_mend(ip);
			ck_assert_mem_eq(out + 14, ip, len);
		}
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
		{NH_UNREACHABLE, DROP_ROUTE_UNREACHABLE, 1}, {NH_FOREIGN, DROP_ROUTE_FOREIGN, 0},
		{NH_NONE, DROP_NO_ROUTE, 0}};
	uint8_t out[PACKET_MAX];

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		if (types[i].type != NH_NONE)
			route_to("198.51.100.0/24", types[i].type);
		put_ip4(LAN,
			&(struct ip4){.src = HOST_A,
				.dst = types[i].type == NH_NONE ? "203.0.113.1" : "198.51.100.1"});
		run();
		drops_are(types[i].reason, 1);
		if (types[i].icmp_code >= 0) {
			ck_assert_uint_eq(sent(LAN, out), 20 + 8 + 100);
			ck_assert_uint_eq(out[14 + 20], 3);
			ck_assert_int_eq(out[14 + 21], types[i].icmp_code);
		}
		nothing_left();
	}
}
END_TEST

START_TEST(multipath)
{
	uint32_t members[2] = {
		neighbour(WAN, PEER, 1500, true), neighbour(DMZ, HOST_D, 1500, true)};
	uint8_t out[PACKET_MAX];
	unsigned int on[PORTS] = {0};
	uint32_t nh;

	ck_assert_int_eq(fib_nh_multipath(world.r.fib, members, 2, &nh), 0);
	route("198.51.100.0/24", nh);
	for (unsigned int i = 0; i < 200; i++) {
		struct ip4 p = {.src = HOST_A, .dst = "198.51.100.9", .sport = 1000 + i};
		unsigned int way;

		put_ip4(LAN, &p);
		run();
		way = sent(WAN, out) != 0 ? WAN : DMZ;
		on[way]++;
		ck_assert(way == WAN || sent(DMZ, out) != 0);
		/* A flow keeps its way, and the fragments of a packet stay together. */
		put_ip4(LAN, &p);
		run();
		ck_assert_uint_ne(sent(way, out), 0);
	}
	ck_assert_uint_gt(on[WAN], 60);
	ck_assert_uint_gt(on[DMZ], 60);
	for (unsigned int frag = 0; frag < 50; frag++)
		put_ip4(LAN, &(struct ip4){.src = HOST_A,
				     .dst = "198.51.100.9",
				     .sport = frag == 0 ? 1 : frag * 77,
				     .frag = frag == 0 ? 0x2000 : 0x2000 | frag * 10});
	run();
	for (on[WAN] = 0; sent(WAN, out) != 0;)
		on[WAN]++;
	for (on[DMZ] = 0; sent(DMZ, out) != 0;)
		on[DMZ]++;
	ck_assert(on[WAN] + on[DMZ] == 50 && (on[WAN] == 0 || on[DMZ] == 0));
	no_drops();
}
END_TEST

START_TEST(transmit_queue_full)
{
	uint8_t out[PACKET_MAX];
	unsigned int n = 0, before = rte_ring_free_count(world.tx[DMZ][0]);

	for (unsigned int i = 0; i < 20; i++) {
		for (unsigned int k = 0; k < 64; k++)
			put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D});
		run();
	}
	while (sent(DMZ, out) != 0)
		n++;
	ck_assert_uint_eq(n, before);
	drops_are(DROP_TX_FULL, 20 * 64 - n);
}
END_TEST

static unsigned int
asked(const char *addr)
{
	struct neigh_request ask;
	unsigned int n = 0;

	while (rte_ring_dequeue_elem(world.neigh, &ask, sizeof(ask)) == 0) {
		ck_assert_uint_eq(ask.addr.family, 4);
		ck_assert_uint_eq(ask.addr.v4, addr4(addr));
		ck_assert_uint_eq(ask.port, DMZ);
		n++;
	}
	return n;
}

/* Held until the MAC is known, then sent in their order; once decremented, not twice. */
START_TEST(held_and_released)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 1, DMZ};
	uint32_t nh = neighbour(DMZ, "10.3.0.9", 1500, false);
	uint8_t out[PACKET_MAX];

	route("10.3.0.9", nh);
	for (unsigned int i = 1; i <= 5; i++)
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "10.3.0.9", .id = i});
	run();
	nothing_left();
	no_drops();
	ck_assert_uint_gt(asked("10.3.0.9"), 0);
	wait_ms(2);
	run();
	nothing_left();
	fib_nh_resolve(world.r.fib, nh, mac);
	wait_ms(2);
	run();
	for (unsigned int i = 1; i <= 5; i++) {
		ck_assert_uint_eq(sent(DMZ, out), 100);
		ck_assert_uint_eq(out[14 + 5], i);
		ck_assert_uint_eq(out[14 + 8], 63);
	}
	nothing_left();
	no_drops();
	ck_assert_uint_eq(fib_nh(world.r.fib, nh)->used, 1);
}
END_TEST

/* A neighbour on the link that nobody spoke of before: asked for by the destination itself. */
START_TEST(gleaned)
{
	uint8_t out[PACKET_MAX];
	uint32_t glean;

	ck_assert_int_eq(fib_nh_new(world.r.fib, NH_GLEAN, DMZ, 1500, &glean), 0);
	route("10.3.0.0/24", glean);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "10.3.0.77"});
	run();
	nothing_left();
	ck_assert_uint_gt(asked("10.3.0.77"), 0);
	/* The control thread sets a route when the kernel has found it. */
	route("10.3.0.77", neighbour(DMZ, "10.3.0.77", 1500, true));
	wait_ms(2);
	run();
	ck_assert_uint_eq(sent(DMZ, out), 100);
	no_drops();
}
END_TEST

START_TEST(held_and_expired)
{
	route("10.3.0.9", neighbour(DMZ, "10.3.0.9", 1500, false));
	for (unsigned int i = 0; i < 20; i++)
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "10.3.0.9"});
	run();
	drops_are(DROP_NEIGHBOUR_QUEUE, 12);
	/* Linux asks a second and a third time. */
	wait_ms(2900);
	run();
	no_drops();
	wait_ms(200);
	run();
	drops_are(DROP_NEIGHBOUR_UNRESOLVED, 8);
	nothing_left();
}
END_TEST

/* The route goes while packets wait: no way for them any more. */
START_TEST(held_and_unrouted)
{
	struct ip_addr a = address("10.3.0.9");
	uint8_t out[PACKET_MAX];

	route("10.3.0.9", neighbour(DMZ, "10.3.0.9", 1500, false));
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "10.3.0.9"});
	run();
	ck_assert_int_eq(fib_route_del(world.r.fib, &a, 32), 0);
	wait_ms(2);
	run();
	drops_are(DROP_NO_ROUTE, 1);
	ck_assert_uint_eq(sent(LAN, out), 128);
	ck_assert_uint_eq(out[14 + 20], 3);
	nothing_left();
}
END_TEST

/* One dead gateway may not take the places of all others. */
START_TEST(held_by_neighbour)
{
	char dst[32];

	route("198.51.100.0/24", neighbour(DMZ, "10.3.0.9", 1500, false));
	route("10.3.0.10", neighbour(DMZ, "10.3.0.10", 1500, false));
	for (unsigned int i = 0; i < 64; i++) {
		snprintf(dst, sizeof(dst), "198.51.100.%u", i);
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = dst});
	}
	run();
	drops_are(DROP_NEIGHBOUR_QUEUE, 64 - 8);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "10.3.0.10"});
	run();
	no_drops();
}
END_TEST

/* What is held meets the policies of the day on which it leaves. */
START_TEST(held_and_protected)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 1, DMZ};
	uint32_t nh = neighbour(DMZ, "10.3.0.9", 1500, false);

	route("10.3.0.9", nh);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "10.3.0.9"});
	run();
	policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.3.0.0/16", REQID, NULL);
	fib_nh_resolve(world.r.fib, nh, mac);
	wait_ms(2);
	run();
	drops_are(DROP_POLICY_NO_SA, 1);
	nothing_left();
}
END_TEST

START_TEST(from_linux)
{
	uint8_t out[PACKET_MAX], ip[PACKET_MAX];
	struct rte_mbuf *m;
	uint16_t len;

	/* As it is: no TTL, no MAC of ours. */
	put_host(LAN, &(struct ip4){.src = "10.1.0.1", .dst = HOST_A, .ttl = 1});
	run();
	ck_assert_uint_eq(take(world.tx[LAN][0], out), 100);
	ck_assert_uint_eq(out[14 + 8], 1);
	ck_assert_mem_eq(out, ((uint8_t[]){2, 0, 0, 0, 0, LAN}), 6);
	no_drops();
	len = ip4_build(ip, &(struct ip4){.src = "10.1.0.1", .dst = HOST_A});
	for (unsigned int n = 0; n < 14; n++) {
		m = frame(LAN, ip, 0);
		rte_pktmbuf_trim(m, 14 - n);
		put(world.host_rx[LAN], m);
		run();
		drops_are(DROP_HOST_SHORT, 1);
	}
	put(world.host_rx[LAN], frame(LAN, ip, 19));
	run();
	drops_are(DROP_IP4_SHORT, 1);
	/* Bursts of several ports in one walk. */
	for (unsigned int i = 0; i < 3 * 60; i++)
		put(world.host_rx[i % PORTS], frame(i % PORTS, ip, len));
	run();
	for (unsigned int i = 0; i < 3 * 60; i++)
		ck_assert_uint_eq(take(world.tx[i % PORTS][0], out), len);
	no_drops();
	nothing_left();
}
END_TEST

/* To Linux: classes, the frame as it came, wake-ups, and no more than the rings hold. */
START_TEST(to_linux)
{
	static const struct {
		struct ip4 p;
		enum punt_class class;
	} cases[] = {
		{{.src = HOST_A, .dst = "10.1.0.1"}, PUNT_OTHER},
		{{.src = HOST_A, .dst = US}, PUNT_OTHER},
		{{.src = HOST_A, .dst = "10.1.0.1", .proto = IPPROTO_TCP, .dport = 179},
			PUNT_ROUTING},
		{{.src = HOST_A, .dst = "10.1.0.1", .proto = IPPROTO_TCP, .sport = 179},
			PUNT_ROUTING},
		{{.src = HOST_A, .dst = "10.1.0.1", .dport = 3784}, PUNT_ROUTING},
		{{.src = HOST_A, .dst = "224.0.0.5", .proto = 89, .ttl = 1}, PUNT_ROUTING},
		{{.src = HOST_A, .dst = "10.1.0.1", .proto = IPPROTO_ICMP, .sport = 8}, PUNT_OTHER},
	};
	uint8_t out[PACKET_MAX], ip[PACKET_MAX];
	uint64_t woken = 0;

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		uint16_t len = ip4_build(ip, &cases[i].p);

		world.asleep = true;
		put_frame(LAN, ip, len);
		run();
		ck_assert_uint_eq(punted(cases[i].class, out), len);
		ck_assert_mem_eq(
			out, ((uint8_t[]){2, 0, 0, 0, 0, LAN, 2, 0, 0, 0, 1, LAN, 8, 0}), 14);
		ck_assert_mem_eq(out + 14, ip, len);
		ck_assert_int_eq(read(world.eventfd, &woken, sizeof(woken)), sizeof(woken));
		world.asleep = false;
	}
	no_drops();
	for (unsigned int i = 0; i < 20; i++) {
		for (unsigned int k = 0; k < 64; k++)
			put_ip4(LAN, &cases[0].p);
		run();
	}
	drops_are(DROP_PUNT_RATION, 20 * 64 - rte_ring_get_capacity(world.punt[PUNT_OTHER]));
}
END_TEST

TCase *
nodes_forward_case(void)
{
	TCase *tc = tcase_create("forward");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, ttl_and_checksum);
	tcase_add_test(tc, routes);
	tcase_add_test(tc, multipath);
	tcase_add_test(tc, transmit_queue_full);
	tcase_add_test(tc, held_and_released);
	tcase_add_test(tc, gleaned);
	tcase_add_test(tc, held_and_expired);
	tcase_add_test(tc, held_and_unrouted);
	tcase_add_test(tc, held_by_neighbour);
	tcase_add_test(tc, held_and_protected);
	tcase_add_test(tc, from_linux);
	tcase_add_test(tc, to_linux);
	return tc;
}

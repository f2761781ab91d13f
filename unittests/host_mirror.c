/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_mirror.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

/* The kernel's addresses, routes and neighbours, as the FIB shows them. */

#define MAC_A "02:aa:00:00:00:0a"
#define MAC_B "02:aa:00:00:00:0b"

START_TEST(start)
{
	unsigned int i;

	ck_assert_uint_eq(host_ifindex(host, 0), if_nametoindex("cyg0"));
	ck_assert_uint_eq(host_ifindex(host, 3), if_nametoindex("cyg1"));
	ck_assert_uint_eq(host_ifindex(host, 1), 0);
	ck_assert_uint_eq(host_ifindex(host, 0xffff), 0);
	ck_assert_ptr_null(host_rx_ring(host, 1));
	run("ip link show cyg0 | grep -q 'UP,.*mtu 1500'");
	run("ip link show cyg0 | grep -q 02:00:00:00:00:01");
	run("ip link show cyg1 | grep -q 'mtu 9000'");
	ck_assert(goes("192.0.2.1", NH_LOCAL));
	ck_assert(goes("192.0.2.255", NH_LOCAL));
	ck_assert(goes_port("192.0.2.77", NH_GLEAN, 0));
	ck_assert(goes_port("198.51.100.7", NH_GLEAN, 3));
	ck_assert_uint_eq(nh_of("198.51.100.7")->mtu, 9000);
	ck_assert(goes("203.0.113.1", NH_NONE));
	ck_assert(goes("127.0.0.1", NH_NONE));
	ck_assert(fib_local4(fib, inet_addr("192.0.2.1")));
	ck_assert(fib_local4(fib, inet_addr("198.51.100.255")));
	ck_assert(!fib_local4(fib, inet_addr("192.0.2.2")));
	ck_assert(!fib_local4(fib, inet_addr("127.0.0.1")));

	for (i = 0; i < 2; i++) {
		run("ip address add 10.9.9.9/32 dev lo");
		WAIT_FOR(goes("10.9.9.9", NH_LOCAL) && fib_local4(fib, inet_addr("10.9.9.9")));
		run("ip address del 10.9.9.9/32 dev lo");
		WAIT_FOR(goes("10.9.9.9", NH_NONE) && !fib_local4(fib, inet_addr("10.9.9.9")));
	}
}
END_TEST

START_TEST(kinds_of_routes)
{
	run("ip route add 10.1.0.0/16 via 192.0.2.254");
	run("ip route add blackhole 10.2.0.0/16");
	run("ip route add unreachable 10.3.0.0/16");
	run("ip route add prohibit 10.4.0.0/16");
	run("ip route add throw 10.5.0.0/16");
	run("ip route add local 10.6.0.0/16 dev lo");
	run("ip route add 10.7.0.1/32 dev cyg1");
	run("ip route add 10.8.0.0/16 via 172.16.0.1 dev cyg1 onlink");
	run("ip tuntap add dev foreign mode tap && ip link set foreign up");
	run("ip route add 10.9.0.0/16 dev foreign");
	run("ip route add 10.10.0.0/16 via 192.0.2.254 table 77");
	run("ip route add 10.11.0.0/16 via 192.0.2.254 mtu lock 1300");
	run("ip route add 10.12.0.0/16 via inet6 fe80::1 dev cyg0");
	run("ip route add 10.13.0.0/16 via 192.0.2.254 table default");
	WAIT_FOR(goes_to("10.13.0.1", "192.0.2.254", 0));
	ck_assert(goes_to("10.1.2.3", "192.0.2.254", 0));
	ck_assert(!nh_of("10.1.2.3")->resolved);
	ck_assert(goes("10.2.0.1", NH_BLACKHOLE));
	ck_assert(goes("10.3.0.1", NH_UNREACHABLE));
	ck_assert(goes("10.4.0.1", NH_UNREACHABLE));
	ck_assert(goes("10.5.0.1", NH_UNREACHABLE));
	ck_assert(goes("10.6.1.1", NH_LOCAL));
	ck_assert(goes_to("10.7.0.1", "10.7.0.1", 3));
	ck_assert(goes_to("10.8.0.1", "172.16.0.1", 3));
	ck_assert(goes("10.9.0.1", NH_FOREIGN));
	ck_assert(goes("10.10.0.1", NH_NONE));
	ck_assert(goes("10.11.0.1", NH_MULTIPATH));
	ck_assert_uint_eq(nh_of("10.11.0.1")->mtu, 1300);
	ck_assert_uint_eq(fib_multipath(fib, nh_of("10.11.0.1"), 12345), nh_index("10.1.0.1"));
	ck_assert(goes("10.12.0.1", NH_FOREIGN));
	run("ip route del 10.1.0.0/16");
	run("ip route del blackhole 10.2.0.0/16");
	run("ip route del 10.9.0.0/16");
	WAIT_FOR(goes("10.9.0.1", NH_NONE));
	ck_assert(goes("10.1.2.3", NH_NONE));
	ck_assert(goes("10.2.0.1", NH_NONE));
}
END_TEST

/* Table 220 goes before the main one; what it throws is as if it had not covered it. */
START_TEST(routes_of_charon)
{
	run("ip route add 10.1.0.0/16 via 192.0.2.20");
	run("ip route add 10.1.0.0/16 via 192.0.2.10 table 220");
	run("ip route add 10.0.0.0/8 via 192.0.2.10 table 220");
	run("ip route add throw 10.2.0.0/16 table 220");
	run("ip route add throw 10.1.5.0/24 table 220");
	WAIT_FOR(goes_to("10.1.5.1", "192.0.2.20", 0));
	ck_assert(goes_to("10.1.0.1", "192.0.2.10", 0));
	ck_assert(goes_to("10.3.0.1", "192.0.2.10", 0));
	ck_assert(!goes_to("10.2.0.1", "192.0.2.10", 0));
	/* It follows the route that covers it, as that comes, changes and goes. */
	run("ip route add default via 198.51.100.10");
	WAIT_FOR(goes_to("10.2.0.1", "198.51.100.10", 3));
	run("ip route add 10.2.0.0/15 via 192.0.2.30");
	WAIT_FOR(goes_to("10.2.0.1", "192.0.2.30", 0));
	run("ip route add 10.2.0.0/16 via 192.0.2.40");
	WAIT_FOR(goes_to("10.2.0.1", "192.0.2.40", 0));
	run("ip route del 10.2.0.0/16");
	run("ip route del 10.2.0.0/15");
	WAIT_FOR(goes_to("10.2.0.1", "198.51.100.10", 3));
	run("ip route del default");
	WAIT_FOR(!goes_to("10.2.0.1", "198.51.100.10", 3));
	ck_assert(!goes_to("10.2.0.1", "192.0.2.10", 0));
	run("ip route del throw 10.2.0.0/16 table 220");
	WAIT_FOR(goes_to("10.2.0.1", "192.0.2.10", 0));
	run("ip route flush table 220");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.20", 0));
	ck_assert(goes_to("10.1.5.1", "192.0.2.20", 0));
	WAIT_FOR(goes("10.3.0.1", NH_NONE));
}
END_TEST

START_TEST(metrics)
{
	run("ip route add 10.1.0.0/16 via 192.0.2.20 metric 20");
	run("ip route add 10.1.0.0/16 via 198.51.100.10 metric 10");
	WAIT_FOR(goes_to("10.1.0.1", "198.51.100.10", 3));
	run("ip route del 10.1.0.0/16 metric 10");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.20", 0));
	run("ip route change 10.1.0.0/16 via 192.0.2.30 metric 20");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.30", 0));
	run("ip route del 10.1.0.0/16");
	WAIT_FOR(goes("10.1.0.1", NH_NONE));
}
END_TEST

/* How many of the members are that neighbour. */
static unsigned int
share(const char *addr, const char *neighbour, uint16_t port)
{
	struct ip_addr a = ip(neighbour);
	const struct nexthop *nh = nh_of(addr);
	unsigned int found = 0;
	uint32_t adj;

	if (nh->type != NH_MULTIPATH || fib_nh_find(fib, port, &a, &adj) < 0)
		return 0;
	for (unsigned int i = 0; i < nh->n; i++)
		found += fib_multipath(fib, nh, (i * 2 + 1) * (UINT32_MAX / nh->n / 2)) == adj;
	return found;
}

START_TEST(multipath)
{
	run("ip route add 10.1.0.0/16 nexthop via 192.0.2.2 weight 1 "
	    "nexthop via 198.51.100.2 weight 3");
	WAIT_FOR(share("10.1.0.1", "198.51.100.2", 3) == 3);
	ck_assert_uint_eq(share("10.1.0.1", "192.0.2.2", 0), 1);
	run("ip route replace 10.1.0.0/16 nexthop via 192.0.2.2 nexthop via 192.0.2.3");
	WAIT_FOR(share("10.1.0.1", "192.0.2.3", 0) == 1);
	run("ip route del 10.1.0.0/16");
	WAIT_FOR(goes("10.1.0.1", NH_NONE));
}
END_TEST

/* The kernel tells of an IPv6 hop that goes, and not of the route that stays. */
START_TEST(multipath6)
{
	run("ip -6 address add 2001:db8:1::1/64 dev cyg0 nodad");
	run("ip -6 address add 2001:db8:2::1/64 dev cyg1 nodad");
	run("ip -6 route add 2001:db8:9::/48 via 2001:db8:1::a");
	run("ip -6 route append 2001:db8:9::/48 via 2001:db8:2::b");
	run("ip -6 route append 2001:db8:9::/48 via 2001:db8:1::c");
	WAIT_FOR(share("2001:db8:9::1", "2001:db8:1::c", 0) == 1);
	ck_assert_uint_eq(share("2001:db8:9::1", "2001:db8:1::a", 0), 1);
	run("ip -6 route del 2001:db8:9::/48 via 2001:db8:1::a");
	WAIT_FOR(share("2001:db8:9::1", "2001:db8:1::a", 0) == 0);
	ck_assert_uint_eq(share("2001:db8:9::1", "2001:db8:2::b", 3), 1);
	ck_assert_uint_eq(share("2001:db8:9::1", "2001:db8:1::c", 0), 1);
	run("ip -6 route del 2001:db8:9::/48 via 2001:db8:1::c");
	WAIT_FOR(goes_to("2001:db8:9::1", "2001:db8:2::b", 3));
	run("ip -6 route del 2001:db8:9::/48 via 2001:db8:2::b");
	WAIT_FOR(goes("2001:db8:9::1", NH_NONE));
	/* All at once: one message, or one a hop. */
	run("ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8:1::a weight 3 nexthop via "
	    "2001:db8:2::b");
	WAIT_FOR(share("2001:db8:9::1", "2001:db8:1::a", 0) == 3);
	run("ip -6 route del 2001:db8:9::/48 nexthop via 2001:db8:1::a nexthop via 2001:db8:2::b");
	WAIT_FOR(goes("2001:db8:9::1", NH_NONE));
	run("ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8:1::a nexthop via 2001:db8:2::b");
	run("ip -6 route append 2001:db8:9::/48 via 2001:db8:1::c");
	WAIT_FOR(share("2001:db8:9::1", "2001:db8:1::c", 0) == 1);
	run("ip -6 route del 2001:db8:9::/48");
	WAIT_FOR(goes("2001:db8:9::1", NH_NONE));
	turn(300);
	ck_assert(goes("2001:db8:9::1", NH_NONE));
}
END_TEST

/* A route for packets from some sources alone is none for the others. */
START_TEST(routes_by_source)
{
	run("ip -6 address add 2001:db8:1::1/64 dev cyg0 nodad");
	run("ip -6 route add 2001:db8:9::/48 via 2001:db8:1::a");
	WAIT_FOR(goes_to("2001:db8:9::1", "2001:db8:1::a", 0));
	if (system("ip -6 route add 2001:db8:9::/48 from 2001:db8:5::/48 via 2001:db8:1::b") != 0) {
		puts("routes_by_source: skipped, needs a kernel with CONFIG_IPV6_SUBTREES");
		return;
	}
	run("ip -6 route add default from 2001:db8:5::/48 via 2001:db8:1::b");
	run("ip -6 route add 2001:db8:a::/48 via 2001:db8:1::a");
	WAIT_FOR(goes_to("2001:db8:a::1", "2001:db8:1::a", 0));
	ck_assert(goes_to("2001:db8:9::1", "2001:db8:1::a", 0));
	ck_assert(goes("2001:db8:b::1", NH_NONE));
	run("ip -6 route del 2001:db8:9::/48 from 2001:db8:5::/48");
	run("ip -6 route del 2001:db8:a::/48");
	WAIT_FOR(goes("2001:db8:a::1", NH_NONE));
	ck_assert(goes_to("2001:db8:9::1", "2001:db8:1::a", 0));
}
END_TEST

START_TEST(nexthop_objects)
{
	run("ip nexthop add id 1 via 192.0.2.2 dev cyg0");
	run("ip nexthop add id 2 via 198.51.100.2 dev cyg1");
	run("ip nexthop add id 3 group 1/2,3");
	run("ip nexthop add id 4 blackhole");
	run("ip route add 10.1.0.0/16 nhid 1");
	run("ip route add 10.2.0.0/16 nhid 3");
	run("ip route add 10.3.0.0/16 nhid 4");
	WAIT_FOR(goes("10.3.0.1", NH_BLACKHOLE));
	ck_assert(goes_to("10.1.0.1", "192.0.2.2", 0));
	ck_assert_uint_eq(share("10.2.0.1", "198.51.100.2", 3), 3);
	run("ip nexthop replace id 1 via 192.0.2.9 dev cyg0");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.9", 0));
	WAIT_FOR(share("10.2.0.1", "192.0.2.9", 0) == 1);
	/* The routes go with it, and nobody says so. */
	run("ip nexthop del id 1");
	WAIT_FOR(goes("10.1.0.1", NH_NONE));
}
END_TEST

START_TEST(neighbours)
{
	run("ip route add 10.1.0.0/16 via 192.0.2.254");
	run("ip neighbour add 192.0.2.254 lladdr " MAC_A " dev cyg0 nud permanent");
	run("ip neighbour add 192.0.2.7 lladdr " MAC_B " dev cyg0 nud stale");
	WAIT_FOR(goes_to("192.0.2.7", "192.0.2.7", 0));
	ck_assert(resolved("192.0.2.7", MAC_B));
	ck_assert(resolved("10.1.0.1", MAC_A));
	ck_assert_uint_eq(nh_index("10.1.0.1"), nh_index("192.0.2.254"));
	ck_assert_int_eq(memcmp(nh_of("10.1.0.1")->eth + 6, "\x02\0\0\0\0\x01\x08\0", 8), 0);
	/* The same address on the other link is somebody else. */
	ck_assert(goes_port("192.0.2.8", NH_GLEAN, 0));
	run("ip neighbour change 192.0.2.7 lladdr " MAC_A " dev cyg0 nud reachable");
	WAIT_FOR(resolved("192.0.2.7", MAC_A));
	run("ip neighbour del 192.0.2.7 dev cyg0");
	run("ip neighbour del 192.0.2.254 dev cyg0");
	WAIT_FOR(goes_port("192.0.2.7", NH_GLEAN, 0) && !nh_of("10.1.0.1")->resolved);
	ck_assert(goes_to("10.1.0.1", "192.0.2.254", 0));
	ck_assert(goes_port("192.0.2.254", NH_GLEAN, 0));
}
END_TEST

START_TEST(neighbours_and_routes)
{
	run("ip neighbour add 192.0.2.7 lladdr " MAC_A " dev cyg0 nud permanent");
	run("ip neighbour add 10.1.1.1 lladdr " MAC_A " dev cyg0 nud permanent");
	WAIT_FOR(resolved("192.0.2.7", MAC_A));
	ck_assert(goes("10.1.1.1", NH_NONE));
	/* Linux's own route to the host wins, and gives way again. */
	run("ip route add blackhole 192.0.2.7/32");
	WAIT_FOR(goes("192.0.2.7", NH_BLACKHOLE));
	run("ip route del blackhole 192.0.2.7/32");
	WAIT_FOR(resolved("192.0.2.7", MAC_A));
	/* A longer route that leads elsewhere takes the host off the link. */
	run("ip route add 192.0.2.0/28 via 198.51.100.9");
	WAIT_FOR(goes_to("192.0.2.7", "198.51.100.9", 3));
	run("ip route del 192.0.2.0/28");
	WAIT_FOR(goes_to("192.0.2.7", "192.0.2.7", 0));
	/* The subnet comes after the neighbour, and goes before it. */
	run("ip route add 10.1.0.0/16 dev cyg0");
	WAIT_FOR(resolved("10.1.1.1", MAC_A));
	run("ip route del 10.1.0.0/16 dev cyg0");
	WAIT_FOR(goes("10.1.1.1", NH_NONE));
}
END_TEST

START_TEST(link_down)
{
	run("ip route add 10.1.0.0/16 via 192.0.2.254");
	run("ip route add 10.1.0.0/16 via 198.51.100.9 metric 100");
	run("ip route add 10.2.0.0/16 nexthop via 192.0.2.2 nexthop via 198.51.100.2");
	run("ip neighbour add 192.0.2.7 lladdr " MAC_A " dev cyg0");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.254", 0) && resolved("192.0.2.7", MAC_A));
	run("ip link set cyg0 down");
	WAIT_FOR(goes_to("10.1.0.1", "198.51.100.9", 3));
	WAIT_FOR(goes_to("10.2.0.1", "198.51.100.2", 3));
	WAIT_FOR(goes("192.0.2.7", NH_NONE) && goes("192.0.2.99", NH_NONE));
	run("ip link set cyg0 up");
	WAIT_FOR(goes_port("192.0.2.99", NH_GLEAN, 0));
	WAIT_FOR(goes("192.0.2.1", NH_LOCAL));
}
END_TEST

/* The source address of a route goes: the kernel drops the route too. */
START_TEST(source_address_goes)
{
	run("ip address add 10.7.7.7/32 dev lo");
	run("ip route add 10.1.0.0/16 via 192.0.2.254 src 10.7.7.7");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.254", 0));
	run("ip address del 10.7.7.7/32 dev lo");
	WAIT_FOR(goes("10.1.0.1", NH_NONE));
}
END_TEST

/* The socket of the changes overflows: nothing is missing in the end, nor too much. */
START_TEST(resync)
{
	struct host_stats stats;
	int size = 4096;

	run("ip route add 10.99.0.0/16 via 192.0.2.254");
	WAIT_FOR(goes_to("10.99.0.1", "192.0.2.254", 0));
	ck_assert_int_eq(setsockopt(nl_socket_get_fd(host->events), SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size)),
		0);
	run("for i in $(seq 0 199); do for j in $(seq 0 9); do "
	    "echo route add 10.$i.$j.0/24 via 192.0.2.254; done; done | ip -batch -");
	run("ip route del 10.99.0.0/16");
	WAIT_FOR(goes_to("10.199.9.1", "192.0.2.254", 0));
	host_stats(host, &stats);
	ck_assert_uint_ge(stats.resyncs, 1);
	WAIT_FOR(goes("10.99.200.1", NH_NONE));
	for (unsigned int i = 0; i < 200; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.%u.%u.1", i, i % 10);
		ck_assert_msg(goes_to(addr, "192.0.2.254", 0), "%s", addr);
	}
	run("ip route flush via 192.0.2.254");
	WAIT_FOR(goes("10.0.0.1", NH_NONE) && goes("10.199.9.1", NH_NONE));
}
END_TEST

/* A full table: said, and filled as soon as there is room. */
START_TEST(full_table)
{
	struct ip_addr dst = ip("172.16.0.0");
	uint32_t nh, i;

	ck_assert_int_eq(fib_nh_new(fib, NH_BLACKHOLE, 0, 0, &nh), 0);
	for (i = 0; i < 10000; i++) {
		dst.v4 = htonl(0xac100000 + i);
		if (fib_route_set(fib, &dst, 32, nh) < 0)
			break;
	}
	ck_assert_uint_lt(i, 10000);
	run("ip route add 10.1.0.0/16 via 192.0.2.254");
	turn(200);
	ck_assert(goes("10.1.0.1", NH_NONE));
	while (i-- > 0) {
		dst.v4 = htonl(0xac100000 + i);
		fib_route_del(fib, &dst, 32);
	}
	for (i = 0; i < 6 && !goes("10.1.0.1", NH_ADJ); i++)
		turn(1000);
	ck_assert(goes_to("10.1.0.1", "192.0.2.254", 0));
	fib_nh_put(fib, nh);
}
END_TEST

/* All that the routes took of the table of next hops is given back. */
START_TEST(no_nexthop_leaks)
{
	unsigned int before = 0, after = 0;

	for (uint32_t i = 0; i < fib_nh_count(fib); i++)
		before += fib_nh(fib, i)->type != NH_NONE;
	run("ip neighbour add 192.0.2.7 lladdr " MAC_A " dev cyg0 nud permanent");
	run("ip route add 10.1.0.0/16 via 192.0.2.7");
	run("ip route add 10.2.0.0/16 nexthop via 192.0.2.8 nexthop via 192.0.2.9 weight 7");
	run("ip route add 10.3.0.0/16 via 192.0.2.10 mtu 1200");
	run("ip route replace 10.1.0.0/16 nexthop via 192.0.2.11 nexthop via 192.0.2.7");
	WAIT_FOR(share("10.1.0.1", "192.0.2.11", 0) == 1);
	run("ip route del 10.1.0.0/16 && ip route del 10.2.0.0/16 && ip route del 10.3.0.0/16");
	run("ip neighbour del 192.0.2.7 dev cyg0");
	WAIT_FOR(goes_port("192.0.2.7", NH_GLEAN, 0) && goes("10.3.0.1", NH_NONE));
	/* Members go a grace period after their route. */
	turn(50);
	turn(50);
	turn(50);
	for (uint32_t i = 0; i < fib_nh_count(fib); i++)
		after += fib_nh(fib, i)->type != NH_NONE;
	ck_assert_uint_eq(before, after);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("host_mirror");
	TCase *tc = tcase_create("mirror");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		printf("needs root, for a network namespace\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, mirror_setup, mirror_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, start);
	tcase_add_test(tc, kinds_of_routes);
	tcase_add_test(tc, routes_of_charon);
	tcase_add_test(tc, metrics);
	tcase_add_test(tc, multipath);
	tcase_add_test(tc, multipath6);
	tcase_add_test(tc, routes_by_source);
	tcase_add_test(tc, nexthop_objects);
	tcase_add_test(tc, neighbours);
	tcase_add_test(tc, neighbours_and_routes);
	tcase_add_test(tc, link_down);
	tcase_add_test(tc, source_address_goes);
	tcase_add_test(tc, resync);
	tcase_add_test(tc, full_table);
	tcase_add_test(tc, no_nexthop_leaks);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}

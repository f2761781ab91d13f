/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

/* Packets through the taps by the host thread, neighbours resolved by them, restarts, deaf netdevs. */

static const struct rte_ether_addr our_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr peer_mac = {{2, 0xaa, 0, 0, 0, 0xa}};

/* As a worker does: enqueue, and wake the thread if it sleeps. Returns whether there was room. */
static bool
punt(struct rte_mbuf *m, uint16_t port, enum punt_class class)
{
	struct worker_punt w;
	uint64_t one = 1;

	host_punt(host, &w);
	pkt(m)->in_port = port;
	if (rte_ring_enqueue(w.ring[class], m) != 0) {
		rte_pktmbuf_free(m);
		return false;
	}
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(w.asleep))
		ck_assert_int_eq(write(w.eventfd, &one, sizeof(one)), sizeof(one));
	return true;
}

/* A frame from the tap of the port within three seconds, or NULL. */
static struct rte_mbuf *
from_tap(uint16_t port)
{
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < 300; i++) {
		if (rte_ring_sc_dequeue(host_rx_ring(host, port), (void **)&m) == 0)
			return m;
		turn(10);
	}
	return NULL;
}

/* The next frame of that EtherType. */
static struct rte_mbuf *
from_tap_type(uint16_t port, uint16_t type)
{
	struct rte_mbuf *m;

	while ((m = from_tap(port)) != NULL) {
		ck_assert_uint_eq(pkt(m)->in_port, PKT_PORT_HOST);
		ck_assert_uint_eq(pkt(m)->out_port, port);
		ck_assert_uint_eq(pkt(m)->flags, PKT_F_OWN_L2);
		rte_mbuf_sanity_check(m, 1);
		if (rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type == htons(type))
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

/* ICMP echo request of len bytes after the IP header, written to frame; returns the frame's length. */
static unsigned int
echo_request(uint8_t *frame, const char *src, const char *dst, unsigned int len)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)frame;
	struct rte_ipv4_hdr *ip4 = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip4 + 1);

	memset(frame, 0, sizeof(*eth) + sizeof(*ip4));
	eth->dst_addr = our_mac;
	eth->src_addr = peer_mac;
	eth->ether_type = htons(RTE_ETHER_TYPE_IPV4);
	ip4->version_ihl = RTE_IPV4_VHL_DEF;
	ip4->total_length = htons(sizeof(*ip4) + len);
	ip4->time_to_live = 64;
	ip4->next_proto_id = IPPROTO_ICMP;
	ip4->src_addr = inet_addr(src);
	ip4->dst_addr = inet_addr(dst);
	ip4->hdr_checksum = rte_ipv4_cksum(ip4);
	for (unsigned int i = 0; i < len; i++)
		((uint8_t *)icmp)[i] = i * 7;
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_code = 0;
	icmp->icmp_cksum = 0;
	icmp->icmp_cksum = ~rte_raw_cksum(icmp, len);
	return sizeof(*eth) + sizeof(*ip4) + len;
}

/* The frame in mbufs of at most seg bytes. */
static struct rte_mbuf *
to_mbufs(const uint8_t *frame, unsigned int len, unsigned int seg)
{
	struct rte_mbuf *head = NULL;

	for (unsigned int at = 0; at < len; at += seg) {
		unsigned int n = len - at < seg ? len - at : seg;
		struct rte_mbuf *m = rte_pktmbuf_alloc(mbufs);
		void *data;

		ck_assert_ptr_nonnull(m);
		data = rte_pktmbuf_append(m, n);
		ck_assert_ptr_nonnull(data);
		memcpy(data, frame + at, n);
		if (head == NULL)
			head = m;
		else
			ck_assert_int_eq(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

static void
ping_through(uint16_t port, const char *ours, const char *peer, unsigned int len, unsigned int seg)
{
	uint8_t frame[9100], back[9100];
	unsigned int n = echo_request(frame, peer, ours, len);
	const struct rte_ipv4_hdr *ip4;
	const uint8_t *reply;
	struct rte_mbuf *m;

	ck_assert(punt(to_mbufs(frame, n, seg), port, PUNT_OTHER));
	m = from_tap_type(port, RTE_ETHER_TYPE_IPV4);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->pkt_len, n);
	reply = rte_pktmbuf_read(m, 0, n, back);
	ip4 = (const struct rte_ipv4_hdr *)(reply + RTE_ETHER_HDR_LEN);
	ck_assert_uint_eq(ip4->dst_addr, inet_addr(peer));
	ck_assert_uint_eq(ip4->src_addr, inet_addr(ours));
	ck_assert_int_eq(memcmp(reply, &peer_mac, 6), 0);
	/* Offloads are off: the checksum is there. */
	ck_assert_uint_eq(rte_raw_cksum(ip4 + 1, len), 0xffff);
	ck_assert_int_eq(memcmp(reply + 38, frame + 38, n - 38), 0);
	rte_pktmbuf_free(m);
}

START_TEST(echo)
{
	struct host_stats stats;

	run("ip neighbour add 192.0.2.9 lladdr 02:aa:00:00:00:0a dev cyg0");
	ping_through(0, "192.0.2.1", "192.0.2.9", 64, 2000);
	ping_through(0, "192.0.2.1", "192.0.2.9", 1480, 2000);
	/* In pieces, the first of which ends within the Ethernet header. */
	ping_through(0, "192.0.2.1", "192.0.2.9", 100, 10);
	host_stats(host, &stats);
	ck_assert_uint_eq(stats.to_host[PUNT_OTHER], 3);
	ck_assert_uint_ge(stats.from_host, 3);
	ck_assert_uint_eq(stats.to_host_errors, 0);
}
END_TEST

START_TEST(echo_jumbo)
{
	run("ip link set cyg1 address 02:00:00:00:00:01");
	run("ip neighbour add 198.51.100.9 lladdr 02:aa:00:00:00:0a dev cyg1");
	ping_through(3, "198.51.100.1", "198.51.100.9", 8980, 2000);
	ping_through(3, "198.51.100.1", "198.51.100.9", 2048, 2000);
	ping_through(3, "198.51.100.1", "198.51.100.9", 2000, 500);
}
END_TEST

/* What is not for a tap is counted and goes nowhere. */
START_TEST(bad_frames)
{
	uint8_t frame[128] = {0};
	struct host_stats stats;

	ck_assert(punt(to_mbufs(frame, 60, 128), 1, PUNT_OTHER));
	ck_assert(punt(to_mbufs(frame, 60, 128), PKT_PORT_HOST, PUNT_OTHER));
	ck_assert(punt(to_mbufs(frame, 5, 128), 0, PUNT_OTHER));
	WAIT_FOR((host_stats(host, &stats), stats.to_host_errors == 3));
	ck_assert_uint_eq(stats.to_host[PUNT_OTHER], 0);
}
END_TEST

/* A flood of one class uses up its own ration, and the others are served meanwhile. */
START_TEST(rations)
{
	uint8_t frame[64] = {0};
	time_t start = time(NULL);
	struct host_stats stats;
	unsigned int other = 0, ike = 0;

	memcpy(frame, &our_mac, 6);
	for (unsigned int i = 0; i < 2000; i++) {
		other += punt(to_mbufs(frame, 60, 64), 0, PUNT_OTHER);
		if (i % 100 == 0)
			ike += punt(to_mbufs(frame, 60, 64), 0, PUNT_IKE);
		if (i % 200 == 0)
			turn(10);
	}
	WAIT_FOR((host_stats(host, &stats),
		stats.to_host[PUNT_OTHER] + stats.rationed[PUNT_OTHER] == other));
	ck_assert_uint_eq(ike, 20);
	ck_assert_uint_eq(stats.to_host[PUNT_IKE], 20);
	ck_assert_uint_eq(stats.rationed[PUNT_IKE], 0);
	/* 100 a second; 32 at once. */
	ck_assert_uint_ge(stats.to_host[PUNT_OTHER], 32);
	ck_assert_uint_lt(stats.to_host[PUNT_OTHER], 64 + 100 * (time(NULL) - start + 1));
	ck_assert_uint_gt(stats.rationed[PUNT_OTHER], 500);
}
END_TEST

/* Linux sends more than the worker takes: dropped and counted, nothing is lost of the pool. */
START_TEST(full_ring)
{
	struct host_stats stats;
	struct rte_mbuf *m;
	unsigned int n = 0;

	run("ip neighbour add 192.0.2.9 lladdr 02:aa:00:00:00:0a dev cyg0");
	run("ip link set cyg0 txqueuelen 4000"); /* where they wait for the thread */
	run("bash -c 'for i in {1..3000}; do echo -n x >&3; done 3>/dev/udp/192.0.2.9/9'");
	WAIT_FOR((host_stats(host, &stats), stats.from_host_drops > 1000));
	turn(200);
	ck_assert_uint_eq(rte_ring_count(host_rx_ring(host, 0)), HOST_RING_SIZE - 1);
	while (rte_ring_sc_dequeue(host_rx_ring(host, 0), (void **)&m) == 0) {
		rte_pktmbuf_free(m);
		n++;
	}
	ck_assert_uint_eq(n, HOST_RING_SIZE - 1);
	run("bash -c 'echo x >/dev/udp/192.0.2.9/9'");
	m = from_tap_type(0, RTE_ETHER_TYPE_IPV4);
	ck_assert_ptr_nonnull(m);
	rte_pktmbuf_free(m);
}
END_TEST

static void
request(const char *addr, uint16_t port)
{
	struct neigh_request req = {.addr = {.family = 4, .v4 = inet_addr(addr)}, .port = port};

	ck_assert_int_eq(rte_ring_enqueue_elem(host_neigh_ring(host), &req, sizeof(req)), 0);
}

static void
answer_arp(struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
	uint32_t asked = arp->arp_data.arp_tip;

	ck_assert_uint_eq(arp->arp_opcode, htons(RTE_ARP_OP_REQUEST));
	eth->dst_addr = eth->src_addr;
	eth->src_addr = peer_mac;
	arp->arp_opcode = htons(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tha = arp->arp_data.arp_sha;
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sha = peer_mac;
	arp->arp_data.arp_sip = asked;
	ck_assert(punt(m, 0, PUNT_ARP));
}

/* A worker asks for a neighbour, Linux asks the link, the answer is in the FIB. */
START_TEST(resolve)
{
	struct rte_mbuf *m;

	run("ip route add 10.1.0.0/16 via 192.0.2.254");
	WAIT_FOR(goes_to("10.1.0.1", "192.0.2.254", 0));
	request("192.0.2.254", 0);
	request("192.0.2.254", 0);
	request("192.0.2.254", 99);
	m = from_tap_type(0, RTE_ETHER_TYPE_ARP);
	ck_assert_ptr_nonnull(m);
	answer_arp(m);
	WAIT_FOR(resolved("10.1.0.1", "02:aa:00:00:00:0a"));
	ck_assert_uint_eq(nh_index("192.0.2.254"), nh_index("10.1.0.1"));
	/* Nobody answers: the request is made, and the FIB stays as it is. */
	request("192.0.2.77", 0);
	m = from_tap_type(0, RTE_ETHER_TYPE_ARP);
	ck_assert_ptr_nonnull(m);
	rte_pktmbuf_free(m);
	ck_assert(goes_port("192.0.2.77", NH_GLEAN, 0));
}
END_TEST

/* A neighbour in use is asked again when Linux doubts it; one that is not in use is left alone. */
START_TEST(refresh)
{
	struct rte_mbuf *m;

	run("ip neighbour add 192.0.2.5 lladdr 02:aa:00:00:00:0a dev cyg0 nud stale");
	run("ip neighbour add 192.0.2.6 lladdr 02:aa:00:00:00:0a dev cyg0 nud stale");
	run("sysctl -qw net.ipv4.neigh.cyg0.delay_first_probe_time=1");
	WAIT_FOR(resolved("192.0.2.6", "02:aa:00:00:00:0a"));
	nh_of("192.0.2.5")->used = 1;
	for (unsigned int i = 0; i < 4; i++) {
		m = from_tap_type(0, RTE_ETHER_TYPE_ARP);
		if (m != NULL)
			break;
	}
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, RTE_ETHER_HDR_LEN)
				  ->arp_data.arp_tip,
		inet_addr("192.0.2.5"));
	answer_arp(m);
	WAIT_FOR(system("ip neighbour show 192.0.2.5 dev cyg0 | grep -q REACHABLE") == 0);
	WAIT_FOR(nh_of("192.0.2.5")->used == 0);
	run("ip neighbour show 192.0.2.6 dev cyg0 | grep -q STALE");
}
END_TEST

static void
restart(void)
{
	host_stop(host);
	/* A new router begins with an empty FIB. */
	rcu_destroy(rcu);
	fib_destroy(fib);
	rcu = rcu_create();
	fib = conf.fib = fib_create(
		&(struct fib_conf){.max_routes = 4000, .max_nexthops = 1024, .rcu = rcu});
	ck_assert_ptr_nonnull(fib);
	host = host_start(&conf);
	ck_assert_ptr_nonnull(host);
}

START_TEST(taps_survive)
{
	unsigned int ifindex = host_ifindex(host, 0);

	run("ip address add 192.0.2.200/24 dev cyg0");
	run("ip route add 10.1.0.0/16 via 192.0.2.254");
	run("ip neighbour add 192.0.2.254 lladdr 02:aa:00:00:00:0a dev cyg0 nud permanent");
	restart();
	ck_assert_uint_eq(host_ifindex(host, 0), ifindex);
	/* At once: the first reading is part of the start. */
	ck_assert(goes("192.0.2.1", NH_LOCAL));
	ck_assert(fib_local4(fib, inet_addr("192.0.2.200")));
	ck_assert(resolved("10.1.0.1", "02:aa:00:00:00:0a"));
	ck_assert(goes_to("192.0.2.254", "192.0.2.254", 0));
	ping_through(0, "192.0.2.1", "192.0.2.254", 64, 2000);
}
END_TEST

START_TEST(taps_removed)
{
	host_stop(host);
	/* Nothing there the second time: nothing to do. */
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(host_tap_remove("cyg0"), 0);
		ck_assert_int_eq(host_tap_remove("cyg1"), 0);
		ck_assert_uint_eq(if_nametoindex("cyg0"), 0);
		ck_assert_uint_eq(if_nametoindex("cyg1"), 0);
	}
	host = host_start(&conf);
	ck_assert_ptr_nonnull(host);
}
END_TEST

/* The name is taken by something that is no tap of ours: refused, and nothing of it is changed. */
START_TEST(name_taken)
{
	struct host_port port = conf.ports[0];
	struct host_conf other = conf;

	run("ip link add taken type veth peer name taken2");
	port.name = "taken";
	other.ports = &port;
	other.n_ports = 1;
	host_stop(host);
	ck_assert_ptr_null(host_start(&other));
	run("ip link show taken | grep -q 'state DOWN'");
	host = host_start(&conf);
	ck_assert_ptr_nonnull(host);
}
END_TEST

/* Linux removes the tap under us: said, and the thread goes on with the other. */
START_TEST(tap_vanishes)
{
	run("ip link del cyg0");
	WAIT_FOR(goes("192.0.2.1", NH_NONE) && goes("192.0.2.9", NH_NONE));
	run("ip link set cyg1 address 02:00:00:00:00:01");
	run("ip neighbour add 198.51.100.9 lladdr 02:aa:00:00:00:0a dev cyg1");
	ping_through(3, "198.51.100.1", "198.51.100.9", 64, 2000);
}
END_TEST

static int
packet_socket(const char *dev)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(dev)};
	const struct timeval patience = {1, 0};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Whether an ICMP message of that type comes in on the socket's device. */
static bool
sees_icmp(int fd, uint8_t type)
{
	for (;;) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		uint8_t frame[2048];
		ssize_t n = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			return false;
		if (from.sll_pkttype != PACKET_OUTGOING && n >= 42 && frame[12] == 8 &&
			frame[13] == 0 && frame[23] == IPPROTO_ICMP && frame[34] == type)
			return true;
	}
}

/*
 * A ping to an address of the netdev and one to be forwarded by it: without deafness Linux answers and
 * forwards. With it af_packet still sees both, and Linux neither.
 */
START_TEST(deaf)
{
	int outside, under, beyond;
	uint8_t frame[256];
	struct rte_mbuf *m;
	unsigned int n;

	run("ip link add wire type veth peer name under.0");
	run("ip link set wire up && ip link set under.0 up address 02:00:00:00:00:01");
	run("ip tuntap add beyond mode tap && ip link set beyond up");
	run("sysctl -qw net.ipv4.ip_forward=1");
	run("ip address add 10.0.0.1/24 dev under.0");
	run("ip neighbour add 10.0.0.9 lladdr 02:aa:00:00:00:0a dev under.0");
	outside = packet_socket("wire");
	under = packet_socket("under.0");
	n = echo_request(frame, "10.0.0.9", "10.0.0.1", 64);
	ck_assert_int_eq(send(outside, frame, n, 0), n);
	ck_assert(sees_icmp(under, RTE_IP_ICMP_ECHO_REQUEST));
	ck_assert(sees_icmp(outside, RTE_IP_ICMP_ECHO_REPLY));

	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(host_deafen("under.0"), 0);
		ck_assert_int_eq(send(outside, frame, n, 0), n);
		ck_assert(sees_icmp(under, RTE_IP_ICMP_ECHO_REQUEST));
		ck_assert(!sees_icmp(outside, RTE_IP_ICMP_ECHO_REPLY));
	}
	/* A table alone says nothing, nor does a chain that lets packets in. */
	ck_assert(host_is_deaf("under.0"));
	run("nft delete chain netdev cygnet-under_2e0 ingress");
	ck_assert(!host_is_deaf("under.0"));
	ck_assert_int_eq(host_deafen("under.0"), 0);
	run("nft add chain netdev cygnet-under_2e0 ingress '{ policy accept; }'");
	ck_assert(!host_is_deaf("under.0"));
	ck_assert(!host_is_deaf("wire"));
	/* Whoever takes it away. */
	ck_assert_int_eq(host_deaf_watch_start(), 0);
	WAIT_FOR(host_is_deaf("under.0"));
	run("nft flush ruleset");
	WAIT_FOR(host_is_deaf("under.0"));
	host_deaf_watch_stop();
	/* To be forwarded to the port's own network. */
	beyond = packet_socket("cyg0");
	n = echo_request(frame, "10.0.0.9", "192.0.2.9", 64);
	run("ip neighbour add 192.0.2.9 lladdr 02:aa:00:00:00:0a dev cyg0");
	ck_assert_int_eq(send(outside, frame, n, 0), n);
	ck_assert(sees_icmp(under, RTE_IP_ICMP_ECHO_REQUEST));
	ck_assert_ptr_null(from_tap_type(0, RTE_ETHER_TYPE_IPV4));
	/* Nor does it speak. */
	run("test $(cat /proc/sys/net/ipv6/conf/under.0/disable_ipv6) = 1");
	run("ip link show under.0 | grep -q NOARP");

	ck_assert_int_eq(host_undeafen("under.0"), 0);
	ck_assert_int_eq(send(outside, frame, n, 0), n);
	ck_assert(sees_icmp(under, RTE_IP_ICMP_ECHO_REQUEST));
	m = from_tap_type(0, RTE_ETHER_TYPE_IPV4);
	ck_assert_ptr_nonnull(m);
	rte_pktmbuf_free(m);
	run("! ip link show under.0 | grep -q NOARP");
	run("test $(cat /proc/sys/net/ipv6/conf/under.0/disable_ipv6) = 0");

	ck_assert_int_eq(host_deafen("no-such"), -ENODEV);
	ck_assert_int_eq(host_deafen("lo\"; flush ruleset"), -ENODEV);
	close(outside);
	close(under);
	close(beyond);
}
END_TEST

/* As with many huge pages, of each of which EAL keeps the descriptor. */
START_TEST(deaf_by_a_high_descriptor)
{
	const struct rlimit many = {2048, 2048};

	run("ip link add wire type veth peer name under.0");
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &many), 0);
	ck_assert_int_ge(fcntl(0, F_DUPFD_CLOEXEC, 1024), 1024);
	for (int fd = 0; fd < 1024;) {
		fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
		ck_assert_int_ge(fd, 0);
	}
	ck_assert_int_eq(host_deafen("under.0"), 0);
	ck_assert(host_is_deaf("under.0"));
	ck_assert_int_eq(host_undeafen("under.0"), 0);
	ck_assert(!host_is_deaf("under.0"));
}
END_TEST

static bool
file_has(FILE *f, const char *text)
{
	char buf[8192];
	ssize_t n = pread(fileno(f), buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return strstr(buf, text) != NULL;
}

/* Then nobody can tell whether an interface is there. */
START_TEST(deaf_without_descriptors)
{
	struct rlimit before, none;
	FILE *log = tmpfile();
	int next;

	ck_assert_ptr_nonnull(log);
	setbuf(log, NULL);
	run("ip link add wire type veth peer name under.0");
	ck_assert_int_eq(host_deafen("under.0"), 0);
	rte_openlog_stream(log);
	ck_assert_int_eq(host_deaf_watch_start(), 0);
	next = dup(0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = next, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	WAIT_FOR(file_has(log, "under.0"));
	ck_assert(file_has(log, "cannot be looked at: Too many open files"));
	ck_assert_int_lt(host_is_deaf("under.0"), 0);
	ck_assert_int_eq(host_deafen("under.0"), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	run("nft flush ruleset");
	WAIT_FOR(host_is_deaf("under.0") == 1);
	run("ip link delete under.0");
	WAIT_FOR(file_has(log, "under.0 is gone"));
	ck_assert(!file_has(log, "another interface"));
	host_deaf_watch_stop();
	rte_openlog_stream(NULL);
	fclose(log);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("host_packets");
	TCase *tc = tcase_create("packets");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		printf("needs root, for a network namespace\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, mirror_setup, mirror_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, echo);
	tcase_add_test(tc, echo_jumbo);
	tcase_add_test(tc, bad_frames);
	tcase_add_test(tc, rations);
	tcase_add_test(tc, full_ring);
	tcase_add_test(tc, resolve);
	tcase_add_test(tc, refresh);
	tcase_add_test(tc, taps_survive);
	tcase_add_test(tc, taps_removed);
	tcase_add_test(tc, name_taken);
	tcase_add_test(tc, tap_vanishes);
	tcase_add_test(tc, deaf);
	tcase_add_test(tc, deaf_by_a_high_descriptor);
	tcase_add_test(tc, deaf_without_descriptors);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}

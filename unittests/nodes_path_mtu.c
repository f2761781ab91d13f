/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <stdlib.h>

/* RFC 4301, 8.2; RFC 1191; RFC 8201: ICMP errors about packets that our SAs sealed. */

#define ROUTER "203.0.113.9" /* on the way to the peer */
#define ROUTER6 "2001:db8:99::9"

static uint32_t out;

static void
store16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

/* RFC 1071, of p and the pseudo-header's sum; independent of the router's code. */
static uint16_t
sum(const uint8_t *p, unsigned int n, uint32_t with)
{
	for (unsigned int i = 0; i < n; i++)
		with += i % 2 == 0 ? p[i] << 8 : p[i];
	while (with > 0xffff)
		with = (with & 0xffff) + (with >> 16);
	return ~with;
}

/* A packet of the host, sealed: it stands at packet. */
static uint16_t
sealed(uint8_t *packet, uint16_t len)
{
	uint8_t got[PACKET_MAX];
	uint16_t n;

	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B, .len = len, .frag = 0x4000});
	run();
	n = sent(WAN, got);
	ck_assert_uint_ne(n, 0);
	memcpy(packet, got + 14, n);
	return n;
}

/* An error about the first n bytes of packet; of its family. Returns its length. */
static uint16_t
error_about(uint8_t *ip, const uint8_t *packet, uint16_t n, uint32_t mtu)
{
	bool six = packet[0] >> 4 == 6;
	struct ip_addr by = address(six ? ROUTER6 : ROUTER);
	uint16_t header = six ? 40 : 20;
	uint8_t *icmp = ip + header;

	memset(ip, 0, header + 8);
	icmp[0] = six ? 2 : 3;
	icmp[1] = six ? 0 : 4;
	store16(icmp + 6, mtu);
	if (six)
		store16(icmp + 4, mtu >> 16);
	memcpy(icmp + 8, packet, n);
	if (six) {
		ip[0] = 0x60;
		store16(ip + 4, 8 + n);
		ip[6] = IPPROTO_ICMPV6;
		ip[7] = 60;
		memcpy(ip + 8, by.b, 16);
		memcpy(ip + 24, packet + 8, 16);
		store16(icmp + 2, sum(ip + 8, 40 - 8 + 8 + n, 8 + n + IPPROTO_ICMPV6));
	} else {
		ip[0] = 0x45;
		store16(ip + 2, 28 + n);
		ip[8] = 60;
		ip[9] = IPPROTO_ICMP;
		memcpy(ip + 12, by.b, 4);
		memcpy(ip + 16, packet + 12, 4);
		store16(icmp + 2, sum(icmp, 8 + n, 0));
		ip4_mend(ip);
	}
	return header + 8 + n;
}

static void
put_error(const uint8_t *packet, uint16_t n, uint32_t mtu)
{
	uint8_t ip[PACKET_MAX];
	uint16_t len = error_about(ip, packet, n, mtu);

	if (ip[0] >> 4 == 6)
		put_frame6(WAN, ip, len);
	else
		put_frame(WAN, ip, len);
	run();
}

/* What the control thread does. Returns how many errors it was told of that changed something. */
static unsigned int
learn(void)
{
	struct sa_path_mtu told;
	unsigned int n = 0;

	while (rte_ring_sc_dequeue_elem(world.r.path_mtus, &told, sizeof(told)) == 0)
		n += sad_learn_mtu(world.r.sad, &told);
	return n;
}

static void
believed(const uint8_t *packet, uint16_t n, uint32_t mtu, uint16_t is)
{
	sa_at(out)->mtu = 1500;
	put_error(packet, n, mtu);
	drops_are(DROP_PATH_MTU, 1);
	ck_assert_uint_eq(learn(), 1);
	ck_assert_uint_eq(sa_at(out)->mtu, is);
	nothing_left();
}

static void
refused(const uint8_t *packet, uint16_t n, uint32_t mtu)
{
	struct audit_event e;

	sa_at(out)->mtu = 1500;
	memset(worker(0)->audit_events, 0, sizeof(worker(0)->audit_events));
	put_error(packet, n, mtu);
	drops_are(DROP_PATH_MTU_REFUSED, 1);
	ck_assert_uint_eq(learn(), 0);
	ck_assert_uint_eq(sa_at(out)->mtu, 1500);
	ck_assert_int_eq(rte_ring_sc_dequeue_elem(world.r.audit.ring, &e, sizeof(e)), 0);
	ck_assert_uint_eq(e.kind, AUDIT_PATH_MTU);
	nothing_left();
}

static void
to_linux(const uint8_t *packet, uint16_t n)
{
	uint8_t got[PACKET_MAX];

	put_error(packet, n, 1300);
	no_drops();
	ck_assert_uint_eq(learn(), 0);
	ck_assert_uint_eq(punted(PUNT_OTHER, got), (packet[0] >> 4 == 6 ? 48 : 28) + n);
	nothing_left();
}

static void
one_sa(const struct sa_spec *spec)
{
	out = sa(spec);
	tunnel_policies(out);
}

/* The error is believed, the hosts are told what fits now, and after ten minutes the route's MTU is tried again. */
START_TEST(learned)
{
	static const struct {
		bool six;
		uint16_t port, fits; /* as the hosts have it: 1400 less what goes around */
	} ways[] = {{false, 0, 1346}, {true, 0, 1326}, {false, 4500, 1338}, {true, 4500, 1318}};
	uint8_t packet[PACKET_MAX], got[PACKET_MAX];
	const unsigned int k = _i;
	struct sa_path_mtu told;
	uint16_t n;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT,
		.six = ways[k].six,
		.src_port = ways[k].port,
		.dst_port = ways[k].port,
		.flags = IKE_SA_COPY_DF});
	n = sealed(packet, 1410);
	believed(packet, n, 1400, 1400);
	/* No more than is needed is quoted; in UDP a router that quotes 8 bytes tells no SPI. */
	believed(packet, (ways[k].six ? 40 : 20) + 8 + (ways[k].port != 0 ? 8 : 0), 1400, 1400);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B, .len = 1410, .frag = 0x4000});
	run();
	drops_are(DROP_IP4_MTU, 1);
	ck_assert_uint_ne(sent(LAN, got), 0);
	ck_assert_uint_eq(got[14 + 20], 3);
	ck_assert_uint_eq(got[14 + 26] << 8 | got[14 + 27], ways[k].fits);
	put_ip4(LAN,
		&(struct ip4){.src = HOST_A, .dst = HOST_B, .len = ways[k].fits, .frag = 0x4000});
	run();
	no_drops();
	n = sent(WAN, packet);
	ck_assert(n <= 1400 && n > 1396);
	/* No news: nothing to do. More: the path is not asked again before its time. */
	memmove(packet, packet + 14, n);
	store16(packet + (ways[k].six ? 4 : 2), 1460 - (ways[k].six ? 40 : 0));
	put_error(packet, ways[k].six ? 100 : 80, 1400);
	put_error(packet, ways[k].six ? 100 : 80, 1450);
	drops_are(DROP_PATH_MTU, 2);
	ck_assert_uint_eq(learn(), 0);
	/* Somebody else has the slot by now. */
	told = (struct sa_path_mtu){.slot = out, .spi = 1, .mtu = 1300};
	ck_assert(!sad_learn_mtu(world.r.sad, &told));
	/* The table is asked each second; this one has no routes. */
	ck_assert_uint_eq(sad_cold(world.r.sad, out)->path_mtu, 1400);
	for (unsigned int i = 0; i < 10; i++)
		sad_tick(world.r.sad, NULL, NULL);
	ck_assert_uint_eq(sa_at(out)->mtu, 1400);
	((struct sa_cold *)(uintptr_t)sad_cold(world.r.sad, out))->path_mtu_until = 0;
	for (unsigned int i = 0; i < 10; i++)
		sad_tick(world.r.sad, NULL, NULL);
	ck_assert_uint_eq(sa_at(out)->mtu, 0);
	ck_assert_uint_eq(sad_cold(world.r.sad, out)->path_mtu, 0);
}
END_TEST

/* Bounds: an error makes no path narrower than every path is. */
START_TEST(bounds)
{
	uint8_t packet[PACKET_MAX];
	uint16_t n;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT, .flags = IKE_SA_COPY_DF});
	n = sealed(packet, 1420);
	believed(packet, n, 576, 576);
	believed(packet, n, 575, 576);
	believed(packet, n, 68, 576);
	believed(packet, n, 1, 576);
	/* An old router says nothing: the next of the usual ones. */
	believed(packet, n, 0, 1006);
	/* Not smaller than what was too large. */
	believed(packet, n, n - 1, n - 1);
	refused(packet, n, n);
	refused(packet, n, 9000);
	/* A packet that may be fragmented is never too large. */
	packet[6] = 0;
	refused(packet, n, 1400);
}
END_TEST

/*
 * A path that carries no more than what is believed at least may carry still less: nothing that is sealed for it has DF, or
 * what does not fit would be lost for good (RFC 1191, 3).
 */
START_TEST(no_df_on_a_narrow_path)
{
	static const struct {
		uint32_t flags;
		uint16_t port;
		bool inner6;
		uint8_t fragment;
	} ways[] = {
		{IKE_SA_COPY_DF, 0, false, SA_FRAGMENT_BEFORE}, /* as most SAs are: seal_plain() */
		{IKE_SA_COPY_DF, 0, true, SA_FRAGMENT_BEFORE},
		{IKE_SA_COPY_DF, 4500, false, SA_FRAGMENT_BEFORE},
		{IKE_SA_COPY_DF, 4500, true, SA_FRAGMENT_BEFORE},
		{IKE_SA_SET_DF, 0, false, SA_FRAGMENT_BEFORE},
		{IKE_SA_SET_DF, 0, true, SA_FRAGMENT_BEFORE},
		{IKE_SA_COPY_DF, 0, false, SA_FRAGMENT_AFTER},
		{IKE_SA_SET_DF, 0, false, SA_FRAGMENT_AFTER},
	};
	static const struct {
		uint32_t told;
		uint16_t is;
		bool df;
	} paths[] = {{1400, 1400, true}, {577, 577, true}, {576, 576, false}, {296, 576, false}};
	const unsigned int k = _i;
	uint8_t packet[PACKET_MAX], got[PACKET_MAX];
	uint16_t n, len;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT,
		.plain_headers = true,
		.src_port = ways[k].port,
		.dst_port = ways[k].port,
		.fragment = ways[k].fragment,
		.flags = ways[k].flags});
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "2001:db8:1::/48 > 2001:db8:2::/48", REQID, NULL),
		out);
	n = sealed(packet, 1420);
	ck_assert_uint_eq(packet[6], 0x40);
	for (unsigned int i = 0; i < RTE_DIM(paths); i++) {
		/* IPv6 of up to 1280 bytes is not told: it has DF by an SA that says so, and goes in pieces without. */
		bool pieces = ways[k].inner6 && !paths[i].df;

		believed(packet, n, paths[i].told, paths[i].is);
		len = paths[i].df && ways[k].inner6 ? 1290 : 500;
		if (paths[i].df && paths[i].is < len)
			continue;
		if (ways[k].inner6)
			put_ip6(LAN, &(struct ip6){.src = HOST6_A,
					     .dst = HOST6_B,
					     .len = pieces ? 1280 : len});
		else
			put_ip4(LAN,
				&(struct ip4){
					.src = HOST_A, .dst = HOST_B, .len = len, .frag = 0x4000});
		run();
		no_drops();
		for (unsigned int j = 0; j < (pieces ? 3 : 1); j++) {
			ck_assert_uint_ne(len = sent(WAN, got), 0);
			ck_assert_uint_le(len - 14, paths[i].is);
			ck_assert_uint_eq(got[14 + 6] & 0x40, paths[i].df ? 0x40 : 0);
			ck_assert(ip4_checksum_right(got + 14));
		}
		nothing_left();
	}
	/* What does not fit is told as ever. */
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B, .len = 577, .frag = 0x4000});
	run();
	drops_are(DROP_IP4_MTU, 1);
	ck_assert_uint_ne(sent(LAN, got), 0);
}
END_TEST

START_TEST(bounds6)
{
	uint8_t packet[PACKET_MAX];
	struct sa_path_mtu told;
	uint16_t n;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT, .six = true});
	n = sealed(packet, 1420);
	believed(packet, 1200, 1280, 1280);
	refused(packet, 1200, 1279);
	refused(packet, 1200, 0);
	refused(packet, 1200, n);
	refused(packet, 1200, 0x10000 + 1400);
	/* The longest that there is has 65,575 bytes. An SA without a way knows no MTU yet. */
	sa_at(out)->mtu = 0;
	store16(packet + 4, 0xffff);
	put_error(packet, 1200, 0x10000 + 20);
	drops_are(DROP_PATH_MTU, 1);
	ck_assert_int_eq(rte_ring_sc_dequeue_elem(world.r.path_mtus, &told, sizeof(told)), 0);
	ck_assert_uint_eq(told.mtu, UINT16_MAX);
	nothing_left();
}
END_TEST

/* What a stranger does not know: SPI, addresses, recent numbers; what is broken. */
START_TEST(forged)
{
	uint8_t packet[PACKET_MAX], bad[PACKET_MAX], ip[PACKET_MAX];
	const bool six = _i;
	const uint16_t header = six ? 40 : 20;
	uint16_t n, len;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT, .six = six, .flags = IKE_SA_COPY_DF});
	n = RTE_MIN(sealed(packet, 1420), 1200);
#define BAD(at, xor)                    \
	do {                            \
		memcpy(bad, packet, n); \
		bad[at] ^= (xor);       \
		refused(bad, n, 1400);  \
	} while (0)
	BAD(header, 1); /* SPI */
	BAD(header + 3, 1);
	BAD(header - 1, 1); /* to another peer */
	BAD(header + 7, 3); /* a number that is still to come */
	BAD(header + 7, 1); /* number 0 */
	/* In the window of what may be on its way, after half of all numbers; and what is long gone. */
	sa_at(out)->sqn = (1ull << 31) + 5;
	refused(packet, n, 1400);
	store16(packet + header + 4, 0x8000);
	believed(packet, n, 1400, 1400);
	sa_at(out)->sqn = 0; /* nothing was sent */
	refused(packet, n, 1400);
	sa_at(out)->sqn =
		(1ull << 32) + 1; /* the low half begins anew: some of before are recent */
	memset(packet + header + 4, 0xff, 4);
	believed(packet, n, 1400, 1400);
	/* Too short for SPI and number. */
	refused(packet, header + 3, 1400);
	refused(packet, header + 7, 1400);
	believed(packet, header + 8, 1400, 1400);
	/* From us, but not to whom the error is sent; a wrong checksum. */
	len = error_about(ip, packet, n, 1400);
	for (unsigned int k = 0; k < 2; k++) {
		sa_at(out)->mtu = 1500;
		if (k == 0) {
			ip[len - 1] ^= 1;
		} else {
			struct ip_addr other = address(six ? LAN6 : "10.1.0.1");

			error_about(ip, packet, n, 1400);
			memcpy(ip + (six ? 24 : 16), other.b, six ? 16 : 4);
			if (!six) {
				ip4_mend(ip);
			} else {
				memset(ip + 42, 0, 2);
				store16(ip + 42, sum(ip + 8, len - 8, len - 40 + IPPROTO_ICMPV6));
			}
		}
		if (six)
			put_frame6(WAN, ip, len);
		else
			put_frame(WAN, ip, len);
		run();
		drops_are(DROP_PATH_MTU_REFUSED, 1);
		ck_assert_uint_eq(learn(), 0);
	}
	/* Gone SA. */
	ck_assert_int_eq(sad_del(world.r.sad, out), 0);
	put_error(packet, n, 1400);
	drops_are(DROP_PATH_MTU_REFUSED, 1);
	ck_assert_uint_eq(learn(), 0);
}
END_TEST

/* An audit line names who said it and about what. */
START_TEST(audited)
{
	uint8_t packet[PACKET_MAX];
	char line[AUDIT_LINE];
	struct audit_event e;
	uint16_t n;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT, .six = true});
	n = RTE_MIN(sealed(packet, 1420), 1200);
	packet[40 + 3] ^= 1;
	put_error(packet, n, 1400);
	drops_are(DROP_PATH_MTU_REFUSED, 1);
	ck_assert_int_eq(rte_ring_sc_dequeue_elem(world.r.audit.ring, &e, sizeof(e)), 0);
	ck_assert_str_eq(audit_line(&e, "wan", line, sizeof(line)),
		"audit: event=path-mtu protocol=esp spi=0x00002003 sqn=1 source=2001:db8:99::9 "
		"destination=2001:db8:f::1 flow=0x00000 port=wan");
}
END_TEST

/* What is not about an SA is Linux's, as ever; in UDP, what is IKE's. */
START_TEST(others)
{
	uint8_t packet[PACKET_MAX];
	uint16_t n;

	socket_add("0.0.0.0", 500, true, false);
	socket_add("0.0.0.0", 4500, true, true);
	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT, .src_port = 4500, .dst_port = 4500});
	n = ip4_build(
		packet, &(struct ip4){.src = US, .dst = PEER, .proto = IPPROTO_TCP, .len = 1400});
	to_linux(packet, 28);
	to_linux(packet, n);
	n = sealed(packet, 1400);
	packet[6] = 0x40; /* the SA of this test does not copy DF */
	sa_at(out)->mtu = 1500;
	believed(packet, n, 1300, 1300);
	to_linux(packet, 28); /* no SPI in it */
	memset(packet + 28, 0, 4);
	to_linux(packet, n); /* IKE */
	memset(packet + 28, 1, 4);
	refused(packet, n, 1300);
	/* Another port is nobody's of ours. */
	packet[21] ^= 1;
	to_linux(packet, n);
}
END_TEST

/* Other ports than the SA's, and no UDP at all. */
START_TEST(ports)
{
	uint8_t packet[PACKET_MAX], bare[PACKET_MAX];
	uint16_t n;

	one_sa(&(struct sa_spec){
		.dir = SA_DIR_OUT, .src_port = 4500, .dst_port = 4501, .flags = IKE_SA_COPY_DF});
	n = sealed(packet, 1400);
	believed(packet, n, 1300, 1300);
	memcpy(bare, packet, 20);
	memcpy(bare + 20, packet + 28, n - 28);
	bare[9] = IPPROTO_ESP;
	refused(bare, n - 8, 1300);
	packet[23] ^= 3;
	refused(packet, n, 1300);
}
END_TEST

/* A policy that protects ICMP, or discards it, is obeyed first; a default that discards is for what is not ours. */
START_TEST(policies)
{
	const struct spd_selector icmp = {
		.proto = IPPROTO_ICMP, .src_port_hi = 65535, .dst_port_hi = 65535};
	uint8_t packet[PACKET_MAX], clear[PACKET_MAX];
	uint16_t n, n_clear;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT, .flags = IKE_SA_COPY_DF});
	n = sealed(packet, 1420);
	believed(packet, n, 1400, 1400);
	n_clear = ip4_build(clear, &(struct ip4){.src = US, .dst = PEER, .len = 1400});
	put_error(clear, n_clear, 1300);
	drops_are(DROP_POLICY_DEFAULT, 1);
	nothing_left();
	policy(SPD_IN, SPD_DISCARD, ROUTER "/32 > " US "/32", 0, &icmp);
	sa_at(out)->mtu = 1500;
	put_error(packet, n, 1400);
	drops_are(DROP_POLICY_DISCARD, 1);
	ck_assert_uint_eq(learn(), 0);
	/* Not believed at all: it is Linux's, or nobody's. */
	worker(0)->path_mtus = NULL;
	put_error(packet, n, 1400);
	drops_are(DROP_POLICY_DISCARD, 1);
}
END_TEST

/* What is sealed whole is cut into what the path carries, not only the first link of it. */
START_TEST(cut_to_the_path)
{
	uint8_t got[PACKET_MAX];
	uint16_t n, most = 0;
	unsigned int pieces = 0;
	const bool six = _i;

	one_sa(&(struct sa_spec){.dir = SA_DIR_OUT,
		.six = six,
		.plain_headers = true,
		.fragment = SA_FRAGMENT_AFTER});
	sa_at(out)->mtu = 1400;
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B, .len = 1420});
	run();
	no_drops();
	while ((n = sent(WAN, got)) != 0) {
		pieces++;
		most = RTE_MAX(most, n);
	}
	ck_assert_uint_eq(pieces, 2);
	ck_assert_uint_le(most, 1400);
	ck_assert_uint_gt(most, 1390);
}
END_TEST

static void
world_all_devices(void)
{
	const struct world_conf conf = {
		.workers = 1, .mtu = 1500, .frames = 16, .every_device = true};

	world_start(&conf);
}

/* AH: its first eight bytes have the SPI and no number. */
START_TEST(authentication_header)
{
	static const uint8_t key[20] = "key of AH, 20 bytes";
	struct sa_conf conf = {.src = address(US),
		.dst = address(PEER),
		.spi = rte_cpu_to_be_32(SPI_OUT),
		.reqid = REQID,
		.flags = IKE_SA_COPY_DF,
		.int_alg = AUTH_HMAC_SHA1_96,
		.int_key_len = sizeof(key),
		.dir = SA_DIR_OUT,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_AH};
	uint8_t packet[PACKET_MAX];
	const char *why = "";
	uint16_t n;

	ck_assert_int_eq(sad_add(world.r.sad, &conf, key, false, &out, &why), 0);
	tunnel_policies(out);
	n = sealed(packet, 1420);
	believed(packet, n, 1400, 1400);
	believed(packet, 28, 1400, 1400);
	refused(packet, 27, 1400);
	packet[20 + 7] ^= 1;
	refused(packet, 28, 1400);
	packet[20 + 7] ^= 1;
	packet[20 + 11] ^= 2;
	refused(packet, n, 1400);
}
END_TEST

TCase *
nodes_path_mtu_case(void)
{
	TCase *tc = tcase_create("path mtu");

	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_loop_test(tc, learned, 0, 4);
	tcase_add_test(tc, bounds);
	tcase_add_loop_test(tc, no_df_on_a_narrow_path, 0, 8);
	tcase_add_test(tc, bounds6);
	tcase_add_loop_test(tc, forged, 0, 2);
	tcase_add_test(tc, audited);
	tcase_add_test(tc, others);
	tcase_add_test(tc, ports);
	tcase_add_loop_test(tc, cut_to_the_path, 0, 2);
	return tc;
}

TCase *
nodes_path_mtu_more_case(void)
{
	TCase *tc = tcase_create("path mtu, every device");

	tcase_add_checked_fixture(tc, world_all_devices, world_stop);
	tcase_add_test(tc, authentication_header);
	return tc;
}

TCase *
nodes_path_mtu_closed_case(void)
{
	TCase *tc = tcase_create("path mtu, all discarded");

	tcase_add_checked_fixture(tc, world_closed, world_stop);
	tcase_add_test(tc, policies);
	return tc;
}

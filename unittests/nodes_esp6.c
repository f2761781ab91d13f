/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <netinet/icmp6.h>
#include <pthread.h>

/* ESP over IPv6 and of IPv6: every pair of families, transport mode, UDP, MTU, fragments, what headers take over. */

static uint32_t in, out;

static void
policies6(void)
{
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "2001:db8:1::/48 > 2001:db8:2::/48", REQID, NULL),
		out);
	policy(SPD_FWD, SPD_PROTECT, "2001:db8:2::/48 > 2001:db8:1::/48", REQID, NULL);
	policy(SPD_IN, SPD_PROTECT, "2001:db8:2::/48 > 2001:db8:1::/48", REQID, NULL);
}

/* A tunnel of both families, over either. */
static void
tunnel_of(const struct sa_spec *spec)
{
	struct sa_spec s = *spec;

	s.dir = SA_DIR_IN;
	in = sa(&s);
	s.dir = SA_DIR_OUT;
	out = sa(&s);
	tunnel_policies(out);
	policies6();
}

static const struct sa_spec over4 = {.window = 64}, over6 = {.window = 64, .six = true};

/* What a host sends: in IPv6, or in IPv4. */
static uint16_t
build(uint8_t *ip, bool six, bool back, uint16_t len)
{
	if (six)
		return ip6_build(ip, &(struct ip6){.src = back ? HOST6_B : HOST6_A,
					     .dst = back ? HOST6_A : HOST6_B,
					     .len = len});
	return ip4_build(ip,
		&(struct ip4){
			.src = back ? HOST_B : HOST_A, .dst = back ? HOST_A : HOST_B, .len = len});
}

static void
put_any(unsigned int port, const uint8_t *ip, uint16_t len)
{
	if (ip[0] >> 4 == 6)
		put_frame6(port, ip, len);
	else
		put_frame(port, ip, len);
}

static void
one_hop_older(uint8_t *ip)
{
	if (ip[0] >> 4 == 6) {
		ip[7]--;
	} else {
		ip[8]--;
		ip4_mend(ip);
	}
}

static uint16_t
load16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* Opens the ESP at esp; what was in it is ip (IPv4 or IPv6 or another header), of len bytes. */
static void
opens_to(const uint8_t *esp, uint16_t n, const uint8_t *ip, uint16_t len, uint8_t next)
{
	uint8_t clear[PACKET_MAX];
	uint16_t got = esp_open(&key_out, false, 0, esp, n, clear);

	ck_assert_uint_ge(got, len + 2);
	ck_assert_uint_eq(clear[got - 1], next);
	ck_assert_uint_eq(got - 2 - clear[got - 2], len);
	ck_assert_mem_eq(clear, ip, len);
}

static void
outer_is(const uint8_t *ip, uint16_t len, bool six, uint8_t proto)
{
	struct ip_addr src = address(six ? US6 : US), dst = address(six ? PEER6 : PEER);
	unsigned int n = six ? 16 : 4;

	ck_assert_uint_eq(ip[0] >> 4, six ? 6 : 4);
	ck_assert_uint_eq(ip[six ? 6 : 9], proto);
	ck_assert_uint_eq(ip[six ? 7 : 8], 64);
	ck_assert_uint_eq(load16(ip + (six ? 4 : 2)), six ? len - 40 : len);
	ck_assert_mem_eq(ip + (six ? 8 : 12), src.b, n);
	ck_assert_mem_eq(ip + (six ? 24 : 16), dst.b, n);
}

static void
both_ways(bool outer6)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX], packet[PACKET_MAX], esp[PACKET_MAX];
	uint16_t header = outer6 ? 40 : 20;

	tunnel_of(outer6 ? &over6 : &over4);
	for (unsigned int i = 0; i < 40; i++) {
		bool six = i % 2;
		uint16_t len = build(ip, six, false, 60 + i), n;
		struct esp e = ESP_IN(i + 1);

		put_any(LAN, ip, len);
		run();
		no_drops();
		n = sent(WAN, got);
		outer_is(got + 14, n, outer6, IPPROTO_ESP);
		one_hop_older(ip);
		opens_to(got + 14 + header, n - header, ip, len, six ? IPPROTO_IPV6 : IPPROTO_IPIP);
		/* And back. */
		len = build(ip, six, true, 60 + i);
		e.next_header = six ? IPPROTO_IPV6 : IPPROTO_IPIP;
		n = esp_seal(&e, ip, len, esp);
		if (outer6)
			ip6_build(packet, &(struct ip6){.src = PEER6,
						  .dst = US6,
						  .proto = IPPROTO_ESP,
						  .len = 40 + n});
		else
			ip4_build(packet, &(struct ip4){.src = PEER,
						  .dst = US,
						  .proto = IPPROTO_ESP,
						  .len = 20 + n});
		memcpy(packet + header, esp, n);
		put_any(WAN, packet, header + n);
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), len);
		one_hop_older(ip);
		ck_assert_mem_eq(got + 14, ip, len);
		nothing_left();
	}
	/* Next header and what follows must agree. */
	for (unsigned int i = 0; i < 4; i++) {
		uint16_t len = build(ip, i % 2, true, 100), n;
		struct esp e = ESP_IN(100 + i);

		e.next_header = i / 2 ? IPPROTO_IPV6 : IPPROTO_IPIP;
		if (i % 2 == i / 2)
			continue;
		n = esp_seal(&e, ip, len, esp);
		memcpy(packet + header, esp, n);
		if (outer6)
			ip6_build(got, &(struct ip6){.src = PEER6,
					       .dst = US6,
					       .proto = IPPROTO_ESP,
					       .len = 40 + n});
		else
			ip4_build(got, &(struct ip4){.src = PEER,
					       .dst = US,
					       .proto = IPPROTO_ESP,
					       .len = 20 + n});
		memcpy(packet, got, header);
		put_any(WAN, packet, header + n);
		run();
		drops_are(DROP_ESP_NEXT_HEADER, 1);
		nothing_left();
	}
}

START_TEST(over_ip4)
{
	both_ways(false);
}
END_TEST

START_TEST(over_ip6)
{
	both_ways(true);
}
END_TEST

/* ESP of n bytes from the peer in IPv6, with headers between. */
static uint16_t
from_peer(uint8_t *packet, const struct esp *e, const uint8_t *inner, uint16_t len,
	const struct ip6 *outer)
{
	struct ip6 o = *outer;
	uint8_t esp[PACKET_MAX];
	uint16_t n = esp_seal(e, inner, len, esp), header = 40 + o.n_chain;

	o.src = PEER6;
	o.dst = US6;
	o.proto = o.proto != 0 ? o.proto : IPPROTO_ESP;
	o.len = header + (o.proto == IPPROTO_UDP ? 8 : 0) + n;
	ip6_build(packet, &o);
	memcpy(packet + o.len - n, esp, n);
	return o.len;
}

static void
arrives6(const uint8_t *packet, uint16_t n, const uint8_t *inner, uint16_t len)
{
	uint8_t got[PACKET_MAX], want[PACKET_MAX];

	put_frame6(WAN, packet, n);
	run();
	no_drops();
	memcpy(want, inner, len);
	one_hop_older(want);
	ck_assert_uint_eq(sent(LAN, got), len);
	ck_assert_mem_eq(got + 14, want, len);
	nothing_left();
}

static uint16_t
udp6_sum(const uint8_t *ip, uint16_t at, uint16_t len)
{
	uint32_t sum = len - at + IPPROTO_UDP;

	for (unsigned int i = 8; i < 40; i++)
		sum += i % 2 == 0 ? ip[i] << 8 : ip[i];
	for (unsigned int i = at; i < len; i++)
		sum += (i - at) % 2 == 0 ? ip[i] << 8 : ip[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 3948 over IPv6: UDP has a checksum on its way out; in, the ICV is what counts. */
START_TEST(in_udp)
{
	const struct sa_spec spec = {.window = 64, .six = true, .src_port = 4500, .dst_port = 4500};
	uint8_t ip[PACKET_MAX], got[PACKET_MAX], packet[PACKET_MAX];

	socket_add("::", 4500, true, false);
	world.sockets.s[world.sockets.n++] =
		(struct worker_socket){.port = rte_cpu_to_be_16(4500), .decap = true};
	tunnel_of(&spec);
	for (unsigned int i = 0; i < 10; i++) {
		uint16_t len = build(ip, i % 2, false, 60 + i), n;
		struct esp e = ESP_IN(i + 1);

		put_any(LAN, ip, len);
		run();
		n = sent(WAN, got);
		outer_is(got + 14, n, true, IPPROTO_UDP);
		ck_assert_uint_eq(load16(got + 14 + 44), n - 40);
		ck_assert_uint_ne(load16(got + 14 + 46), 0);
		ck_assert_uint_eq(udp6_sum(got + 14, 40, n), 0xffff);
		one_hop_older(ip);
		opens_to(got + 14 + 48, n - 48, ip, len, i % 2 ? IPPROTO_IPV6 : IPPROTO_IPIP);
		len = build(ip, i % 2, true, 60 + i);
		e.next_header = i % 2 ? IPPROTO_IPV6 : IPPROTO_IPIP;
		n = from_peer(packet, &e, ip, len,
			&(struct ip6){.proto = IPPROTO_UDP, .sport = 4500, .dport = 4500});
		packet[46] = packet[47] = i; /* no checksum, and wrong ones */
		arrives6(packet, n, ip, len);
	}
	/* IKE and keepalives on the same port are charon's. */
	ip6_build(packet, &(struct ip6){.src = PEER6, .dst = US6, .sport = 4500, .dport = 4500});
	memset(packet + 48, 0, 4);
	put_frame6(WAN, packet, 100);
	run();
	ck_assert_uint_eq(punted(PUNT_IKE, got), 100);
	packet[5] = 9;
	packet[48] = 0xff;
	put_frame6(WAN, packet, 49);
	run();
	ck_assert_uint_eq(punted(PUNT_IKE, got), 49);
	no_drops();
}
END_TEST

/* What only a neighbour may say does not come by a tunnel. */
START_TEST(of_the_link)
{
	static const struct {
		const char *src, *dst;
		uint8_t proto, hops, type;
		enum drop_reason reason;
	} cases[] = {
		{"fe80::2", LAN6, 0, 64, 0, DROP_IP6_SCOPE},
		{HOST6_B, "fe80::1", 0, 64, 0, DROP_IP6_SCOPE},
		{HOST6_B, "ff02::1", 0, 64, 0, DROP_IP6_SCOPE},
		{HOST6_B, LAN6, IPPROTO_ICMPV6, 255, 134, DROP_IP6_SCOPE},
		{HOST6_B, LAN6, IPPROTO_ICMPV6, 255, 136, DROP_IP6_SCOPE},
		{HOST6_B, HOST6_A, IPPROTO_ICMPV6, 255, 137, DROP_IP6_SCOPE},
		{"::", HOST6_A, 0, 64, 0, DROP_IP6_SOURCE},
		{HOST6_B, "2001:db8:9::1", 0, 64, 0, DROP_POLICY_MISMATCH},
	};
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	const struct ip6 outer = {0};

	tunnel_of(&over6);
	policy(SPD_IN, SPD_PROTECT, "::/0 > ::/0", REQID, NULL);
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct esp e = ESP_IN(i + 1);
		uint16_t len = ip6_build(ip, &(struct ip6){.src = cases[i].src,
						     .dst = cases[i].dst,
						     .proto = cases[i].proto,
						     .hops = cases[i].hops,
						     .sport = cases[i].type});

		e.next_header = IPPROTO_IPV6;
		put_frame6(WAN, packet, from_peer(packet, &e, ip, len, &outer));
		run();
		drops_are(cases[i].reason, 1);
		nothing_left();
	}
	/* A ping to us is none of these. */
	struct esp e = ESP_IN(50);

	e.next_header = IPPROTO_IPV6;
	put_frame6(WAN, packet,
		from_peer(packet, &e, ip,
			ip6_build(ip, &(struct ip6){.src = HOST6_B,
					      .dst = LAN6,
					      .proto = IPPROTO_ICMPV6,
					      .hops = 255,
					      .sport = 128}),
			&outer));
	run();
	no_drops();
	ck_assert_uint_eq(punted(PUNT_OTHER, got), 100);
	ck_assert_mem_eq(got + 12, ((uint8_t[]){0x86, 0xdd}), 2);
	/* Dummies are dropped without a word (RFC 4303, 2.6). */
	e = (struct esp)ESP_IN(51);
	e.next_header = 59;
	put_frame6(WAN, packet, from_peer(packet, &e, ip, 40, &outer));
	run();
	drops_are(DROP_ESP_DUMMY, 1);
	nothing_left();
}
END_TEST

/* RFC 4301, 5.1.2.1 and 5.1.2.2; RFC 6040. */
START_TEST(taken_over)
{
	/* Inner mark, outer mark, what becomes of it; 4: dropped. */
	static const uint8_t ecn[16] = {0, 0, 0, 4, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3};
	struct sa_spec spec = over6;
	uint8_t ip[PACKET_MAX], got[PACKET_MAX], packet[PACKET_MAX];
	unsigned int seq = 0;

	tunnel_of(&spec);
	for (unsigned int six = 0; six < 2; six++) {
		for (unsigned int i = 0; i < 16; i++) {
			struct esp e = ESP_IN(++seq);
			uint16_t len = build(ip, six, true, 100), n;

			if (six)
				ip[1] = (i >> 2) << 4, ip[0] = 0x6a;
			else
				ip[1] = 0xa0 | i >> 2;
			if (!six)
				ip4_mend(ip);
			e.next_header = six ? IPPROTO_IPV6 : IPPROTO_IPIP;
			n = from_peer(packet, &e, ip, len, &(struct ip6){.tos = i & 3});
			put_frame6(WAN, packet, n);
			run();
			if (ecn[i] == 4) {
				drops_are(six ? DROP_IP6_ECN : DROP_IP4_ECN, 1);
				continue;
			}
			no_drops();
			ck_assert_uint_eq(sent(LAN, got), len);
			ck_assert_uint_eq(
				six ? load16(got + 14) >> 4 & 0xff : got[15], 0xa0 | ecn[i]);
			/* Out: copied, the DSCP too. */
			len = build(ip, six, false, 100);
			if (six)
				ip[0] = 0x6b, ip[1] = 0x81 | (i & 3) << 4, ip[2] = 0x23;
			else
				ip[1] = 0xb8 | (i & 3);
			if (!six)
				ip4_mend(ip);
			put_any(LAN, ip, len);
			run();
			ck_assert_uint_ne(sent(WAN, got), 0);
			ck_assert_uint_eq(load16(got + 14) >> 4 & 0xff, 0xb8 | (i & 3));
			ck_assert_uint_eq(got[15] & 15, 0); /* no flow label */
			ck_assert_uint_eq(load16(got + 16), 0);
		}
	}
}
END_TEST

START_TEST(as_the_sa_says)
{
	struct sa_spec spec = {.dir = SA_DIR_OUT,
		.six = true,
		.flags = IKE_SA_NO_COPY_ECN | IKE_SA_COPY_LABEL,
		.dscp = 10,
		.ttl = 7,
		.plain_headers = true};
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	uint16_t len;

	out = sa(&spec);
	tunnel_policies(out);
	policies6();
	len = build(ip, true, false, 100);
	ip[0] = 0x6b, ip[1] = 0x91, ip[2] = 0x23, ip[3] = 0x45;
	put_frame6(LAN, ip, len);
	run();
	ck_assert_uint_ne(sent(WAN, got), 0);
	ck_assert_mem_eq(got + 14, ((uint8_t[]){0x62, 0x81, 0x23, 0x45}), 4);
	ck_assert_uint_eq(got[14 + 7], 7);
	/* A label of the configuration, for IPv4 in it as well. */
	spec.flags = IKE_SA_COPY_DSCP_OUT;
	spec.label = 0xabcde;
	spec.spi = 0x7001;
	out = sa(&spec);
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL), out);
	len = build(ip, false, false, 100);
	ip[1] = 0x21;
	ip4_mend(ip);
	put_frame(LAN, ip, len);
	run();
	ck_assert_uint_ne(sent(WAN, got), 0);
	ck_assert_mem_eq(got + 14, ((uint8_t[]){0x62, 0x1a, 0xbc, 0xde}), 4);
	no_drops();
}
END_TEST

static uint16_t
df_of(uint32_t flags, enum sa_fragment fragment, bool six, bool df, uint16_t len)
{
	static uint32_t spi = 0x7100;
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	struct sa_spec spec = {.dir = SA_DIR_OUT,
		.flags = flags,
		.fragment = fragment,
		.plain_headers = true,
		.spi = ++spi};

	out = sa(&spec);
	tunnel_policies(out);
	policies6();
	len = build(ip, six, false, len);
	if (df && !six) {
		ip[6] = 0x40;
		ip4_mend(ip);
	}
	put_any(LAN, ip, len);
	run();
	no_drops();
	ck_assert_uint_ne(sent(WAN, got), 0);
	return load16(got + 14 + 6);
}

START_TEST(dont_fragment)
{
	for (unsigned int df = 0; df < 2; df++) {
		ck_assert_uint_eq(df_of(0, SA_FRAGMENT_BEFORE, false, df, 100), 0);
		ck_assert_uint_eq(
			df_of(IKE_SA_COPY_DF, SA_FRAGMENT_BEFORE, false, df, 100), df ? 0x4000 : 0);
		ck_assert_uint_eq(df_of(IKE_SA_SET_DF, SA_FRAGMENT_BEFORE, false, df, 100), 0x4000);
	}
	ck_assert_uint_eq(df_of(0, SA_FRAGMENT_BEFORE, true, false, 1300), 0);
	ck_assert_uint_eq(df_of(IKE_SA_COPY_DF, SA_FRAGMENT_BEFORE, true, false, 1281), 0x4000);
	ck_assert_uint_eq(df_of(IKE_SA_COPY_DF, SA_FRAGMENT_BEFORE, true, false, 1280), 0);
	ck_assert_uint_eq(df_of(IKE_SA_COPY_DF, SA_FRAGMENT_AFTER, true, false, 1300), 0);
	ck_assert_uint_eq(df_of(IKE_SA_SET_DF, SA_FRAGMENT_BEFORE, true, false, 100), 0x4000);
}
END_TEST

/* Puts IPv6 fragments, as they came out, together: by RFC 8200, 4.5, not by the router's code. */
static uint16_t
join(unsigned int port, unsigned int n, uint16_t max, uint8_t *ip)
{
	uint8_t got[PACKET_MAX], id[4];
	uint16_t at = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t len = sent(port, got), frag = load16(got + 14 + 42);
		const uint8_t *p = got + 14;

		ck_assert_uint_gt(len, 48);
		ck_assert_uint_le(len, max);
		ck_assert_uint_eq(p[6], IPPROTO_FRAGMENT);
		ck_assert_uint_eq(frag & 0xfff8, at);
		ck_assert_uint_eq(frag & 1, i < n - 1);
		if (i == 0) {
			memcpy(ip, p, 40);
			memcpy(id, p + 44, 4);
		}
		ck_assert_mem_eq(id, p + 44, 4);
		memcpy(ip + 40 + at, p + 48, len - 48);
		ip[6] = p[40];
		at += len - 48;
	}
	ip[4] = at >> 8;
	ip[5] = at;
	return 40 + at;
}

static void
set_mtu(uint16_t mtu)
{
	atomic_store(&sa_at(out)->mtu, mtu);
	neighbour(WAN, PEER6, mtu, true);
	fib_nh(world.r.fib, neighbour(WAN, PEER6, mtu, true))->mtu = mtu;
}

static void
too_big_is(const uint8_t *ip, uint16_t len, uint32_t mtu)
{
	uint8_t got[PACKET_MAX];

	put_any(LAN, ip, len);
	run();
	drops_are(DROP_IP6_MTU, 1);
	ck_assert_uint_eq(sent(LAN, got), RTE_MIN(1280, 48 + len));
	ck_assert_uint_eq(got[14 + 40], ICMP6_PACKET_TOO_BIG);
	ck_assert_uint_eq(load16(got + 14 + 46), mtu);
	nothing_left();
	wait_ms(100);
}

START_TEST(mtu)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX], whole[PACKET_MAX];
	/* 1500 less IPv6, ESP, IV and ICV is 1428, and a trailer of two. */
	const uint16_t fits = 1426;
	uint16_t len, n;

	tunnel_of(&over6);
	set_mtu(1500);
	len = build(ip, true, false, fits);
	put_frame6(LAN, ip, len);
	run();
	ck_assert_uint_eq(sent(WAN, got), 1500);
	len = build(ip, true, false, fits + 1);
	too_big_is(ip, len, fits);
	/* A path so narrow that not all that every link carries fits: it is cut up behind the seal. */
	set_mtu(1300);
	len = build(ip, true, false, 1281);
	too_big_is(ip, len, 1280);
	len = build(ip, true, false, 1280);
	put_frame6(LAN, ip, len);
	run();
	no_drops();
	n = join(WAN, 2, 1300, whole);
	one_hop_older(ip);
	outer_is(whole, n, true, IPPROTO_ESP);
	opens_to(whole + 40, n - 40, ip, len, IPPROTO_IPV6);
	nothing_left();
	/* IPv4 in it: by DF and by pieces before the seal. */
	len = build(ip, false, false, 1400);
	put_frame(LAN, ip, len);
	run();
	no_drops();
	ck_assert_uint_gt(sent(WAN, got), 0);
	ck_assert_uint_eq(got[14 + 6], IPPROTO_ESP);
	ck_assert_uint_gt(sent(WAN, got), 0);
	nothing_left();
	ip[6] = 0x40;
	ip4_mend(ip);
	put_frame(LAN, ip, len);
	run();
	drops_are(DROP_IP4_MTU, 1);
	ck_assert_uint_ne(sent(LAN, got), 0);
	ck_assert_uint_eq(load16(got + 14 + 26), 1226);
}
END_TEST

static void *
changes_template(void *stop)
{
	while (!atomic_load((atomic_bool *)stop))
		atomic_fetch_xor(&sa_at(out)->active, 1);
	return NULL;
}

/* An update comes between the look at the packet and the seal: it gets the header that it was found to have room for. */
START_TEST(updated_meanwhile)
{
	const struct sa_end_points to = {
		.src = address(US6), .dst = address(PEER6), .encap = false};
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	atomic_bool stop = false;
	unsigned int n_sent = 0;
	uint16_t len, sent_len;
	pthread_t thread;
	const char *why;

	tunnel_of(&over4);
	ck_assert_int_eq(sad_update(world.r.sad, out, &to, &why), 0);
	sa_at(out)->tfc = 1; /* not what esp-encrypt does in one go */
	set_mtu(9000);
	atomic_store(&sa_at(out)->mtu, 1500);
	/* As much as goes over IPv4; over IPv6 it is too big. */
	len = build(ip, true, false, 1446);
	ck_assert_int_eq(pthread_create(&thread, NULL, changes_template, &stop), 0);
	for (unsigned int n = 0; n < 2000; n++) {
		for (unsigned int i = 0; i < 32; i++)
			put_frame6(LAN, ip, len);
		run();
		while ((sent_len = sent(WAN, got)) != 0) {
			ck_assert_uint_le(sent_len, 1500);
			n_sent++;
		}
		while (sent(LAN, got) != 0) /* ICMP errors */
			;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(n_sent, 0);
}
END_TEST

/* An update to ESP in UDP comes between the template's choice and the end: what has no UDP header gets no checksum of one. */
START_TEST(encapsulated_meanwhile)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	uint16_t len;

	tunnel_of(&over6);
	sa_at(out)->flags |= SA_F_UDP; /* as sad_update() does before there is a template with it */
	len = build(ip, true, false, 100);
	put_frame6(LAN, ip, len);
	run();
	no_drops();
	len = sent(WAN, got);
	outer_is(got + 14, len, true, IPPROTO_ESP);
}
END_TEST

START_TEST(mtu_after)
{
	struct sa_spec spec = over6;
	uint8_t ip[PACKET_MAX], whole[PACKET_MAX], got[PACKET_MAX];
	uint16_t len, n;

	spec.fragment = SA_FRAGMENT_AFTER;
	tunnel_of(&spec);
	set_mtu(1400);
	for (unsigned int six = 0; six < 2; six++) {
		len = build(ip, six, false, 1500);
		put_any(LAN, ip, len);
		run();
		no_drops();
		n = join(WAN, 2, 1400, whole);
		one_hop_older(ip);
		outer_is(whole, n, true, IPPROTO_ESP);
		opens_to(whole + 40, n - 40, ip, len, six ? IPPROTO_IPV6 : IPPROTO_IPIP);
	}
	nothing_left();
	spec = over6;
	spec.fragment = SA_FRAGMENT_NEVER;
	spec.spi = 0x7777;
	spec.dir = SA_DIR_OUT;
	out = sa(&spec);
	policies6();
	set_mtu(1300);
	len = build(ip, true, false, 1300);
	too_big_is(ip, len, 1280);
	len = build(ip, true, false, 1280);
	put_frame6(LAN, ip, len);
	run();
	drops_are(DROP_IP6_MTU, 1);
	ck_assert_uint_eq(take(world.tx[WAN][0], got), 0);
	nothing_left();
}
END_TEST

/* A fragment of an IPv6 packet: n bytes of what follows its header from offset at. */
static void
put_piece(unsigned int queue, const uint8_t *ip, uint16_t at, uint16_t n, uint8_t id)
{
	uint16_t payload = load16(ip + 4), frag = at | (at + n < payload);
	uint8_t b[PACKET_MAX];

	memcpy(b, ip, 40);
	b[4] = (n + 8) >> 8;
	b[5] = n + 8;
	b[6] = IPPROTO_FRAGMENT;
	memcpy(b + 40, ((uint8_t[]){ip[6], 0, frag >> 8, frag, 1, 2, 3, id}), 8);
	memcpy(b + 48, ip + 40 + at, n);
	put(world.rx[WAN][queue], as_ip6(frame(WAN, b, 48 + n)));
}

START_TEST(reassembly)
{
	static const unsigned int orders[][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	const struct ip6 outer = {0};
	unsigned int seq = 0;
	uint16_t len, n;

	tunnel_of(&over6);
	for (unsigned int o = 0; o < RTE_DIM(orders); o++) {
		struct esp e = ESP_IN(++seq);

		len = build(ip, true, true, 1200);
		e.next_header = IPPROTO_IPV6;
		n = from_peer(packet, &e, ip, len, &outer);
		for (unsigned int i = 0; i < 3; i++) {
			unsigned int k = orders[o][i];

			put_piece(0, packet, k * 480, k < 2 ? 480 : n - 40 - 960, seq);
		}
		run();
		no_drops();
		one_hop_older(ip);
		ck_assert_uint_eq(sent(LAN, got), len);
		ck_assert_mem_eq(got + 14, ip, len);
		nothing_left();
	}
	/* An atomic one is whole, whatever else waits with its number. */
	struct esp e = ESP_IN(++seq), later = ESP_IN(++seq);

	len = build(ip, true, true, 200);
	e.next_header = later.next_header = IPPROTO_IPV6;
	n = from_peer(packet, &later, ip, len, &outer);
	put_piece(0, packet, 0, 96, 77);
	run();
	nothing_left();
	n = from_peer(packet, &e, ip, len, &outer);
	put_piece(0, packet, 0, n - 40, 77);
	run();
	one_hop_older(ip);
	ck_assert_uint_eq(sent(LAN, got), len);
	ck_assert_mem_eq(got + 14, ip, len);
	no_drops();
	/* RFC 5722: overlaps take all with them. */
	n = from_peer(packet, &later, ip, len, &outer);
	put_piece(0, packet, 88, 96, 77);
	run();
	drops_are(DROP_FRAGMENT_OVERLAP, 2);
	nothing_left();
	/* Time. */
	put_piece(0, packet, 0, 96, 78);
	run();
	wait_ms(2100);
	run();
	drops_are(DROP_FRAGMENT_TIMEOUT, 1);
}
END_TEST

/* Each piece comes to another worker; they meet. */
START_TEST(reassembly_many)
{
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	const struct ip6 outer = {0};

	tunnel_of(&over6);
	for (unsigned int seq = 1; seq <= 30; seq++) {
		struct esp e = ESP_IN(seq);
		uint16_t len = build(ip, true, true, 700), n;

		e.next_header = IPPROTO_IPV6;
		n = from_peer(packet, &e, ip, len, &outer);
		put_piece(seq & 1, packet, 0, 400, seq);
		put_piece(seq >> 1 & 1, packet, 400, n - 440, seq);
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), len);
	}
	nothing_left();
}
END_TEST

static void
transport_policies(void)
{
	struct spd_policy_conf conf = {.sel = {.src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = REQID,
		.priority = 10,
		.action = SPD_PROTECT,
		.mode = SA_MODE_TRANSPORT,
		.proto = IPPROTO_ESP};

	for (conf.dir = SPD_IN; conf.dir <= SPD_OUT; conf.dir++) {
		conf.sel.src = address(conf.dir == SPD_OUT ? US6 : PEER6);
		conf.sel.dst = address(conf.dir == SPD_OUT ? PEER6 : US6);
		conf.sel.src_plen = conf.sel.dst_plen = 128;
		ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	}
	conf.dir = SPD_OUT;
	spd_bind(world.r.spd, spd_find(world.r.spd, &conf), out);
}

/* Between headers that each hop reads and the rest (RFC 4303, 3.1.1). */
START_TEST(transport)
{
	static const struct {
		uint8_t first, n, chain[24], kept; /* how much of the chain stays before ESP */
		uint8_t next; /* what ESP says follows */
	} cases[] = {
		{0, 0, {0}, 0, IPPROTO_UDP},
		{0, 8, {17, 0, 1, 4}, 8, IPPROTO_UDP},
		{60, 8, {17, 0, 1, 4}, 0, IPPROTO_DSTOPTS},
		{0, 16, {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4}, 8, IPPROTO_DSTOPTS},
		{60, 16, {43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 4, 0}, 16, IPPROTO_UDP},
	};
	static const uint8_t frag[8] = {17, 0, 0, 0, 1, 2, 3, 4};
	uint8_t ip[PACKET_MAX], got[PACKET_MAX], packet[PACKET_MAX], esp[PACKET_MAX];
	struct sa_spec spec = over6;
	uint16_t len, n;

	spec.transport = true;
	spec.dir = SA_DIR_IN;
	in = sa(&spec);
	spec.dir = SA_DIR_OUT;
	out = sa(&spec);
	transport_policies();
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct ip6 p = {.src = US6,
			.dst = PEER6,
			.first = cases[i].first,
			.n_chain = cases[i].n,
			.chain = cases[i].chain};
		struct esp e = ESP_IN(i + 1);
		uint16_t at = 40 + cases[i].kept;

		len = ip6_build(ip, &p);
		put(world.host_rx[WAN], as_ip6(frame(WAN, ip, len)));
		run();
		no_drops();
		n = sent(WAN, got);
		ck_assert_uint_eq(load16(got + 14 + 4), n - 40);
		ck_assert_mem_eq(got + 14 + 7, ip + 7, 33);
		ck_assert_uint_eq(cases[i].kept == 0   ? got[14 + 6]
				  : cases[i].kept == 8 ? got[14 + 40]
						       : got[14 + 48],
			IPPROTO_ESP);
		opens_to(got + 14 + at, n - at, ip + at, len - at, cases[i].next);
		/* And the same from the peer. */
		p.src = PEER6;
		p.dst = US6;
		len = ip6_build(ip, &p);
		e.next_header = cases[i].next;
		n = esp_seal(&e, ip + at, len - at, esp);
		memcpy(packet, ip, at);
		memcpy(packet + at, esp, n);
		packet[cases[i].kept == 0 ? 6 : cases[i].kept == 8 ? 40 : 48] = IPPROTO_ESP;
		packet[4] = (at - 40 + n) >> 8;
		packet[5] = at - 40 + n;
		put_frame6(WAN, packet, at + n);
		run();
		no_drops();
		ck_assert_uint_eq(punted(PUNT_OTHER, got), len);
		ck_assert_mem_eq(got + 14, ip, len);
		nothing_left();
	}
	/* Not for fragments. */
	put_host6(WAN,
		&(struct ip6){.src = US6, .dst = PEER6, .first = 44, .n_chain = 8, .chain = frag});
	run();
	drops_are(DROP_ESP_FRAGMENT, 1);
	/* Linux hears what fits. */
	set_mtu(1500);
	put_host6(WAN, &(struct ip6){.src = US6, .dst = PEER6, .len = 1500});
	run();
	drops_are(DROP_IP6_MTU, 1);
	ck_assert_uint_eq(punted(PUNT_OTHER, got), 1280);
	ck_assert_uint_eq(got[14 + 40], ICMP6_PACKET_TOO_BIG);
	/* 8 of ESP, 8 of IV, 16 of ICV, 2 of trailer. */
	ck_assert_uint_eq(load16(got + 14 + 46), 1500 - 34);
	nothing_left();
}
END_TEST

static void
two_workers(void)
{
	const struct world_conf conf = {.workers = 2, .mtu = 1500, .frames = 16};

	world_start(&conf);
}

TCase *
nodes_esp6_case(void)
{
	TCase *tc = tcase_create("esp6");

	tcase_set_tags(tc, WORLD_CRYPTO);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, over_ip4);
	tcase_add_test(tc, over_ip6);
	tcase_add_test(tc, in_udp);
	tcase_add_test(tc, of_the_link);
	tcase_add_test(tc, taken_over);
	tcase_add_test(tc, as_the_sa_says);
	tcase_add_test(tc, dont_fragment);
	tcase_add_test(tc, mtu);
	tcase_add_test(tc, mtu_after);
	tcase_add_test(tc, reassembly);
	tcase_add_test(tc, transport);
	tcase_add_test(tc, updated_meanwhile);
	tcase_add_test(tc, encapsulated_meanwhile);
	return tc;
}

TCase *
nodes_esp6_many_case(void)
{
	TCase *tc = tcase_create("esp6-many");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, two_workers, world_stop);
	tcase_add_test(tc, reassembly_many);
	return tc;
}

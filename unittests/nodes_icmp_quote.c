/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

/* ICMP errors of routers that no policy names, about packets of tunnels (RFC 4301, 6.2). */

#define ROUTER "10.77.0.1" /* behind us, or behind the peer */
#define ROUTER6 "2001:db8:77::1"

static uint32_t in, out;

struct error {
	const char *from, *to;
	struct ip4 about;
	uint8_t type; /* 0: time exceeded */
	uint16_t quoted, frag; /* bytes of the quoted packet; 0: 28 */
};

/* From a router on the way of HOST_A's packets to HOST_B, and of HOST_B's. */
static const struct error of_a = {.from = ROUTER,
				  .to = HOST_A,
				  .about = {.src = HOST_A, .dst = HOST_B}},
			  of_b = {.from = ROUTER,
				  .to = HOST_B,
				  .about = {.src = HOST_B, .dst = HOST_A}};

static uint16_t
build(uint8_t *buf, const struct error *e)
{
	uint8_t about[PACKET_MAX];
	uint16_t quoted = e->quoted != 0 ? e->quoted : 28;
	struct ip4 p = {.src = e->from,
		.dst = e->to,
		.proto = IPPROTO_ICMP,
		.sport = e->type != 0 ? e->type : 11,
		.frag = e->frag,
		.len = 28 + quoted};
	uint16_t len = ip4_build(buf, &p);

	ip4_build(about, &e->about);
	memcpy(buf + 28, about, quoted);
	return len;
}

static uint16_t
build6(uint8_t *buf, const char *from, const char *to, const char *about_dst, uint8_t type,
	uint16_t len)
{
	uint16_t n = ip6_build(buf, &(struct ip6){.src = from,
					    .dst = to,
					    .proto = IPPROTO_ICMPV6,
					    .sport = type,
					    .len = len});

	ip6_build(buf + 48, &(struct ip6){.src = to, .dst = about_dst, .len = len - 48});
	return n;
}

static void
tunnel6(void)
{
	tunnel(0, 64, &in, &out);
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "2001:db8:1::/48 > 2001:db8:2::/48", REQID, NULL),
		out);
	policy(SPD_FWD, SPD_PROTECT, "2001:db8:2::/48 > 2001:db8:1::/48", REQID, NULL);
}

/* The peer gets that packet, one hop older. */
static void
sealed_is(const uint8_t *ip, uint16_t len)
{
	uint8_t got[PACKET_MAX], clear[PACKET_MAX];
	uint16_t n = sent(WAN, got);
	bool six = ip[0] >> 4 == 6;

	no_drops();
	ck_assert_uint_gt(n, 20);
	ck_assert_uint_ge(esp_open(&key_out, false, 0, got + 34, n - 20, clear), len);
	ck_assert_mem_eq(clear + (six ? 8 : 12), ip + (six ? 8 : 12), len - (six ? 8 : 12));
	nothing_left();
}

static void
goes_out(const struct error *e)
{
	uint8_t ip[PACKET_MAX];
	uint16_t len = build(ip, e);

	put_frame(LAN, ip, len);
	run();
	sealed_is(ip, len);
}

static void
stays(const struct error *e, enum drop_reason reason)
{
	uint8_t ip[PACKET_MAX];

	put_frame(LAN, ip, build(ip, e));
	run();
	drops_are(reason, 1);
	nothing_left();
}

/* That error with one member changed. */
#define BUT(base, field, value)              \
	({                                   \
		struct error changed = base; \
		changed.field = value;       \
		changed;                     \
	})

START_TEST(out_by_quote)
{
	static const uint8_t types[] = {3, 11, 12};
	struct error e;

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < sizeof(types); i++) {
		e = BUT(of_b, type, types[i]);
		goes_out(&e);
	}
	e = BUT(of_b, quoted, 576 - 28);
	e.about.len = 1400;
	goes_out(&e);
	/* Longer than an error is: data. */
	e.quoted++;
	stays(&e, DROP_POLICY_DEFAULT);
	/* Redirect, source quench, echo: no errors. */
	e = BUT(of_b, type, 5);
	stays(&e, DROP_POLICY_DEFAULT);
	e.type = 4;
	stays(&e, DROP_POLICY_DEFAULT);
	e.type = 8;
	stays(&e, DROP_POLICY_DEFAULT);
	/* About another's packet, or one that no tunnel carries. */
	e = BUT(of_b, about.src, "10.2.0.3");
	stays(&e, DROP_POLICY_DEFAULT);
	e = BUT(of_b, about.dst, HOST_D);
	stays(&e, DROP_POLICY_DEFAULT);
	/* Nobody answers to an error; to a ping one does. */
	e = BUT(of_b, about.proto, IPPROTO_ICMP);
	e.about.sport = 3;
	stays(&e, DROP_POLICY_DEFAULT);
	e.about.sport = 8;
	goes_out(&e);
	/* Pieces, and a quotation that ends in its header. */
	e = BUT(of_b, frag, 0x2000);
	stays(&e, DROP_POLICY_DEFAULT);
	e = BUT(of_b, quoted, 19);
	stays(&e, DROP_POLICY_DEFAULT);
	ck_assert_uint_eq(sa_at(out)->use.packets, 5);
}
END_TEST

START_TEST(out_asks_for_no_sa)
{
	struct spd_policy *p;

	tunnel(0, 64, &in, &out);
	p = policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL);
	spd_bind(world.r.spd, p, SPD_NO_SA);
	stays(&of_b, DROP_POLICY_QUOTE);
	ck_assert_uint_eq(p->acquire, SPD_ACQUIRE_IDLE);
	/* A policy for the error itself has the word. */
	spd_bind(world.r.spd, p, out);
	goes_out(&of_b);
	policy(SPD_OUT, SPD_DISCARD, "10.77.0.0/16 > 10.2.0.0/16", 0, NULL);
	stays(&of_b, DROP_POLICY_DISCARD);
}
END_TEST

/* The answer's ports are the policy's. */
START_TEST(out_by_ports)
{
	const uint8_t proto = _i == 0 ? IPPROTO_TCP : IPPROTO_DCCP;
	struct spd_selector web = {.proto = proto,
		.src_port_lo = 80,
		.src_port_hi = 80,
		.dst_port_lo = 0,
		.dst_port_hi = 65535};
	struct error e = BUT(of_b, about.proto, proto);

	in = sa(&(struct sa_spec){.dir = SA_DIR_IN, .window = 64});
	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT});
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, &web), out);
	e.about.dport = 80;
	goes_out(&e);
	e.about.dport = 81;
	e.about.sport = 80;
	stays(&e, DROP_POLICY_DEFAULT);
	/* Of a later fragment nothing is known: it is the strictest policy's. */
	e.about.frag = 100;
	goes_out(&e);
}
END_TEST

static void
comes(uint64_t sqn, const struct error *error, enum drop_reason reason)
{
	struct esp e = ESP_IN(sqn);
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	uint16_t len = build(ip, error);

	put_frame(WAN, packet, esp_packet(&e, ip, len, 0, 0, packet));
	run();
	if (reason != DROP_NONE) {
		drops_are(reason, 1);
		nothing_left();
		return;
	}
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), len);
	ck_assert_mem_eq(got + 14 + 12, ip + 12, len - 12);
	nothing_left();
}

START_TEST(in_by_quote)
{
	struct error e;

	tunnel(0, 64, &in, &out);
	policy(SPD_OUT, SPD_BYPASS, "10.77.0.0/16 > 10.1.0.0/16", 0, NULL);
	comes(1, &of_a, DROP_NONE);
	ck_assert_uint_eq(worker(0)->sa_counters[in].errors[SA_ERR_SELECTOR], 0);
	/* What HOST_A never sent through this tunnel, what somebody else sent, what is no error. */
	e = BUT(of_a, about.dst, HOST_D);
	comes(2, &e, DROP_POLICY_MISMATCH);
	e = BUT(of_a, about.src, "10.1.0.3");
	comes(3, &e, DROP_POLICY_MISMATCH);
	e = BUT(of_a, to, HOST_D);
	comes(4, &e, DROP_POLICY_MISMATCH);
	e = BUT(of_a, type, 8);
	comes(5, &e, DROP_POLICY_MISMATCH);
	e = BUT(of_a, quoted, 600);
	comes(6, &e, DROP_POLICY_MISMATCH);
	ck_assert_uint_eq(worker(0)->sa_counters[in].errors[SA_ERR_SELECTOR], 5);
	/* A policy that discards it discards it. */
	policy(SPD_FWD, SPD_DISCARD, "10.77.0.0/16 > 10.1.0.0/16", 0, NULL);
	comes(7, &of_a, DROP_POLICY_MISMATCH);
}
END_TEST

/* Packets of one burst that policies cannot tell apart: what the error may is the error's alone. */
START_TEST(in_a_run)
{
	struct ip4 like = {.src = ROUTER, .dst = HOST_A};
	struct esp e = ESP_IN(1);
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	uint16_t len;

	tunnel(0, 64, &in, &out);
	policy(SPD_OUT, SPD_BYPASS, "10.77.0.0/16 > 10.1.0.0/16", 0, NULL);
	for (; e.sqn <= 3; e.sqn++) {
		len = e.sqn == 3 ? ip4_build(ip, &like) : build(ip, &of_a);
		put_frame(WAN, packet, esp_packet(&e, ip, len, 0, 0, packet));
	}
	put_esp(&e, &like);
	run();
	drops_are(DROP_POLICY_MISMATCH, 2);
	ck_assert_uint_ne(sent(LAN, got), 0);
	ck_assert_uint_ne(sent(LAN, got), 0);
	nothing_left();
}
END_TEST

START_TEST(out_in_a_run)
{
	struct ip4 like = {.src = ROUTER, .dst = HOST_B};
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	put_frame(LAN, ip, build(ip, &of_b));
	put_ip4(LAN, &like);
	put_frame(LAN, ip, build(ip, &of_b));
	put_ip4(LAN, &like);
	run();
	drops_are(DROP_POLICY_DEFAULT, 2);
	ck_assert_uint_ne(sent(WAN, got), 0);
	ck_assert_uint_ne(sent(WAN, got), 0);
	nothing_left();
}
END_TEST

/* Another tunnel's packet is not to be complained about by this one. */
START_TEST(in_by_another_tunnel)
{
	tunnel(0, 64, &in, &out);
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID + 1, NULL);
	comes(1, &of_a, DROP_POLICY_MISMATCH);
}
END_TEST

/* From one tunnel into another: HOST_B's answer to the far host would take this way. */
static void
hub(uint32_t reqid_of_answer, bool lent)
{
	struct error far = {
		.from = ROUTER, .to = "10.4.0.2", .about = {.src = "10.4.0.2", .dst = HOST_B}};
	struct esp e = ESP_IN(1);
	uint8_t packet[PACKET_MAX], ip[PACKET_MAX];
	uint16_t len = build(ip, &far);

	tunnel(0, 64, &in, &out);
	if (lent) {
		sa_at(in)->reqid = REQID + 9;
		sa_at(in)->lent =
			sa_for(SA_ANYBODY, REQID); /* as the policies of these tests are */
	}
	route("10.4.0.0/16", neighbour(WAN, PEER, 1500, true));
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "10.2.0.0/16 > 10.4.0.0/16", REQID + 1, NULL), out);
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.4.0.0/16", reqid_of_answer, NULL);
	/* The error itself is no stranger to the tunnel. */
	policy(SPD_FWD, SPD_PROTECT, "10.77.0.0/16 > 10.4.0.0/16", REQID, NULL);
	put_frame(WAN, packet, esp_packet(&e, ip, len, 0, 0, packet));
	run();
	if (reqid_of_answer == REQID)
		sealed_is(ip, len);
	else
		ck_assert_uint_eq(sa_at(out)->use.packets, 0);
}

START_TEST(through_a_hub)
{
	hub(REQID, _i);
}
END_TEST

START_TEST(not_through_a_hub)
{
	uint8_t got[PACKET_MAX];

	hub(REQID + 2, false);
	while (sent(WAN, got) != 0)
		;
	memset(worker(0)->drops, 0, sizeof(worker(0)->drops));
}
END_TEST

/* From outside nothing is sealed, nor for what it quotes. */
START_TEST(not_from_outside)
{
	tunnel(0, 64, &in, &out);
	worker(0)->port[LAN].flags = PKT_F_OUTSIDE;
	stays(&of_b, DROP_POLICY_OUTSIDE);
	worker(0)->port[LAN].flags = 0;
	goes_out(&of_b);
}
END_TEST

/* Clear, by way of a port: what would have to come sealed has no say. */
START_TEST(clear_answers_do_not_count)
{
	tunnel(0, 64, &in, &out);
	policy(SPD_FWD, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID + 1, NULL);
	stays(&of_b, DROP_POLICY_DEFAULT);
}
END_TEST

/* That policy, for packets of that mark alone. */
static void
marked(const char *selector, uint32_t mark, uint32_t slot)
{
	struct spd_policy_conf conf = policy(SPD_OUT, SPD_PROTECT, selector, REQID, NULL)->conf;

	ck_assert_int_eq(spd_del(world.r.spd, &conf), 0);
	conf.mark = mark;
	conf.mark_mask = UINT32_MAX;
	conf.priority = 1;
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	spd_bind(world.r.spd, spd_find(world.r.spd, &conf), slot);
}

/* A packet of HOST_B's that dies here, by the SA in or another. */
static void
dies(const struct esp *e)
{
	static const struct ip4 old = {.src = HOST_B, .dst = HOST_A, .ttl = 1};

	put_esp(e, &old);
}

/* Our own errors belong to the tenant whose packet they quote: by what they quote, and by a policy for themselves. */
START_TEST(our_own_of_marked_tunnels)
{
	const char *selector = _i < 2 ? "10.1.0.0/16 > 10.2.0.0/16" : "192.0.2.0/24 > 10.2.0.0/16";
	struct esp one = ESP_IN(1), two = ESP_IN(1);
	uint8_t got[PACKET_MAX];
	uint32_t in2, out2;

	tunnel(0, 64, &in, &out);
	in2 = sa(&(struct sa_spec){.dir = SA_DIR_IN, .spi = SPI_IN + 1, .window = 64});
	out2 = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .spi = SPI_OUT + 1});
	two.spi = SPI_IN + 1;
	sa_at(in)->mark = 1;
	sa_at(in2)->mark = 2;
	/* Somebody's who has no mark. */
	if (_i % 2 == 0)
		spd_bind(world.r.spd, policy(SPD_OUT, SPD_PROTECT, selector, REQID, NULL),
			sa(&(struct sa_spec){.dir = SA_DIR_OUT, .spi = SPI_OUT + 2}));
	marked(selector, 1, out);
	marked(selector, 2, out2);
	dies(&one);
	dies(&two);
	run();
	drops_are(DROP_IP4_TTL, 2);
	ck_assert_uint_ne(sent(WAN, got), 0);
	ck_assert_uint_ne(sent(WAN, got), 0);
	ck_assert_uint_eq(sa_at(out)->use.packets, 1);
	ck_assert_uint_eq(sa_at(out2)->use.packets, 1);
	nothing_left();
}
END_TEST

START_TEST(six)
{
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	struct esp e = ESP_IN(1);
	uint16_t len;

	tunnel6();
	for (uint8_t type = 0; type <= 5; type++) {
		len = build6(ip, ROUTER6, HOST6_B, HOST6_A, type, 200);
		put_frame6(LAN, ip, len);
		run();
		if (type >= 1 && type <= 4)
			sealed_is(ip, len);
		else
			drops_are(DROP_POLICY_DEFAULT, 1);
	}
	len = build6(ip, ROUTER6, HOST6_B, HOST6_A, 2, 1280);
	put_frame6(LAN, ip, len);
	run();
	sealed_is(ip, len);
	len = build6(ip, ROUTER6, HOST6_B, HOST6_A, 2, 1281);
	put_frame6(LAN, ip, len);
	run();
	drops_are(DROP_POLICY_DEFAULT, 1);
	len = build6(ip, ROUTER6, HOST6_B, HOST6_D, 3, 200);
	put_frame6(LAN, ip, len);
	run();
	drops_are(DROP_POLICY_DEFAULT, 1);
	nothing_left();
	/* And in. */
	policy(SPD_OUT, SPD_BYPASS, "2001:db8:77::/48 > 2001:db8:1::/48", 0, NULL);
	e.next_header = IPPROTO_IPV6;
	len = build6(ip, ROUTER6, HOST6_A, HOST6_B, 3, 200);
	put_frame(WAN, packet, esp_packet(&e, ip, len, 0, 0, packet));
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), len);
	e.sqn++;
	len = build6(ip, ROUTER6, HOST6_A, HOST6_D, 3, 200);
	put_frame(WAN, packet, esp_packet(&e, ip, len, 0, 0, packet));
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	nothing_left();
}
END_TEST

TCase *
nodes_icmp_quote_case(void)
{
	TCase *tc = tcase_create("icmp_quote");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_closed, world_stop);
	tcase_add_test(tc, out_by_quote);
	tcase_add_test(tc, out_asks_for_no_sa);
	tcase_add_loop_test(tc, out_by_ports, 0, 2);
	tcase_add_test(tc, in_by_quote);
	tcase_add_test(tc, in_a_run);
	tcase_add_test(tc, out_in_a_run);
	tcase_add_test(tc, in_by_another_tunnel);
	tcase_add_loop_test(tc, through_a_hub, 0, 2);
	tcase_add_test(tc, not_through_a_hub);
	tcase_add_test(tc, not_from_outside);
	tcase_add_test(tc, clear_answers_do_not_count);
	tcase_add_loop_test(tc, our_own_of_marked_tunnels, 0, 4);
	tcase_add_test(tc, six);
	return tc;
}

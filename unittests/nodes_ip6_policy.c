/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

/* The security rules of the design, for IPv6, with all defaults discard. */

static void
refused(unsigned int port, const struct ip6 *p, enum drop_reason reason)
{
	put_ip6(port, p);
	run();
	drops_are(reason, 1);
	nothing_left();
}

static void
delivered(unsigned int port, const struct ip6 *p, enum punt_class class)
{
	uint8_t got[PACKET_MAX];

	put_ip6(port, p);
	run();
	no_drops();
	ck_assert_uint_eq(punted(class, got), p->len != 0 ? p->len : 100);
	nothing_left();
}

START_TEST(spoofed_in_clear)
{
	policy(SPD_FWD, SPD_PROTECT, "2001:db8:2::/48 > 2001:db8:1::/48", REQID, NULL);
	policy(SPD_IN, SPD_PROTECT, "2001:db8:f::2 > 2001:db8:f::1", REQID, NULL);
	refused(WAN, &(struct ip6){.src = HOST6_B, .dst = HOST6_A}, DROP_POLICY_CLEAR);
	refused(DMZ, &(struct ip6){.src = HOST6_B, .dst = HOST6_A}, DROP_POLICY_CLEAR);
	refused(WAN, &(struct ip6){.src = PEER6, .dst = US6}, DROP_POLICY_CLEAR);
	/* No policy, and the defaults of ports and of ourselves. */
	refused(WAN, &(struct ip6){.src = PEER6, .dst = HOST6_A}, DROP_POLICY_DEFAULT);
	refused(LAN, &(struct ip6){.src = HOST6_A, .dst = HOST6_D}, DROP_POLICY_DEFAULT);
	refused(LAN, &(struct ip6){.src = HOST6_A, .dst = LAN6}, DROP_POLICY_DEFAULT);
}
END_TEST

/* Where ports are not to be seen the strictest policy counts. */
START_TEST(fragments)
{
	static const uint8_t first[8] = {17, 0, 0, 1, 1, 2, 3, 4},
			     later[8] = {17, 0, 1, 0, 1, 2, 3, 4};
	const struct spd_selector web = {
		.proto = IPPROTO_UDP, .src_port_hi = 65535, .dst_port_lo = 80, .dst_port_hi = 80};
	struct ip6 p = {.src = HOST6_A, .dst = HOST6_D, .dport = 80};
	uint8_t got[PACKET_MAX];

	policy(SPD_OUT, SPD_BYPASS, "2001:db8:1::/48 > 2001:db8:3::/48", 0, &web);
	policy(SPD_OUT, SPD_PROTECT, "2001:db8:1::/48 > 2001:db8:3::/48", REQID, NULL);
	put_ip6(LAN, &p);
	run();
	ck_assert_uint_eq(sent(DMZ, got), 100);
	no_drops();
	p.first = 44;
	p.n_chain = 8;
	p.chain = first;
	put_ip6(LAN, &p);
	run();
	ck_assert_uint_eq(sent(DMZ, got), 100);
	no_drops();
	p.chain = later;
	refused(LAN, &p, DROP_POLICY_NO_SA);
	/* A first one without its ports. */
	p.chain = first;
	p.len = 51;
	refused(LAN, &p, DROP_POLICY_NO_SA);
}
END_TEST

/* Ports are found behind extension headers. */
START_TEST(behind_headers)
{
	static const uint8_t chain[16] = {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4};
	const struct spd_selector web = {
		.proto = IPPROTO_UDP, .src_port_hi = 65535, .dst_port_lo = 80, .dst_port_hi = 80};
	struct ip6 p = {.src = HOST6_A,
		.dst = HOST6_D,
		.dport = 80,
		.first = 0,
		.n_chain = 16,
		.chain = chain};
	uint8_t got[PACKET_MAX];

	policy(SPD_OUT, SPD_BYPASS, "2001:db8:1::/48 > 2001:db8:3::/48", 0, &web);
	put_ip6(LAN, &p);
	run();
	ck_assert_uint_eq(sent(DMZ, got), 100);
	no_drops();
	p.dport = 81;
	refused(LAN, &p, DROP_POLICY_DEFAULT);
}
END_TEST

static void
charon(void)
{
	socket_add("::", 500, true, false);
	socket_add("::", 4500, true, false);
	socket_add("0.0.0.0", 500, true, false);
}

START_TEST(ike_in)
{
	static const uint8_t later[8] = {17, 0, 1, 0, 1, 2, 3, 4};
	static const struct {
		struct ip6 p;
		enum drop_reason reason;
	} bad[] = {
		{{.src = PEER6, .dst = US6, .dport = 501}, DROP_POLICY_DEFAULT},
		{{.src = PEER6, .dst = US6, .sport = 500}, DROP_POLICY_DEFAULT},
		{{.src = PEER6, .dst = US6, .dport = 500, .proto = IPPROTO_TCP},
			DROP_POLICY_DEFAULT},
		{{.src = PEER6,
			 .dst = US6,
			 .dport = 500,
			 .first = 44,
			 .n_chain = 8,
			 .chain = later},
			DROP_POLICY_DEFAULT},
		{{.src = PEER6, .dst = HOST6_A, .dport = 500}, DROP_POLICY_DEFAULT},
		{{.src = PEER6, .dst = "ff02::1", .dport = 500}, DROP_POLICY_DEFAULT},
	};

	charon();
	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		refused(WAN, &bad[i].p, bad[i].reason);
	policy(SPD_IN, SPD_PROTECT, "::/0 > ::/0", REQID, NULL);
	delivered(
		WAN, &(struct ip6){.src = PEER6, .dst = US6, .sport = 500, .dport = 500}, PUNT_IKE);
	delivered(
		WAN, &(struct ip6){.src = PEER6, .dst = US6, .sport = 7, .dport = 4500}, PUNT_IKE);
	refused(WAN, &(struct ip6){.src = PEER6, .dst = US6, .dport = 501}, DROP_POLICY_CLEAR);
	/* A socket of IPv4 is none of IPv6, and one with an address is for that address. */
	world.sockets.n = 0;
	socket_add("0.0.0.0", 500, true, false);
	refused(WAN, &(struct ip6){.src = PEER6, .dst = US6, .dport = 500}, DROP_POLICY_CLEAR);
	world.sockets.n = 0;
	socket_add(US6, 500, true, false);
	delivered(WAN, &(struct ip6){.src = PEER6, .dst = US6, .dport = 500}, PUNT_IKE);
	refused(WAN, &(struct ip6){.src = PEER6, .dst = LAN6, .dport = 500}, DROP_POLICY_CLEAR);
}
END_TEST

START_TEST(ike_out)
{
	struct ip6 p = {.src = US6, .dst = PEER6, .sport = 500, .dport = 500};
	uint8_t got[PACKET_MAX];

	charon();
	policy(SPD_OUT, SPD_PROTECT, "::/0 > ::/0", REQID, NULL);
	put_host6(WAN, &p);
	run();
	no_drops();
	ck_assert_uint_eq(take(world.tx[WAN][0], got), 100);
	for (unsigned int i = 0; i < 4; i++) {
		struct ip6 bad = p;

		if (i == 0)
			bad.sport = 501;
		if (i == 1)
			bad.src = HOST6_A; /* Linux forwards for somebody */
		if (i == 2)
			bad.proto = IPPROTO_TCP;
		if (i == 3)
			bad.len = 43;
		put_host6(WAN, &bad);
		run();
		drops_are(DROP_POLICY_NO_SA, 1);
	}
	/* A host behind us that uses the port, also with our address. */
	refused(LAN, &(struct ip6){.src = HOST6_A, .dst = PEER6, .sport = 500, .dport = 500},
		DROP_POLICY_NO_SA);
	refused(LAN, &(struct ip6){.src = HOST6_A, .dst = PEER6, .sport = 4500, .dport = 4500},
		DROP_POLICY_NO_SA);
	refused(LAN, &p, DROP_POLICY_NO_SA);
}
END_TEST

static void
piece(uint8_t id, uint8_t offset, bool more, uint16_t port, bool passes)
{
	const uint8_t header[8] = {IPPROTO_UDP, 0, 0, offset | more, 0, 0, 0, id};
	uint8_t got[PACKET_MAX];

	put_host6(WAN, &(struct ip6){.src = US6,
			       .dst = PEER6,
			       .sport = port,
			       .dport = 500,
			       .first = IPPROTO_FRAGMENT,
			       .chain = header,
			       .n_chain = 8});
	run();
	drops_are(DROP_POLICY_NO_SA, passes ? 0 : 1);
	ck_assert_uint_eq(take(world.tx[WAN][0], got), passes ? 100 : 0);
}

START_TEST(ike_out_in_pieces)
{
	charon();
	policy(SPD_OUT, SPD_PROTECT, "::/0 > ::/0", REQID, NULL);
	piece(7, 80, true, 0, false);
	piece(7, 0, true, 500, true);
	piece(7, 80, true, 0, true);
	piece(8, 80, true, 0, false);
	piece(7, 160, false, 0, true);
	piece(7, 160, false, 0, false);
	piece(9, 0, true, 501, false);
	piece(9, 80, false, 0, false);
}
END_TEST

START_TEST(incomplete)
{
	spd_set_complete(world.r.spd, false);
	policy(SPD_OUT, SPD_BYPASS, "::/0 > ::/0", 0, NULL);
	refused(LAN, &(struct ip6){.src = HOST6_A, .dst = HOST6_D}, DROP_POLICY_INCOMPLETE);
	spd_set_complete(world.r.spd, true);
	put_ip6(LAN, &(struct ip6){.src = HOST6_A, .dst = HOST6_D});
	run();
	no_drops();
}
END_TEST

TCase *
nodes_ip6_policy_case(void)
{
	TCase *tc = tcase_create("ip6-policy");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_closed, world_stop);
	tcase_add_test(tc, spoofed_in_clear);
	tcase_add_test(tc, fragments);
	tcase_add_test(tc, behind_headers);
	tcase_add_test(tc, ike_in);
	tcase_add_test(tc, ike_out);
	tcase_add_test(tc, ike_out_in_pieces);
	tcase_add_test(tc, incomplete);
	return tc;
}

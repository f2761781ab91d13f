/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include "audit_packet.h"
#include "spd_recent.h"

/* RFC 4301, 5: what the policies allow, and nothing else. */

static uint32_t in, out;

static const struct ip4 outward = {.src = HOST_A, .dst = HOST_B};
static const struct ip4 inward = {.src = HOST_B, .dst = HOST_A};

static void
refused(unsigned int port, const struct ip4 *p, enum drop_reason reason)
{
	put_ip4(port, p);
	run();
	drops_are(reason, 1);
	nothing_left();
}

static void
passes(unsigned int port, const struct ip4 *p, unsigned int by)
{
	uint8_t got[PACKET_MAX];

	put_ip4(port, p);
	run();
	no_drops();
	ck_assert_uint_eq(sent(by, got), p->len != 0 ? p->len : 100);
	nothing_left();
}

static void
delivered(unsigned int port, const struct ip4 *p, enum punt_class class)
{
	uint8_t got[PACKET_MAX];

	put_ip4(port, p);
	run();
	no_drops();
	ck_assert_uint_eq(punted(class, got), p->len != 0 ? p->len : 100);
	nothing_left();
}

static void
count_used(void *ctx, struct spd_policy *p)
{
	*(unsigned int *)ctx += p->used != 0;
}

/* How many policies were used so far. */
static unsigned int
policies_used(void)
{
	unsigned int n = 0;

	spd_foreach(world.r.spd, count_used, &n);
	return n;
}

/* In clear what a policy protects: to a host behind us, and to ourselves, from whatever side. That uses no policy. */
START_TEST(spoofed_in_clear)
{
	static const char *const to[] = {HOST_A, "10.1.0.1"};

	tunnel(0, 64, &in, &out);
	for (unsigned int port = 0; port < PORTS; port++)
		for (unsigned int i = 0; i < 2; i++) {
			struct ip4 p = {.src = HOST_B, .dst = to[i]};
			static const uint8_t protos[] = {
				IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP, 47, 51, 89};

			for (unsigned int k = 0; k < RTE_DIM(protos); k++) {
				p.proto = protos[k];
				/* AH to us is opened before a policy is asked: there is no such SA. */
				refused(port, &p,
					i == 1 && p.proto == IPPROTO_AH ? DROP_ESP_NO_SA
									: DROP_POLICY_CLEAR);
			}
			/* Fragments, and what is too short to show ports. */
			p.proto = IPPROTO_UDP;
			p.frag = 0x2000;
			refused(port, &p, DROP_POLICY_CLEAR);
			p.frag = 0x0010;
			refused(port, &p, DROP_POLICY_CLEAR);
			p.frag = 0;
			p.len = 21;
			refused(port, &p, DROP_POLICY_CLEAR);
		}
	/* ESP that is not for us is no different. */
	refused(WAN, &(struct ip4){.src = HOST_B, .dst = HOST_A, .proto = IPPROTO_ESP},
		DROP_POLICY_CLEAR);
	ck_assert_uint_eq(policies_used(), 0);
}
END_TEST

/* A fragment without ports belongs to the strictest of the policies that it might belong to. */
START_TEST(fragments_without_ports)
{
	const struct spd_selector web = {
		.proto = IPPROTO_TCP, .src_port_hi = 65535, .dst_port_lo = 80, .dst_port_hi = 80};
	struct ip4 p = {.src = HOST_A, .dst = HOST_D, .proto = IPPROTO_TCP, .dport = 81};

	policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.3.0.0/16", REQID, &web);
	policy(SPD_OUT, SPD_BYPASS, "10.1.0.0/16 > 10.3.0.0/16", 0, NULL);
	passes(LAN, &p, DMZ);
	p.dport = 80;
	refused(LAN, &p, DROP_POLICY_NO_SA);
	p.dport = 81;
	p.frag = 0x2000;
	passes(LAN, &p, DMZ);
	p.frag = 0x0100;
	refused(LAN, &p, DROP_POLICY_NO_SA);
	/* Too short for its ports: no chance to choose another policy. */
	p.frag = 0;
	for (p.len = 20; p.len < 24; p.len++)
		refused(LAN, &p, DROP_POLICY_NO_SA);
	p.proto = IPPROTO_UDP;
	p.frag = 0x0100;
	p.len = 0;
	passes(LAN, &p, DMZ);
}
END_TEST

/* What these packets are sealed to, if at all; how many. */
static void
sealed_are(uint32_t slot, uint64_t n)
{
	static uint64_t before;
	uint64_t now = sa_at(slot)->use.packets;
	uint8_t got[PACKET_MAX];

	ck_assert_uint_eq(now - before, n);
	before = now;
	while (n-- > 0)
		ck_assert_uint_ne(sent(WAN, got), 0);
	nothing_left();
}

/* A source behind us that comes by a port which is outside: no tunnel takes it, and charon is not asked for one. */
START_TEST(from_outside)
{
	const struct ip6 outward6 = {.src = HOST6_A, .dst = HOST6_B};
	struct spd_policy *out6;

	tunnel(0, 64, &in, &out);
	out6 = policy(SPD_OUT, SPD_PROTECT, "2001:db8:1::/48 > 2001:db8:2::/48", REQID, NULL);
	spd_bind(world.r.spd, out6, out);
	for (unsigned int outside = 0; outside < 2; outside++) {
		worker(0)->port[DMZ].flags = outside ? PKT_F_OUTSIDE : 0;
		for (unsigned int i = 0; i < 3; i++) {
			put_ip4(DMZ, &outward);
			put_ip4(LAN, &outward);
			put_ip6(DMZ, &outward6);
			put_ip6(LAN, &outward6);
		}
		run();
		drops_are(DROP_POLICY_OUTSIDE, outside ? 6 : 0);
		sealed_are(out, outside ? 6 : 12);
	}
	ck_assert_uint_eq(sa_at(out)->sqn, 18);
	spd_bind(world.r.spd, out6, SPD_NO_SA);
	put_ip6(DMZ, &outward6);
	run();
	drops_are(DROP_POLICY_OUTSIDE, 1);
	ck_assert_uint_eq(out6->acquire, SPD_ACQUIRE_IDLE);
	/* What is not to be sealed goes where it went. */
	passes(DMZ, &(struct ip4){.src = HOST_D, .dst = HOST_A}, LAN);
	policy(SPD_OUT, SPD_BYPASS, "10.3.0.0/16 > 10.2.0.0/16", 0, NULL);
	passes(DMZ, &(struct ip4){.src = HOST_D, .dst = HOST_B}, WAN);
	policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/16 > 10.2.0.0/16", 0, NULL);
	refused(DMZ, &outward, DROP_POLICY_DISCARD);
}
END_TEST

/* What a tunnel brought by way of such a port is not from outside: it goes on into another tunnel. */
START_TEST(from_a_tunnel_outside)
{
	static const uint8_t nop[] = {1, 1, 1, 1};
	struct ip4 onward = {.src = HOST_B, .dst = HOST_D};
	struct esp e = ESP_IN(1);

	tunnel(0, 64, &in, &out);
	worker(0)->port[WAN].flags = PKT_F_OUTSIDE;
	route("10.3.0.0/16", neighbour(WAN, PEER, 1500, true));
	route(HOST_D, neighbour(WAN, PEER, 1500, true));
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.3.0.0/16", REQID, NULL);
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "10.2.0.0/16 > 10.3.0.0/16", REQID, NULL), out);
	put_esp(&e, &onward);
	run();
	no_drops();
	sealed_are(out, 1);
	/* The way that is not the short one. */
	onward.n_options = sizeof(nop);
	onward.options = nop;
	e.sqn++;
	put_esp(&e, &onward);
	run();
	no_drops();
	sealed_are(out, 1);
	onward.n_options = 0;
	policy(SPD_FWD, SPD_BYPASS, "10.2.0.0/16 > 10.3.0.0/16", 0, NULL);
	refused(WAN, &onward, DROP_POLICY_OUTSIDE);
}
END_TEST

/* DCCP has its ports where UDP has them. */
START_TEST(dccp)
{
	const struct spd_selector media = {.proto = IPPROTO_DCCP,
		.src_port_hi = 65535,
		.dst_port_lo = 5004,
		.dst_port_hi = 5004};
	struct ip4 p = {.src = HOST_A, .dst = HOST_D, .proto = IPPROTO_DCCP};
	struct ip6 p6 = {.src = HOST6_A, .dst = HOST6_D, .proto = IPPROTO_DCCP};
	uint8_t got[PACKET_MAX];

	policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/16 > 10.3.0.0/16", 0, &media);
	policy(SPD_OUT, SPD_DISCARD, "2001:db8:1::/48 > 2001:db8:3::/48", 0, &media);
	for (p.dport = p6.dport = 5003; p.dport <= 5005; p.dport = ++p6.dport) {
		put_ip4(LAN, &p);
		put_ip6(LAN, &p6);
		run();
		drops_are(DROP_POLICY_DISCARD, p.dport == 5004 ? 2 : 0);
		for (unsigned int n = p.dport == 5004 ? 0 : 2; n > 0; n--)
			ck_assert_uint_eq(sent(DMZ, got), 100);
		nothing_left();
	}
	/* A later fragment is the strictest policy's. */
	p.frag = 0x0100;
	refused(LAN, &p, DROP_POLICY_DISCARD);
}
END_TEST

/* IKE of a host-to-host policy's own peers, and what is refused from outside, say nothing of whether its tunnel is idle. */
START_TEST(uses_no_policy)
{
	struct spd_policy *p = policy(SPD_OUT, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	uint8_t got[PACKET_MAX];

	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT});
	spd_bind(world.r.spd, p, out);
	socket_add("0.0.0.0", 500, true, true);
	for (unsigned int i = 0; i < 2; i++) {
		put_host(WAN, &(struct ip4){.src = US, .dst = PEER, .sport = 500, .dport = 500});
		run();
		no_drops();
		ck_assert_uint_eq(take(world.tx[WAN][0], got), 100);
		worker(0)->port[DMZ].flags = PKT_F_OUTSIDE;
		refused(DMZ, &outward, DROP_POLICY_OUTSIDE);
		worker(0)->port[DMZ].flags = 0;
		ck_assert_uint_eq(p->used != 0, i);
		ck_assert_uint_eq(sa_at(out)->sqn, 2 * i);
		/* What is sealed does, Linux's own too, and is not in the way of the others' next ones. */
		put_host(WAN, &(struct ip4){.src = US, .dst = PEER, .sport = 7, .dport = 7});
		put_ip4(LAN, &outward);
		run();
		no_drops();
		ck_assert(sent(WAN, got) != 0 && sent(WAN, got) != 0);
		ck_assert_uint_eq(sa_at(out)->sqn, 2 * (i + 1));
		ck_assert_uint_ne(p->used, 0);
	}
}
END_TEST

/* Packets in a row that most policies cannot tell from each other, and one can: each is judged by itself. */
START_TEST(alike_in_a_burst)
{
	const struct spd_selector tcp = {
		.proto = IPPROTO_TCP, .src_port_hi = 65535, .dst_port_hi = 65535};
	const struct spd_selector port = {
		.proto = IPPROTO_UDP, .src_port_hi = 65535, .dst_port_lo = 80, .dst_port_hi = 80};
	static const struct {
		const char *dst;
		uint8_t proto;
		uint16_t dport;
		bool passes;
	} burst[] = {{HOST_D, IPPROTO_UDP, 79, true}, {HOST_D, IPPROTO_UDP, 80, false},
		{HOST_D, IPPROTO_UDP, 81, true}, {HOST_D, IPPROTO_TCP, 81, false},
		{HOST_D, IPPROTO_UDP, 81, true}, {"10.3.0.3", IPPROTO_UDP, 81, false},
		{HOST_D, IPPROTO_UDP, 81, true}};
	uint8_t got[PACKET_MAX];
	unsigned int refused_by[] = {0, 0, 0};

	route("10.3.0.3/32", neighbour(DMZ, "10.3.0.3", 1500, true));
	policy(SPD_OUT, SPD_BYPASS, "10.1.0.0/16 > 10.3.0.0/16", 0, NULL);
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int sends = 0;

		/* One policy more each time: of a protocol, of an address, of a port. */
		if (i == 0)
			policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/16 > 10.3.0.0/16", 0, &tcp);
		else if (i == 1)
			policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/16 > 10.3.0.3/32", 0, NULL);
		else
			policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/16 > 10.3.0.0/16", 0, &port);
		for (unsigned int round = 0; round < 20; round++)
			for (unsigned int k = 0; k < RTE_DIM(burst); k++) {
				bool discard = (burst[k].proto == IPPROTO_TCP) ||
					       (i >= 1 && strcmp(burst[k].dst, HOST_D) != 0) ||
					       (i >= 2 && burst[k].dport == 80);

				put_ip4(LAN, &(struct ip4){.src = HOST_A,
						     .dst = burst[k].dst,
						     .proto = burst[k].proto,
						     .dport = burst[k].dport});
				sends += !discard;
				refused_by[i] += discard;
				if (i == 2)
					ck_assert_uint_eq(discard, !burst[k].passes);
			}
		run();
		drops_are(DROP_POLICY_DISCARD, refused_by[i]);
		for (unsigned int k = 0; k < sends; k++)
			ck_assert_uint_ne(sent(DMZ, got), 0);
		nothing_left();
	}
}
END_TEST

START_TEST(no_sa)
{
	struct spd_policy *p;
	uint8_t got[PACKET_MAX];

	tunnel_policies(SPD_NO_SA);
	p = policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL);
	ck_assert_uint_eq(p->acquire, SPD_ACQUIRE_IDLE);
	refused(LAN, &outward, DROP_POLICY_NO_SA);
	ck_assert_uint_eq(p->acquire, SPD_ACQUIRE_READY);
	ck_assert_uint_eq(p->trigger.src4, inet_addr(HOST_A));
	ck_assert_uint_eq(p->trigger.dst4, inet_addr(HOST_B));
	/* What Linux sends is no exception. */
	put_host(WAN, &(struct ip4){.src = "10.1.0.1", .dst = HOST_B});
	run();
	drops_are(DROP_POLICY_NO_SA, 1);
	nothing_left();
	/* One that dies is none. */
	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT});
	spd_bind(world.r.spd, p, out);
	put_ip4(LAN, &outward);
	run();
	no_drops();
	ck_assert_uint_gt(sent(WAN, got), 100);
	p->acquire = SPD_ACQUIRE_IDLE;
	spd_bind(world.r.spd, p, SPD_NO_SA);
	refused(LAN, &outward, DROP_POLICY_NO_SA);
	ck_assert_uint_eq(p->acquire, SPD_ACQUIRE_READY);
	ck_assert_uint_ne(p->used, 0);
}
END_TEST

static struct spd_found *
found_of_late(void)
{
	struct spd_recent *all = worker(0)->recent[SPD_OUT];

	for (unsigned int i = 0; i < 2 * worker(0)->n_recent; i++)
		if (all[i / 2].found[i % 2].answer != 0)
			return &all[i / 2].found[i % 2];
	ck_abort_msg("nothing was kept");
}

static uint32_t
sealed_by(void)
{
	uint8_t got[PACKET_MAX];
	uint32_t spi;

	put_ip4(LAN, &outward);
	run();
	no_drops();
	ck_assert_uint_gt(sent(WAN, got), 100);
	memcpy(&spi, got + 14 + 20, sizeof(spi));
	return rte_be_to_cpu_32(spi);
}

/*
 * A lcore that was held up after it had found an SA, while that one was replaced, seals with what it found, whole as it still is; one that
 * had found a policy without a living SA takes the new one.
 */
START_TEST(held_up_while_rekeyed)
{
	struct spd_policy *first, *p;
	struct spd_found *found;
	spd_answer answers[2];
	uint32_t old;

	old = sa(&(struct sa_spec){.dir = SA_DIR_OUT});
	first = policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL);
	spd_bind(world.r.spd, first, old);
	ck_assert_uint_eq(sealed_by(), SPI_OUT);
	found = found_of_late();
	ck_assert(found->answer & SPD_ANSWER_SA);
	answers[0] = (spd_answer)first;
	answers[1] = found->answer;
	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .spi = 0x4711});
	p = policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL);
	ck_assert_ptr_ne(p, first);
	spd_bind(world.r.spd, p, out);
	sa_at(old)->spi = 0;
	for (unsigned int i = 0; i < 2; i++) {
		/* As if this were the state in which it was found. */
		found->seen.when =
			spd_state4(world.r.spd, SPD_OUT) << 24 | (found->seen.when & 0xffffff);
		found->answer = answers[i];
		ck_assert_uint_eq(sealed_by(), i == 0 ? 0x4711 : SPI_OUT);
	}
	/* Once it looks anew, the new one. That one ends, too: there is none. */
	found->seen.when = 0;
	ck_assert_uint_eq(sealed_by(), 0x4711);
	spd_bind(world.r.spd, p, SPD_NO_SA);
	refused(LAN, &outward, DROP_POLICY_NO_SA);
}
END_TEST

/* Out of an SA only what the policy of its reqid selects, in its mode. */
START_TEST(mismatch)
{
	static const struct ip4 wrong[] = {
		{.src = HOST_D, .dst = HOST_A}, /* another source */
		{.src = HOST_B, .dst = HOST_D}, /* another destination */
		{.src = HOST_A, .dst = HOST_B}, /* the other way */
		{.src = PEER, .dst = US}, /* the ends themselves */
	};
	uint8_t got[PACKET_MAX];
	struct esp e = ESP_IN(1);
	struct spd_policy_conf conf;
	struct spd_policy *forward;
	uint32_t other;

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < RTE_DIM(wrong); i++, e.sqn++) {
		put_esp(&e, &wrong[i]);
		run();
		drops_are(DROP_POLICY_MISMATCH, 1);
		nothing_left();
	}
	ck_assert_uint_eq(worker(0)->sa_counters[in].errors[SA_ERR_SELECTOR], RTE_DIM(wrong));
	ck_assert_uint_eq(policies_used(), 0);
	/* The right selector by the SA of another reqid. */
	other = sa(&(struct sa_spec){
		.dir = SA_DIR_IN, .spi = 0x9999, .reqid = REQID + 1, .window = 64});
	e.spi = 0x9999;
	put_esp(&e, &inward);
	put_esp(&e, &(struct ip4){.src = HOST_B, .dst = "10.1.0.1"});
	run();
	/* The second has the number of the first. */
	ck_assert_uint_eq(worker(0)->drops[DROP_ESP_REPLAY], 1);
	worker(0)->drops[DROP_ESP_REPLAY] = 0;
	drops_are(DROP_POLICY_MISMATCH, 1);
	ck_assert_uint_eq(worker(0)->sa_counters[other].errors[SA_ERR_SELECTOR], 1);
	/* The right reqid, of another owner; and of the same one. */
	e.spi = SPI_IN;
	forward = policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
	forward->owner = 5;
	put_esp(&e, &inward);
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	nothing_left();
	sa_at(in)->owner = 5;
	e.sqn++;
	put_esp(&e, &inward);
	run();
	no_drops();
	ck_assert_uint_gt(sent(LAN, got), 0);
	/* The configuration's is for SAs of anybody, but where it has one itself. */
	forward = policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
	e.sqn++;
	put_esp(&e, &inward);
	run();
	no_drops();
	ck_assert_uint_gt(sent(LAN, got), 0);
	conf = forward->conf;
	conf.own_sas = true;
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	e.sqn++;
	put_esp(&e, &inward);
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	nothing_left();
	sa_at(in)->owner = 0;
	e.sqn++;
	put_esp(&e, &inward);
	run();
	no_drops();
	ck_assert_uint_gt(sent(LAN, got), 0);
	e.sqn++;
	/* A bypass does not take what comes by an SA, nor does a policy for transport mode. */
	e.spi = SPI_IN;
	policy(SPD_FWD, SPD_BYPASS, "10.3.0.0/16 > 10.1.0.0/16", 0, NULL);
	put_esp(&e, &wrong[0]);
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL)->mode =
		SA_MODE_TRANSPORT;
	e.sqn++;
	put_esp(&e, &inward);
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	nothing_left();
}
END_TEST

/* The next audited event as the log has it. */
static void
audited(const char *want)
{
	struct audit_event e;
	char line[AUDIT_LINE];

	ck_assert_int_eq(rte_ring_sc_dequeue_elem(world.r.audit.ring, &e, sizeof(e)), 0);
	ck_assert_str_eq(audit_line(&e, "p", line, sizeof(line)), want);
}

/* RFC 4301, 4.4: what is audited, with what, and how much of it. */
START_TEST(audit)
{
	uint8_t inner[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	struct esp e = ESP_IN(7);
	uint16_t len = ip4_build(inner, &inward), n;

	tunnel(0, 64, &in, &out);
	/* A node plugin's drop, where no SA is to blame: no event. */
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_mbuf *m = frame(LAN, packet, ip4_build(packet, &inward));

		rte_pktmbuf_adj(m, 14);
		pkt(m)->sa = NULL;
		pkt(m)->drop = i == 0 ? DROP_POLICY_MISMATCH : DROP_ESP_OVERFLOW;
		audit_packet(worker(0), m, pkt(m));
		rte_pktmbuf_free(m);
	}
	e.spi = 0x9999;
	put_esp(&e, &inward);
	run();
	audited("audit: event=unknown-spi protocol=esp spi=0x00009999 sqn=7 source=192.0.2.2 "
		"destination=192.0.2.1 port=p");
	e.spi = SPI_IN;
	n = esp_packet(&e, inner, len, 0, 0, packet);
	packet[n - 1] ^= 1;
	put_frame(WAN, packet, n);
	run();
	audited("audit: event=icv protocol=esp spi=0x00001001 sqn=7 source=192.0.2.2 "
		"destination=192.0.2.1 port=p");
	put_esp(&e, &inward);
	put_esp(&e, &inward); /* in one burst: found after the ICV */
	run();
	audited("audit: event=replay protocol=esp spi=0x00001001 sqn=7 source=192.0.2.2 "
		"destination=192.0.2.1 port=p");
	e.sqn = 8;
	put_esp(&e, &(struct ip4){.src = HOST_D, .dst = HOST_A});
	run();
	audited("audit: event=selector protocol=esp spi=0x00001001 sqn=8 source=10.3.0.2 "
		"destination=10.1.0.2 port=p");
	sa_at(out)->sqn = UINT32_MAX;
	put_ip4(LAN, &outward);
	run();
	audited("audit: event=overflow protocol=esp spi=0x00002002 sqn=4294967295 source=10.1.0.2 "
		"destination=10.2.0.2 port=p");
	ck_assert_uint_eq(sent(LAN, got), 100);
	put_ip4(WAN, &inward);
	run();
	audited("audit: event=clear protocol=17 spi=0x00000000 sqn=0 source=10.2.0.2 "
		"destination=10.1.0.2 port=p");
	e.sqn = 9;
	e.bad_pad = 1;
	e.pad = 8;
	put_esp(&e, &inward);
	run();
	audited("audit: event=malformed protocol=esp spi=0x00001001 sqn=9 source=192.0.2.2 "
		"destination=192.0.2.1 port=p");
	e.sqn = 10;
	e.bad_pad = 0;
	e.next_header = IPPROTO_IPV6;
	put_esp(&e, &inward);
	run();
	audited("audit: event=malformed protocol=esp spi=0x00001001 sqn=10 source=192.0.2.2 "
		"destination=192.0.2.1 port=p");
	e.next_header = 0;
	put_ip4(WAN,
		&(struct ip4){
			.src = PEER, .dst = US, .proto = IPPROTO_ESP, .len = 29, .frag = 0x2000});
	run();
	audited("audit: event=fragment protocol=esp spi=0x00000000 sqn=0 source=192.0.2.2 "
		"destination=192.0.2.1 port=p");
	/* Five of a kind a second, of which there was one; the rest is counted. */
	e.spi = 0x9999;
	for (unsigned int i = 0; i < 10; i++)
		put_esp(&e, &inward);
	run();
	ck_assert_uint_eq(rte_ring_count(world.r.audit.ring), 4);
	ck_assert_uint_eq(worker(0)->audit_suppressed[AUDIT_UNKNOWN_SPI], 6);
	memset(worker(0)->audit_events, 0, sizeof(worker(0)->audit_events)); /* a new second */
	for (unsigned int i = 0; i < 10; i++)
		put_esp(&e, &inward);
	run();
	ck_assert_uint_eq(rte_ring_count(world.r.audit.ring), 9);
	ck_assert_uint_eq(worker(0)->audit_suppressed[AUDIT_UNKNOWN_SPI], 11);
	/* A flood of one kind hides no other. */
	e.spi = SPI_IN;
	put_esp(&e, &inward);
	run();
	ck_assert_uint_eq(rte_ring_count(world.r.audit.ring), 10);
	/* Other drops are none of it. */
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D, .ttl = 1});
	run();
	ck_assert_uint_eq(rte_ring_count(world.r.audit.ring), 10);
	ck_assert_uint_ne(sent(LAN, got), 0);
	memset(worker(0)->drops, 0, sizeof(worker(0)->drops));
	nothing_left();
}
END_TEST

/* What was found for a packet holds for the next one as long as the policies are the same, and no longer. */
START_TEST(as_policies_change)
{
	static const char *const all = "10.1.0.0/16 > 10.3.0.0/16", *const one =
									    "10.1.0.0/16 > " HOST_D
									    "/32";
	const struct spd_selector web = {
		.proto = IPPROTO_UDP, .src_port_hi = 65535, .dst_port_lo = 80, .dst_port_hi = 80};
	const struct ip4 p = {.src = HOST_A, .dst = HOST_D, .proto = IPPROTO_UDP, .dport = 81},
			 to_web = {.src = HOST_A, .dst = HOST_D, .proto = IPPROTO_UDP, .dport = 80};
	struct spd_policy_conf general, narrow, of_web;
	struct spd *spd = world.r.spd;

	for (unsigned int i = 0; i < 3; i++)
		passes(LAN, &p, DMZ);
	general = policy(SPD_OUT, SPD_DISCARD, all, 0, NULL)->conf;
	for (unsigned int i = 0; i < 3; i++)
		refused(LAN, &p, DROP_POLICY_DISCARD);
	/* In its place. */
	policy(SPD_OUT, SPD_BYPASS, all, 0, NULL);
	for (unsigned int i = 0; i < 3; i++)
		passes(LAN, &p, DMZ);
	/* Of another shape, which comes and goes. */
	narrow = policy(SPD_OUT, SPD_DISCARD, one, 0, NULL)->conf;
	for (unsigned int i = 0; i < 3; i++)
		refused(LAN, &p, DROP_POLICY_DISCARD);
	ck_assert_int_eq(spd_del(spd, &narrow), 0);
	for (unsigned int i = 0; i < 3; i++)
		passes(LAN, &p, DMZ);
	/* Of a port, which nothing but the lookup itself can tell. */
	of_web = policy(SPD_OUT, SPD_DISCARD, all, 0, &web)->conf;
	for (unsigned int i = 0; i < 3; i++) {
		passes(LAN, &p, DMZ);
		refused(LAN, &to_web, DROP_POLICY_DISCARD);
	}
	ck_assert_int_eq(spd_del(spd, &of_web), 0);
	for (unsigned int i = 0; i < 3; i++)
		passes(LAN, &to_web, DMZ);
	/* The last of its shape, and of all. */
	ck_assert_int_eq(spd_del(spd, &general), 0);
	policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/24 > 10.0.0.0/8", 0, NULL);
	for (unsigned int i = 0; i < 3; i++)
		refused(LAN, &p, DROP_POLICY_DISCARD);
}
END_TEST

START_TEST(discard)
{
	struct esp e = ESP_IN(1);

	policy(SPD_OUT, SPD_DISCARD, "10.1.0.0/16 > 10.3.0.0/16", 0, NULL);
	refused(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DROP_POLICY_DISCARD);
	policy(SPD_FWD, SPD_DISCARD, "10.3.0.0/16 > 10.1.0.0/16", 0, NULL);
	refused(DMZ, &(struct ip4){.src = HOST_D, .dst = HOST_A}, DROP_POLICY_DISCARD);
	policy(SPD_IN, SPD_DISCARD, "10.3.0.0/16 > 10.1.0.1/32", 0, NULL);
	refused(DMZ, &(struct ip4){.src = HOST_D, .dst = "10.1.0.1"}, DROP_POLICY_DISCARD);
	put_host(DMZ, &(struct ip4){.src = "10.1.0.1", .dst = HOST_D});
	run();
	drops_are(DROP_POLICY_DISCARD, 1);
	/* charon's DROP policies while an address changes: what an SA brings is dropped, too. */
	in = sa(&(struct sa_spec){.dir = SA_DIR_IN, .window = 64});
	policy(SPD_FWD, SPD_DISCARD, "10.2.0.0/16 > 10.1.0.0/16", 0, NULL);
	put_esp(&e, &inward);
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	nothing_left();
}
END_TEST

START_TEST(incomplete)
{
	uint8_t got[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	spd_set_complete(world.r.spd, false);
	refused(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DROP_POLICY_INCOMPLETE);
	refused(LAN, &outward, DROP_POLICY_INCOMPLETE);
	/* Linux's own: charon must be able to speak. */
	put_host(DMZ, &(struct ip4){.src = "10.3.0.1", .dst = HOST_D});
	run();
	no_drops();
	ck_assert_uint_eq(take(world.tx[DMZ][0], got), 100);
	delivered(DMZ, &(struct ip4){.src = HOST_D, .dst = "10.3.0.1"}, PUNT_OTHER);
	spd_set_complete(world.r.spd, true);
	passes(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DMZ);
}
END_TEST

START_TEST(defaults)
{
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];

	for (unsigned int from = 0; from < PORTS; from++) {
		static const char *const hosts[PORTS] = {HOST_A, PEER, HOST_D};

		for (unsigned int to = 0; to < PORTS; to++)
			if (from != to)
				refused(from, &(struct ip4){.src = hosts[from], .dst = hosts[to]},
					DROP_POLICY_DEFAULT);
		refused(from, &(struct ip4){.src = hosts[from], .dst = "10.1.0.1"},
			DROP_POLICY_DEFAULT);
	}
	put_host(LAN, &(struct ip4){.src = "10.1.0.1", .dst = HOST_A});
	run();
	drops_are(DROP_POLICY_DEFAULT, 1);
	nothing_left();
	/* A policy is stronger. */
	policy(SPD_OUT, SPD_BYPASS, "10.1.0.0/16 > 10.3.0.0/16", 0, NULL);
	passes(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DMZ);
	policy(SPD_IN, SPD_BYPASS, "10.1.0.0/16 > 10.1.0.1/32", 0, NULL);
	delivered(LAN, &(struct ip4){.src = HOST_A, .dst = "10.1.0.1"}, PUNT_OTHER);
	/* Out of a tunnel, as its policy says. */
	tunnel(0, 64, &in, &out);
	put_esp(&e, &inward);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
	nothing_left();
}
END_TEST

/* RFC 4301, 4.4.1.1: ranges of addresses, and ICMP by type and code, each way. */
START_TEST(ranges_and_icmp)
{
	struct spd_policy_conf conf = {.sel = {.src = address("10.1.0.2"),
					       .src_last = address("10.1.0.4"),
					       .dst = address("10.3.0.2"),
					       .dst_last = address("10.3.0.9"),
					       .proto = IPPROTO_ICMP,
					       .src_port_lo = 8,
					       .src_port_hi = 8,
					       .dst_port_hi = 0},
		.priority = 1,
		.dir = SPD_OUT,
		.action = SPD_BYPASS};
	struct ip4 p = {.src = "10.1.0.2", .dst = "10.3.0.2", .proto = IPPROTO_ICMP, .sport = 8};

	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	passes(LAN, &p, DMZ);
	p.dport = 1; /* code */
	refused(LAN, &p, DROP_POLICY_DEFAULT);
	p.dport = 0;
	p.sport = 13; /* type */
	refused(LAN, &p, DROP_POLICY_DEFAULT);
	p.sport = 8;
	p.src = "10.1.0.5";
	refused(LAN, &p, DROP_POLICY_DEFAULT);
	p.src = "10.1.0.1";
	refused(LAN, &p, DROP_POLICY_DEFAULT);
	p.src = "10.1.0.4";
	passes(LAN, &p, DMZ);
	/* Forwarded in, and to us. */
	conf.dir = SPD_FWD;
	conf.action = SPD_DISCARD;
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	refused(LAN, &p, DROP_POLICY_DISCARD);
	conf.dir = SPD_IN;
	conf.action = SPD_BYPASS;
	conf.sel.dst = conf.sel.dst_last = address("10.1.0.1");
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	p.dst = "10.1.0.1";
	delivered(LAN, &p, PUNT_OTHER);
	p.sport = 0;
	refused(LAN, &p, DROP_POLICY_DEFAULT);
}
END_TEST

/* A mark is that of the port that a packet came in by, or of the SA that opened it; plain policies take both. */
START_TEST(marks_and_interface_ids)
{
	struct spd_policy_conf conf;
	struct esp e = ESP_IN(1);
	uint8_t got[PACKET_MAX];
	struct spd_policy *fwd;

	worker(0)->port[LAN].mark = 0x15;
	conf = policy(SPD_OUT, SPD_BYPASS, "10.1.0.0/16 > 10.3.0.0/16", 0, NULL)->conf;
	ck_assert_int_eq(spd_del(world.r.spd, &conf), 0);
	conf.mark = 0x10;
	conf.mark_mask = 0xf0;
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	passes(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DMZ);
	/* The same packet by another port, and our own. */
	refused(WAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DROP_POLICY_DEFAULT);
	put_host(DMZ, &(struct ip4){.src = "10.1.0.1", .dst = HOST_D});
	run();
	drops_are(DROP_POLICY_DEFAULT, 1);
	/* What an SA opens has the SA's. */
	tunnel(0, 64, &in, &out);
	put_esp(&e, &inward);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
	sa_at(in)->if_id = 5;
	e.sqn++;
	put_esp(&e, &inward);
	run();
	drops_are(DROP_POLICY_MISMATCH, 1);
	fwd = policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
	conf = fwd->conf;
	conf.if_id = 5;
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	e.sqn++;
	put_esp(&e, &inward);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
	/* In clear it has no interface id: the plain policy still protects. */
	refused(WAN, &inward, DROP_POLICY_CLEAR);
	/* The mark goes with it to the outbound policies. */
	sa_at(in)->mark = 0x31;
	conf = policy(SPD_OUT, SPD_BYPASS, "10.2.0.0/16 > 10.1.0.0/16", 0, NULL)->conf;
	conf.mark = 0x31;
	conf.mark_mask = UINT32_MAX;
	conf.action = SPD_DISCARD;
	conf.priority = 1;
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	e.sqn++;
	put_esp(&e, &inward);
	run();
	drops_are(DROP_POLICY_DISCARD, 1);
	nothing_left();
}
END_TEST

/* The default of a pair of ports is that of one direction. */
START_TEST(port_pairs)
{
	refused(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DROP_POLICY_DEFAULT);
	world.r.pair_bypass[LAN][DMZ] = true;
	passes(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_D}, DMZ);
	refused(DMZ, &(struct ip4){.src = HOST_D, .dst = HOST_A}, DROP_POLICY_DEFAULT);
	refused(LAN, &(struct ip4){.src = HOST_A, .dst = PEER}, DROP_POLICY_DEFAULT);
}
END_TEST

static void
charon(void)
{
	socket_add("0.0.0.0", 500, true, false);
	socket_add("0.0.0.0", 4500, true, true);
}

/* IKE to us passes whatever the policies say; nobody else does. */
START_TEST(ike_in)
{
	static const struct {
		struct ip4 p;
		enum drop_reason reason;
	} bad[] = {
		{{.src = PEER, .dst = US, .dport = 501}, DROP_POLICY_DEFAULT},
		{{.src = PEER, .dst = US, .sport = 500, .dport = 1000}, DROP_POLICY_DEFAULT},
		{{.src = PEER, .dst = US, .proto = IPPROTO_TCP, .dport = 500}, DROP_POLICY_DEFAULT},
		{{.src = PEER, .dst = US, .dport = 500, .len = 23}, DROP_POLICY_DEFAULT},
		/* A host behind us, and one before. */
		{{.src = PEER, .dst = HOST_A, .dport = 500}, DROP_POLICY_DEFAULT},
		{{.src = PEER, .dst = HOST_A, .sport = 4500, .dport = 4500}, DROP_POLICY_DEFAULT},
		/* Everybody on the link is not a local address. */
		{{.src = PEER, .dst = "224.0.0.1", .dport = 500}, DROP_POLICY_DEFAULT},
		{{.src = PEER, .dst = "255.255.255.255", .dport = 500}, DROP_POLICY_DEFAULT},
	};

	charon();
	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		refused(WAN, &bad[i].p, bad[i].reason);
	policy(SPD_IN, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	delivered(WAN, &(struct ip4){.src = PEER, .dst = US, .sport = 500, .dport = 500}, PUNT_IKE);
	delivered(WAN, &(struct ip4){.src = PEER, .dst = US, .sport = 7, .dport = 500}, PUNT_IKE);
	refused(WAN, &(struct ip4){.src = PEER, .dst = US, .dport = 501}, DROP_POLICY_CLEAR);
	/* A socket with an address is for that address. */
	world.sockets.s[0].addr = address(US);
	delivered(WAN, &(struct ip4){.src = PEER, .dst = US, .dport = 500}, PUNT_IKE);
	refused(WAN, &(struct ip4){.src = PEER, .dst = "10.1.0.1", .dport = 500},
		DROP_POLICY_CLEAR);
	world.sockets.n = 0;
	refused(WAN, &(struct ip4){.src = PEER, .dst = US, .dport = 500}, DROP_POLICY_CLEAR);
	/* Nothing of all this says that the peer of an SA lives. */
	ck_assert_uint_eq(policies_used(), 0);
}
END_TEST

START_TEST(ike_out)
{
	struct ip4 p = {.src = US, .dst = PEER, .sport = 500, .dport = 500};
	uint8_t got[PACKET_MAX];

	charon();
	policy(SPD_OUT, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	put_host(WAN, &p);
	run();
	no_drops();
	ck_assert_uint_eq(take(world.tx[WAN][0], got), 100);
	for (unsigned int i = 0; i < 5; i++) {
		struct ip4 bad = p;

		if (i == 0)
			bad.sport = 501;
		if (i == 1)
			bad.src = HOST_A; /* Linux forwards for somebody */
		if (i == 2)
			bad.proto = IPPROTO_TCP;
		if (i == 3)
			bad.frag = 0x0001;
		if (i == 4)
			bad.len = 23;
		put_host(WAN, &bad);
		run();
		drops_are(DROP_POLICY_NO_SA, 1);
	}
	/* A host behind us that uses the port, also with our address. */
	refused(LAN, &(struct ip4){.src = HOST_A, .dst = PEER, .sport = 500, .dport = 500},
		DROP_POLICY_NO_SA);
	refused(LAN, &(struct ip4){.src = HOST_A, .dst = PEER, .sport = 4500, .dport = 4500},
		DROP_POLICY_NO_SA);
	refused(LAN, &p, DROP_POLICY_NO_SA);
	nothing_left();
}
END_TEST

static void
piece(const char *src, const char *dst, uint16_t port, uint16_t id, uint16_t frag, bool passes)
{
	uint8_t got[PACKET_MAX];

	put_host(WAN, &(struct ip4){.src = src,
			      .dst = dst,
			      .sport = port,
			      .dport = 500,
			      .id = id,
			      .frag = frag});
	run();
	drops_are(DROP_POLICY_NO_SA, passes ? 0 : 1);
	ck_assert_uint_eq(take(world.tx[WAN][0], got), passes ? 100 : 0);
}

/* Messages that Linux cut up: what follows a first piece of IKE's, in the same datagram, is IKE. */
START_TEST(ike_out_in_pieces)
{
	enum { MF = 0x2000 };

	charon();
	policy(SPD_OUT, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	piece(US, PEER, 500, 77, MF | 10, false); /* before its first */
	piece(US, PEER, 500, 77, MF, true);
	piece(US, PEER, 0, 77, MF | 10, true);
	piece(US, PEER, 0, 78, MF | 10, false);
	piece(US, HOST_B, 0, 77, MF | 10, false);
	piece("10.1.0.1", PEER, 0, 77, MF | 10, false);
	piece(US, PEER, 0, 77, 20, true);
	piece(US, PEER, 0, 77, 20, false); /* it was the last */
	/* Another port, also after one of IKE's that has the number. */
	piece(US, PEER, 501, 79, MF, false);
	piece(US, PEER, 0, 79, 10, false);
	/* Several at a time, and not for ever. */
	for (uint16_t id = 100; id < 104; id++)
		piece(US, PEER, 500, id, MF, true);
	for (uint16_t id = 100; id < 103; id++)
		piece(US, PEER, 0, id, 10, true);
	wait_ms(1001);
	piece(US, PEER, 0, 103, 10, false);
	/* One that came from elsewhere is nobody's of ours. */
	piece(US, PEER, 500, 110, MF, true);
	refused(LAN, &(struct ip4){.src = US, .dst = PEER, .id = 110, .frag = 10},
		DROP_POLICY_NO_SA);
	/* A whole message leaves nothing behind. */
	piece(US, PEER, 500, 120, 0, true);
	piece(US, PEER, 0, 120, 10, false);
}
END_TEST

TCase *
nodes_policy_case(void)
{
	TCase *tc = tcase_create("policy");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, spoofed_in_clear);
	tcase_add_test(tc, fragments_without_ports);
	tcase_add_test(tc, from_outside);
	tcase_add_test(tc, from_a_tunnel_outside);
	tcase_add_test(tc, dccp);
	tcase_add_test(tc, uses_no_policy);
	tcase_add_test(tc, alike_in_a_burst);
	tcase_add_test(tc, no_sa);
	tcase_add_test(tc, held_up_while_rekeyed);
	tcase_add_test(tc, mismatch);
	tcase_add_test(tc, audit);
	tcase_add_test(tc, as_policies_change);
	tcase_add_test(tc, discard);
	tcase_add_test(tc, incomplete);
	return tc;
}

TCase *
nodes_policy_closed_case(void)
{
	TCase *tc = tcase_create("policy-closed");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_closed, world_stop);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, ranges_and_icmp);
	tcase_add_test(tc, marks_and_interface_ids);
	tcase_add_test(tc, port_pairs);
	tcase_add_test(tc, ike_in);
	tcase_add_test(tc, ike_out);
	tcase_add_test(tc, ike_out_in_pieces);
	return tc;
}

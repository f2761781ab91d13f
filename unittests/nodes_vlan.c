/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

/* VLAN 100 of the port wan (802.1Q): 10.9.0.0/24, and what is behind 10.9.0.2. */

#define VID 100
#define HOST_V "10.9.0.2"

static const struct ip4 to_lan = {.src = HOST_V, .dst = HOST_A};

static void
start(void)
{
	const struct world_conf conf = {.workers = 1, .mtu = 1500, .frames = 16, .vlan = VID};

	world_start(&conf);
}

static void
start_discarding(void)
{
	const struct world_conf conf = {
		.workers = 1, .mtu = 1500, .frames = 16, .vlan = VID, .discard = true};

	world_start(&conf);
}

/* A next hop on the VLAN, as the mirror of Linux makes it. */
static void
vlan_route(void)
{
	const uint8_t ours[6] = {2, 0, 0, 0, 0, WAN}, theirs[6] = {2, 0, 0, 0, 1, 9};
	struct ip_addr a = address(HOST_V);
	uint32_t nh;

	ck_assert_int_eq(fib_nh_adj(world.r.fib, VLAN_PORT, &a, ours, 1500, &nh), 0);
	fib_nh_resolve(world.r.fib, nh, theirs);
	route("10.9.0.0/24", nh);
}

/* A frame to WAN with that tag; n_tags of them. */
static struct rte_mbuf *
tagged(uint16_t tci, unsigned int n_tags, const struct ip4 *p)
{
	uint8_t ip[PACKET_MAX];
	uint16_t len = ip4_build(ip, p);
	struct rte_mbuf *m = frame(WAN, ip, len);
	const uint8_t tag[4] = {0x81, 0, tci >> 8, tci};

	while (n_tags-- > 0) {
		uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(m, 4);

		ck_assert_ptr_nonnull(eth);
		memmove(eth, eth + 4, 12);
		memcpy(eth + 12, tag, 4);
	}
	return m;
}

START_TEST(comes_in)
{
	/* With priorities, too. */
	static const uint16_t tcis[] = {VID, 0x2000 | VID, 0xf000 | VID};
	uint8_t got[PACKET_MAX];

	for (unsigned int i = 0; i < RTE_DIM(tcis); i++) {
		put(world.rx[WAN][0], tagged(tcis[i], 1, &to_lan));
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), 100);
		ck_assert_uint_eq(got[14 + 8], 63);
		nothing_left();
	}
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].rx_packets, 3);
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].rx_bytes, 3 * 114);
}
END_TEST

/* The driver took the tag off. */
START_TEST(stripped)
{
	uint8_t got[PACKET_MAX];
	struct rte_mbuf *m = tagged(0, 0, &to_lan);

	m->vlan_tci = 0x6000 | VID;
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	put(world.rx[WAN][0], m);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].rx_packets, 1);
	m = tagged(0, 0, &to_lan);
	m->vlan_tci = VID + 1;
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	put(world.rx[WAN][0], m);
	run();
	drops_are(DROP_ETHER_VLAN, 1);
	nothing_left();
}
END_TEST

START_TEST(others)
{
	uint8_t got[PACKET_MAX];
	struct rte_mbuf *m;

	put(world.rx[WAN][0], tagged(VID + 1, 1, &to_lan));
	put(world.rx[WAN][0], tagged(0xfff, 1, &to_lan));
	run();
	drops_are(DROP_ETHER_VLAN, 2);
	put(world.rx[WAN][0], tagged(VID, 2, &to_lan));
	run();
	drops_are(DROP_ETHER_TYPE, 1);
	/* A port without VLANs. */
	m = tagged(VID, 1, &to_lan);
	rte_pktmbuf_mtod(m, uint8_t *)[5] = DMZ;
	put(world.rx[DMZ][0], m);
	run();
	drops_are(DROP_ETHER_VLAN, 1);
	/* Cut off within the tag. */
	m = tagged(VID, 1, &to_lan);
	rte_pktmbuf_trim(m, rte_pktmbuf_pkt_len(m) - 16);
	put(world.rx[WAN][0], m);
	run();
	drops_are(DROP_ETHER_SHORT, 1);
	nothing_left();
	/* A priority tag alone is the port's own; several are nobody's, and not taken off one by one. */
	put(world.rx[WAN][0], tagged(0xe000, 1, &to_lan));
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
	for (unsigned int n = 2; n < 4; n++) {
		put(world.rx[WAN][0], tagged(0xe000, n, &to_lan));
		m = tagged(0xe000, n, &to_lan);
		rte_pktmbuf_mtod(m, uint8_t *)[5] = DMZ;
		put(world.rx[DMZ][0], m);
		run();
		drops_are(DROP_ETHER_TYPE, 2);
		m = tagged(0, n - 1, &to_lan);
		m->vlan_tci = 0xe000;
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		put(world.rx[WAN][0], m);
		run();
		drops_are(DROP_ETHER_TYPE, 1);
		nothing_left();
	}
	/* The one with two tags. */
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].rx_packets, 1);
}
END_TEST

static void
is_tagged_frame(const uint8_t *got, uint16_t len, uint16_t ip_len)
{
	ck_assert_uint_eq(len, 4 + ip_len);
	ck_assert_mem_eq(got,
		((uint8_t[]){2, 0, 0, 0, 1, 9, 2, 0, 0, 0, 0, WAN, 0x81, 0, 0, VID, 8, 0}), 18);
	ck_assert(ip4_checksum_right(got + 18));
}

START_TEST(goes_out)
{
	uint8_t got[PACKET_MAX];

	vlan_route();
	for (unsigned int i = 0; i < 40; i++) {
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_V});
		put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = PEER});
	}
	run();
	no_drops();
	for (unsigned int i = 0; i < 40; i++) {
		is_tagged_frame(got, take(world.tx[WAN][0], got), 100);
		ck_assert_uint_eq(sent(WAN, got), 100);
	}
	nothing_left();
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].tx_packets, 40);
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].tx_bytes, 40 * 118);
}
END_TEST

/* What the device's queue does not take was not sent. */
START_TEST(queue_full)
{
	uint8_t got[PACKET_MAX];
	uint64_t n = 0;

	vlan_route();
	for (unsigned int i = 0; i < 20; i++) {
		for (unsigned int k = 0; k < 64; k++)
			put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_V});
		run();
	}
	while (take(world.tx[WAN][0], got) != 0)
		n++;
	ck_assert_uint_lt(n, 20 * 64);
	drops_are(DROP_TX_FULL, 20 * 64 - n);
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].tx_packets, n);
	ck_assert_uint_eq(worker(0)->port[VLAN_PORT].tx_bytes, n * 118);
}
END_TEST

/* Linux's own frames, ARP and IP, leave with the tag; what is for Linux comes to the VLAN's tap without it. */
START_TEST(linux_on_it)
{
	const uint8_t arp[46] = {0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t got[PACKET_MAX], ip[PACKET_MAX];
	struct ip4 p = {.src = HOST_V, .dst = US};
	struct rte_mbuf *m = frame(WAN, arp, sizeof(arp));

	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, 12), (uint8_t[]){8, 6}, 2);
	put(world.vlan_host_rx, m);
	run();
	no_drops();
	ck_assert_uint_eq(take(world.tx[WAN][0], got), 4 + sizeof(arp));
	ck_assert_mem_eq(got + 12, ((uint8_t[]){0x81, 0, 0, VID, 8, 6}), 6);
	put(world.vlan_host_rx,
		frame(WAN, ip, ip4_build(ip, &(struct ip4){.src = US, .dst = HOST_V})));
	run();
	no_drops();
	ck_assert_uint_eq(take(world.tx[WAN][0], got), 104);
	ck_assert_mem_eq(got + 12, ((uint8_t[]){0x81, 0, 0, VID, 8, 0}), 6);
	put(world.rx[WAN][0], tagged(VID, 1, &p));
	run();
	no_drops();
	ck_assert_int_eq(rte_ring_dequeue(world.punt[PUNT_OTHER], (void **)&m), 0);
	ck_assert_uint_eq(pkt(m)->in_port, VLAN_PORT);
	ck_assert_uint_eq(rte_pktmbuf_pkt_len(m), 114);
	ck_assert_mem_eq(rte_pktmbuf_mtod(m, uint8_t *),
		((uint8_t[]){2, 0, 0, 0, 0, WAN, 2, 0, 0, 0, 1, WAN, 8, 0}), 14);
	rte_pktmbuf_free(m);
}
END_TEST

/* It is a port of its own: what its device may do says nothing about it. */
START_TEST(default_action)
{
	vlan_route();
	world.r.pair_bypass[WAN][LAN] = world.r.pair_bypass[LAN][WAN] = true;
	put(world.rx[WAN][0], tagged(VID, 1, &to_lan));
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_V});
	run();
	drops_are(DROP_POLICY_DEFAULT, 2);
	nothing_left();
}
END_TEST

/* A tunnel whose peer is on the VLAN. */
START_TEST(tunnel_over_it)
{
	struct esp e = ESP_IN(1);
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX], got[PACKET_MAX];
	const uint8_t ours[6] = {2, 0, 0, 0, 0, WAN}, theirs[6] = {2, 0, 0, 0, 1, 9};
	const struct ip4 inner = {.src = HOST_B, .dst = HOST_A};
	struct ip_addr a = address(PEER);
	uint32_t in, out, nh;
	struct rte_mbuf *m;
	uint16_t len;

	ck_assert_int_eq(fib_nh_adj(world.r.fib, VLAN_PORT, &a, ours, 1500, &nh), 0);
	fib_nh_resolve(world.r.fib, nh, theirs);
	route(PEER, nh);
	tunnel(0, 64, &in, &out);
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = HOST_B});
	run();
	no_drops();
	len = take(world.tx[WAN][0], got);
	is_tagged_frame(got, len, len - 4);
	ck_assert_uint_eq(got[18 + 9], IPPROTO_ESP);
	ck_assert_uint_ne(esp_open(&key_out, false, 0, got + 38, len - 24, clear), 0);

	len = esp_packet(&e, clear, ip4_build(clear, &inner), 0, 0, packet);
	m = frame(WAN, packet, len);
	m->vlan_tci = VID;
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	put(world.rx[WAN][0], m);
	run();
	no_drops();
	ck_assert_uint_eq(sent(LAN, got), 100);
}
END_TEST

/* Its being outside is its own affair, not its device's. */
START_TEST(outside)
{
	const struct ip4 outward = {.src = HOST_A, .dst = HOST_B};
	uint8_t got[PACKET_MAX];
	uint32_t in, out;

	tunnel(0, 64, &in, &out);
	for (unsigned int vlan = 0; vlan < 2; vlan++) {
		worker(0)->port[WAN].flags = vlan ? 0 : PKT_F_OUTSIDE;
		worker(0)->port[VLAN_PORT].flags = vlan ? PKT_F_OUTSIDE : 0;
		put(world.rx[WAN][0], tagged(VID, vlan ? 1 : 0, &outward));
		run();
		drops_are(DROP_POLICY_OUTSIDE, 1);
		nothing_left();
		put(world.rx[WAN][0], tagged(VID, vlan ? 0 : 1, &outward));
		run();
		no_drops();
		ck_assert_uint_ne(sent(WAN, got), 0);
		nothing_left();
	}
}
END_TEST

TCase *
nodes_vlan_case(void)
{
	TCase *c = tcase_create("vlan");

	tcase_add_checked_fixture(c, start, world_stop);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, comes_in);
	tcase_add_test(c, stripped);
	tcase_add_test(c, others);
	tcase_add_test(c, goes_out);
	tcase_add_test(c, queue_full);
	tcase_add_test(c, linux_on_it);
	tcase_add_test(c, tunnel_over_it);
	tcase_add_test(c, outside);
	return c;
}

TCase *
nodes_vlan_closed_case(void)
{
	TCase *c = tcase_create("vlan closed");

	tcase_add_checked_fixture(c, start_discarding, world_stop);
	tcase_add_test(c, default_action);
	return c;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include "sad.h"

#define SETTLE_MS 5000 /* longer than neighbours and fragments are waited for */

const uint8_t fuzz_ah_key[20] = "key of AH, 20 bytes";

static void
add_ah(uint32_t spi, uint8_t mode, bool six)
{
	struct sa_conf conf = {.src = address(six ? PEER6 : PEER),
		.dst = address(six ? US6 : US),
		.spi = rte_cpu_to_be_32(spi),
		.reqid = REQID,
		.replay_window = 64,
		.int_alg = AUTH_HMAC_SHA1_96,
		.int_key_len = sizeof(fuzz_ah_key),
		.dir = SA_DIR_IN,
		.mode = mode,
		.proto = IPPROTO_AH};
	const char *why = "";
	uint32_t slot;
	int rc = sad_add(world.r.sad, &conf, fuzz_ah_key, false, &slot, &why);

	ck_assert_msg(rc == 0, "%s", why);
}

static struct spd_policy *
protect(enum spd_dir dir, const char *src, const char *dst, uint8_t proto, uint8_t mode,
	uint8_t upper)
{
	struct spd_policy_conf conf = {
		.sel = {.proto = upper, .src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = REQID,
		.priority = 500,
		.dir = dir,
		.action = SPD_PROTECT,
		.mode = mode,
		.proto = proto};

	ck_assert_int_eq(addr_parse_prefix(src, &conf.sel.src, &conf.sel.src_plen), 0);
	ck_assert_int_eq(addr_parse_prefix(dst, &conf.sel.dst, &conf.sel.dst_plen), 0);
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	return spd_find(world.r.spd, &conf);
}

static void
add_policies(void)
{
	static const struct {
		const char *src, *dst;
		uint8_t proto, mode, upper;
	} in[] = {{"10.2.1.0/24", "10.1.0.0/16", IPPROTO_AH, SA_MODE_TUNNEL, 0},
		{"2001:db8:2::/48", "2001:db8:1::/48", IPPROTO_ESP, SA_MODE_TUNNEL, 0},
		{"2001:db8:2:1::/64", "2001:db8:1::/48", IPPROTO_AH, SA_MODE_TUNNEL, 0},
		{PEER, US, IPPROTO_ESP, SA_MODE_TRANSPORT, IPPROTO_UDP},
		{PEER, US, IPPROTO_AH, SA_MODE_TRANSPORT, 253},
		{PEER6, US6, IPPROTO_ESP, SA_MODE_TRANSPORT, IPPROTO_UDP},
		{PEER6, US6, IPPROTO_AH, SA_MODE_TRANSPORT, 253}};
	static const struct sa_spec out = {.dir = SA_DIR_OUT, .spi = SPI_OUT6, .six = true};

	for (unsigned int i = 0; i < RTE_DIM(in); i++)
		for (int dir = SPD_IN; dir <= SPD_FWD; dir += SPD_FWD - SPD_IN)
			protect(dir, in[i].src, in[i].dst, in[i].proto, in[i].mode, in[i].upper);
	spd_bind(world.r.spd,
		protect(SPD_OUT, "2001:db8:1::/48", "2001:db8:2::/48", IPPROTO_ESP, SA_MODE_TUNNEL,
			0),
		sa(&out));
}

void
fuzz_world(void)
{
	const struct world_conf conf = {
		.workers = 1, .mtu = 1500, .frames = 16, .every_device = true, .vlan = 100};
	static const struct sa_spec in[] = {
		{.dir = SA_DIR_IN, .spi = SPI_TRANSPORT, .window = 64, .transport = true},
		{.dir = SA_DIR_IN,
			.spi = SPI_UDP,
			.window = 64,
			.src_port = 4500,
			.dst_port = 4500},
		{.dir = SA_DIR_IN, .spi = SPI_GMAC, .window = 64, .gmac = true},
		{.dir = SA_DIR_IN, .spi = SPI_ESN, .window = 64, .flags = IKE_SA_ESN},
		{.dir = SA_DIR_IN, .spi = SPI_TUNNEL6, .window = 64, .six = true},
		{.dir = SA_DIR_IN,
			.spi = SPI_TRANSPORT6,
			.window = 64,
			.six = true,
			.transport = true},
		{.dir = SA_DIR_IN,
			.spi = SPI_UDP6,
			.window = 64,
			.six = true,
			.src_port = 4500,
			.dst_port = 4500}};
	uint32_t slot_in, slot_out;

	world_start(&conf);
	tunnel(0, 64, &slot_in, &slot_out);
	for (unsigned int i = 0; i < RTE_DIM(in); i++)
		sa(&in[i]);
	for (unsigned int six = 0; six < 2; six++) {
		add_ah(six ? SPI_AH6 : SPI_AH, SA_MODE_TUNNEL, six);
		add_ah(six ? SPI_AH6_TRANSPORT : SPI_AH_TRANSPORT, SA_MODE_TRANSPORT, six);
		socket_add(six ? "::" : "0.0.0.0", 500, true, false);
		socket_add(six ? "::" : "0.0.0.0", 4500, true, true);
	}
	add_policies();
}

static void
check_frame(const uint8_t *frame, uint16_t len)
{
	const uint8_t *ip = frame + 14;

	if (frame[12] == 0x86 && frame[13] == 0xdd) {
		ck_assert_uint_ge(len, 40);
		ck_assert_uint_eq(ip[0] >> 4, 6);
		/* What neighbours say goes to Linux with what fills up its frame. */
		ck_assert_uint_le(40 + (ip[4] << 8 | ip[5]), len);
	}
	if (frame[12] != 8 || frame[13] != 0)
		return;
	ck_assert_uint_ge(len, 20);
	ck_assert_uint_eq(ip[0] >> 4, 4);
	ck_assert_uint_le((ip[0] & 15) * 4, len);
	ck_assert_uint_eq(ip[2] << 8 | ip[3], len);
	ck_assert(ip4_checksum_right(ip));
}

static unsigned int
drain(struct rte_ring *r)
{
	uint8_t got[PACKET_MAX];
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; rte_ring_dequeue(r, (void **)&m) == 0; n++) {
		uint32_t len = rte_pktmbuf_pkt_len(m);
		const void *p = rte_pktmbuf_read(m, 0, len, got);

		ck_assert(p != NULL && len >= 14 && len <= sizeof(got));
		if (p != got)
			memcpy(got, p, len);
		check_frame(got, len - 14);
		rte_pktmbuf_free(m);
	}
	return n;
}

static void
drain_all(void)
{
	uint8_t element[64];

	for (unsigned int i = 0; i < PORTS; i++)
		drain(world.tx[i][0]);
	for (unsigned int i = 0; i < PUNT_CLASSES; i++)
		drain(world.punt[i]);
	while (rte_ring_dequeue_elem(world.neigh, element, sizeof(struct neigh_request)) == 0)
		;
	while (rte_ring_dequeue_elem(world.r.mappings, element, sizeof(struct sa_mapping)) == 0)
		;
}

void
fuzz_settle(void)
{
	run();
	drain_all();
	wait_ms(SETTLE_MS);
	run();
	drain_all();
	ck_assert_uint_eq(worker(0)->drops[DROP_NONE], 0);
	ck_assert_uint_eq(rte_mempool_avail_count(world.r.mbufs), world.r.mbufs->size);
}

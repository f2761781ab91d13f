/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "nodes.h"
#include "replay.h"
#include "transform.h"

#include <stdlib.h>

/*
 * A burst of packets of one SA is what its packets are one by one: devices that work on several side by side
 * (nodes/crypto_sync.h) make the same octets of them, and open them as well. Every transform, in each mode, over and of
 * both families, sizes and segments at random.
 */

#define PACKETS 40
#define SIZE_MAX_ 8800
#define MTU 9000
#define SPI 0x4712

struct burst {
	struct sa_conf conf;
	uint8_t key[SA_KEY_MAX];
	uint32_t in, out;
	struct spd_policy_conf policy;
	bool outer6, inner6;
	uint8_t ip[PACKETS][SIZE_MAX_];
	uint16_t len[PACKETS];
	uint8_t sealed[PACKETS][PACKET_MAX], again[PACKETS][PACKET_MAX];
	uint16_t sealed_len[PACKETS], again_len[PACKETS];
};

static struct burst b;

static unsigned int
below(unsigned int n)
{
	return (eal_rand() >> 16) % n;
}

static bool
tunnel_mode(void)
{
	return b.conf.mode == SA_MODE_TUNNEL;
}

static void
become(const char *peer, const char *peer6)
{
	const char *const addrs[] = {"10.1.0.1", US, "10.3.0.1", LAN6, US6, DMZ6, peer, peer6};

	local_addresses(addrs, RTE_DIM(addrs));
}

static void
add_sas(const struct transform_encr *e, unsigned int key_len, const struct transform_integ *i)
{
	struct sa_conf *c = &b.conf;
	const char *why = "no device has it";

	*c = (struct sa_conf){.spi = rte_cpu_to_be_32(SPI),
		.src = address(b.outer6 ? US6 : US),
		.dst = address(b.outer6 ? PEER6 : PEER),
		.reqid = REQID,
		.mode = b.inner6 == b.outer6 && below(3) == 0 ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL,
		.replay_window = 128,
		.proto = e != NULL ? IPPROTO_ESP : IPPROTO_AH,
		.flags = below(2) ? IKE_SA_ESN : 0};
	if (e != NULL) {
		c->enc_alg = e->id;
		c->enc_key_len = e->salt_len + key_len;
	}
	if (i != NULL) {
		c->int_alg = i->id;
		c->int_key_len = i->key_len;
	}
	if (e != NULL && below(3) == 0) {
		c->flags |= IKE_SA_ENCAP;
		c->src_port = c->dst_port = rte_cpu_to_be_16(4500);
	}
	for (unsigned int k = 0; k < sizeof(b.key); k++)
		b.key[k] = eal_rand() >> 24;
	for (c->dir = SA_DIR_IN; c->dir <= SA_DIR_OUT; c->dir++)
		ck_assert_msg(sad_add(world.r.sad, c, b.key, false,
				      c->dir == SA_DIR_IN ? &b.in : &b.out, &why) == 0,
			"%u with %u: %s", c->enc_alg, c->int_alg, why);
}

static void
protect(enum spd_dir dir)
{
	const char *src = b.inner6 ? HOST6_A : HOST_A, *dst = b.inner6 ? HOST6_B : HOST_B;

	if (!tunnel_mode()) {
		src = b.inner6 ? US6 : US;
		dst = b.inner6 ? PEER6 : PEER;
	}
	b.policy = (struct spd_policy_conf){.sel = {.src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = REQID,
		.dir = dir,
		.action = SPD_PROTECT,
		.mode = b.conf.mode,
		.proto = b.conf.proto};
	addr_parse_prefix(src, &b.policy.sel.src, &b.policy.sel.src_plen);
	addr_parse_prefix(dst, &b.policy.sel.dst, &b.policy.sel.dst_plen);
	ck_assert_int_eq(spd_add(world.r.spd, &b.policy, NULL), 0);
	if (dir == SPD_OUT)
		spd_bind(world.r.spd, spd_find(world.r.spd, &b.policy), b.out);
}

static void
unprotect(void)
{
	ck_assert_int_eq(spd_del(world.r.spd, &b.policy), 0);
}

static void
make_packets(void)
{
	bool t = tunnel_mode();

	for (unsigned int i = 0; i < PACKETS; i++) {
		unsigned int most = below(4) == 0 ? SIZE_MAX_ - 200 : 300;
		struct ip4 p4 = {.src = t ? HOST_A : US,
			.dst = t ? HOST_B : PEER,
			.proto = 253,
			.len = 20 + 1 + below(most),
			.id = i};
		struct ip6 p6 = {.src = t ? HOST6_A : US6,
			.dst = t ? HOST6_B : PEER6,
			.proto = 253,
			.len = 40 + 1 + below(most)};

		b.len[i] = b.inner6 ? ip6_build(b.ip[i], &p6) : ip4_build(b.ip[i], &p4);
	}
}

/* A frame, in a few segments now and then. */
static struct rte_mbuf *
segments(unsigned int port, const uint8_t *ip, uint16_t len)
{
	uint16_t cuts[3], n = 0, at = 60;
	struct rte_mbuf *m;

	if (below(5) == 0)
		while (n < RTE_DIM(cuts) && at + 2 < len)
			cuts[n++] = at += 1 + below((len - at) / 2);
	m = frame_cut(port, ip, len, cuts, n);
	return ip[0] >> 4 == 6 ? as_ip6(m) : m;
}

/* What leaves, in order. */
static void
take_sealed(uint8_t (*to)[PACKET_MAX], uint16_t *len, unsigned int from, unsigned int n)
{
	for (unsigned int i = from; i < from + n; i++) {
		len[i] = sent(WAN, to[i]);
		ck_assert_msg(len[i] != 0, "packet %u of %u was not sealed", i, n);
	}
	nothing_left();
	no_drops();
}

static void
seal(bool together, uint8_t (*to)[PACKET_MAX], uint16_t *len)
{
	atomic_store(&sa_at(b.out)->sqn, 0);
	for (unsigned int i = 0; i < PACKETS; i++) {
		put(tunnel_mode() ? world.rx[LAN][0] : world.host_rx[LAN],
			segments(LAN, b.ip[i], b.len[i]));
		if (together)
			continue;
		run();
		take_sealed(to, len, i, 1);
	}
	if (!together)
		return;
	run();
	take_sealed(to, len, 0, PACKETS);
}

static void
check_opened(unsigned int i)
{
	uint8_t got[PACKET_MAX], *ip = got + 14, hops = b.inner6 ? 7 : 8;
	uint16_t len = tunnel_mode() ? sent(WAN, got) : punted(PUNT_OTHER, got);

	ck_assert_msg(len == b.len[i], "packet %u: %u bytes of %u: transform %u/%u, mode %u", i,
		len, b.len[i], b.conf.enc_alg, b.conf.int_alg, b.conf.mode);
	if (tunnel_mode())
		ck_assert_uint_eq(ip[hops], b.ip[i][hops] - 2);
	ip[hops] = b.ip[i][hops];
	if (!b.inner6)
		memcpy(ip + 10, b.ip[i] + 10, 2); /* the checksum of it */
	ck_assert_mem_eq(ip, b.ip[i], len);
}

static void
open(bool together, uint8_t (*from)[PACKET_MAX], const uint16_t *len)
{
	struct sa *sa = sa_at(b.in);

	replay_init(sa->replay, sa->replay->window);
	for (unsigned int i = 0; i < PACKETS; i++) {
		put(world.rx[WAN][0], segments(WAN, from[i] + 14, len[i]));
		if (together)
			continue;
		run();
		check_opened(i);
	}
	run();
	for (unsigned int i = 0; together && i < PACKETS; i++)
		check_opened(i);
	nothing_left();
	no_drops();
}

static void
try_one(const struct transform_encr *e, unsigned int key_len, const struct transform_integ *integ)
{
	become("10.3.0.9", "2001:db8:3::9");
	add_sas(e, key_len, integ);
	make_packets();
	protect(SPD_OUT);
	seal(true, b.sealed, b.sealed_len);
	seal(false, b.again, b.again_len);
	for (unsigned int i = 0; i < PACKETS; i++) {
		unsigned int at = 14 + (b.outer6 ? 40 : 20);

		ck_assert_uint_eq(b.sealed_len[i], b.again_len[i]);
		/* CBC's IVs are random, and AH signs the id of IPv4. */
		if (e != NULL && e->id != ENCR_AES_CBC)
			ck_assert_msg(memcmp(b.sealed[i] + at, b.again[i] + at,
					      14 + b.sealed_len[i] - at) == 0,
				"packet %u of a burst is another: transform %u/%u", i, e->id,
				b.conf.int_alg);
	}
	unprotect();
	become(PEER, PEER6);
	protect(tunnel_mode() ? SPD_FWD : SPD_IN);
	open(false, b.sealed, b.sealed_len);
	open(true, b.again, b.again_len);
	unprotect();
	ck_assert_int_eq(sad_del(world.r.sad, b.in), 0);
	ck_assert_int_eq(sad_del(world.r.sad, b.out), 0);
	run();
}

static const uint16_t ciphers[] = {ENCR_AES_GCM_16, ENCR_AES_GCM_12, ENCR_AES_GCM_8,
	ENCR_CHACHA20_POLY1305, ENCR_AES_CCM_16, ENCR_AES_CCM_12, ENCR_AES_CCM_8,
	ENCR_NULL_AUTH_AES_GMAC, ENCR_AES_CBC, ENCR_AES_CTR, ENCR_NULL};
static const uint16_t integs[] = {AUTH_HMAC_SHA1_96, AUTH_HMAC_SHA2_256_128, AUTH_HMAC_SHA2_256_96,
	AUTH_HMAC_SHA2_384_192, AUTH_HMAC_SHA2_512_256, AUTH_AES_XCBC_96, AUTH_AES_CMAC_96};

static void
every_transform(void)
{
	for (unsigned int k = 0; k < RTE_DIM(ciphers); k++) {
		const struct transform_encr *e = transform_encr(ciphers[k]);
		unsigned int n = e->icv_len == 0 ? RTE_DIM(integs) : 1;

		for (unsigned int i = 0; i < n; i++)
			for (unsigned int l = 0; l < RTE_DIM(e->key_lens); l++)
				if (e->key_lens[l] != 0 || l == 0)
					try_one(e, e->key_lens[l],
						e->icv_len == 0 ? transform_integ(integs[i])
								: NULL);
	}
	for (unsigned int i = 0; i < RTE_DIM(integs); i++)
		try_one(NULL, 0, transform_integ(integs[i]));
}

/* _i: outer and inner family. */
START_TEST(bursts)
{
	b.outer6 = _i & 1;
	b.inner6 = _i & 2;
	socket_add("0.0.0.0", 4500, true, true);
	socket_add("::", 4500, true, true);
	every_transform();
}
END_TEST

static void
start(void)
{
	const struct world_conf conf = {
		.workers = 1, .mtu = MTU, .frames = 16, .every_device = true};

	world_start(&conf);
}

TCase *
nodes_burst_case(void)
{
	TCase *c = tcase_create("burst");

	tcase_set_tags(c, WORLD_CRYPTO);
	tcase_add_checked_fixture(c, start, world_stop);
	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, bursts, 0, 4);
	return c;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes_pair.h"
#include "replay.h"

/*
 * A burst of packets of one SA is what its packets are one by one: devices that work on several side by side
 * (nodes/crypto_sync.h) make the same octets of them, and open them as well. Every transform, in each mode, over and of
 * both families, sizes and segments at random.
 */

#define PACKETS 40
#define SIZE_MAX_ 8800
#define SPI 0x4712

struct burst {
	struct pair pair;
	uint8_t ip[PACKETS][SIZE_MAX_];
	uint16_t len[PACKETS];
	uint8_t sealed[PACKETS][PACKET_MAX], again[PACKETS][PACKET_MAX];
	uint16_t sealed_len[PACKETS], again_len[PACKETS];
};

static struct burst b;

static void
choose(const struct transform_encr *e, unsigned int key_len, const struct transform_integ *i)
{
	struct sa_conf *c = &b.pair.conf;

	pair_choose(&b.pair, e, key_len, i);
	if (b.pair.inner6 == b.pair.outer6 && below(3) == 0)
		c->mode = SA_MODE_TRANSPORT;
	c->replay_window = 128;
	c->flags = below(2) ? IKE_SA_ESN : 0;
	if (e != NULL && below(3) == 0) {
		c->flags |= IKE_SA_ENCAP;
		c->src_port = c->dst_port = rte_cpu_to_be_16(4500);
	}
}

static void
make_packets(void)
{
	for (unsigned int i = 0; i < PACKETS; i++) {
		unsigned int most = below(4) == 0 ? SIZE_MAX_ - 200 : 300;
		struct ip4 p4 = {.src = pair_src(&b.pair),
			.dst = pair_dst(&b.pair),
			.proto = 253,
			.len = 20 + 1 + below(most),
			.id = i};
		struct ip6 p6 = {.src = pair_src(&b.pair),
			.dst = pair_dst(&b.pair),
			.proto = 253,
			.len = 40 + 1 + below(most)};

		b.len[i] = b.pair.inner6 ? ip6_build(b.ip[i], &p6) : ip4_build(b.ip[i], &p4);
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
	atomic_store(&sa_at(b.pair.out)->sqn, 0);
	for (unsigned int i = 0; i < PACKETS; i++) {
		pair_send(&b.pair, segments(LAN, b.ip[i], b.len[i]));
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
	uint8_t got[PACKET_MAX], *ip = got + 14, hops = b.pair.inner6 ? 7 : 8;
	uint16_t len = pair_opened(&b.pair, got);

	ck_assert_msg(len == b.len[i], "packet %u: %u bytes of %u: transform %u/%u, mode %u", i,
		len, b.len[i], b.pair.conf.enc_alg, b.pair.conf.int_alg, b.pair.conf.mode);
	if (pair_tunnel(&b.pair))
		ck_assert_uint_eq(ip[hops], b.ip[i][hops] - 2);
	ip[hops] = b.ip[i][hops];
	if (!b.pair.inner6)
		memcpy(ip + 10, b.ip[i] + 10, 2); /* the checksum of it */
	ck_assert_mem_eq(ip, b.ip[i], len);
}

static void
open(bool together, uint8_t (*from)[PACKET_MAX], const uint16_t *len)
{
	struct sa *sa = sa_at(b.pair.in);

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
	choose(e, key_len, integ);
	pair_add(&b.pair, SPI);
	make_packets();
	pair_seals(&b.pair);
	seal(true, b.sealed, b.sealed_len);
	seal(false, b.again, b.again_len);
	for (unsigned int i = 0; i < PACKETS; i++) {
		unsigned int at = 14 + (b.pair.outer6 ? 40 : 20);

		ck_assert_uint_eq(b.sealed_len[i], b.again_len[i]);
		/* CBC's IVs are random, and AH signs the id of IPv4. */
		if (e != NULL && e->id != ENCR_AES_CBC)
			ck_assert_msg(memcmp(b.sealed[i] + at, b.again[i] + at,
					      14 + b.sealed_len[i] - at) == 0,
				"packet %u of a burst is another: transform %u/%u", i, e->id,
				b.pair.conf.int_alg);
	}
	pair_opens(&b.pair);
	open(false, b.sealed, b.sealed_len);
	open(true, b.again, b.again_len);
	pair_delete(&b.pair);
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
	b.pair.outer6 = _i & 1;
	b.pair.inner6 = _i & 2;
	every_transform();
}
END_TEST

/*
 * Whether few packets in a row or many, of a device that works on several side by side: what is done at once overtakes nothing that
 * waits for its frame.
 */
START_TEST(runs_keep_their_order)
{
	const struct transform_encr *cbc = transform_encr(ENCR_AES_CBC);
	struct ip4 p = {.src = HOST_A, .dst = HOST_B, .proto = 253, .len = 100};
	uint8_t got[PACKET_MAX], ip[PACKET_MAX];
	uint32_t last = 0, seq;

	memset(&b.pair, 0, sizeof(b.pair));
	pair_choose(&b.pair, cbc, 16, transform_integ(AUTH_HMAC_SHA1_96));
	b.pair.conf.flags = 0;
	pair_add(&b.pair, SPI);
	pair_seals(&b.pair);
	for (unsigned int i = 0; i < 300; i++) {
		for (unsigned int n = 1 + below(i % 2 ? 30 : 5); n > 0; n--)
			pair_send(&b.pair, frame(LAN, ip, ip4_build(ip, &p)));
		for (unsigned int n = below(3); n > 0; n--)
			walk_all();
		for (uint16_t len; (len = sent(WAN, got)) != 0; last = seq) {
			memcpy(&seq, got + 14 + 20 + 4, sizeof(seq));
			seq = rte_be_to_cpu_32(seq);
			ck_assert_uint_eq(seq, last + 1);
		}
	}
	run();
	no_drops();
	pair_delete(&b.pair);
}
END_TEST

TCase *
nodes_burst_case(void)
{
	TCase *c = tcase_create("burst");

	tcase_set_tags(c, WORLD_CRYPTO);
	tcase_add_checked_fixture(c, pair_world, world_stop);
	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, bursts, 0, 4);
	tcase_add_test(c, runs_keep_their_order);
	return c;
}

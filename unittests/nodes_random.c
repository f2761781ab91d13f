/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "nodes.h"
#include "transform.h"

#include <stdlib.h>

/*
 * Whatever goes in comes out as it was, or is refused with a reason: random packets in random segments, through
 * SAs of random transforms, sealed and opened by the real nodes. The router seals to PEER, and then becomes PEER.
 * CYGNET_ROUNDS: how many pairs of SAs.
 */

#define ROUNDS 120
#define PACKETS 16
#define SIZE_MAX_ 9020
#define MTU 9000
#define SPI 0x4711

static const uint16_t ciphers[] = {ENCR_AES_GCM_16, ENCR_AES_GCM_12, ENCR_AES_GCM_8,
	ENCR_CHACHA20_POLY1305, ENCR_AES_CCM_16, ENCR_AES_CCM_12, ENCR_AES_CCM_8,
	ENCR_NULL_AUTH_AES_GMAC, ENCR_AES_CBC, ENCR_AES_CTR, ENCR_NULL};
static const uint16_t integs[] = {AUTH_HMAC_SHA1_96, AUTH_HMAC_SHA2_256_128, AUTH_HMAC_SHA2_256_96,
	AUTH_HMAC_SHA2_384_192, AUTH_HMAC_SHA2_512_256, AUTH_AES_XCBC_96, AUTH_AES_CMAC_96};

struct packet {
	uint8_t ip[SIZE_MAX_];
	uint16_t len;
	bool single; /* in one segment */
	bool came; /* in part or whole */
	uint16_t got; /* bytes of payload */
};

struct round {
	struct sa_conf conf;
	uint8_t key[SA_KEY_MAX];
	uint32_t in, out;
	struct spd_policy_conf policy;
	uint16_t mtu; /* of the SA's path; 0: not known */
	struct packet packets[PACKETS];
};

static unsigned int equal, refused, cut_up;

static unsigned int
below(unsigned int n)
{
	return (eal_rand() >> 16) % n;
}

static bool
one_in(unsigned int n)
{
	return below(n) == 0;
}

static void
choose_transform(struct sa_conf *c)
{
	const struct transform_encr *e = transform_encr(ciphers[below(RTE_DIM(ciphers))]);
	const struct transform_integ *i = transform_integ(integs[below(RTE_DIM(integs))]);
	unsigned int n = 0;

	c->proto = one_in(6) ? IPPROTO_AH : IPPROTO_ESP;
	if (c->proto == IPPROTO_ESP) {
		while (n < RTE_DIM(e->key_lens) && e->key_lens[n] != 0)
			n++;
		c->enc_alg = e->id;
		c->enc_key_len = e->salt_len + (n > 0 ? e->key_lens[below(n)] : 0);
	}
	if (c->proto == IPPROTO_AH || e->icv_len == 0) {
		c->int_alg = i->id;
		c->int_key_len = i->key_len;
	}
}

static void
choose(struct round *r)
{
	struct sa_conf *c = &r->conf;

	memset(r, 0, sizeof(*r));
	choose_transform(c);
	c->spi = rte_cpu_to_be_32(SPI);
	c->src = address(US);
	c->dst = address(PEER);
	c->reqid = REQID;
	c->mode = one_in(3) ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL;
	c->replay_window = one_in(3) ? 0 : 1 + below(4096);
	c->fragment = below(3);
	if (c->replay_window != 0 && one_in(2))
		c->flags |= IKE_SA_ESN;
	if (one_in(3))
		c->flags |= IKE_SA_COPY_DF;
	if (c->proto == IPPROTO_ESP && one_in(3)) {
		c->flags |= IKE_SA_ENCAP;
		c->src_port = c->dst_port = rte_cpu_to_be_16(4500);
	}
	if (c->proto == IPPROTO_ESP && c->mode == SA_MODE_TUNNEL && one_in(4))
		c->tfc = one_in(2) ? SA_TFC_MTU : below(MTU);
	for (unsigned int i = 0; i < sizeof(r->key); i++)
		r->key[i] = eal_rand() >> 24;
	r->mtu = one_in(2) ? 0 : 576 + below(MTU - 576);
}

static void
add_sas(struct round *r)
{
	const char *why = "no device has it";

	for (uint8_t dir = SA_DIR_IN; dir <= SA_DIR_OUT; dir++) {
		r->conf.dir = dir;
		ck_assert_msg(sad_add(world.r.sad, &r->conf, r->key, false,
				      dir == SA_DIR_IN ? &r->in : &r->out, &why) == 0,
			"%u with %u: %s", r->conf.enc_alg, r->conf.int_alg, why);
	}
	atomic_store(&sa_at(r->out)->mtu, r->mtu);
}

/* The packets of the round are protected. */
static void
protect(struct round *r, enum spd_dir dir)
{
	r->policy = (struct spd_policy_conf){.sel = {.src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = REQID,
		.dir = dir,
		.action = SPD_PROTECT,
		.mode = r->conf.mode,
		.proto = r->conf.proto};
	addr_parse_prefix(r->conf.mode == SA_MODE_TUNNEL ? HOST_A : US, &r->policy.sel.src,
		&r->policy.sel.src_plen);
	addr_parse_prefix(r->conf.mode == SA_MODE_TUNNEL ? HOST_B : PEER, &r->policy.sel.dst,
		&r->policy.sel.dst_plen);
	ck_assert_int_eq(spd_add(world.r.spd, &r->policy, NULL), 0);
	if (dir == SPD_OUT)
		spd_bind(world.r.spd, spd_find(world.r.spd, &r->policy), r->out);
}

static void
become(const char *peer)
{
	const char *const addrs[] = {"10.1.0.1", US, "10.3.0.1", peer};

	local_addresses(addrs, RTE_DIM(addrs));
}

static struct rte_mbuf *
cut_randomly(unsigned int port, const void *ip, uint16_t len, bool single)
{
	uint16_t cuts[6], n = single ? 0 : below(RTE_DIM(cuts)) + 1, at = 0;

	for (uint16_t i = 0; i < n; i++) {
		/* Drivers put the headers into the first one; a few times they are torn apart, too. */
		uint16_t from = at == 0 && !one_in(16) ? RTE_MIN(60, len) : at + 1;

		if (from >= len) {
			n = i;
			break;
		}
		cuts[i] = at = from + below((len - from + 1) / 2 + 1);
		if (at >= len)
			n = i;
	}
	return frame_cut(port, ip, len, cuts, n);
}

static uint16_t
random_packet(const struct round *r, uint16_t id, uint8_t *ip)
{
	bool tunnel = r->conf.mode == SA_MODE_TUNNEL;
	uint16_t most = one_in(2) ? 1500 : 9000;
	struct ip4 p = {.src = tunnel ? HOST_A : US,
		.dst = tunnel ? HOST_B : PEER,
		.proto = 253,
		.len = 20 + 1 + below(most),
		.frag = one_in(4) ? 0x4000 : 0,
		.tos = below(64) << 2,
		.id = id};

	return ip4_build(ip, &p);
}

static unsigned int
drops_now(void)
{
	/* What a packet may be refused for here. */
	static const uint8_t reasons[] = {DROP_IP4_SHORT, DROP_IP4_MTU, DROP_ESP_NO_HEADROOM,
		DROP_FRAGMENT_FULL, DROP_FRAGMENT_INVALID};
	unsigned int n = 0;

	for (unsigned int i = 0; i < RTE_DIM(reasons); i++) {
		n += worker(0)->drops[reasons[i]];
		worker(0)->drops[reasons[i]] = 0;
	}
	no_drops();
	return n;
}

/* An ICMP error about a packet with DF is the one thing that comes back. */
static void
take_errors(const struct round *r)
{
	uint8_t got[PACKET_MAX];
	bool tunnel = r->conf.mode == SA_MODE_TUNNEL;

	while (tunnel ? sent(LAN, got) != 0 : punted(PUNT_OTHER, got) != 0) {
		ck_assert_uint_eq(got[14 + 9], IPPROTO_ICMP);
		ck_assert_uint_eq(got[14 + 20], 3);
		ck_assert_uint_eq(got[14 + 21], 4);
	}
}

/* Seals one packet; what comes of it waits on the port's ring again. Returns how many packets that is. */
static unsigned int
seal(const struct round *r, struct packet *p, struct rte_mbuf **sealed)
{
	bool tunnel = r->conf.mode == SA_MODE_TUNNEL;
	unsigned int n = 0, drops;

	p->single = one_in(3);
	if (tunnel)
		put(world.rx[LAN][0], cut_randomly(LAN, p->ip, p->len, p->single));
	else
		put(world.host_rx[LAN], cut_randomly(LAN, p->ip, p->len, p->single));
	run();
	take_errors(r);
	drops = drops_now();
	while (rte_ring_dequeue(world.tx[WAN][0], (void **)&sealed[n]) == 0)
		n++;
	ck_assert_uint_lt(n, PACKET_MAX / 8);
	ck_assert_msg(n > 0 || drops == 1, "lost without a reason");
	if (n == 0)
		refused++;
	/* A packet with room for ESP in one buffer is no reason for anything, without a limit. */
	ck_assert(n == 1 || !p->single || r->mtu != 0 || p->len > 8800);
	return n;
}

static void
check_equal(const struct round *r, struct packet *p, const uint8_t *ip, uint16_t len)
{
	uint16_t frag = ip[6] << 8 | ip[7], at = (frag & 0x1fff) * 8, n = len - 20;

	ck_assert_uint_eq(ip[0], 0x45);
	ck_assert_uint_eq(ip[2] << 8 | ip[3], len);
	ck_assert_uint_le(20 + at + n, p->len);
	/* All but length, fragment, TTL and checksum; DF is kept. */
	ck_assert_uint_eq(ip[1], p->ip[1]);
	ck_assert_uint_eq(ip[9], p->ip[9]);
	ck_assert_mem_eq(ip + 12, p->ip + 12, 8);
	ck_assert_uint_eq(frag & 0x4000, (p->ip[6] << 8 | p->ip[7]) & 0x4000);
	ck_assert_uint_eq(ip[8], r->conf.mode == SA_MODE_TUNNEL ? p->ip[8] - 2 : p->ip[8]);
	ck_assert_mem_eq(ip + 20, p->ip + 20 + at, n);
	if (frag & 0x2000)
		ck_assert_uint_lt(20 + at + n, p->len);
	else
		ck_assert_uint_eq(20 + at + n, p->len);
	p->got += n;
	p->came = true;
}

/* Opens what was sealed; spoiled: one bit of it is another. */
static void
open_all(const struct round *r, struct packet *p, struct rte_mbuf **sealed, unsigned int n,
	bool spoiled)
{
	uint8_t got[PACKET_MAX];
	unsigned int drops;
	uint16_t len;

	for (unsigned int i = 0; i < n; i++) {
		uint8_t copy[PACKET_MAX];

		len = rte_pktmbuf_pkt_len(sealed[i]) - 14;
		memcpy(copy, rte_pktmbuf_read(sealed[i], 14, len, got), len);
		rte_pktmbuf_free(sealed[i]);
		/* Behind the IP header, and UDP's. */
		if (spoiled && i == 0)
			copy[28 + below(len - 28)] ^= 1 << below(8);
		put(world.rx[WAN][0], cut_randomly(WAN, copy, len, p->single));
	}
	run();
	if (spoiled) {
		for (unsigned int i = 0; i < DROP_REASONS_MAX; i++) {
			ck_assert(i != DROP_NONE || worker(0)->drops[i] == 0);
			worker(0)->drops[i] = 0;
		}
		drops = n;
	} else {
		drops = drops_now();
	}
	while ((len = r->conf.mode == SA_MODE_TUNNEL ? sent(WAN, got) : punted(PUNT_OTHER, got)) !=
		0)
		check_equal(r, p, got + 14, len);
	ck_assert_msg(drops > 0 || p->got == p->len - 20,
		"%u of %u bytes in %u packets, no reason: transform %u/%u, mode %u, MTU %u", p->got,
		p->len - 20, n, r->conf.enc_alg, r->conf.int_alg, r->conf.mode, r->mtu);
	ck_assert(!spoiled || p->got != p->len - 20);
	if (p->got == p->len - 20)
		equal++;
	else if (!spoiled)
		refused++;
	cut_up += n > 1;
}

static void
end_round(struct round *r)
{
	ck_assert_int_eq(spd_del(world.r.spd, &r->policy), 0);
	ck_assert_int_eq(sad_del(world.r.sad, r->in), 0);
	ck_assert_int_eq(sad_del(world.r.sad, r->out), 0);
	wait_ms(3000); /* fragments that nobody completed */
	run();
	worker(0)->drops[DROP_FRAGMENT_TIMEOUT] = 0;
	nothing_left();
}

START_TEST(any_packet)
{
	static struct rte_mbuf *sealed[PACKETS][PACKET_MAX / 8];
	const char *rounds = getenv("CYGNET_ROUNDS");
	unsigned int n_rounds = rounds != NULL ? atoi(rounds) : ROUNDS;
	static struct round r;

	socket_add("0.0.0.0", 4500, true, true);
	for (unsigned int i = 0; i < n_rounds; i++) {
		unsigned int n[PACKETS];

		choose(&r);
		become("10.3.0.9");
		add_sas(&r);
		protect(&r, SPD_OUT);
		for (unsigned int k = 0; k < PACKETS; k++) {
			r.packets[k].len = random_packet(&r, k, r.packets[k].ip);
			n[k] = seal(&r, &r.packets[k], sealed[k]);
		}
		ck_assert_int_eq(spd_del(world.r.spd, &r.policy), 0);
		become(PEER);
		protect(&r, r.conf.mode == SA_MODE_TUNNEL ? SPD_FWD : SPD_IN);
		for (unsigned int k = 0; k < PACKETS; k++)
			if (n[k] > 0)
				open_all(&r, &r.packets[k], sealed[k], n[k], one_in(8));
		end_round(&r);
	}
	ck_assert_msg(equal > n_rounds * PACKETS / 2, "%u equal, %u refused", equal, refused);
	ck_assert_uint_gt(cut_up, n_rounds / 10);
	ck_assert_uint_gt(refused, 0);
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
nodes_random_case(void)
{
	TCase *c = tcase_create("random");

	tcase_set_tags(c, WORLD_CRYPTO);
	tcase_add_checked_fixture(c, start, world_stop);
	tcase_set_timeout(c, 300);
	tcase_add_test(c, any_packet);
	return c;
}

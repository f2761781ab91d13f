/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "nodes_pair.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

/*
 * Whatever goes in comes out as it was, or is refused with a reason: random packets of 1 to 9,000 bytes in random segments,
 * through SAs of every transform, in each mode, over and of both families, sealed and opened by the real nodes, with the
 * crypto inline and on crypto lcores.
 *
 * A round is a pair of SAs and its packets, and has a seed, which is printed when it fails: CYGNET_SEED begins with that
 * one. CYGNET_ROUNDS: how many rounds.
 */

#define ROUNDS 160 /* each transform at least once */
#define PACKETS 16
#define HEADERS_MAX (40 + 8)
#define SIZE_MAX_ (HEADERS_MAX + 9000)
#define SPI 0x4711
#define FIRST_SEED 0x4711

static const uint16_t ciphers[] = {ENCR_AES_GCM_16, ENCR_AES_GCM_12, ENCR_AES_GCM_8,
	ENCR_CHACHA20_POLY1305, ENCR_AES_CCM_16, ENCR_AES_CCM_12, ENCR_AES_CCM_8,
	ENCR_NULL_AUTH_AES_GMAC, ENCR_AES_CBC, ENCR_AES_CTR, ENCR_NULL};
static const uint16_t integs[] = {AUTH_HMAC_SHA1_96, AUTH_HMAC_SHA2_256_128, AUTH_HMAC_SHA2_256_96,
	AUTH_HMAC_SHA2_384_192, AUTH_HMAC_SHA2_512_256, AUTH_AES_XCBC_96, AUTH_AES_CMAC_96};

struct packet {
	uint8_t ip[SIZE_MAX_];
	uint16_t len;
	uint16_t headers; /* bytes of it in front of the payload */
	bool single; /* in one segment */
	uint16_t got; /* bytes of payload */
};

struct round {
	struct pair pair;
	uint16_t mtu; /* of the SA's path; 0: not known */
	struct packet packets[PACKETS];
};

static unsigned int equal, refused, cut_up;
static struct progress {
	uint64_t seed; /* of the round */
	bool through;
} * progress; /* shared with the test's process */

static bool
one_in(unsigned int n)
{
	return below(n) == 0;
}

/* The transforms one after the other, with each length of the key and each integrity that goes with it; AH at last. */
static void
choose_transform(struct pair *p, unsigned int nth)
{
	for (unsigned int k = 0;; k = (k + 1) % (RTE_DIM(ciphers) + 1)) {
		const struct transform_encr *e =
			k < RTE_DIM(ciphers) ? transform_encr(ciphers[k]) : NULL;
		unsigned int n_integs = e == NULL || e->icv_len == 0 ? RTE_DIM(integs) : 1;
		unsigned int n_lens = 1;

		while (e != NULL && n_lens < RTE_DIM(e->key_lens) && e->key_lens[n_lens] != 0)
			n_lens++;
		if (nth >= n_integs * n_lens) {
			nth -= n_integs * n_lens;
			continue;
		}
		pair_choose(p, e, e != NULL ? e->key_lens[nth % n_lens] : 0,
			n_integs > 1 ? transform_integ(integs[nth / n_lens]) : NULL);
		return;
	}
}

static void
choose(struct round *r, unsigned int nth)
{
	struct sa_conf *c = &r->pair.conf;
	unsigned int least;

	memset(r, 0, sizeof(*r));
	r->pair.outer6 = one_in(2);
	r->pair.inner6 = one_in(2);
	choose_transform(&r->pair, nth);
	if (r->pair.inner6 == r->pair.outer6 && one_in(2))
		c->mode = SA_MODE_TRANSPORT;
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
		c->tfc = one_in(2) ? SA_TFC_MTU : below(PAIR_MTU);
	least = r->pair.outer6 ? 1280 : 576;
	r->mtu = one_in(2) ? 0 : least + below(PAIR_MTU - least);
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
random_packet(const struct round *r, uint16_t id, struct packet *p)
{
	static const uint8_t padding[8] = {253, 0, 1, 4}; /* of hop-by-hop or destination options */
	uint16_t most = one_in(2) ? 1500 : 9000, n = 1 + below(most);
	bool chain = one_in(4);
	struct ip4 p4 = {.src = pair_src(&r->pair),
		.dst = pair_dst(&r->pair),
		.proto = 253,
		.len = 20 + n,
		.frag = one_in(4) ? 0x4000 : 0,
		.tos = below(64) << 2,
		.id = id};
	struct ip6 p6 = {.src = p4.src,
		.dst = p4.dst,
		.proto = 253,
		.n_chain = chain ? sizeof(padding) : 0,
		.chain = padding,
		.first = one_in(2) ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS,
		.tos = p4.tos,
		.label = below(1 << 20)};

	p->headers = r->pair.inner6 ? 40 + p6.n_chain : 20;
	p6.len = p->headers + n;
	return r->pair.inner6 ? ip6_build(p->ip, &p6) : ip4_build(p->ip, &p4);
}

static unsigned int
drops_now(void)
{
	/* What a packet may be refused for here; and the error about one that is too big at the other end goes nowhere. */
	static const uint8_t reasons[] = {DROP_IP4_SHORT, DROP_IP4_MTU, DROP_IP6_SHORT,
		DROP_IP6_MTU, DROP_ESP_NO_HEADROOM, DROP_FRAGMENT_FULL, DROP_FRAGMENT_INVALID,
		DROP_POLICY_QUOTE};
	unsigned int n = 0;

	for (unsigned int i = 0; i < RTE_DIM(reasons); i++) {
		n += worker(0)->drops[reasons[i]];
		worker(0)->drops[reasons[i]] = 0;
	}
	no_drops();
	return n;
}

/* An ICMP error about a packet that may not be cut is the one thing that comes back. */
static void
take_errors(const struct pair *p)
{
	uint8_t got[PACKET_MAX], *ip = got + 14;

	while (pair_tunnel(p) ? sent(LAN, got) != 0 : punted(PUNT_OTHER, got) != 0) {
		ck_assert_uint_eq(ip[p->inner6 ? 6 : 9], p->inner6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
		ck_assert_uint_eq(ip[p->inner6 ? 40 : 20], p->inner6 ? 2 : 3);
		ck_assert_uint_eq(ip[p->inner6 ? 41 : 21], p->inner6 ? 0 : 4);
	}
}

/* Seals one packet; what comes of it waits on the port's ring again. Returns how many packets that is. */
static unsigned int
seal(const struct round *r, struct packet *p, struct rte_mbuf **sealed)
{
	unsigned int n = 0, drops;

	p->single = one_in(3);
	pair_send(&r->pair, cut_randomly(LAN, p->ip, p->len, p->single));
	run();
	take_errors(&r->pair);
	drops = drops_now();
	while (rte_ring_dequeue(world.tx[WAN][0], (void **)&sealed[n]) == 0)
		n++;
	ck_assert_uint_lt(n, PACKET_MAX / 8);
	ck_assert_msg(n > 0 || drops == 1,
		"%u bytes lost, %u drops: mode %u, MTU %u, TFC %u, fragment %u", p->len, drops,
		r->pair.conf.mode, r->mtu, r->pair.conf.tfc, r->pair.conf.fragment);
	if (n == 0)
		refused++;
	/* A packet with room for ESP in one buffer is no reason for anything, without a limit or padding. */
	ck_assert(n == 1 || !p->single || r->mtu != 0 || r->pair.conf.tfc != 0 || p->len > 8800);
	return n;
}

static void
check_equal4(const struct round *r, struct packet *p, const uint8_t *ip, uint16_t len)
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
	ck_assert_uint_eq(ip[8], pair_tunnel(&r->pair) ? p->ip[8] - 2 : p->ip[8]);
	ck_assert_mem_eq(ip + 20, p->ip + 20 + at, n);
	if (frag & 0x2000)
		ck_assert_uint_lt(20 + at + n, p->len);
	else
		ck_assert_uint_eq(20 + at + n, p->len);
	p->got += n;
}

/* No router cuts it: it comes whole. */
static void
check_equal6(const struct round *r, struct packet *p, const uint8_t *ip, uint16_t len)
{
	ck_assert_uint_eq(len, p->len);
	ck_assert_mem_eq(ip, p->ip, 7);
	ck_assert_uint_eq(ip[7], pair_tunnel(&r->pair) ? p->ip[7] - 2 : p->ip[7]);
	ck_assert_mem_eq(ip + 8, p->ip + 8, len - 8);
	p->got += len - p->headers;
}

/* Opens what was sealed; spoiled: one bit of it is another. */
static void
open_all(const struct round *r, struct packet *p, struct rte_mbuf **sealed, unsigned int n,
	bool spoiled)
{
	/* The IP header, and UDP's or what may stand in front of ESP. */
	unsigned int behind = r->pair.outer6 ? 48 : 28, drops;
	uint8_t got[PACKET_MAX];
	struct rte_mbuf *m;
	uint16_t len;

	for (unsigned int i = 0; i < n; i++) {
		uint8_t copy[PACKET_MAX];

		len = rte_pktmbuf_pkt_len(sealed[i]) - 14;
		memcpy(copy, rte_pktmbuf_read(sealed[i], 14, len, got), len);
		rte_pktmbuf_free(sealed[i]);
		if (spoiled && i == 0)
			copy[behind + below(len - behind)] ^= 1 << below(8);
		m = cut_randomly(WAN, copy, len, p->single);
		put(world.rx[WAN][0], r->pair.outer6 ? as_ip6(m) : m);
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
	while ((len = pair_opened(&r->pair, got)) != 0) {
		if (r->pair.inner6)
			check_equal6(r, p, got + 14, len);
		else
			check_equal4(r, p, got + 14, len);
	}
	ck_assert_msg(drops > 0 || p->got == p->len - p->headers,
		"%u of %u bytes in %u packets, no reason: transform %u/%u, mode %u, MTU %u", p->got,
		p->len - p->headers, n, r->pair.conf.enc_alg, r->pair.conf.int_alg,
		r->pair.conf.mode, r->mtu);
	ck_assert(!spoiled || p->got != p->len - p->headers);
	if (p->got == p->len - p->headers)
		equal++;
	else if (!spoiled)
		refused++;
	cut_up += n > 1;
}

static void
one_round(unsigned int nth)
{
	static struct rte_mbuf *sealed[PACKETS][PACKET_MAX / 8];
	static struct round r;
	unsigned int n[PACKETS];

	choose(&r, nth);
	pair_add(&r.pair, SPI);
	atomic_store(&sa_at(r.pair.out)->mtu, r.mtu);
	pair_seals(&r.pair);
	for (unsigned int k = 0; k < PACKETS; k++) {
		r.packets[k].len = random_packet(&r, k, &r.packets[k]);
		n[k] = seal(&r, &r.packets[k], sealed[k]);
	}
	pair_opens(&r.pair);
	for (unsigned int k = 0; k < PACKETS; k++)
		if (n[k] > 0)
			open_all(&r, &r.packets[k], sealed[k], n[k], one_in(8));
	pair_delete(&r.pair);
	wait_ms(3000); /* fragments that nobody completed */
	run();
	worker(0)->drops[DROP_FRAGMENT_TIMEOUT] = 0;
	nothing_left();
}

static void
share_progress(void)
{
	progress = mmap(
		NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(progress, MAP_FAILED);
}

static void
print_seed(void)
{
	if (progress->seed != 0 && !progress->through)
		printf("CYGNET_SEED=0x%" PRIx64
		       " CYGNET_ROUNDS=1 begins with the round that failed\n",
			progress->seed);
	munmap(progress, sizeof(*progress));
}

START_TEST(any_packet)
{
	const char *rounds = getenv("CYGNET_ROUNDS"), *begin = getenv("CYGNET_SEED");
	unsigned int n_rounds = rounds != NULL ? atoi(rounds) : ROUNDS;

	uint64_t seed = begin != NULL ? strtoull(begin, NULL, 0) : FIRST_SEED;

	for (unsigned int i = 0; i < n_rounds; i++, seed++) {
		progress->seed = seed;
		eal_seed(seed * 0x9e3779b97f4a7c15);
		one_round(seed - FIRST_SEED);
	}
	if (n_rounds >= ROUNDS) {
		ck_assert_msg(
			equal > n_rounds * PACKETS / 2, "%u equal, %u refused", equal, refused);
		ck_assert_uint_gt(cut_up, n_rounds / 10);
		ck_assert_uint_gt(refused, 0);
	}
	progress->through = true;
}
END_TEST

/* Outer header, AH with a long ICV and the copy of the one are more than the headroom that a buffer begins with. */
START_TEST(ah_in_pieces)
{
	static const uint16_t algs[] = {AUTH_HMAC_SHA2_384_192, AUTH_HMAC_SHA2_512_256};
	static struct rte_mbuf *sealed[PACKET_MAX / 8];
	static struct round r;
	struct packet *p = &r.packets[0];

	for (unsigned int i = 0; i < RTE_DIM(algs); i++) {
		memset(&r, 0, sizeof(r));
		r.pair.outer6 = true;
		pair_choose(&r.pair, NULL, 0, transform_integ(algs[i]));
		r.pair.conf.fragment = SA_FRAGMENT_BEFORE;
		pair_add(&r.pair, SPI);
		r.mtu = 1500;
		atomic_store(&sa_at(r.pair.out)->mtu, r.mtu);
		pair_seals(&r.pair);
		p->headers = 20;
		p->len = ip4_build(p->ip,
			&(struct ip4){.src = HOST_A, .dst = HOST_B, .proto = 253, .len = 3000});
		ck_assert_uint_eq(seal(&r, p, sealed), 3);
		pair_opens(&r.pair);
		open_all(&r, p, sealed, 3, false);
		ck_assert_uint_eq(p->got, 2980);
		pair_delete(&r.pair);
	}
	ck_assert_uint_eq(refused, 0);
}
END_TEST

static TCase *
any_packet_case(const char *name, void (*start)(void))
{
	TCase *c = tcase_create(name);

	tcase_set_tags(c, WORLD_CRYPTO);
	tcase_add_unchecked_fixture(c, share_progress, print_seed);
	tcase_add_checked_fixture(c, start, world_stop);
	tcase_set_timeout(c, 300);
	tcase_add_test(c, any_packet);
	tcase_add_test(c, ah_in_pieces);
	return c;
}

TCase *
nodes_random_case(void)
{
	return any_packet_case("random", pair_world);
}

TCase *
nodes_random_dedicated_case(void)
{
	return any_packet_case("random-crypto-lcores", pair_world_dedicated);
}

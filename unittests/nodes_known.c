/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes_known.h"

#include "crypto_sync.h"
#include "esp_op.h"
#include "nodes.h"

/*
 * Known answers through the real nodes. The worker's graph and the crypto lcore's are walked one after the other,
 * and between them the packet is looked at. Numbers and IVs are the nodes' to choose: outbound, those of the
 * vector are put in their place before the operation is made.
 */

/* Vectors that are packets of a tunnel, with the padding that we make; others are sealed in transport mode. */
#define BUILT 2
/* Vectors whose inside is a packet that a router forwards. */
#define FORWARDED 2

#define BYTES 512

struct bytes {
	uint8_t b[BYTES];
	uint16_t n;
};

struct vector {
	struct bytes key, aad, iv, clear, sealed, icv;
	struct sa_conf conf;
	uint64_t sqn;
};

static struct bytes
unhex(const char *s)
{
	struct bytes to = {.n = strlen(s) / 2};

	ck_assert_uint_le(to.n, BYTES);
	for (uint16_t i = 0; i < to.n; i++) {
		unsigned int v;

		ck_assert_int_eq(sscanf(s + 2 * i, "%2x", &v), 1);
		to.b[i] = v;
	}
	return to;
}

static uint32_t
load32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* cut: bytes that GCM's ICV is shorter, which are those at its end. */
static struct vector
load(const struct known *k, uint8_t dir, uint16_t cut)
{
	struct vector v = {.key = unhex(k->key),
		.aad = unhex(k->aad),
		.iv = unhex(k->iv),
		.clear = unhex(k->clear),
		.sealed = unhex(*k->sealed != '\0' ? k->sealed : k->clear),
		.icv = unhex(k->icv)};
	struct bytes integ = unhex(k->integ_key);
	bool esn = v.aad.n == 12;

	v.sqn = load32(v.aad.b + v.aad.n - 4) | (esn ? (uint64_t)load32(v.aad.b + 4) << 32 : 0);
	v.conf = (struct sa_conf){.src = address(dir == SA_DIR_IN ? PEER : US),
		.dst = address(dir == SA_DIR_IN ? US : PEER),
		.spi = rte_cpu_to_be_32(load32(v.aad.b)),
		.reqid = REQID,
		.replay_window = esn ? 64 : 0,
		.flags = esn ? IKE_SA_ESN : 0,
		.enc_alg = k->encr - cut / 4,
		.enc_key_len = v.key.n,
		.int_alg = k->integ,
		.int_key_len = integ.n,
		.dir = dir,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_ESP};
	v.icv.n -= cut;
	memcpy(v.key.b + v.key.n, integ.b, integ.n);
	return v;
}

static uint32_t
add(const struct vector *v, const char *name)
{
	const char *why = "no device has it";
	uint32_t slot;
	int rc = sad_add(world.r.sad, &v->conf, v->key.b, false, &slot, &why);

	ck_assert_msg(rc == 0, "%s: %s", name, why);
	return slot;
}

static void
remove_sa(uint32_t slot)
{
	ck_assert_int_eq(sad_del(world.r.sad, slot), 0);
	run();
}

/* The one packet that the worker submitted in its last walk. */
static struct rte_mbuf *
submitted(void)
{
	struct crypto_queue *q = &worker(0)->crypto_queue;
	struct crypto_frame *f = crypto_frame_at(q, q->tail);

	ck_assert_uint_eq(q->head - q->tail, 1);
	ck_assert_uint_eq(f->n, 1);
	return f->pkts[0];
}

/* The crypto lcore does its work; the worker did not collect it yet. */
static void
crypt(void)
{
	const struct crypto_queue *q = &worker(0)->crypto_queue;
	const struct crypto_frame *f = crypto_frame_at(q, q->tail);

	for (unsigned int i = 0; atomic_load(&f->done) < f->n; i++) {
		ck_assert_uint_lt(i, 100);
		walk_lcore(1);
	}
}

static unsigned int
drops_of(enum drop_reason reason)
{
	unsigned int n = worker(0)->drops[reason];

	worker(0)->drops[reason] = 0;
	return n;
}

static uint16_t
put_together(const struct vector *v, uint8_t *esp)
{
	uint16_t at = 8;

	memcpy(esp, v->aad.b, 4);
	memcpy(esp + 4, v->aad.b + v->aad.n - 4, 4);
	memcpy(esp + at, v->iv.b, v->iv.n);
	at += v->iv.n;
	memcpy(esp + at, v->sealed.b, v->sealed.n);
	at += v->sealed.n;
	memcpy(esp + at, v->icv.b, v->icv.n);
	return at + v->icv.n;
}

static void
put_vector(const struct vector *v, bool spoil)
{
	uint8_t packet[PACKET_MAX], esp[2 * BYTES];
	uint16_t len = put_together(v, esp);
	struct ip4 outer = {.src = PEER, .dst = US, .proto = IPPROTO_ESP, .len = 20 + len};

	ip4_build(packet, &outer);
	memcpy(packet + 20, esp, len);
	packet[20 + len - 1] ^= spoil;
	put_frame(WAN, packet, outer.len);
}

/* The last number that came is the one before. */
static void
receive_up_to(uint32_t slot, uint64_t sqn)
{
	struct sa *sa = sa_at(slot);

	if (sa->replay != NULL)
		ck_assert(sqn == 1 || replay_update(sa->replay, sqn - 1));
}

/* What is no packet that a router forwards is dropped, after it proved authentic, for the reason that it is. */
static bool
forwarded(const struct vector *v)
{
	uint8_t got[PACKET_MAX];
	uint16_t len = sent(LAN, got), was;
	unsigned int odd;

	if (len == 0) {
		odd = drops_of(DROP_ESP_PADDING) + drops_of(DROP_ESP_NEXT_HEADER) +
		      drops_of(DROP_ESP_DUMMY) + drops_of(DROP_IP4_SHORT) +
		      drops_of(DROP_IP4_CHECKSUM) + drops_of(DROP_IP4_DESTINATION);
		ck_assert_uint_eq(odd, 1);
		return false;
	}
	was = v->clear.b[2] << 8 | v->clear.b[3];
	ck_assert_uint_eq(len, was);
	got[14 + 8]++; /* the router's TTL */
	ip4_mend(got + 14);
	ck_assert_mem_eq(got + 14, v->clear.b, len);
	return true;
}

/* What is wrong at its last bit is not authentic; what is right is, and is the vector's text. */
static bool
opens(const char *name, const struct vector *v)
{
	uint32_t slot = add(v, name), at = 20 + 8 + v->iv.n;
	struct rte_mbuf *m;
	bool is;

	receive_up_to(slot, v->sqn);
	put_vector(v, true);
	run();
	drops_are(DROP_ESP_ICV, 1);

	put_vector(v, false);
	walk_lcore(0);
	m = submitted();
	crypt();
	ck_assert_msg(
		pkt(m)->crypto_status == RTE_CRYPTO_OP_STATUS_SUCCESS, "%s: not authentic", name);
	ck_assert_msg(memcmp(rte_pktmbuf_mtod_offset(m, void *, at), v->clear.b, v->clear.n) == 0,
		"%s: another text", name);
	run();
	is = forwarded(v);
	no_drops();
	remove_sa(slot);
	return is;
}

static uint16_t
cut_max(const struct known *k)
{
	return k->encr == ENCR_AES_GCM_16 ? 8 : 0;
}

START_TEST(inbound)
{
	unsigned int n = 0;

	route("0.0.0.0/0", neighbour(LAN, HOST_A, 1500, true));
	policy(SPD_FWD, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	for (unsigned int i = 0; i < RTE_DIM(known); i++)
		for (uint16_t cut = 0; cut <= cut_max(&known[i]); cut += 4) {
			struct vector v = load(&known[i], SA_DIR_IN, cut);

			n += opens(known[i].name, &v);
		}
	ck_assert_uint_eq(n, FORWARDED);
}
END_TEST

/* A packet that takes that many bytes with its trailer: of the tunnel, or in transport mode. */
static uint16_t
clear_packet(const struct vector *v, bool tunnel, uint8_t *ip)
{
	struct ip4 p = {.src = US, .dst = PEER, .proto = 253, .len = 20 + v->clear.n - 2};
	uint16_t total = v->clear.b[2] << 8 | v->clear.b[3];

	if (!tunnel)
		return ip4_build(ip, &p);
	memcpy(ip, v->clear.b, total);
	return total;
}

static bool
is_tunnel(const struct vector *v)
{
	const uint8_t *c = v->clear.b;
	uint16_t total = c[2] << 8 | c[3], n = v->clear.n;

	return n >= 22 && c[0] == 0x45 && c[n - 1] == IPPROTO_IPIP && total + c[n - 2] + 2 == n &&
	       ip4_checksum_right(c);
}

/* The vector's number, IV and text instead of what the nodes chose. */
static bool
replace(struct rte_mbuf *m, const struct vector *v)
{
	struct crypto_queue *q = &worker(0)->crypto_queue;
	struct pkt *p = pkt(m);
	uint8_t *esp = rte_pktmbuf_mtod_offset(m, uint8_t *, p->esp_at);
	bool built = memcmp(esp + 8 + v->iv.n, v->clear.b, v->clear.n) == 0;

	ck_assert_mem_eq(esp, v->aad.b, 4);
	ck_assert_uint_eq(rte_pktmbuf_pkt_len(m), p->esp_at + 8u + v->iv.n + v->clear.n + v->icv.n);
	memcpy(esp + 4, v->aad.b + v->aad.n - 4, 4);
	memcpy(esp + 8, v->iv.b, v->iv.n);
	memcpy(esp + 8 + v->iv.n, v->clear.b, v->clear.n);
	p->sqn = v->sqn;
	/* The frame tells the crypto lcore, too. */
	if (p->sa->sync != SA_SYNC_NO)
		crypto_item_fill(&crypto_frame_at(q, q->tail)->item[0], m, p, p->sa);
	return built;
}

/* Whether the nodes made the very text of the vector. */
static bool
seals(const char *name, const struct vector *v, struct spd_policy *p)
{
	bool tunnel = v->conf.mode == SA_MODE_TUNNEL, built;
	uint8_t packet[PACKET_MAX], esp[2 * BYTES], got[PACKET_MAX];
	uint16_t len = clear_packet(v, tunnel, packet);
	uint32_t slot = add(v, name);

	spd_bind(world.r.spd, p, slot);
	put(world.host_rx[LAN], frame(LAN, packet, len));
	walk_lcore(0);
	built = replace(submitted(), v);
	ck_assert_msg(!tunnel || built, "%s: other padding", name);
	crypt();
	run();
	no_drops();
	len = put_together(v, esp);
	ck_assert_uint_eq(sent(WAN, got), 20 + len);
	ck_assert_msg(memcmp(got + 34, esp, len) == 0, "%s: not sealed so", name);
	spd_bind(world.r.spd, p, SPD_NO_SA);
	remove_sa(slot);
	return built;
}

START_TEST(outbound)
{
	struct spd_policy *p = policy(SPD_OUT, SPD_PROTECT, "0.0.0.0/0 > 0.0.0.0/0", REQID, NULL);
	unsigned int n = 0;

	for (unsigned int i = 0; i < RTE_DIM(known); i++)
		for (uint16_t cut = 0; cut <= cut_max(&known[i]); cut += 4) {
			struct vector v = load(&known[i], SA_DIR_OUT, cut);

			if (!is_tunnel(&v))
				v.conf.mode = SA_MODE_TRANSPORT;
			n += seals(known[i].name, &v, p);
		}
	ck_assert_uint_eq(n, BUILT);
}
END_TEST

/* By ourselves where the processor can, else by a device: one that stood in for what is left out is a device like any. */
START_TEST(who_does_aes_gcm)
{
	uint32_t slot = sa(&(struct sa_spec){.dir = SA_DIR_OUT});

	ck_assert_int_eq(sa_at(slot)->sync, esp_gcm_possible() ? SA_SYNC_NATIVE : SA_SYNC);
	ck_assert_str_eq(crypto_dev_name(world.r.crypto, sa_at(slot)->dev),
		esp_gcm_possible() ? "native" : "crypto_aesni_gcm");
}
END_TEST

static void
start(void)
{
	const struct world_conf conf = {
		.workers = 1, .crypto_lcores = 1, .mtu = 1500, .frames = 16, .every_device = true};

	world_start(&conf);
}

TCase *
nodes_known_case(void)
{
	TCase *c = tcase_create("known");

	tcase_set_tags(c, WORLD_CRYPTO);
	tcase_add_checked_fixture(c, start, world_stop);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, who_does_aes_gcm);
	tcase_add_test(c, inbound);
	tcase_add_test(c, outbound);
	return c;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <netinet/ip.h>
#include <openssl/evp.h>
#include <rte_ether.h>
#include <rte_udp.h>

const struct test_key key_in = {.b = "in: 16 bytes key"
				     "salt",
	.len = 16};
const struct test_key key_out = {.b = "out: 32 bytes of an AES-256 key."
				      "SALT",
	.len = 32};

static void
store16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void
store32(uint8_t *p, uint32_t v)
{
	store16(p, v >> 16);
	store16(p + 2, v);
}

/* RFC 1071, not the router's code. */
static uint16_t
checksum(const uint8_t *p, unsigned int n)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += i % 2 == 0 ? p[i] << 8 : p[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

void
ip4_mend(uint8_t *ip)
{
	store16(ip + 10, 0);
	store16(ip + 10, checksum(ip, (ip[0] & 15) * 4));
}

bool
ip4_checksum_right(const uint8_t *ip)
{
	return checksum(ip, (ip[0] & 15) * 4) == 0;
}

uint16_t
ip4_build(uint8_t *buf, const struct ip4 *p)
{
	uint16_t len = p->len != 0 ? p->len : 100, header = 20 + p->n_options;
	uint8_t proto = p->proto != 0 ? p->proto : IPPROTO_UDP;
	uint32_t src = addr4(p->src), dst = addr4(p->dst);
	uint8_t l4[8] = {0};

	for (uint16_t i = 0; i < len; i++)
		buf[i] = i * 7 + (i >> 8);
	buf[0] = 0x40 | header / 4;
	buf[1] = p->tos;
	store16(buf + 2, len);
	store16(buf + 4, p->id);
	store16(buf + 6, p->frag);
	buf[8] = p->ttl != 0 ? p->ttl : 64;
	buf[9] = proto;
	memcpy(buf + 12, &src, 4);
	memcpy(buf + 16, &dst, 4);
	if (p->n_options > 0)
		memcpy(buf + 20, p->options, p->n_options);
	ip4_mend(buf);
	if (proto == IPPROTO_UDP || proto == IPPROTO_TCP || proto == IPPROTO_DCCP) {
		store16(l4, p->sport != 0 ? p->sport : 4000);
		store16(l4 + 2, p->dport != 0 ? p->dport : 5000);
		store16(l4 + 4, len - header);
		memcpy(buf + header, l4, RTE_MIN(8, len - header));
	} else if (proto == IPPROTO_ICMP) {
		l4[0] = p->sport;
		l4[1] = p->dport;
		memcpy(buf + header, l4, RTE_MIN(8, len - header));
	}
	if (p->payload != NULL)
		memcpy(buf + header + 8, p->payload, len - header - 8);
	return len;
}

uint16_t
ip6_build(uint8_t *buf, const struct ip6 *p)
{
	uint16_t len = p->len != 0 ? p->len : 100, header = 40 + p->n_chain;
	uint8_t proto = p->proto != 0 ? p->proto : IPPROTO_UDP, l4[8] = {0};
	struct ip_addr src = address(p->src), dst = address(p->dst);

	for (uint16_t i = 0; i < len; i++)
		buf[i] = i * 7 + (i >> 8);
	store32(buf, 6u << 28 | p->tos << 20 | p->label);
	store16(buf + 4, len - 40);
	buf[6] = p->n_chain > 0 ? p->first : proto;
	buf[7] = p->hops != 0 ? p->hops : 64;
	memcpy(buf + 8, src.b, 16);
	memcpy(buf + 24, dst.b, 16);
	if (p->n_chain > 0)
		memcpy(buf + 40, p->chain, p->n_chain);
	if (proto == IPPROTO_UDP || proto == IPPROTO_TCP || proto == IPPROTO_DCCP) {
		store16(l4, p->sport != 0 ? p->sport : 4000);
		store16(l4 + 2, p->dport != 0 ? p->dport : 5000);
		store16(l4 + 4, len - header);
		memcpy(buf + header, l4, RTE_MIN(8, len - header));
	} else if (proto == IPPROTO_ICMPV6) {
		l4[0] = p->sport;
		l4[1] = p->dport;
		memcpy(buf + header, l4, RTE_MIN(8, len - header));
	}
	return len;
}

struct rte_mbuf *
frame_cut(unsigned int port, const void *ip, uint16_t len, const uint16_t *cuts, unsigned int n)
{
	uint8_t eth[14] = {2, 0, 0, 0, 0, port, 2, 0, 0, 0, 1, port, 0x08, 0x00};
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.r.mbufs), *last = m;
	uint16_t at = 0;

	ck_assert_ptr_nonnull(m);

	/* What an earlier packet may have left behind. */
	memset(pkt(m), 0xa5, sizeof(struct pkt));
	memcpy(rte_pktmbuf_append(m, 14), eth, 14);
	for (unsigned int i = 0; i <= n; i++) {
		uint16_t end = i < n ? cuts[i] : len;

		if (i > 0) {
			last = rte_pktmbuf_alloc(world.r.mbufs);
			ck_assert_ptr_nonnull(last);
			rte_pktmbuf_chain(m, last);
		}
		memcpy(rte_pktmbuf_append(m, end - at), (const uint8_t *)ip + at, end - at);
		at = end;
	}
	return m;
}

struct rte_mbuf *
as_ip6(struct rte_mbuf *m)
{
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, 12), ((uint8_t[]){0x86, 0xdd}), 2);
	return m;
}

struct rte_mbuf *
frame(unsigned int port, const void *ip, uint16_t len)
{
	return frame_cut(port, ip, len, NULL, 0);
}

void
put(struct rte_ring *ring, struct rte_mbuf *m)
{
	ck_assert_int_eq(rte_ring_enqueue(ring, m), 0);
}

void
put_frame(unsigned int port, const void *ip, uint16_t len)
{
	put(world.rx[port][0], frame(port, ip, len));
}

void
put_frame6(unsigned int port, const void *ip, uint16_t len)
{
	put(world.rx[port][0], as_ip6(frame(port, ip, len)));
}

void
put_ip4(unsigned int port, const struct ip4 *p)
{
	uint8_t buf[PACKET_MAX];
	uint16_t len = ip4_build(buf, p);

	put_frame(port, buf, len);
}

void
put_host(unsigned int port, const struct ip4 *p)
{
	uint8_t buf[PACKET_MAX];
	uint16_t len = ip4_build(buf, p);

	put(world.host_rx[port], frame(port, buf, len));
}

void
put_ip6(unsigned int port, const struct ip6 *p)
{
	uint8_t buf[PACKET_MAX];
	uint16_t len = ip6_build(buf, p);

	put_frame6(port, buf, len);
}

void
put_host6(unsigned int port, const struct ip6 *p)
{
	uint8_t buf[PACKET_MAX];
	uint16_t len = ip6_build(buf, p);

	put(world.host_rx[port], as_ip6(frame(port, buf, len)));
}

uint16_t
take(struct rte_ring *ring, uint8_t *buf)
{
	struct rte_mbuf *m;
	const void *p;
	uint32_t len;

	if (rte_ring_dequeue(ring, (void **)&m) != 0)
		return 0;
	rte_mbuf_sanity_check(m, 1);
	len = rte_pktmbuf_pkt_len(m);
	ck_assert_uint_gt(len, 14);
	ck_assert_uint_le(len, PACKET_MAX);
	p = rte_pktmbuf_read(m, 0, len, buf);
	if (p != buf)
		memcpy(buf, p, len);
	rte_pktmbuf_free(m);
	return len - 14;
}

uint16_t
sent(unsigned int port, uint8_t *buf)
{
	for (unsigned int k = 0; k < world.r.n_workers; k++) {
		uint16_t len = take(world.tx[port][k], buf);

		if (len == 0)
			continue;
		/* From us to the neighbour of that port, and a right checksum. */
		ck_assert_mem_eq(buf, ((uint8_t[]){2, 0, 0, 0, 1, port, 2, 0, 0, 0, 0, port}), 12);
		if (buf[14] >> 4 == 6) {
			ck_assert_mem_eq(buf + 12, ((uint8_t[]){0x86, 0xdd}), 2);
			ck_assert_uint_eq(buf[18] << 8 | buf[19], len - 40);
		} else {
			ck_assert_mem_eq(buf + 12, ((uint8_t[]){8, 0}), 2);
			ck_assert(ip4_checksum_right(buf + 14));
		}
		return len;
	}
	return 0;
}

uint16_t
punted(enum punt_class class, uint8_t *buf)
{
	return take(world.punt[class], buf);
}

void
nothing_left(void)
{
	uint8_t buf[PACKET_MAX];

	for (unsigned int i = 0; i < PORTS; i++)
		for (unsigned int k = 0; k < world.r.n_workers; k++)
			ck_assert_uint_eq(take(world.tx[i][k], buf), 0);
	for (unsigned int i = 0; i < PUNT_CLASSES; i++)
		ck_assert_uint_eq(punted(i, buf), 0);
}

void
drops_are(enum drop_reason reason, uint64_t n)
{
	for (int i = 0; i < DROP_REASONS_MAX; i++) {
		uint64_t got = 0, want = i == (int)reason ? n : 0;

		for (unsigned int k = 0; k < world.r.n_workers; k++) {
			got += worker(k)->drops[i];
			worker(k)->drops[i] = 0;
		}
		ck_assert_msg(got == want, "%s: %lu drops, not %lu", drop_names[i], got, want);
	}
}

static const EVP_CIPHER *
cipher(const struct test_key *key)
{
	return key->len == 16	? EVP_aes_128_gcm()
	       : key->len == 24 ? EVP_aes_192_gcm()
				: EVP_aes_256_gcm();
}

static unsigned int
make_aad(uint8_t aad[12], uint32_t spi, uint64_t sqn, bool esn)
{
	store32(aad, spi);
	store32(aad + 4, esn ? sqn >> 32 : sqn);
	store32(aad + 8, sqn);
	return esn ? 12 : 8;
}

uint16_t
esp_seal(const struct esp *e, const uint8_t *inner, uint16_t n, uint8_t *out)
{
	uint8_t clear[PACKET_MAX], nonce[12], aad[12];
	unsigned int pad = e->pad >= 0 ? (unsigned int)e->pad : -(n + 2u) & 3, len = n + pad + 2;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned int aad_len = make_aad(aad, e->spi, e->sqn, e->esn);
	int done;

	memcpy(clear, inner, n);
	for (unsigned int i = 0; i < pad; i++)
		clear[n + i] = i + 1;
	if (pad > 0)
		clear[n] += e->bad_pad;
	clear[len - 2] = e->pad_field >= 0 ? e->pad_field : (int)pad;
	clear[len - 1] = e->next_header != 0 ? e->next_header : IPPROTO_IPIP;
	memcpy(nonce, e->key->b + e->key->len, 4);
	memcpy(nonce + 4, e->iv, 8);
	store32(out, e->spi);
	store32(out + 4, e->sqn);
	memcpy(out + 8, e->iv, 8);
	ck_assert_int_eq(EVP_EncryptInit_ex(c, cipher(e->key), NULL, e->key->b, nonce), 1);
	EVP_EncryptUpdate(c, NULL, &done, aad, aad_len);
	if (e->gmac) {
		memcpy(out + 16, clear, len);
		EVP_EncryptUpdate(c, NULL, &done, out + 8, 8 + len);
	} else {
		EVP_EncryptUpdate(c, out + 16, &done, clear, len);
	}
	EVP_EncryptFinal_ex(c, out + 16 + len, &done);
	ck_assert_int_eq(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + 16 + len), 1);
	EVP_CIPHER_CTX_free(c);
	return 16 + len + 16;
}

uint16_t
esp_open(const struct test_key *key, bool esn, uint32_t high, const uint8_t *esp, uint16_t len,
	uint8_t *clear)
{
	uint8_t nonce[12], aad[12], tag[16];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned int aad_len;
	int done, ok;

	ck_assert_uint_ge(len, 16 + 4 + 16);
	memcpy(nonce, key->b + key->len, 4);
	memcpy(nonce + 4, esp + 8, 8);
	aad_len = make_aad(aad, esp[0] << 24 | esp[1] << 16 | esp[2] << 8 | esp[3],
		(uint64_t)high << 32 | (uint32_t)esp[4] << 24 | esp[5] << 16 | esp[6] << 8 | esp[7],
		esn);
	memcpy(tag, esp + len - 16, 16);
	ck_assert_int_eq(EVP_DecryptInit_ex(c, cipher(key), NULL, key->b, nonce), 1);
	EVP_DecryptUpdate(c, NULL, &done, aad, aad_len);
	EVP_DecryptUpdate(c, clear, &done, esp + 16, len - 32);
	EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, tag);
	ok = EVP_DecryptFinal_ex(c, clear + len - 32, &done);
	EVP_CIPHER_CTX_free(c);
	return ok == 1 ? len - 32 : 0;
}

uint16_t
esp_packet(const struct esp *e, const uint8_t *inner, uint16_t n, uint8_t tos, uint16_t sport,
	uint8_t *out)
{
	uint8_t esp[PACKET_MAX];
	uint16_t len = esp_seal(e, inner, n, esp), udp = sport != 0 ? 8 : 0;
	struct ip4 outer = {.src = PEER,
		.dst = US,
		.proto = udp != 0 ? IPPROTO_UDP : IPPROTO_ESP,
		.sport = sport,
		.dport = 4500,
		.tos = tos,
		.len = 20 + udp + len};

	ip4_build(out, &outer);
	memcpy(out + 20 + udp, esp, len);
	return outer.len;
}

void
put_esp(const struct esp *e, const struct ip4 *inner)
{
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	uint16_t len = ip4_build(clear, inner);

	put_frame(WAN, packet, esp_packet(e, clear, len, 0, 0, packet));
}

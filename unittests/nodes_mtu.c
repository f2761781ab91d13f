/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"
#include "reassembly.h"

#include <stdlib.h>

/* Packets that are too large, and datagrams that come in fragments. */

#define PIECES 64

static uint32_t in, out;

struct piece {
	uint8_t b[PACKET_MAX];
	uint16_t len;
};

static uint16_t
load16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void
store16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

/* A fragment of an IP packet: n bytes of its payload from offset at. */
static void
piece(struct piece *to, const uint8_t *ip, uint16_t len, uint16_t at, uint16_t n)
{
	uint16_t header = (ip[0] & 15) * 4;

	memcpy(to->b, ip, header);
	memcpy(to->b + header, ip + header + at, n);
	to->len = header + n;
	store16(to->b + 2, to->len);
	store16(to->b + 6, at / 8 | (header + at + n < len ? 0x2000 : 0));
	ip4_mend(to->b);
}

static unsigned int
split(struct piece *to, const uint8_t *ip, uint16_t len, uint16_t each)
{
	uint16_t payload = len - (ip[0] & 15) * 4;
	unsigned int n = 0;

	for (uint16_t at = 0; at < payload; at += each)
		piece(&to[n++], ip, len, at, RTE_MIN(each, payload - at));
	return n;
}

/* What fragments in their order make; false when they do not. Independent of the router's code. */
static bool
join(const struct piece *p, unsigned int n, uint16_t max, uint8_t *ip, uint16_t *len)
{
	uint16_t at = (load16(p[0].b + 6) & 0x1fff) * 8, header = (p[0].b[0] & 15) * 4;

	memcpy(ip, p[0].b, header);
	*len = header;
	for (unsigned int i = 0; i < n; i++) {
		uint16_t frag = load16(p[i].b + 6), own = (p[i].b[0] & 15) * 4;

		if (p[i].len > max || load16(p[i].b + 2) != p[i].len ||
			!ip4_checksum_right(p[i].b) || (frag & 0x1fff) * 8 != at ||
			(frag & 0x4000) || !(frag & 0x2000) != (i == n - 1) ||
			memcmp(p[i].b + 4, ip + 4, 2) != 0 || memcmp(p[i].b + 12, ip + 12, 8) != 0)
			return false;
		memcpy(ip + *len, p[i].b + own, p[i].len - own);
		*len += p[i].len - own;
		at += p[i].len - own;
	}
	store16(ip + 2, *len);
	store16(ip + 6, 0);
	ip4_mend(ip);
	return true;
}

static unsigned int
all_sent(unsigned int port, struct piece *p)
{
	uint8_t got[PACKET_MAX];
	unsigned int n = 0;

	while (n < PIECES && (p[n].len = sent(port, got)) != 0) {
		memcpy(p[n].b, got + 14, p[n].len);
		n++;
	}
	return n;
}

static struct piece pieces[PIECES];

static void
set_mtu(uint32_t nh, uint16_t mtu)
{
	fib_nh(world.r.fib, nh)->mtu = mtu;
}

/* A clear packet over the MTU of its way out is cut up; what the pieces make is what it was. */
START_TEST(clear_sizes)
{
	static const uint16_t mtus[] = {68, 69, 76, 296, 576, 1007, 1400, 1499};
	uint8_t ip[PACKET_MAX], whole[PACKET_MAX];
	uint32_t nh = neighbour(DMZ, "10.3.0.9", 1500, true);
	uint16_t len;

	route("198.51.100.1", nh);
	for (unsigned int k = 0; k < RTE_DIM(mtus); k++) {
		set_mtu(nh, mtus[k]);
		for (int d = -3; d < 300; d += d < 20 ? 1 : 37) {
			struct ip4 p = {.src = HOST_A,
				.dst = "198.51.100.1",
				.id = 0x1234 + d,
				.len = mtus[k] + d};
			unsigned int n;

			len = ip4_build(ip, &p);
			put_frame(LAN, ip, len);
			run();
			no_drops();
			n = all_sent(DMZ, pieces);
			ck_assert_uint_eq(n > 1, d > 0);
			ck_assert(join(pieces, n, mtus[k], whole, &len));
			ip[8]--;
			ip4_mend(ip);
			ck_assert_uint_eq(len, p.len);
			ck_assert_mem_eq(whole, ip, len);
			nothing_left();
		}
	}
}
END_TEST

/* Options go with the first piece, and those that say so with all; pieces of a piece keep its place. */
START_TEST(options_and_fragments)
{
	/* Record route (not copied), NOP, stream id (copied), end. */
	static const uint8_t options[12] = {7, 7, 4, 0, 0, 0, 0, 136, 4, 0xab, 0xcd, 0};
	struct ip4 p = {.src = HOST_A,
		.dst = "198.51.100.1",
		.len = 1500,
		.options = options,
		.n_options = 12,
		.frag = 0x2000 | 100};
	uint8_t ip[PACKET_MAX];
	unsigned int n, at = 100;

	route("198.51.100.1", neighbour(DMZ, "10.3.0.9", 576, true));
	put_frame(LAN, ip, ip4_build(ip, &p));
	run();
	no_drops();
	n = all_sent(DMZ, pieces);
	ck_assert_uint_eq(n, 3);
	for (unsigned int i = 0; i < n; i++) {
		uint16_t header = (pieces[i].b[0] & 15) * 4;

		ck_assert_uint_eq(header, i == 0 ? 32 : 24);
		ck_assert_mem_eq(pieces[i].b + 20, i == 0 ? options : options + 7, i == 0 ? 12 : 4);
		/* More follows even the last, as it did. */
		ck_assert_uint_eq(load16(pieces[i].b + 6), 0x2000 | at);
		ck_assert_mem_eq(
			pieces[i].b + header, ip + 32 + (at - 100) * 8, pieces[i].len - header);
		at += (pieces[i].len - header) / 8;
	}
	ck_assert_uint_eq((at - 100) * 8, 1500 - 32 - (1500 - 32) % 8);
}
END_TEST

/* Chained buffers; and a private area for each piece: they wait for a neighbour one by one. */
START_TEST(clear_chained)
{
	static const uint16_t cuts[] = {700, 1501, 2600};
	struct ip4 p = {.src = HOST_A, .dst = HOST_D, .len = 4000};
	uint8_t ip[PACKET_MAX], whole[PACKET_MAX];
	uint16_t len = ip4_build(ip, &p);

	put(world.rx[LAN][0], frame_cut(LAN, ip, len, cuts, 3));
	run();
	no_drops();
	ck_assert_uint_eq(all_sent(DMZ, pieces), 3);
	ck_assert(join(pieces, 3, 1500, whole, &len));
	ck_assert_uint_eq(len, 4000);
	ck_assert_mem_eq(whole + 20, ip + 20, 3980);
}
END_TEST

/* A late fragment is not cut into pieces whose offsets begin anew: that would be a first one, unchecked. */
START_TEST(past_the_end)
{
	uint32_t nh = neighbour(DMZ, "10.3.0.9", 1500, true);
	struct ip4 p = {.src = HOST_A, .dst = "198.51.100.1", .len = 1400};
	uint8_t got[PACKET_MAX];

	route("198.51.100.1", nh);
	set_mtu(nh, 576);
	for (uint32_t first = 60000 / 8; first < 8192; first += 8) {
		bool fits = first * 8 + 1380 <= 65535;

		p.frag = first;
		put_ip4(LAN, &p);
		run();
		drops_are(fits ? DROP_NONE : DROP_FRAGMENT_INVALID, !fits);
		while (sent(DMZ, got) != 0)
			ck_assert_uint_ge(load16(got + 14 + 6) & 0x1fff, first);
	}
}
END_TEST

START_TEST(no_buffers)
{
	struct rte_mbuf *taken[4096];
	uint8_t got[PACKET_MAX];
	unsigned int n = 0;

	route("198.51.100.1", neighbour(DMZ, "10.3.0.9", 576, true));
	put_ip4(LAN, &(struct ip4){.src = HOST_A, .dst = "198.51.100.1", .len = 1500});
	while ((taken[n] = rte_pktmbuf_alloc(world.r.mbufs)) != NULL)
		n++;
	run();
	rte_pktmbuf_free_bulk(taken, n);
	drops_are(DROP_NO_BUFFER, 1);
	ck_assert_uint_eq(sent(DMZ, got), 0);
}
END_TEST

static uint16_t
esp_of(const struct piece *p, uint8_t *clear)
{
	uint16_t n = esp_open(&key_out, false, 0, p->b + 20, p->len - 20, clear);

	ck_assert_uint_ne(n, 0);
	return n - 2 - clear[n - 2];
}

/* Cut up before sealing: each piece is an ESP packet that fits. */
START_TEST(tunnel_before)
{
	uint8_t ip[PACKET_MAX], whole[PACKET_MAX];
	static struct piece clear[PIECES];
	uint16_t len;

	tunnel(0, 0, &in, &out);
	for (unsigned int mtu = 300; mtu < 1500; mtu += 61) {
		struct ip4 p = {.src = HOST_A, .dst = HOST_B, .id = mtu, .len = 1500};
		unsigned int n;

		sa_at(out)->mtu = mtu;
		put_frame(LAN, ip, ip4_build(ip, &p));
		run();
		no_drops();
		n = all_sent(WAN, pieces);
		for (unsigned int i = 0; i < n; i++) {
			ck_assert_uint_le(pieces[i].len, mtu);
			ck_assert_uint_eq(load16(pieces[i].b + 6) & 0x3fff, 0);
			clear[i].len = esp_of(&pieces[i], clear[i].b);
		}
		ck_assert(join(clear, n, mtu, whole, &len));
		ip[8]--;
		ip4_mend(ip);
		ck_assert_uint_eq(len, 1500);
		ck_assert_mem_eq(whole, ip, 1500);
	}
	/* Each took a number of its own, and none is missing. */
	ck_assert_uint_eq(sa_at(out)->sqn, sa_at(out)->use.packets);
	ck_assert_uint_eq(worker(0)->sa_counters[out].errors[SA_ERR_MTU], 0);
}
END_TEST

/* Sealed whole, when the SA says so, and the ESP packet cut up. */
START_TEST(tunnel_after)
{
	struct ip4 p = {.src = HOST_A, .dst = HOST_B, .len = 1500};
	uint8_t ip[PACKET_MAX], whole[PACKET_MAX], clear[PACKET_MAX], got[PACKET_MAX];
	uint16_t len;

	tunnel(IKE_SA_COPY_DF, 0, &in, &out);
	set_mtu(neighbour(WAN, PEER, 1000, true), 1000);
	sa_at(out)->mtu = 1000;
	sa_at(out)->flags |= SA_F_FRAGMENT_AFTER;
	put_frame(LAN, ip, ip4_build(ip, &p));
	run();
	no_drops();
	ck_assert_uint_eq(all_sent(WAN, pieces), 2);
	ck_assert(join(pieces, 2, 1000, whole, &len));
	len = esp_open(&key_out, false, 0, whole + 20, len - 20, clear);
	ck_assert_uint_eq(len - 2 - clear[len - 2], 1500);
	ck_assert_mem_eq(clear + 20, ip + 20, 1480);
	/* With DF the sender is told. */
	p.frag = 0x4000;
	put_frame(LAN, ip, ip4_build(ip, &p));
	run();
	drops_are(DROP_IP4_MTU, 1);
	ck_assert_uint_ne(sent(LAN, got), 0);
	ck_assert_uint_eq(got[34], 3);
	nothing_left();
	/* Unless the tunnel does not copy it. */
	sa_at(out)->flags &= ~SA_F_COPY_DF;
	put_frame(LAN, ip, ip4_build(ip, &p));
	run();
	no_drops();
	ck_assert_uint_eq(all_sent(WAN, pieces), 2);
	/* What did not know its path is not cut up against the SA's will. */
	sa_at(out)->flags &= ~SA_F_FRAGMENT_AFTER;
	sa_at(out)->mtu = 0;
	p.frag = 0;
	put_frame(LAN, ip, ip4_build(ip, &p));
	run();
	drops_are(DROP_IP4_MTU, 1);
	sa_at(out)->flags |= SA_F_FRAGMENT_NEVER;
	sa_at(out)->mtu = 1000;
	put_frame(LAN, ip, ip4_build(ip, &p));
	run();
	drops_are(DROP_IP4_MTU, 1);
	ck_assert_uint_eq(worker(0)->sa_counters[out].errors[SA_ERR_MTU], 2);
	nothing_left();
}
END_TEST

/* Transport mode: whole datagrams of Linux; the error about one with DF goes to Linux. */
START_TEST(transport)
{
	struct ip4 p = {.src = US, .dst = PEER};
	uint8_t ip[PACKET_MAX], whole[PACKET_MAX], clear[PACKET_MAX], got[PACKET_MAX];
	uint32_t nh = neighbour(WAN, PEER, 1500, true);
	uint16_t len, fits;

	out = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .transport = true});
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "192.0.2.1/32 > 192.0.2.2/32", REQID, NULL), out);
	for (unsigned int mtu = 600; mtu <= 1500; mtu += 1) {
		wait_ms(20);
		set_mtu(nh, mtu);
		sa_at(out)->mtu = mtu;
		p.len = 1500;
		p.frag = 0x4000;
		len = ip4_build(ip, &p);
		put(world.host_rx[WAN], frame(WAN, ip, len));
		run();
		drops_are(DROP_IP4_MTU, 1);
		len = punted(PUNT_OTHER, got);
		ck_assert_uint_eq(len, 576);
		ck_assert_mem_eq(
			got, ((uint8_t[]){2, 0, 0, 0, 0, WAN, 0, 0, 0, 0, 0, 0, 8, 0}), 14);
		ck_assert(ip4_checksum_right(got + 14));
		/* From whom Linux spoke to: of its own address it believes nothing. */
		ck_assert_mem_eq(got + 14 + 12, ip + 16, 4);
		ck_assert_mem_eq(got + 14 + 16, ip + 12, 4);
		ck_assert_uint_eq(load16(got + 34), 0x0304);
		ck_assert_mem_eq(got + 42, ip, 548);
		fits = load16(got + 40);
		nothing_left();
		/* That passes in one; one more, without DF, in two. */
		p.frag = 0;
		for (p.len = fits; p.len <= fits + 1; p.len++) {
			len = ip4_build(ip, &p);
			put(world.host_rx[WAN], frame(WAN, ip, len));
			run();
			no_drops();
			ck_assert_uint_eq(all_sent(WAN, pieces), p.len == fits ? 1 : 2);
			ck_assert(join(pieces, p.len == fits ? 1 : 2, mtu, whole, &len));
			len = esp_open(&key_out, false, 0, whole + 20, len - 20, clear);
			ck_assert_uint_eq(len - 2 - clear[len - 2], p.len - 20);
			ck_assert_mem_eq(clear, ip + 20, p.len - 20);
		}
	}
	/* About a multicast nobody is told. */
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "192.0.2.1/32 > 224.0.0.0/4", REQID, NULL), out);
	p = (struct ip4){.src = US, .dst = "224.0.0.5", .len = 1500, .frag = 0x4000};
	put_host(WAN, &p);
	run();
	drops_are(DROP_IP4_MTU, 1);
	nothing_left();
}
END_TEST

/* An ESP packet of the peer with an inner packet of n bytes, cut into pieces of each bytes. */
static unsigned int
esp_pieces(uint64_t sqn, uint16_t n, uint16_t each, uint16_t id, uint16_t sport)
{
	struct esp e = ESP_IN(sqn);
	uint8_t clear[PACKET_MAX], packet[PACKET_MAX];
	uint16_t len = ip4_build(clear, &(struct ip4){.src = HOST_B, .dst = HOST_A, .len = n});

	len = esp_packet(&e, clear, len, 0, sport, packet);
	store16(packet + 4, id);
	ip4_mend(packet);
	return split(pieces, packet, len, each);
}

static void
put_piece(unsigned int i)
{
	put_frame(WAN, pieces[i].b, pieces[i].len);
	run();
}

static void
arrived(uint16_t n)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];

	ck_assert_uint_eq(sent(LAN, got), n);
	ip4_build(ip, &(struct ip4){.src = HOST_B, .dst = HOST_A, .len = n, .ttl = 63});
	ck_assert_mem_eq(got + 14, ip, n);
	nothing_left();
	ck_assert_uint_eq(reassembly_datagrams(worker(0)->reassembly), 0);
	ck_assert_uint_eq(reassembly_buffers(worker(0)->reassembly), 0);
}

/* Four pieces in each of their orders, and a later one as short as can be. */
START_TEST(all_orders)
{
	uint64_t sqn = 0;

	tunnel(0, 64, &in, &out);
	for (unsigned int code = 0; code < 256; code++) {
		unsigned int o[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};

		if ((1 << o[0] | 1 << o[1] | 1 << o[2] | 1 << o[3]) != 15)
			continue;
		ck_assert_uint_eq(esp_pieces(++sqn, 1000, 344, 1, 0), 4);
		for (unsigned int i = 0; i < 4; i++)
			put_piece(o[i]);
		no_drops();
		arrived(1000);
	}
	ck_assert_uint_eq(sqn, 24);
	/* Every size of datagram and of piece; two datagrams that are interleaved. */
	for (unsigned int n = 40; n < 1500; n += 111)
		for (unsigned int each = 16; each < 1500; each += 8 * (1 + each / 64)) {
			unsigned int made;

			if (n / each + 5 > PIECES)
				continue;
			made = esp_pieces(++sqn, n, each, 2, 0);
			if (made == 1) /* not a fragment */
				pieces[0].b[6] = 0;
			for (unsigned int i = made; i-- > 0;)
				put_piece(i);
			no_drops();
			arrived(n);
		}
}
END_TEST

START_TEST(udp_encapsulated)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	uint16_t len;

	socket_add("0.0.0.0", 4500, true, true);
	in = sa(&(struct sa_spec){
		.dir = SA_DIR_IN, .window = 64, .src_port = 4500, .dst_port = 4500});
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
	ck_assert_uint_eq(esp_pieces(1, 1400, 1200, 1, 4500), 2);
	put_piece(1);
	put_piece(0);
	no_drops();
	arrived(1400);
	/* IKE of that port comes to Linux whole, and is known as IKE, over several buffers too. */
	len = ip4_build(ip,
		&(struct ip4){.src = PEER, .dst = US, .sport = 4500, .dport = 4500, .len = 9000});
	memset(ip + 28, 0, 4);
	ck_assert_uint_eq(split(pieces, ip, len, 1400), 7);
	for (unsigned int i = 7; i-- > 0;)
		put_piece(i);
	no_drops();
	ck_assert_uint_eq(punted(PUNT_IKE, got), 9000);
	ck_assert_mem_eq(got, ((uint8_t[]){2, 0, 0, 0, 0, WAN, 2, 0, 0, 0, 1, WAN, 8, 0}), 14);
	ck_assert_mem_eq(got + 14, ip, 9000);
	nothing_left();
}
END_TEST

/* Whatever overlaps takes the whole datagram with it, also what is yet to come; until the time is over. */
START_TEST(overlaps)
{
	uint64_t sqn = 0;
	struct piece odd;

	tunnel(0, 64, &in, &out);
	for (unsigned int kind = 0; kind < 6; kind++) {
		unsigned int n = esp_pieces(++sqn, 1000, 256, 7, 0), counted;

		ck_assert_uint_eq(n, 5);
		odd = pieces[1];
		switch (kind) {
		case 0: /* one byte differs */
			odd.b[100] ^= 1;
			break;
		case 1: /* begins in the middle of another */
			store16(odd.b + 6, 0x2000 | (256 + 8) / 8);
			break;
		case 2: /* a last one that is not */
			store16(odd.b + 6, 256 / 8);
			break;
		case 3: /* behind the last one */
			store16(odd.b + 6, 0x2000 | 4000 / 8);
			break;
		case 4: /* another end */
			store16(odd.b + 6, 4000 / 8);
			break;
		case 5: /* reaches over the end of another: one block */
			store16(odd.b + 6, 0x2000 | (512 - 8) / 8);
			break;
		}
		ip4_mend(odd.b);
		put_piece(0);
		put_piece(1);
		put_piece(4);
		no_drops();
		put_frame(WAN, odd.b, odd.len);
		run();
		drops_are(DROP_FRAGMENT_OVERLAP, 4);
		ck_assert_uint_eq(reassembly_buffers(worker(0)->reassembly), 0);
		put_piece(2);
		put_piece(3);
		put_piece(1);
		put_piece(0);
		drops_are(DROP_FRAGMENT_OVERLAP, 4);
		nothing_left();
		wait_ms(2001);
		run();
		no_drops();
		for (counted = 0; counted < n; counted++)
			put_piece(counted);
		no_drops();
		arrived(1000);
	}
}
END_TEST

START_TEST(duplicates)
{
	tunnel(0, 64, &in, &out);
	ck_assert_uint_eq(esp_pieces(1, 1000, 256, 7, 0), 5);
	for (unsigned int i = 0; i < 4; i++) {
		put_piece(4 - i);
		put_piece(4 - i);
		drops_are(DROP_FRAGMENT_DUPLICATE, 1);
		put_piece(4);
		drops_are(DROP_FRAGMENT_DUPLICATE, 1);
	}
	put_piece(0);
	no_drops();
	arrived(1000);
	/* The whole again: opened by nobody, and its late copies wait for their time. */
	for (unsigned int i = 0; i < 5; i++)
		put_piece(i);
	drops_are(DROP_ESP_REPLAY, 1);
	put_piece(3);
	wait_ms(2001);
	run();
	drops_are(DROP_FRAGMENT_TIMEOUT, 1);
}
END_TEST

/* Each piece missing: after its time all is as it was. */
START_TEST(missing)
{
	unsigned int free_buffers = rte_mempool_avail_count(world.r.mbufs);

	tunnel(0, 64, &in, &out);
	for (unsigned int miss = 0; miss < 5; miss++) {
		ck_assert_uint_eq(esp_pieces(1, 1000, 256, miss, 0), 5);
		for (unsigned int i = 0; i < 5; i++)
			if (i != miss)
				put_piece(i);
		wait_ms(1990);
		run();
		no_drops();
		ck_assert_uint_eq(reassembly_datagrams(worker(0)->reassembly), 1);
		wait_ms(20);
		run();
		drops_are(DROP_FRAGMENT_TIMEOUT, 4);
		ck_assert_uint_eq(reassembly_datagrams(worker(0)->reassembly), 0);
		ck_assert_uint_eq(rte_mempool_avail_count(world.r.mbufs), free_buffers);
	}
	nothing_left();
}
END_TEST

START_TEST(invalid)
{
	static const struct {
		uint16_t frag, n; /* payload */
	} bad[] = {
		{0x2000, 8}, /* tiny first */
		{0x2000, 0}, {0x2001, 0}, {0x0001, 0}, /* nothing in it */
		{0x2000, 20}, {0x2010, 1001}, /* not whole blocks */
		{0x1fff, 16}, {0x3ff0, 1400}, {0x1ffe, 100}, /* past the end of any packet */
	};
	uint8_t ip[PACKET_MAX];

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		uint16_t len = ip4_build(ip, &(struct ip4){.src = PEER,
						     .dst = US,
						     .proto = IPPROTO_ESP,
						     .frag = bad[i].frag,
						     .len = 20 + bad[i].n});

		put_frame(WAN, ip, len);
		run();
		drops_are(DROP_FRAGMENT_INVALID, 1);
		ck_assert_uint_eq(reassembly_datagrams(worker(0)->reassembly), 0);
	}
	nothing_left();
}
END_TEST

static void
flood(uint32_t i, bool one_source, uint16_t frag)
{
	uint8_t ip[PACKET_MAX];
	uint32_t src = rte_cpu_to_be_32(one_source ? 0xc0000202 : 0x0b000000 + i * 7919);
	uint16_t len = ip4_build(ip, &(struct ip4){.src = PEER,
					     .dst = US,
					     .proto = IPPROTO_ESP,
					     .frag = frag,
					     .id = i,
					     .len = 1400 + 16});

	len = 20 + 1392;
	store16(ip + 2, len);
	memcpy(ip + 12, &src, 4);
	ip4_mend(ip);
	put_frame(WAN, ip, len);
}

/* However many come and from wherever: memory is bounded, and honest datagrams pass. */
START_TEST(floods)
{
	uint64_t sqn = 0;

	tunnel(0, 64, &in, &out);
	for (unsigned int kind = 0; kind < 4; kind++) {
		bool one = kind & 1;
		unsigned int n, dropped = 0;

		for (unsigned int i = 0; i < 5000; i++) {
			flood(i, one, kind & 2 ? 0x2000 | 4000 / 8 : 0x2000);
			run();
			n = reassembly_datagrams(worker(0)->reassembly);
			ck_assert_uint_le(n, one ? REASSEMBLIES / 4 : REASSEMBLIES);
			ck_assert_uint_le(
				reassembly_buffers(worker(0)->reassembly), 2 * REASSEMBLIES);
			if (i % 50 != 49)
				continue;
			ck_assert_uint_eq(esp_pieces(++sqn, 1400, 1200, 0xffff, 0), 2);
			put_piece(0);
			flood(100000 + i, one, 0x2000);
			put_piece(1);
			ck_assert_uint_eq(sent(LAN, pieces[0].b), 1400);
		}
		nothing_left();
		wait_ms(2001);
		run();
		dropped = worker(0)->drops[DROP_FRAGMENT_FULL] +
			  worker(0)->drops[DROP_FRAGMENT_TIMEOUT];
		ck_assert_uint_eq(dropped, 5100);
		worker(0)->drops[DROP_FRAGMENT_FULL] = worker(0)->drops[DROP_FRAGMENT_TIMEOUT] = 0;
		no_drops();
		ck_assert_uint_eq(reassembly_buffers(worker(0)->reassembly), 0);
	}
}
END_TEST

/* One datagram of the largest size, in order to take all the buffers there are. */
START_TEST(large)
{
	uint8_t ip[PACKET_MAX], got[PACKET_MAX];
	unsigned int peak = 0;

	tunnel(0, 64, &in, &out);
	for (unsigned int at = 0; at + 1480 <= 65535 - 20; at += 1480)
		for (unsigned int id = 0; id < 20; id++) {
			uint16_t len = ip4_build(ip, &(struct ip4){.src = PEER,
							     .dst = US,
							     .proto = IPPROTO_ESP,
							     .frag = 0x2000 | at / 8,
							     .id = id,
							     .len = 1500});

			put_frame(WAN, ip, len);
			run();
			peak = RTE_MAX(peak, reassembly_buffers(worker(0)->reassembly));
		}
	ck_assert_uint_le(peak, 40);
	wait_ms(2001);
	run();
	memset(worker(0)->drops, 0, sizeof(worker(0)->drops));
	ck_assert_uint_eq(sent(LAN, got), 0);
	/* A whole one that crypto cannot take in one buffer is dropped, with its reason. */
	for (unsigned int at = 0; at < 5920; at += 1480) {
		ip4_build(ip, &(struct ip4){.src = PEER,
				      .dst = US,
				      .proto = IPPROTO_ESP,
				      .frag = (at < 4440 ? 0x2000 : 0) | at / 8,
				      .id = 99,
				      .len = 1500});
		put_frame(WAN, ip, 1500);
		run();
	}
	drops_are(DROP_ESP_NO_HEADROOM, 1);
}
END_TEST

/* RFC 3168, 5.3. */
START_TEST(marks)
{
	static const struct {
		uint8_t a, b;
		int is; /* -1: dropped */
	} cases[] = {{0, 0, 0}, {2, 2, 2}, {2, 3, 3}, {3, 2, 3}, {0, 3, -1}, {3, 0, -1}, {3, 3, 3}};
	uint8_t got[PACKET_MAX], clear[PACKET_MAX], packet[PACKET_MAX];
	struct esp e = ESP_IN(0);
	uint16_t len;

	tunnel(0, 64, &in, &out);
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		e.sqn++;
		len = ip4_build(clear, &(struct ip4){.src = HOST_B, .dst = HOST_A, .tos = 2});
		len = esp_packet(&e, clear, len, 0, 0, packet);
		ck_assert_uint_eq(split(pieces, packet, len, 96), 2);
		pieces[0].b[1] = cases[i].a;
		pieces[1].b[1] = cases[i].b;
		for (unsigned int k = 2; k-- > 0;) {
			ip4_mend(pieces[k].b);
			put_piece(k);
		}
		drops_are(DROP_IP4_ECN, cases[i].is < 0);
		if (cases[i].is >= 0) {
			ck_assert_uint_ne(sent(LAN, got), 0);
			ck_assert_uint_eq(got[15], cases[i].is == 3 ? 3 : 2);
		}
		nothing_left();
	}
}
END_TEST

/* Fragments of a datagram at different workers meet at one, and the packet at its SA's worker. */
START_TEST(two_workers)
{
	const struct world_conf conf = {.workers = 2, .mtu = 1500, .frames = 16};
	uint8_t got[PACKET_MAX];
	unsigned int at[2] = {0};

	world_start(&conf);
	tunnel(0, 64, &in, &out);
	for (unsigned int i = 1; i <= 64; i++) {
		ck_assert_uint_eq(esp_pieces(i, 1400, 504, i, 0), 3);
		for (unsigned int k = 0; k < 3; k++) {
			put(world.rx[WAN][(i >> k) & 1], frame(WAN, pieces[k].b, pieces[k].len));
			if (k > 0)
				continue;
			run();
			at[0] += reassembly_datagrams(worker(0)->reassembly);
			at[1] += reassembly_datagrams(worker(1)->reassembly);
		}
		run();
		no_drops();
		ck_assert_uint_eq(sent(LAN, got), 1400);
		nothing_left();
	}
	/* Half done at the stop: its buffers come back. */
	ck_assert_uint_eq(esp_pieces(100, 1400, 504, 100, 0), 3);
	put_piece(1);
	ck_assert_uint_gt(at[0], 5);
	ck_assert_uint_gt(at[1], 5);
	world_stop();
}
END_TEST

TCase *
nodes_mtu_case(void)
{
	TCase *tc = tcase_create("mtu");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, world_open, world_stop);
	tcase_add_test(tc, clear_sizes);
	tcase_add_test(tc, options_and_fragments);
	tcase_add_test(tc, clear_chained);
	tcase_add_test(tc, past_the_end);
	tcase_add_test(tc, no_buffers);
	tcase_add_test(tc, tunnel_before);
	tcase_add_test(tc, tunnel_after);
	tcase_add_test(tc, transport);
	tcase_add_test(tc, all_orders);
	tcase_add_test(tc, udp_encapsulated);
	tcase_add_test(tc, overlaps);
	tcase_add_test(tc, duplicates);
	tcase_add_test(tc, missing);
	tcase_add_test(tc, invalid);
	tcase_add_test(tc, floods);
	tcase_add_test(tc, large);
	tcase_add_test(tc, marks);
	return tc;
}

TCase *
nodes_mtu_many_case(void)
{
	TCase *tc = tcase_create("mtu-many");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, two_workers);
	return tc;
}

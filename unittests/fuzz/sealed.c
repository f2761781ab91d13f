/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <openssl/hmac.h>

/*
 * What a peer with the right key may put into ESP and AH: any payload, padding, next header, in each mode and family, and with
 * AH any options and extension headers in front of it. A packet is an octet for the SA, one for which of the next three
 * count (padding, what the pad length says, next header), two of length, its octets.
 */

enum {
	KIND_TUNNEL,
	KIND_TRANSPORT,
	KIND_UDP,
	KIND_GMAC,
	KIND_ESN,
	KIND_TUNNEL6,
	KIND_TRANSPORT6,
	KIND_UDP6,
	KIND_AH,
	KIND_AH_TRANSPORT,
	KIND_AH6,
	KIND_AH6_TRANSPORT,
	KINDS
};

enum { WITH_PAD = 1, WITH_PAD_LENGTH = 2, WITH_NEXT = 4 };

#define PACKETS_MAX 16
#define ICV_LEN 12
#define AH_HEADER (12 + ICV_LEN) /* a multiple of 8: the same in both families */

static const uint32_t spis[KINDS] = {SPI_IN, SPI_TRANSPORT, SPI_UDP, SPI_GMAC, SPI_ESN, SPI_TUNNEL6,
	SPI_TRANSPORT6, SPI_UDP6, SPI_AH, SPI_AH_TRANSPORT, SPI_AH6, SPI_AH6_TRANSPORT};

static uint32_t sqn;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_world();
	return 0;
}

static void
put_sealed(unsigned int kind, struct esp *e, const uint8_t *inner, uint16_t len)
{
	bool six = kind >= KIND_TUNNEL6;
	uint16_t udp = kind == KIND_UDP6 ? 8 : 0, n;
	uint8_t packet[PACKET_MAX], esp[PACKET_MAX];

	e->key = &key_in;
	e->spi = spis[kind];
	e->sqn = sqn;
	e->gmac = kind == KIND_GMAC;
	e->esn = kind == KIND_ESN;
	if (!six) {
		n = esp_packet(e, inner, len, 0, kind == KIND_UDP ? 4500 : 0, packet);
		put_frame(WAN, packet, n);
		return;
	}
	n = esp_seal(e, inner, len, esp);
	ip6_build(packet, &(struct ip6){.src = PEER6,
				  .dst = US6,
				  .proto = udp != 0 ? IPPROTO_UDP : IPPROTO_ESP,
				  .sport = 4500,
				  .dport = 4500,
				  .len = 40 + udp + n});
	memcpy(packet + 40 + udp, esp, n);
	put_frame6(WAN, packet, 40 + udp + n);
}

/* Options that are whole, and what of them is signed. Returns how many octets were used of n. */
static void
build_options(struct fuzz_input *in, bool six, uint8_t *at, uint8_t *signs, uint16_t n)
{
	static const uint8_t stays[] = {130, 133, 134, 148, 149}; /* RFC 4302, A1 */
	uint16_t len;

	for (; n > 0; at += len, signs += len, n -= len) {
		uint8_t type = fuzz_u8(in);
		const uint8_t *data;
		size_t got;
		bool keep;

		len = 1;
		at[0] = signs[0] = six ? 0 : 1; /* padding of one octet */
		if (n < 2 || type <= 1)
			continue;
		len = RTE_MIN(2 + fuzz_u8(in) % 16, n);
		keep = six ? !(type & 0x20) : memchr(stays, type, sizeof(stays)) != NULL;
		memset(at, 0, len);
		got = fuzz_bytes(in, len - 2, &data);
		memcpy(at + 2, data, got);
		at[0] = type;
		at[1] = six ? len - 2 : len;
		memset(signs, 0, len);
		memcpy(signs, at, keep ? len : six ? 2 : 0);
	}
}

/* Extension headers: each that the low bits of which say, of some units of eight octets. Returns their length. */
static uint16_t
build_chain(struct fuzz_input *in, uint8_t which, uint8_t *ip, uint8_t *signs)
{
	static const uint8_t protos[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING};
	uint16_t field = 6, at = 40;

	for (unsigned int i = 0; i < RTE_DIM(protos); i++) {
		uint16_t units;

		if (!(which & 1 << i))
			continue;
		units = 1 + fuzz_u8(in) % 4;
		ip[field] = signs[field] = protos[i];
		field = at;
		ip[at + 1] = signs[at + 1] = units - 1;
		if (protos[i] == IPPROTO_ROUTING) {
			const uint8_t *data;
			size_t got = fuzz_bytes(in, 8 * units - 4, &data);

			ip[at + 2] = signs[at + 2] =
				1 + fuzz_u8(in) % 250; /* its type; at its end */
			memcpy(ip + at + 4, data, got);
			memcpy(signs + at + 4, data, got);
		} else {
			build_options(in, true, ip + at + 2, signs + at + 2, 8 * units - 2);
		}
		at += 8 * units;
	}
	ip[field] = signs[field] = IPPROTO_AH;
	return at - 40;
}

/* RFC 4302: the mutable fields are zero in what is signed. */
static void
put_signed(unsigned int kind, uint8_t which, uint8_t next, const uint8_t *inner, uint16_t len)
{
	uint8_t packet[PACKET_MAX] = {0}, signs[PACKET_MAX] = {0}, icv[EVP_MAX_MD_SIZE];
	uint8_t header[AH_HEADER] = {next, AH_HEADER / 4 - 2};
	struct fuzz_input in = {inner, len};
	bool six = kind >= KIND_AH6;
	uint16_t at = six ? 40 : 20 + which % 11 * 4, total;
	struct ip_addr src = address(six ? PEER6 : PEER), dst = address(six ? US6 : US);
	unsigned int icv_len, size = six ? 16 : 4;

	if (six)
		at += build_chain(&in, which, packet, signs);
	else
		build_options(&in, false, packet + 20, signs + 20, at - 20);
	total = at + AH_HEADER + in.left;
	if (six) {
		packet[0] = 0x60 | which >> 4;
		signs[0] = 0x60;
		packet[1] = which;
		packet[4] = signs[4] = (total - 40) >> 8;
		packet[5] = signs[5] = total - 40;
		packet[7] = 64;
	} else {
		packet[0] = signs[0] = 0x40 | at / 4;
		packet[1] = which;
		packet[2] = signs[2] = total >> 8;
		packet[3] = signs[3] = total;
		packet[8] = 64;
		packet[9] = signs[9] = IPPROTO_AH;
	}
	memcpy(packet + (six ? 8 : 12), src.b, size);
	memcpy(packet + (six ? 24 : 16), dst.b, size);
	memcpy(signs + (six ? 8 : 12), packet + (six ? 8 : 12), 2 * size);
	for (unsigned int i = 0; i < 4; i++) {
		header[4 + i] = spis[kind] >> (24 - 8 * i);
		header[8 + i] = sqn >> (24 - 8 * i);
	}
	memcpy(packet + at, header, sizeof(header));
	memcpy(packet + at + AH_HEADER, in.p, in.left);
	memcpy(signs + at, packet + at, total - at);
	HMAC(EVP_sha1(), fuzz_ah_key, sizeof(fuzz_ah_key), signs, total, icv, &icv_len);
	memcpy(packet + at + 12, icv, ICV_LEN);
	if (six) {
		put_frame6(WAN, packet, total);
	} else {
		ip4_mend(packet);
		put_frame(WAN, packet, total);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	for (unsigned int i = 0; i < PACKETS_MAX && in.left > 0; i++) {
		unsigned int kind = fuzz_u8(&in) % KINDS, flags = fuzz_u8(&in);
		uint8_t pad = fuzz_u8(&in), says = fuzz_u8(&in), next = fuzz_u8(&in);
		uint16_t len = fuzz_u16(&in) % 1300;
		struct esp e = {.pad = flags & WITH_PAD ? pad : -1,
			.pad_field = flags & WITH_PAD_LENGTH ? says : -1,
			.next_header = flags & WITH_NEXT ? next : 0};
		const uint8_t *inner;

		len = fuzz_bytes(&in, len, &inner);
		sqn++;
		if (kind >= KIND_AH)
			put_signed(kind, pad, flags & WITH_NEXT ? next : IPPROTO_IPIP, inner, len);
		else
			put_sealed(kind, &e, inner, len);
	}
	fuzz_settle();
	ck_assert_uint_eq(worker(0)->drops[DROP_ESP_ICV], 0);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <openssl/hmac.h>

/*
 * What a peer with the right key may put into ESP and AH: any payload, padding, next header, in each mode. A packet
 * is an octet for the SA, one each for padding, what the pad length says, next header, two of length, its octets.
 */

enum {
	KIND_TUNNEL,
	KIND_TRANSPORT,
	KIND_UDP,
	KIND_GMAC,
	KIND_ESN,
	KIND_AH,
	KIND_AH_TRANSPORT,
	KINDS
};

#define PACKETS_MAX 16
#define AH_HEADER 24

static const uint32_t spis[KINDS] = {
	SPI_IN, SPI_TRANSPORT, SPI_UDP, SPI_GMAC, SPI_ESN, SPI_AH, SPI_AH_TRANSPORT};

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
	uint8_t packet[PACKET_MAX];
	uint16_t n;

	e->key = &key_in;
	e->spi = spis[kind];
	e->sqn = sqn;
	e->gmac = kind == KIND_GMAC;
	e->esn = kind == KIND_ESN;
	n = esp_packet(e, inner, len, 0, kind == KIND_UDP ? 4500 : 0, packet);
	put_frame(WAN, packet, n);
}

/* RFC 4302: the mutable fields are zero in what is signed. */
static void
put_signed(unsigned int kind, uint8_t next, const uint8_t *inner, uint16_t len)
{
	static const uint8_t key[20] = "key of AH, 20 bytes";
	uint8_t packet[PACKET_MAX], zeroed[PACKET_MAX], icv[EVP_MAX_MD_SIZE];
	struct ip4 outer = {
		.src = PEER, .dst = US, .proto = IPPROTO_AH, .len = 20 + AH_HEADER + len};
	uint8_t header[AH_HEADER] = {next, AH_HEADER / 4 - 2};
	unsigned int icv_len;

	for (unsigned int i = 0; i < 4; i++) {
		header[4 + i] = spis[kind] >> (24 - 8 * i);
		header[8 + i] = sqn >> (24 - 8 * i);
	}
	ip4_build(packet, &outer);
	memcpy(packet + 20, header, sizeof(header));
	memcpy(packet + 20 + AH_HEADER, inner, len);
	memcpy(zeroed, packet, outer.len);
	zeroed[1] = zeroed[6] = zeroed[7] = zeroed[8] = zeroed[10] = zeroed[11] = 0;
	HMAC(EVP_sha1(), key, sizeof(key), zeroed, outer.len, icv, &icv_len);
	memcpy(packet + 32, icv, 12);
	put_frame(WAN, packet, outer.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	for (unsigned int i = 0; i < PACKETS_MAX && in.left > 0; i++) {
		unsigned int kind = fuzz_u8(&in), flags = kind / KINDS;
		uint8_t pad = fuzz_u8(&in), says = fuzz_u8(&in), next = fuzz_u8(&in);
		uint16_t len = fuzz_u16(&in) % 1400;
		struct esp e = {.pad = flags & 1 ? pad : -1,
			.pad_field = flags & 2 ? says : -1,
			.next_header = flags & 4 ? next : 0};
		const uint8_t *inner;

		kind %= KINDS;
		len = fuzz_bytes(&in, len, &inner);
		sqn++;
		if (kind >= KIND_AH)
			put_signed(kind, flags & 4 ? next : IPPROTO_IPIP, inner, len);
		else
			put_sealed(kind, &e, inner, len);
	}
	fuzz_settle();
	ck_assert_uint_eq(worker(0)->drops[DROP_ESP_ICV], 0);
	return 0;
}

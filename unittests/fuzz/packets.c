/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <sanitizer/asan_interface.h>

/*
 * Frames from the wire and from Linux: Ethernet, IP, fragments, ICMP, UDP, ESP and AH up to the integrity check. A
 * frame is an octet that says how, two of its length, and its octets.
 */

enum { HOW_IP, HOW_MENDED, HOW_ETHER, HOW_HOST, HOW_CUT, HOW_TIME, HOW_FRAGMENT, HOW_AGAIN, HOWS };

#define FRAMES_MAX 64
#define BYTES_MAX 2000

static struct rte_mbuf *poisoned[FRAMES_MAX];
static unsigned int n_poisoned;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_world();
	return 0;
}

/*
 * Nothing is to be read behind what came; what is written there is a tunnel's: of what goes to 10.2/16 and
 * 2001:db8:2::/48, and of ICMP errors about what comes from there.
 */
static void
poison(struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);

	for (unsigned int at = 12; at <= 16 && m->data_len >= 14 + 20; at += 4)
		if (ip[at] == 10 && ip[at + 1] == 2)
			return;
	for (unsigned int at = 8; at <= 24 && m->data_len >= 14 + 40; at += 16)
		if (memcmp(ip + at, "\x20\x01\x0d\xb8\0\2", 6) == 0)
			return;
	ASAN_POISON_MEMORY_REGION(
		rte_pktmbuf_mtod_offset(m, char *, m->data_len), rte_pktmbuf_tailroom(m));
	poisoned[n_poisoned++] = m;
}

static void
unpoison(void)
{
	while (n_poisoned > 0) {
		struct rte_mbuf *m = poisoned[--n_poisoned];

		ASAN_UNPOISON_MEMORY_REGION(m->buf_addr, m->buf_len);
	}
}

/* Lengths and checksum as IPv4 wants them. */
static void
mend(uint8_t *ip, uint16_t len)
{
	uint16_t header;

	if (len < 20)
		return;
	header = 20 + (ip[0] & 7) % 6 * 4;
	if (header > len)
		header = 20;
	ip[0] = 0x40 | header / 4;
	ip[2] = len >> 8;
	ip[3] = len;
	ip4_mend(ip);
}

static void
to_port(unsigned int port, uint8_t *ip, uint16_t len, bool cut)
{
	uint16_t at = len / 2;
	struct rte_mbuf *m = frame_cut(port, ip, len, &at, cut ? 1 : 0);

	if (len > 0 && ip[0] >> 4 == 6)
		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, 12), (uint8_t[]){0x86, 0xdd}, 2);
	/* Linearising writes there. */
	if (!cut)
		poison(m);
	put(world.rx[port][0], m);
}

static void
raw(struct rte_ring *ring, const uint8_t *bytes, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.r.mbufs);

	ck_assert_ptr_nonnull(m);
	memset(pkt(m), 0xa5, sizeof(struct pkt));
	memcpy(rte_pktmbuf_append(m, len), bytes, len);
	if (ring != world.host_rx[LAN]) /* what Linux sends is sealed */
		poison(m);
	put(ring, m);
}

static void
one(uint8_t how, uint8_t *b, uint16_t len)
{
	unsigned int port = how / HOWS % 2 ? LAN : WAN;

	switch (how % HOWS) {
	case HOW_IP:
		to_port(port, b, len, false);
		break;
	case HOW_MENDED:
	case HOW_AGAIN:
		mend(b, len);
		to_port(WAN, b, len, false);
		break;
	case HOW_ETHER:
		raw(world.rx[port][0], b, len);
		break;
	case HOW_HOST:
		if (len >= 34)
			mend(b + 14, len - 14);
		raw(world.host_rx[LAN], b, len);
		break;
	case HOW_CUT:
		mend(b, len);
		to_port(WAN, b, len, true);
		break;
	case HOW_TIME:
		wait_ms(len > 0 ? b[0] * 10 : 100);
		run();
		break;
	case HOW_FRAGMENT: /* to us, and small offsets: they may meet */
		mend(b, len);
		if (len >= 20) {
			memcpy(b + 4, "\0\1", 2);
			b[6] &= 0x20;
			memcpy(b + 12, "\xc0\0\2\2\xc0\0\2\1", 8);
			ip4_mend(b);
		}
		to_port(WAN, b, len, false);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint8_t bytes[BYTES_MAX];

	for (unsigned int i = 0; i < FRAMES_MAX && in.left > 0; i++) {
		uint8_t how = fuzz_u8(&in);
		uint16_t len = fuzz_u16(&in) % (1500 + 1);
		const uint8_t *at;

		len = fuzz_bytes(&in, len, &at);
		memcpy(bytes, at, len);
		one(how, bytes, len);
	}
	fuzz_settle();
	unpoison();
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include "ip6.h"
#include "sad.h"

/*
 * ICMP errors about packets of ours. An error is an octet for the family and for which fields the truth is put into, two of
 * MTU, two of length, its octets: what is quoted. Its header and checksum are right, so that all of it is read.
 */

enum { WITH_ADDRESSES = 1 << 1, WITH_SPI = 1 << 2, WITH_UDP = 1 << 3 };

#define ERRORS_MAX 32
#define QUOTED_MAX 1300

static uint32_t slots[3]; /* over IPv4, over IPv6, in UDP */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct sa_spec specs[] = {{.dir = SA_DIR_OUT, .spi = 0x3001},
		{.dir = SA_DIR_OUT, .spi = 0x3001, .six = true},
		{.dir = SA_DIR_OUT, .spi = 0x3002, .src_port = 4500, .dst_port = 4500}};

	(void)argc;
	(void)argv;
	fuzz_world();
	for (unsigned int i = 0; i < RTE_DIM(specs); i++)
		slots[i] = sa(&specs[i]);
	return 0;
}

static uint16_t
sum(const uint8_t *p, unsigned int n, uint32_t with)
{
	for (unsigned int i = 0; i < n; i++)
		with += i % 2 == 0 ? p[i] << 8 : p[i];
	while (with > 0xffff)
		with = (with & 0xffff) + (with >> 16);
	return ~with;
}

/* Makes the quoted packet look like one of ours: the fuzzer would not guess addresses and SPIs. */
static void
with_truth(uint8_t *quoted, uint16_t n, uint8_t how, bool six)
{
	struct ip_addr us = address(six ? US6 : US), peer = address(six ? PEER6 : PEER);
	unsigned int header = six ? 40 : 20, size = six ? 16 : 4;
	bool udp = how & WITH_UDP && !six;

	if (n < header)
		return;
	if (how & WITH_ADDRESSES) {
		memcpy(quoted + header - 2 * size, us.b, size);
		memcpy(quoted + header - size, peer.b, size);
	}
	if (how & WITH_SPI && n >= header + 8u * udp + 8) {
		quoted[0] = six ? 0x60 : 0x45;
		quoted[six ? 6 : 9] = udp ? IPPROTO_UDP : IPPROTO_ESP;
		if (udp)
			memcpy(quoted + header, "\x11\x94\x11\x94", 4);
		memcpy(quoted + header + 8 * udp, udp ? "\0\0\x30\2" : "\0\0\x30\1", 4);
	}
}

static void
put_error(uint8_t how, uint16_t mtu, const uint8_t *bytes, uint16_t n)
{
	bool six = how & 1;
	uint16_t header = six ? 40 : 20;
	uint8_t ip[QUOTED_MAX + 48] = {0}, *icmp = ip + header;
	struct ip_addr by = address(six ? HOST6_D : HOST_D), us = address(six ? US6 : US);

	icmp[0] = six ? 2 : 3;
	icmp[1] = six ? 0 : 4;
	icmp[6] = mtu >> 8;
	icmp[7] = mtu;
	memcpy(icmp + 8, bytes, n);
	with_truth(icmp + 8, n, how, six);
	if (six) {
		ip[0] = 0x60;
		ip[4] = (8 + n) >> 8;
		ip[5] = 8 + n;
		ip[6] = IPPROTO_ICMPV6;
		ip[7] = 60;
		memcpy(ip + 8, by.b, 16);
		memcpy(ip + 24, us.b, 16);
		n = sum(ip + 8, 40 - 8 + 8 + n, 8 + n + IPPROTO_ICMPV6);
		icmp[2] = n >> 8;
		icmp[3] = n;
		put_frame6(WAN, ip, 40 + (ip[4] << 8 | ip[5]));
		return;
	}
	ip[0] = 0x45;
	ip[2] = (28 + n) >> 8;
	ip[3] = 28 + n;
	ip[8] = 60;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, by.b, 4);
	memcpy(ip + 16, us.b, 4);
	n = sum(icmp, 8 + n, 0);
	icmp[2] = n >> 8;
	icmp[3] = n;
	ip4_mend(ip);
	put_frame(WAN, ip, ip[2] << 8 | ip[3]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct sa_path_mtu told;

	for (unsigned int i = 0; i < RTE_DIM(slots); i++) {
		atomic_store(&sa_at(slots[i])->sqn, 1000);
		sa_at(slots[i])->mtu = 1500;
	}
	for (unsigned int i = 0; i < ERRORS_MAX && in.left > 0; i++) {
		uint8_t how = fuzz_u8(&in);
		uint16_t mtu = fuzz_u16(&in), len = fuzz_u16(&in) % QUOTED_MAX;
		const uint8_t *bytes;

		len = fuzz_bytes(&in, len, &bytes);
		put_error(how, mtu, bytes, len);
	}
	fuzz_settle();
	while (rte_ring_sc_dequeue_elem(world.r.path_mtus, &told, sizeof(told)) == 0) {
		bool six = sad_cold(world.r.sad, told.slot)->conf.dst.family == 6;

		ck_assert_uint_ge(told.mtu, six ? IP6_MIN_MTU : 576);
		ck_assert_uint_lt(told.mtu, 1500);
		sad_learn_mtu(world.r.sad, &told);
	}
	return 0;
}

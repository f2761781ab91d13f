/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_test.h"
#include "packet.h"

#include <stdlib.h>
#include <string.h>

/* A packet in a line, from bytes that end anywhere. */

static const struct {
	const char *hex;
	bool frame;
	const char *text;
} packets[] = {
	{"4500001c000000004001000a0a0100020a020002"
	 "0800000000070001",
		false, "10.1.0.2 > 10.2.0.2 ICMP echo request 7.1"},
	{"ffffffffffff0202020202020806"
	 "0001080006040001"
	 "020202020202c0000201"
	 "000000000000c0000202",
		true, "ARP who has 192.0.2.2, tell 192.0.2.1"},
	{"0202020202020202020202020800"
	 "4500001c0000000040320000c0000201c0000202"
	 "c000000100000009",
		true, "192.0.2.1 > 192.0.2.2 ESP SPI 0xc0000001 sequence 9"},
	{"4500001c0000000040110000c0000201c0000202"
	 "1194119400000000"
	 "c0000001"
	 "00000009",
		false, "192.0.2.1 > 192.0.2.2 UDP 4500 > 4500 ESP SPI 0xc0000001 sequence 9"},
	{"4500001c0000000040110000c0000201c0000202"
	 "1194119400000000"
	 "00000000"
	 "00000009",
		false, "192.0.2.1 > 192.0.2.2 UDP 4500 > 4500 IKE"},
	{"4500001c0000000040330000c0000201c0000202"
	 "32040000c000000100000009"
	 "00000000",
		false, "192.0.2.1 > 192.0.2.2 AH SPI 0xc0000001 sequence 9"},
	{"45000028000000004006000a0a0100020a020002"
	 "d43101bb00000001000000005002",
		false, "10.1.0.2 > 10.2.0.2 TCP 54321 > 443 S sequence 1"},
	{"4500001c000020b94001000a0a0100020a020002", false,
		"10.1.0.2 > 10.2.0.2 fragment at 1480, protocol 1"},
	{"4500001c000020004001000a0a0100020a020002"
	 "0800000000070001",
		false, "10.1.0.2 > 10.2.0.2 ICMP echo request 7.1, first fragment"},
	{"4500001c000000004001000a0a0100020a020002"
	 "0304000000000578",
		false, "10.1.0.2 > 10.2.0.2 ICMP fragmentation needed, MTU 1400"},
	/* A hop-by-hop header before the echo. */
	{"6000000000100040"
	 "20010db8000000000000000000000001"
	 "20010db8000000000000000000000002"
	 "3a00000000000000"
	 "8000000000070002",
		false, "2001:db8::1 > 2001:db8::2 ICMPv6 echo request 7.2"},
	{"02020202020202020202020288cc", true, "EtherType 0x88cc"},
	{"02020202020202020202020281000064"
	 "0800"
	 "4500001c000000004059000a0a0100020a020002",
		true, "VLAN 100 10.1.0.2 > 10.2.0.2 protocol 89"},
};

static size_t
bytes(const char *hex, uint8_t *to)
{
	size_t n = 0;

	for (unsigned int byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		to[n] = (uint8_t)byte;
	return n;
}

START_TEST(packets_in_a_line)
{
	uint8_t data[256];
	char buf[PACKET_TEXT];
	size_t n = bytes(packets[_i].hex, data);

	ck_assert_str_eq(packet_text(buf, data, n, packets[_i].frame), packets[_i].text);
}
END_TEST

/* In a block of its very size, for the sanitizers; with header lengths that lie. */
START_TEST(cut_off_anywhere)
{
	uint8_t data[256], *own;
	char buf[PACKET_TEXT];
	size_t n = bytes(packets[_i].hex, data);

	for (size_t len = 0; len <= n; len++) {
		for (unsigned int lie = 0; lie < 3; lie++) {
			own = malloc(len + 1);
			memcpy(own + 1, data, len);
			if (lie > 0 && len > 0 && !packets[_i].frame)
				own[1] = (own[1] & 0xf0) | (lie == 1 ? 15 : 0);
			packet_text(buf, own + 1, len, packets[_i].frame);
			ck_assert_uint_lt(strlen(buf), PACKET_TEXT);
			free(own);
		}
	}
}
END_TEST

TCase *
ctl_packet_case(void)
{
	TCase *t = tcase_create("packets");

	tcase_add_loop_test(t, packets_in_a_line, 0, sizeof(packets) / sizeof(packets[0]));
	tcase_add_loop_test(t, cut_off_anywhere, 0, sizeof(packets) / sizeof(packets[0]));
	return t;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "addr.h"

#include <errno.h>
#include <stdlib.h>

#include <check.h>

static struct ip_addr
parse(const char *text)
{
	struct ip_addr a;

	memset(&a, 0xa5, sizeof(a));
	ck_assert_msg(addr_parse(text, &a) == 0, "%s", text);
	return a;
}

static void
same_text(const char *text, const char *canonical)
{
	struct ip_addr a = parse(text);
	char buf[ADDR_STRLEN];

	ck_assert_str_eq(addr_str(&a, buf), canonical);
}

START_TEST(parses_and_prints)
{
	struct ip_addr a = parse("192.0.2.1");

	ck_assert_uint_eq(a.family, 4);
	ck_assert_mem_eq(a.b, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0", 16);
	a = parse("2001:db8::1");
	ck_assert_uint_eq(a.family, 6);
	ck_assert_mem_eq(a.b, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	same_text("0.0.0.0", "0.0.0.0");
	same_text("255.255.255.255", "255.255.255.255");
	same_text("::", "::");
	same_text("2001:DB8:0:0:0:0:0:1", "2001:db8::1");
	/* The longest text of all fits. */
	same_text("fe80:1234:5678:9abc:def0:1234:5678:9abc",
		"fe80:1234:5678:9abc:def0:1234:5678:9abc");
}
END_TEST

START_TEST(refuses_what_is_no_address)
{
	static const char *const wrong[] = {"", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ",
		" 1.2.3.4", "1.2.3.4/24", "01.2.3.4x", ":::", "2001:db8::1::2", "g::", "1.2.3.-4",
		"12345::", "fe80::1%eth0"};
	struct ip_addr a;

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(addr_parse(wrong[i], &a) == -EINVAL, "'%s'", wrong[i]);
}
END_TEST

START_TEST(parses_prefixes)
{
	static const struct {
		const char *text;
		int plen; /* -1: refused */
	} cases[] = {{"10.0.0.0/8", 8}, {"0.0.0.0/0", 0}, {"192.0.2.1", 32}, {"192.0.2.1/32", 32},
		{"::/0", 0}, {"2001:db8::/32", 32}, {"::1", 128}, {"::1/128", 128},
		{"10.0.0.0/33", -1}, {"::1/129", -1}, {"10.0.0.0/", -1}, {"10.0.0.0/-1", -1},
		{"10.0.0.0/+8", -1}, {"10.0.0.0/ 8", -1}, {"10.0.0.0/8 ", -1}, {"10.0.0.0/8x", -1},
		{"10.0.0.0/99999999999999999999999", -1}, {"10.0.0.0/256", -1},
		{"10.0.0.0/4294967304", -1}, {"/8", -1}, {"", -1}, {"10.0.0.0/8/8", -1},
		{"10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0/8", -1}};
	struct ip_addr a;
	uint8_t plen;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = addr_parse_prefix(cases[i].text, &a, &plen);

		ck_assert_msg(rc == (cases[i].plen < 0 ? -EINVAL : 0), "%s: %d", cases[i].text, rc);
		ck_assert_msg(rc < 0 || plen == cases[i].plen, "%s: /%u", cases[i].text, plen);
	}
}
END_TEST

START_TEST(prints_prefixes)
{
	struct ip_addr a = parse("fe80:1234:5678:9abc:def0:1234:5678:9abc"), none = {0};
	char buf[ADDR_STRLEN];

	ck_assert_str_eq(
		addr_prefix_str(&a, 128, buf), "fe80:1234:5678:9abc:def0:1234:5678:9abc/128");
	a = parse("10.0.0.0");
	ck_assert_str_eq(addr_prefix_str(&a, 0, buf), "10.0.0.0/0");
	ck_assert_str_eq(addr_str(&none, buf), "any");
}
END_TEST

/* Bit by bit, without the shortcuts. */
static bool
bit(const struct ip_addr *a, unsigned int i)
{
	return a->b[i / 8] >> (7 - i % 8) & 1;
}

START_TEST(masks_every_length)
{
	for (unsigned int plen = 0; plen <= 128; plen++) {
		struct ip_addr a = parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");

		addr_mask(&a, plen);
		for (unsigned int i = 0; i < 128; i++)
			ck_assert_msg(bit(&a, i) == (i < plen), "/%u bit %u", plen, i);
	}
}
END_TEST

START_TEST(belongs_to_networks)
{
	unsigned int seed = 1;

	for (unsigned int n = 0; n < 20000; n++) {
		struct ip_addr a = {.family = n & 1 ? 4 : 6}, net = a;
		unsigned int bits = addr_bits(&a), same = 0, plen = rand_r(&seed) % (bits + 1);

		for (unsigned int i = 0; i < bits / 8; i++)
			a.b[i] = net.b[i] = rand_r(&seed);
		net.b[rand_r(&seed) % (bits / 8)] ^= 1 << rand_r(&seed) % 8;
		while (same < bits && bit(&a, same) == bit(&net, same))
			same++;
		ck_assert(addr_in(&a, &net, plen) == (same >= plen));
		ck_assert(addr_in(&a, &a, plen));
		ck_assert(!addr_equal(&a, &net));
	}
}
END_TEST

START_TEST(families_never_meet)
{
	struct ip_addr four = parse("0.0.0.0"), six = parse("::");

	ck_assert(!addr_in(&four, &six, 0));
	ck_assert(!addr_in(&six, &four, 0));
	ck_assert(!addr_equal(&four, &six));
	ck_assert(addr_equal(&four, &four));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("addr");
	TCase *tc = tcase_create("addr");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, parses_and_prints);
	tcase_add_test(tc, refuses_what_is_no_address);
	tcase_add_test(tc, parses_prefixes);
	tcase_add_test(tc, prints_prefixes);
	tcase_add_test(tc, masks_every_length);
	tcase_add_test(tc, belongs_to_networks);
	tcase_add_test(tc, families_never_meet);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

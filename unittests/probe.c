/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe_priv.h"
#include "sad.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Filters as cygnetctl sends them: what libpcap compiles is taken, and what could hang or read elsewhere is not. */

static struct bpf_insn insns[PROBE_FILTER_MAX];

static int
parse_compiled(const char *text, char *hex)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	struct bpf_program program;

	ck_assert_int_eq(pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN), 0);
	hex[0] = '\0';
	for (unsigned int i = 0; i < program.bf_len; i++)
		sprintf(hex + strlen(hex), "%04x%02x%02x%08x", program.bf_insns[i].code,
			program.bf_insns[i].jt, program.bf_insns[i].jf, program.bf_insns[i].k);
	pcap_freecode(&program);
	pcap_close(p);
	return probe_filter_parse(hex, insns);
}

START_TEST(compiled_filters_match)
{
	static const uint8_t icmp[34] = {
		[12] = 0x08, [14] = 0x45, [23] = 1, [26] = 10, 1, 0, 2, 10, 2, 0, 2};
	static char hex[16 * PROBE_FILTER_MAX + 1];
	int n = parse_compiled("icmp and dst host 10.2.0.2", hex);

	ck_assert_int_gt(n, 0);
	ck_assert(probe_match(insns, n, icmp, sizeof(icmp), sizeof(icmp)));
	n = parse_compiled("icmp and src host 10.2.0.2", hex);
	ck_assert(!probe_match(insns, n, icmp, sizeof(icmp), sizeof(icmp)));
	/* A frame that is cut off matches nothing, and is not read beyond its end. */
	ck_assert(!probe_match(insns, n, icmp, sizeof(icmp), 20));
	ck_assert(probe_match(NULL, 0, icmp, sizeof(icmp), sizeof(icmp)));
	n = parse_compiled("greater 100", hex);
	ck_assert(probe_match(insns, n, icmp, 120, sizeof(icmp)));
	ck_assert(!probe_match(insns, n, icmp, 99, sizeof(icmp)));
}
END_TEST

START_TEST(bad_programs_are_refused)
{
	static const char *const bad[] = {
		"0", /* no whole instruction */
		"000600000000000g", /* no digit */
		"0000000000000000", /* does not end with a return */
		"0005000000000005"
		"0006000000000001", /* jumps beyond the end */
		"00050000ffffffff"
		"0006000000000001", /* jumps back to itself: for ever */
		"00050000fffffffe"
		"0006000000000001",
		"0015050000000000"
		"0006000000000001", /* a conditional one beyond the end */
		"0060000000000010"
		"0006000000000001", /* memory word 16 of 16 */
		"0034000000000000"
		"0006000000000001", /* divides by zero */
		"ffff000000000000"
		"0006000000000001", /* no such instructions: the interpreter would abort */
		"0047000000000000"
		"0006000000000001",
		"00c4000000000001"
		"0006000000000001",
		"0055000000000000"
		"0006000000000001",
	};
	static char hex[16 * (PROBE_FILTER_MAX + 1) + 1];

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(probe_filter_parse(bad[i], insns) == -EINVAL, "program %u", i);
	ck_assert_int_eq(probe_filter_parse("", insns), 0);
	for (unsigned int i = 0; i <= PROBE_FILTER_MAX; i++)
		strcat(hex, "0006000000000001");
	ck_assert_int_eq(probe_filter_parse(hex, insns), -EINVAL);
	hex[16 * PROBE_FILTER_MAX] = '\0';
	ck_assert_int_eq(probe_filter_parse(hex, insns), PROBE_FILTER_MAX);
}
END_TEST

/* Where a packet is on its way from one tunnel into another, and whose SPI is shown there. */
START_TEST(whose_spi)
{
	enum { IN = 1, OUT = 2, CAME = PKT_F_DECRYPTED | PKT_F_PROTECTED };
	static struct sa in, out;
	static const struct {
		uint16_t flags;
		enum probe_kind kind;
		struct sa *sa;
		uint32_t spi;
	} ways[] = {
		{0, PROBE_PLAIN, NULL, 0},
		{PKT_F_DECRYPT, PROBE_SA, &in, IN},
		{PKT_F_DECRYPTED, PROBE_OPENED, &in, IN},
		{CAME, PROBE_PLAIN, NULL, IN},
		{CAME, PROBE_SEAL, &out, OUT},
		{CAME, PROBE_SA, &out, OUT},
		{CAME, PROBE_DROPPED, &out, IN},
		{CAME | PKT_F_SEALED, PROBE_PLAIN, NULL, 0},
		{CAME | PKT_F_SEALED, PROBE_SENT, NULL, 0},
		/* And what came in clear. */
		{0, PROBE_SEAL, &out, OUT},
		{PKT_F_SEALED, PROBE_SENT, NULL, 0},
	};

	in.template[0].spi = IN;
	out.template[0].spi = OUT;
	for (unsigned int i = 0; i < RTE_DIM(ways); i++) {
		struct pkt k = {.sa = ways[i].sa, .flags = ways[i].flags, .spi = IN};

		ck_assert_msg(probe_spi(&k, ways[i].kind) == ways[i].spi, "way %u", i);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("probe");
	TCase *tc = tcase_create("filter");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, compiled_filters_match);
	tcase_add_test(tc, bad_programs_are_refused);
	tcase_add_test(tc, whose_spi);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

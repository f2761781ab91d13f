/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_words.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

/* Lines as charon 5.9.8 logs them, and what they are to an operator. */
static const struct {
	const char *line, *words;
} said[] = {
	{"received NO_PROPOSAL_CHOSEN notify error",
		"the peer accepts none of the proposals (NO_PROPOSAL_CHOSEN)"},
	{"received proposals unacceptable", "the peer's proposals are none of ours"},
	{"received AUTHENTICATION_FAILED notify error",
		"the peer does not accept who we are: another key, certificate or identity "
		"(AUTHENTICATION_FAILED)"},
	{"tried 1 shared key for 'a' - 'b', but MAC mismatched", "the pre-shared keys differ"},
	{"no shared key found for 'a' - 'b'", "there is no pre-shared key for these identities"},
	{"no trusted ECDSA public key found for 'CN=b'",
		"the peer's certificate is signed by nobody whom we trust"},
	{"received TS_UNACCEPTABLE notify, no CHILD_SA built",
		"the peer does not want these selectors (TS_UNACCEPTABLE)"},
	{"received IDr b, but require c", "the peer has another identity than remote-id says"},
	{"giving up after 5 retransmits", "the peer does not answer"},
	{"peer not responding, trying again (2/3)", "the peer does not answer"},
	{"unable to install inbound and outbound IPsec SA (SAD) in kernel",
		"the router did not take the SAs: is it running?"},
	{"unable to allocate SPIs from kernel", "the router gave no SPI: is it running?"},
	{"IKE_SA a[1] established between 1[a]...2[b]", NULL},
	{"sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (264 bytes)", NULL},
	{"received DELETE for ESP CHILD_SA with SPI c1450010", NULL},
	{"selected proposal: ESP:AES_GCM_16_256/ECP_384/EXT_SEQ", NULL},
};

START_TEST(plain_words)
{
	unsigned int weight = 0;
	char buf[256];
	const char *words = ike_words(said[_i].line, buf, sizeof(buf), &weight);

	if (said[_i].words == NULL) {
		ck_assert_ptr_null(words);
	} else {
		ck_assert_str_eq(words, said[_i].words);
		ck_assert_uint_gt(weight, 0);
	}
}
END_TEST

/* What follows from the cause does not hide it. */
START_TEST(the_cause_weighs_more)
{
	unsigned int cause, effect;
	char buf[256];

	ck_assert_ptr_nonnull(ike_words(said[3].line, buf, sizeof(buf), &cause));
	ck_assert_ptr_nonnull(ike_words(said[2].line, buf, sizeof(buf), &effect));
	ck_assert_uint_gt(cause, effect);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ike_words");
	TCase *tc = tcase_create("words");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, plain_words, 0, sizeof(said) / sizeof(said[0]));
	tcase_add_test(tc, the_cause_weighs_more);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_words.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

/* Lines as charon 5.9.8 logs them, and what they are to an operator. */
static const struct {
	const char *line, *words;
	bool of_tunnel;
} said[] = {
	{"received NO_PROPOSAL_CHOSEN notify error",
		"the peer accepts none of the proposals (NO_PROPOSAL_CHOSEN)", false},
	{"received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
		"the peer accepts none of the tunnel's proposals (NO_PROPOSAL_CHOSEN)", true},
	{"retransmit 1 of request with message ID 0", NULL, false},
	{"retransmit 2 of request with message ID 0", "the peer has not answered yet", false},
	{"received proposals unacceptable", "the peer's proposals are none of ours", false},
	{"received AUTHENTICATION_FAILED notify error",
		"the peer does not accept who we are: another key, certificate or identity "
		"(AUTHENTICATION_FAILED)",
		false},
	{"tried 1 shared key for 'a' - 'b', but MAC mismatched", "the pre-shared keys differ",
		false},
	{"no shared key found for 'a' - 'b'", "there is no pre-shared key for these identities",
		false},
	{"no trusted ECDSA public key found for 'CN=b'",
		"the peer's certificate is signed by nobody whom we trust", false},
	{"received TS_UNACCEPTABLE notify, no CHILD_SA built",
		"the peer does not want these selectors (TS_UNACCEPTABLE)", true},
	{"traffic selectors 10.77.0.0/16 === 10.1.0.0/24 unacceptable",
		"the peer's selectors do not fit ours", true},
	{"received IDr b, but require c", "the peer has another identity than remote-id says",
		false},
	{"giving up after 5 retransmits", "the peer does not answer", false},
	{"peer not responding, trying again (2/3)", "the peer does not answer", false},
	{"unable to install inbound and outbound IPsec SA (SAD) in kernel",
		"the router did not take the SAs: is it running?", true},
	{"unable to allocate SPIs from kernel", "the router gave no SPI: is it running?", true},
	{"IKE_SA a[1] established between 1[a]...2[b]", NULL, false},
	{"sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (264 bytes)", NULL, false},
	{"received DELETE for ESP CHILD_SA with SPI c1450010", NULL, false},
	{"selected proposal: ESP:AES_GCM_16_256/ECP_384/EXT_SEQ", NULL, false},
};

START_TEST(plain_words)
{
	struct ike_words w;

	ck_assert_int_eq(ike_words(said[_i].line, &w), said[_i].words != NULL);
	if (said[_i].words != NULL) {
		ck_assert_str_eq(w.words, said[_i].words);
		ck_assert_uint_gt(w.weight, 0);
		ck_assert_int_eq(w.of_tunnel, said[_i].of_tunnel);
	}
}
END_TEST

/* What follows from the cause does not hide it. */
START_TEST(the_cause_weighs_more)
{
	struct ike_words cause, effect;

	ck_assert(ike_words(said[6].line, &cause) && ike_words(said[5].line, &effect));
	ck_assert_uint_gt(cause.weight, effect.weight);
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_words.h"

#include "plain_text.h"

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
	{"certificate was revoked on Nov 30 12:00:00 UTC 2026, reason: superseded",
		"the peer's certificate is revoked", false},
	{"subject certificate invalid (valid from Nov 30 to Dec 01)",
		"the peer's certificate is not valid now", false},
	{"no trusted issuer certificate found",
		"the peer's certificate is signed by nobody whom we trust", false},
	{"constraint check failed: identity 'b' required ",
		"the peer is not who it should be: another identity or certificate", false},
	{"configured DH group MODP_768 not supported",
		"this charon does not have the key exchange of the proposals", false},
	{"establishing IKE_SA failed, peer not responding", "the peer does not answer", false},
	{"unable to install inbound IPsec SA (SAD) in kernel",
		"the router did not take the SAs: is it running?", true},
	{"unable to install IPsec policies (SPD) in kernel",
		"the router did not take the policies: do they clash with others?", true},
	{"IKE_SA a[1] established between 1[a]...2[b]", NULL, false},
	{"sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (264 bytes)", NULL, false},
	{"received DELETE for ESP CHILD_SA with SPI c1450010", NULL, false},
	{"selected proposal: ESP:AES_GCM_16_256/ECP_384/EXT_SEQ", NULL, false},
};

/* Lines with an identity or a name that a peer chose to look like another line. */
static const char *const forged[] = {
	"IKE_SA gw[1] established between 1[a]...2[received NO_PROPOSAL_CHOSEN]",
	"looking for peer configs matching 192.0.2.1[%any]...192.0.2.2[no IKE config found]",
	"authentication of 'MAC mismatched' with pre-shared key successful",
	"authentication of 'tried 1 shared key for 'a' - 'b', but MAC mismatched' with RSA "
	"successful",
	"tried 1 shared key for 'a' - 'b', but MAC mismatched, or not",
	"received end entity cert \"CN=no trusted\"",
	"received EAP identity 'peer not responding'",
	"CHILD_SA traffic selectors{1} established with SPIs c1450010_i c1450011_o",
	"no peer config for 'a, but require b'",
	"received cert request for unknown ca with keyid not supported",
	"traffic selectors",
	"tried",
	"",
};

START_TEST(not_in_what_a_peer_says)
{
	struct ike_words w;

	ck_assert(!ike_words(forged[_i], &w));
}
END_TEST

/* A peer's name within a line of ours changes nothing of its meaning. */
START_TEST(the_line_counts_not_the_name)
{
	struct ike_words w;

	ck_assert(ike_words("no shared key found for 'a' - 'b, but MAC mismatched'", &w));
	ck_assert_str_eq(w.words, "there is no pre-shared key for these identities");
	ck_assert(ike_words("received IDr no trusted, but require c", &w));
	ck_assert_str_eq(w.words, "the peer has another identity than remote-id says");
}
END_TEST

START_TEST(shown_as_text)
{
	static const struct {
		const char *is, *becomes;
	} texts[] = {
		{"", ""},
		{"gw-1 (A/B) ~", "gw-1 (A/B) ~"},
		{"a\tb\nc\033[31m\177", "a?b?c?[31m?"},
		{"Z\303\274rich \342\202\254 \360\237\230\200",
			"Z\303\274rich \342\202\254 \360\237\230\200"},
		{"\302\233"
		 "31m",
			"??31m"}, /* CSI, the one character */
		{"\302\237\302\240", "??\302\240"},
		{"\23331m \377", "?31m ?"},
		{"\300\257 \340\200\257 \360\200\200\257", "?? ??? ????"}, /* longer than need be */
		{"\355\237\277\355\240\200", "\355\237\277???"}, /* a surrogate */
		{"\364\217\277\277\364\220\200\200", "\364\217\277\277????"},
		{"a\342\200\256b\342\201\251 \342\200\213",
			"a???b??? ???"}, /* turned around; no width */
		{"\342\200\247\342\201\245", "\342\200\247\342\201\245"},
		{"\303", "?"},
		{"\342\202", "??"},
		{"\342\202x\303\303\274", "??x?\303\274"},
	};
	char copy[64];

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		strcpy(copy, texts[i].is);
		plain_text(copy, strlen(copy));
		ck_assert_str_eq(copy, texts[i].becomes);
	}
	/* NUL among them: VICI counts lengths. */
	memcpy(copy, "a\0b", 3);
	plain_text(copy, 3);
	ck_assert_int_eq(memcmp(copy, "a?b", 3), 0);
}
END_TEST

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
	tcase_add_loop_test(tc, not_in_what_a_peer_says, 0, sizeof(forged) / sizeof(forged[0]));
	tcase_add_test(tc, the_line_counts_not_the_name);
	tcase_add_test(tc, shown_as_text);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

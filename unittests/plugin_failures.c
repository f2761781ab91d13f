/* SPDX-License-Identifier: BSD-3-Clause */
#include "failures.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the plugin keeps of charon's log: the last failure of each gateway, tunnel and unknown peer. */

#define PEER "192.0.2.2"
#define NO_ANSWER "giving up after 5 retransmits"
#define AUTH "received AUTHENTICATION_FAILED notify error"
#define AUTH_WORDS                                                                   \
	"the peer does not accept who we are: another key, certificate or identity " \
	"(AUTHENTICATION_FAILED)"
#define MAC "tried 1 shared key for 'a' - 'b', but MAC mismatched"
#define TS "received TS_UNACCEPTABLE notify, no CHILD_SA built"
#define TS_WORDS "the peer does not want these selectors (TS_UNACCEPTABLE)"

static struct failures *f;

static void
setup(void)
{
	f = failures_create(3, 2);
	ck_assert_ptr_nonnull(f);
}

static void
teardown(void)
{
	failures_destroy(f);
}

static void
is(const char *want)
{
	size_t len = 0;
	char *text = failures_text(f, &len);

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(len, strlen(text));
	ck_assert_str_eq(text, want);
	free(text);
}

START_TEST(last_one_counts)
{
	failures_line(f, "gw", PEER, "IKE_SA gw[1] established", 50);
	is("");
	failures_line(f, "gw", PEER, NO_ANSWER, 100);
	is("100\tgw\t\tthe peer does not answer\n");
	failures_line(f, "gw", PEER, AUTH, 200);
	is("200\tgw\t\t" AUTH_WORDS "\n");
	failures_line(f, "gw", PEER, NO_ANSWER, 300);
	is("300\tgw\t\tthe peer does not answer\n");
}
END_TEST

START_TEST(cause_stays_when_its_effect_follows)
{
	failures_line(f, "gw", PEER, MAC, 100);
	failures_line(f, "gw", PEER, AUTH, 101);
	is("100\tgw\t\tthe pre-shared keys differ\n");
	failures_line(f, "gw", PEER, AUTH, 105);
	is("105\tgw\t\t" AUTH_WORDS "\n");
}
END_TEST

/* charon's line tells of no tunnel; that it gives one up tells which. */
START_TEST(a_tunnel_fails_and_its_gateway_does_not)
{
	failures_line(f, "gw", PEER, TS, 100);
	failures_given_up(f, "gw", "t1");
	is("100\tgw\tt1\t" TS_WORDS "\n");
	failures_over(f, "gw", PEER, "t2");
	is("100\tgw\tt1\t" TS_WORDS "\n");
	failures_over(f, "gw", PEER, "t1");
	is("");
}
END_TEST

START_TEST(a_gateway_fails_with_all_its_tunnels)
{
	failures_line(f, "gw", PEER, AUTH, 100);
	failures_given_up(f, "gw", "t1");
	failures_given_up(f, "other", "t1");
	is("100\tgw\t\t" AUTH_WORDS "\n");
	failures_over(f, "gw", PEER, "t1");
	is("");
}
END_TEST

START_TEST(strangers_have_their_own_room)
{
	failures_line(f, "gw", PEER, NO_ANSWER, 1);
	failures_line(f, NULL, "192.0.2.7", "received proposals unacceptable", 100);
	failures_line(f, NULL, "192.0.2.8", "received proposals unacceptable", 101);
	failures_line(f, NULL, PEER, "received proposals unacceptable", 102);
	is("1\tgw\t\tthe peer does not answer\n"
	   "101\t\t192.0.2.8\tthe peer's proposals are none of ours\n"
	   "102\t\t" PEER "\tthe peer's proposals are none of ours\n");
	failures_over(f, "gw", PEER, "t1");
	is("101\t\t192.0.2.8\tthe peer's proposals are none of ours\n");
}
END_TEST

START_TEST(oldest_makes_room)
{
	char name[16];

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		failures_line(f, name, PEER, NO_ANSWER, 100 + (i * 3) % 5);
	}
	/* Times 100 103 101 104 102: g0 went for g3, g2 for g4. */
	is("104\tg3\t\tthe peer does not answer\n"
	   "103\tg1\t\tthe peer does not answer\n"
	   "102\tg4\t\tthe peer does not answer\n");
}
END_TEST

START_TEST(names_break_no_line)
{
	failures_line(f, "a\tb\nc", PEER, NO_ANSWER, 100);
	is("100\ta?b?c\t\tthe peer does not answer\n");
	/* It is the name that charon has all the same. */
	failures_over(f, "a\tb\nc", PEER, "t");
	is("");
	failures_line(f, "\033[31mZ\303\274rich\177\302\233\377", PEER, NO_ANSWER, 100);
	is("100\t?[31mZ\303\274rich????\t\tthe peer does not answer\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin_failures");
	TCase *tc = tcase_create("failures");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, last_one_counts);
	tcase_add_test(tc, cause_stays_when_its_effect_follows);
	tcase_add_test(tc, a_tunnel_fails_and_its_gateway_does_not);
	tcase_add_test(tc, a_gateway_fails_with_all_its_tunnels);
	tcase_add_test(tc, strangers_have_their_own_room);
	tcase_add_test(tc, oldest_makes_room);
	tcase_add_test(tc, names_break_no_line);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

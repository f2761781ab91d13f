/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_room.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

/* How many tunnels a gateway may have, measured by what charon tells of one. */

/* As charon 5.9.8 lists it, after a year of much traffic. */
static const char child_sa[] =
	"{'NAME-4294967295':{'name':'NAME','uniqueid':'4294967295','reqid':'65535','state':"
	"'INSTALLED','mode':'TUNNEL','protocol':'ESP','encap':'yes','spi-in':'c0000000','spi-out':"
	"'cfffffff','encr-alg':'AES_CBC','encr-keysize':'256','integ-alg':'HMAC_SHA2_256_128',"
	"'dh-group':'CURVE_25519','esn':'1','bytes-in':'123456789012','packets-in':'1234567890',"
	"'use-in':'123','bytes-out':'123456789012','packets-out':'1234567890','use-out':'123',"
	"'rekey-time':'12345','life-time':'12345','install-time':'12345',"
	"'local-ts':['10.100.200.0/24'],'remote-ts':['10.200.100.0/24']}}";

#define CHILD "{'local_ts':['10.100.200.0/24'],'remote_ts':['10.200.100.0/24']}"

/* With the other quotes, and the name in its place. */
static json_t *
parsed(const char *text, const char *name)
{
	char buf[1024];
	size_t len = 0;
	json_t *v;

	for (const char *c = text; *c != '\0'; c++)
		if (strncmp(c, "NAME", 4) == 0) {
			len += (size_t)snprintf(buf + len, sizeof(buf) - len, "%s", name);
			c += 3;
		} else {
			buf[len++] = *c == '\'' ? '"' : *c;
		}
	buf[len] = '\0';
	v = json_loads(buf, 0, NULL);
	ck_assert_ptr_nonnull(v);
	return v;
}

static json_t *
gateway(unsigned int tunnels, const char *mode)
{
	json_t *children = json_object(), *child = parsed(CHILD, "");

	if (mode != NULL)
		json_object_set_new(child, "mode", json_string(mode));
	for (unsigned int i = 0; i < tunnels; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%04u", i);
		json_object_set(children, name, child);
	}
	json_decref(child);
	return json_pack("{s[s]so}", "remote_addrs", "192.0.2.2", "children", children);
}

static bool
has_room(unsigned int tunnels, const char *mode)
{
	json_t *conn = gateway(tunnels, mode);
	bool room = ike_has_room(conn);

	json_decref(conn);
	return room;
}

START_TEST(list_of_sas)
{
	json_t *sa = parsed(child_sa, "t0001");
	size_t one = vici_size(sa);
	unsigned int n = 1;

	while (has_room(n, NULL))
		n++;
	ck_assert_uint_ge(n, 900);
	ck_assert_msg((n + n / 10) * one < VICI_MESSAGE_MAX, "%u tunnels of %zu bytes", n, one);
	json_decref(sa);
}
END_TEST

/* They have no SAs, and what loads them is shorter. */
START_TEST(bypasses)
{
	ck_assert(has_room(2000, "pass") && has_room(2000, "drop"));
	ck_assert(!has_room(20000, "pass"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ike_room");
	TCase *tc = tcase_create("room");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, list_of_sas);
	tcase_add_test(tc, bypasses);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

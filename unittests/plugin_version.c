/* SPDX-License-Identifier: BSD-3-Clause */
#include "running_version.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Which strongSwan a program is of: what is found in its file, which may be any file. */

#define CHARON "/usr/lib/ipsec/charon"

static char path[64], running[64];

static void
make_file(const void *data, size_t len)
{
	int fd;

	strcpy(path, "/tmp/cygnet-version-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	close(fd);
}

static bool
is(const void *data, size_t len, const char *version)
{
	bool found;

	make_file(data, len);
	found = running_version_of(path, version, running, sizeof(running));
	unlink(path);
	return found;
}

START_TEST(the_charon_that_is_installed)
{
#ifdef STRONGSWAN_INSTALLED
	ck_assert(running_version_of(CHARON, STRONGSWAN, running, sizeof(running)));
	ck_assert_str_eq(running, STRONGSWAN);
#else /* built for another one, to try that */
	ck_assert(!running_version_of(CHARON, STRONGSWAN, running, sizeof(running)));
	ck_assert_str_ne(running, STRONGSWAN);
	ck_assert_str_ne(running, "unknown");
#endif
	ck_assert(!running_version_of(CHARON, STRONGSWAN "1", running, sizeof(running)));
	ck_assert(!running_version_of(CHARON, "4.0.0", running, sizeof(running)));
	ck_assert(!running_version_of(CHARON, "", running, sizeof(running)));
}
END_TEST

START_TEST(a_mark_in_a_file)
{
	static const char a[] = "\x7f"
				"ELF..Starting IKE charon daemon (strongSwan 6.0.0rc1, %s)";
	static const char other[] = "Linux strongSwan %s\0daemon (strongSwan 5.9.11, %s)";

	ck_assert(is(a, sizeof(a), "6.0.0rc1"));
	ck_assert(!is(a, sizeof(a), "6.0.0"));
	ck_assert_str_eq(running, "6.0.0rc1");
	ck_assert(is(other, sizeof(other), "5.9.11"));
	/* A version is not taken for a longer one that begins so. */
	ck_assert(!is(other, sizeof(other), "5.9.1"));
}
END_TEST

START_TEST(no_mark_or_no_file)
{
	char zeros[8192] = {0};

	ck_assert(!is("", 0, "5.9.8"));
	ck_assert_str_eq(running, "unknown");
	ck_assert(!is(zeros, sizeof(zeros), "5.9.8"));
	ck_assert_str_eq(running, "unknown");
	ck_assert(!running_version_of("/nonexistent", "5.9.8", running, sizeof(running)));
	ck_assert_str_eq(running, "unknown");
	ck_assert(!running_version_of("/", "5.9.8", running, sizeof(running)));
	ck_assert_str_eq(running, "unknown");
	ck_assert(!running_version_of("/bin/true", STRONGSWAN, running, sizeof(running)));
}
END_TEST

/* Cut at each place: a part of the version is not the version of another strongSwan, and nothing is read past the end. */
START_TEST(truncated_files)
{
	static const char a[] = "xx strongSwan 5.9.8, and more";
	char page[4096];

	for (size_t len = 0; len < sizeof(a); len++) {
		bool whole = len >= strlen("xx strongSwan 5.9.8");

		ck_assert_int_eq(is(a, len, "5.9.8"), whole);
		if (!whole)
			ck_assert_str_ne(running, "5.9.8");
	}
	/* The mark is the end of a page, and there is none behind it. */
	memset(page, 'a', sizeof(page));
	memcpy(page + sizeof(page) - 11, "strongSwan ", 11);
	ck_assert(!is(page, sizeof(page), "5.9.8"));
	memcpy(page + sizeof(page) - 16, "strongSwan 5.9.8", 16);
	ck_assert(is(page, sizeof(page), "5.9.8"));
	memset(page, '9', sizeof(page));
	memcpy(page, "strongSwan ", 11);
	ck_assert(!is(page, sizeof(page), "5.9.8"));
	ck_assert_uint_lt(strlen(running), sizeof(running));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin_version");
	TCase *t = tcase_create("version");
	SRunner *runner;
	int failed;

	tcase_add_test(t, the_charon_that_is_installed);
	tcase_add_test(t, a_mark_in_a_file);
	tcase_add_test(t, no_mark_or_no_file);
	tcase_add_test(t, truncated_files);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

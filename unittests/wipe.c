/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_wanted.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

/* After a file with a secret was read, checked, turned into charon's terms and freed, no memory has the secret. */

#define FIRST "the-secret-that-"
#define SECOND "nobody-finds-again"

/* Occurrences in writable memory of the process, but for what is on this stack frame's own. */
static unsigned int
occurrences(void)
{
	char line[256], needle[64];
	unsigned int n = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY);

	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;
		char mode[5], *copy, *at;
		ssize_t got;

		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w' ||
			strstr(line, "[stack]") != NULL)
			continue;
		copy = malloc(to - from);
		got = pread(mem, copy, to - from, (off_t)from);
		/* Put together late, so that it is nowhere else. */
		snprintf(needle, sizeof(needle), "%s%s", FIRST, SECOND);
		for (at = copy; got > 0 && (at = memmem(at, (size_t)(copy + got - at), needle,
						    strlen(needle))) != NULL;
			at++)
			n++;
		explicit_bzero(needle, sizeof(needle));
		free(copy);
	}
	close(mem);
	fclose(maps);
	return n;
}

static void
write_file(const char *path)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(chmod(path, 0600), 0);
	fputs("ipsec:\n  ike-policies:\n    - {name: p, authentication: {pre-shared-key: ", f);
	fputs(FIRST, f);
	fputs(SECOND, f);
	fputs("}}\n  child-policies: [{name: c, local-ts: 10.1.0.0/16, remote-ts: 10.2.0.0/16}]\n"
	      "  gateways: [{name: g, ike-policy: p, remote-address: 192.0.2.2}]\n"
	      "  tunnels: [{name: t, gateway: g, child-policy: c}]\n",
		f);
	fclose(f);
}

START_TEST(no_copy_of_a_secret_stays)
{
	static const unsigned char salt[32];
	char path[] = "/tmp/cygnet-wipe-XXXXXX";
	struct ike_wanted *w;
	struct ike_file *f;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	write_file(path);
	ck_assert_int_eq(ike_file_load(path, false, &f), 0);
	w = ike_wanted_make(f, salt);
	unlink(path);
	ck_assert_ptr_nonnull(w);
	ck_assert_uint_eq(w->n_secrets, 1);
	ck_assert_uint_ge(occurrences(), 1); /* it is found while it is there */
	ike_wanted_free(w);
	ike_file_free(f);
	ck_assert_uint_eq(occurrences(), 0);
}
END_TEST

/* Whether the bytes of a block that was given back are still to be found where it was. */
static bool
still_there(uintptr_t where, size_t len, const char *mark)
{
	char copy[4096];
	int mem = open("/proc/self/mem", O_RDONLY);
	ssize_t got = pread(mem, copy, len, (off_t)where);

	close(mem);
	return got > 0 && memmem(copy, (size_t)got, mark, strlen(mark)) != NULL;
}

/* What libraries give back is wiped: that is what they do not do themselves. */
START_TEST(what_is_freed_is_wiped)
{
	char *block = malloc(400), *grown;
	uintptr_t where = (uintptr_t)block;

	memset(block, 0, 400);
	strcpy(block + 100, "a-mark-in-a-block");
	ck_assert(still_there(where, 400, "a-mark-in-a-block"));
	free(block);
	ck_assert(!still_there(where, 400, "a-mark-in-a-block"));
	block = malloc(400);
	where = (uintptr_t)block;
	strcpy(block + 100, "a-mark-that-moves");
	grown = realloc(block, 3000);
	ck_assert_str_eq(grown + 100, "a-mark-that-moves");
	ck_assert(!still_there(where, 400, "a-mark-that-moves"));
	free(grown);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wipe");
	TCase *tc = tcase_create("wipe");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, no_copy_of_a_secret_stays);
	tcase_add_test(tc, what_is_freed_is_wiped);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "sqn_file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/sqn-file-XXXXXX", path[64], name[80];
static struct sqn_id id;

static void
setup(void)
{
	const uint8_t key[20] = {1, 2, 3};

	strcpy(dir, "/tmp/sqn-file-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sa", dir);
	ck_assert_int_eq(sqn_id_make(&id, 0x1001, 20, key, sizeof(key)), 0);
}

static void
teardown(void)
{
	static const char *const ends[] = {"", ".lock", ".new"};

	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	rmdir(dir);
}

static int
read_it(uint64_t *reserved, char *why)
{
	return sqn_file_read(path, &id, reserved, why, 128);
}

static void
put(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	fchmod(fd, mode);
	close(fd);
}

static size_t
get(char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, size - 1);

	close(fd);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	return n;
}

START_TEST(says_what_was_written)
{
	char why[128] = "", text[256];
	struct stat st;
	uint64_t n = 1;

	ck_assert_int_eq(read_it(&n, why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "--create-state"));
	ck_assert_int_eq(sqn_file_create(path, &id), 0);
	ck_assert_int_eq(sqn_file_create(path, &id), -EEXIST);
	ck_assert_int_eq(read_it(&n, why), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(sqn_file_write(path, &id, UINT64_MAX - 5), 0);
	ck_assert_int_eq(read_it(&n, why), 0);
	ck_assert_uint_eq(n, UINT64_MAX - 5);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	/* Nothing of the key. */
	get(text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "010203"));
}
END_TEST

/* A flipped bit anywhere, a file cut anywhere, and what is not ours. */
START_TEST(damage_is_seen)
{
	char why[128] = "", text[256], bad[260];
	uint64_t n;
	size_t len;

	ck_assert_int_eq(sqn_file_create(path, &id), 0);
	ck_assert_int_eq(sqn_file_write(path, &id, 12345678), 0);
	len = get(text, sizeof(text));
	for (size_t i = 0; i < len * 8; i++) {
		memcpy(bad, text, sizeof(text));
		bad[i / 8] ^= 1 << i % 8;
		if (bad[i / 8] == '\0')
			continue;
		put(bad, 0600);
		ck_assert_msg(read_it(&n, why) == -EBADMSG, "bit %zu", i);
	}
	for (size_t i = 0; i < len; i++) {
		snprintf(bad, i + 1, "%s", text);
		put(bad, 0600);
		ck_assert_msg(read_it(&n, why) == -EBADMSG, "%zu bytes", i);
	}
	snprintf(bad, sizeof(bad), "%s\n", text);
	put(bad, 0600);
	ck_assert_int_eq(read_it(&n, why), -EBADMSG);
	put("name: a\n", 0600);
	ck_assert_int_eq(read_it(&n, why), -EBADMSG);
	put(text, 0622);
	ck_assert_int_eq(read_it(&n, why), -EPERM);
	put(text, 0600);
	ck_assert_int_eq(read_it(&n, why), 0);
	snprintf(name, sizeof(name), "%s.new", path);
	ck_assert_int_eq(rename(path, name), 0);
	ck_assert_int_eq(symlink(name, path), 0);
	ck_assert_int_eq(read_it(&n, why), -ELOOP);
}
END_TEST

START_TEST(another_sa_is_refused)
{
	const uint8_t key[20] = {1, 2, 3, 4};
	struct sqn_id other = id;
	char why[128] = "";
	uint64_t n;

	ck_assert_int_eq(sqn_file_create(path, &id), 0);
	other.spi++;
	ck_assert_int_eq(sqn_file_read(path, &other, &n, why, sizeof(why)), -ESTALE);
	ck_assert_int_eq(sqn_id_make(&other, id.spi, 20, key, sizeof(key)), 0);
	ck_assert_int_eq(sqn_file_read(path, &other, &n, why, sizeof(why)), -ESTALE);
	ck_assert_ptr_nonnull(strstr(why, "another SPI or key"));
}
END_TEST

START_TEST(one_has_it_at_a_time)
{
	int a = sqn_file_lock(path);

	ck_assert_int_ge(a, 0);
	ck_assert_int_eq(sqn_file_lock(path), -EBUSY);
	ck_assert_int_eq(sqn_file_create(path, &id), 0);
	/* It is another file then, and still taken. */
	ck_assert_int_eq(sqn_file_write(path, &id, 7), 0);
	ck_assert_int_eq(sqn_file_lock(path), -EBUSY);
	close(a);
	a = sqn_file_lock(path);
	ck_assert_int_ge(a, 0);
	close(a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqn_file");
	TCase *tc = tcase_create("sqn_file");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60); /* it waits for a disk */
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, says_what_was_written);
	tcase_add_test(tc, damage_is_seen);
	tcase_add_test(tc, another_sa_is_refused);
	tcase_add_test(tc, one_has_it_at_a_time);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

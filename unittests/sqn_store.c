/* SPDX-License-Identifier: BSD-3-Clause */
#include "sqn_store.h"

#include "log.h"
#include "sad.h"

#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The store of sequence numbers beside a disk that is slow to say that it fails; its SA is one of our own. */

#define TICK_US 20000
#define DISK_US (10 * TICK_US)

static char dir[] = "/tmp/sqn-store-XXXXXX", path[64];
static struct sqn_store *store;
static struct sa sa;
static struct sa_cold cold;
static _Atomic int disk; /* what a write returns after a while; 0: it is done at once */
static char *log_text;
static size_t log_size;
static FILE *log_stream;

int __real_sqn_file_write(const char *path, const struct sqn_id *id, uint64_t reserved);
int __wrap_sqn_file_write(const char *path, const struct sqn_id *id, uint64_t reserved);
const struct sa *__wrap_sad_hot(const struct sad *sad, uint32_t slot);
const struct sa_cold *__wrap_sad_cold(const struct sad *sad, uint32_t slot);
void __wrap_sad_reserve(struct sad *sad, uint32_t slot, uint64_t upto);

int
__wrap_sqn_file_write(const char *file, const struct sqn_id *id, uint64_t reserved)
{
	if (disk == 0)
		return __real_sqn_file_write(file, id, reserved);
	usleep(DISK_US);
	return disk;
}

const struct sa *
__wrap_sad_hot(const struct sad *sad, uint32_t slot)
{
	(void)sad;
	(void)slot;
	return &sa;
}

const struct sa_cold *
__wrap_sad_cold(const struct sad *sad, uint32_t slot)
{
	(void)sad;
	(void)slot;
	return &cold;
}

void
__wrap_sad_reserve(struct sad *sad, uint32_t slot, uint64_t upto)
{
	(void)sad;
	(void)slot;
	sa.sqn_limit = upto;
}

static void
setup(void)
{
	const uint8_t key[20] = {1, 2, 3};
	uint64_t from, reserved;
	struct sqn_entry *entry;
	struct sqn_id id;
	char why[128];
	int index;

	strcpy(dir, "/tmp/sqn-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sa", dir);
	ck_assert_int_eq(sqn_id_make(&id, 0x1001, 20, key, sizeof(key)), 0);
	ck_assert_int_eq(sqn_file_create(path, &id), 0);
	log_stream = open_memstream(&log_text, &log_size);
	rte_openlog_stream(log_stream);
	cold.state = SA_LIVE;
	disk = 0;
	store = sqn_store_create(NULL);
	ck_assert_int_eq(sqn_store_open(path, &id, UINT64_MAX / 2, &entry, why, sizeof(why)), 0);
	index = sqn_store_add(store, entry, &from, &reserved);
	ck_assert_int_eq(index, 0);
	sqn_store_attach(store, index, 0);
	sa.sqn = from;
	sa.sqn_limit = reserved;
}

static void
teardown(void)
{
	static const char *const ends[] = {"", ".lock", ".new"};
	char name[80];

	disk = 0;
	sqn_store_destroy(store);
	rte_openlog_stream(NULL);
	fclose(log_stream);
	free(log_text);
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	rmdir(dir);
}

/* How often the log has that. */
static unsigned int
logged(const char *text)
{
	unsigned int n = 0;

	fflush(log_stream);
	for (const char *at = log_text; (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

static void
ticks(unsigned int n)
{
	while (n-- > 0) {
		sqn_store_tick(store);
		usleep(TICK_US);
	}
}

/* While a try lasts nothing is known: only a file that was written is said to be. */
START_TEST(a_slow_disk_that_fails_is_said_once)
{
	disk = -EIO;
	sa.sqn = sa.sqn_limit;
	ticks(60);
	ck_assert_uint_eq(logged("cannot be written"), 1);
	ck_assert_uint_eq(logged("is written again"), 0);
	ck_assert_uint_eq(sa.sqn_limit, sa.sqn);
	disk = 0;
	for (unsigned int i = 0; i < 500 && logged("is written again") == 0; i++)
		ticks(1);
	ticks(5);
	ck_assert_uint_eq(logged("cannot be written"), 1);
	ck_assert_uint_eq(logged("is written again"), 1);
	ck_assert_uint_gt(sa.sqn_limit, sa.sqn);
}
END_TEST

/* Another reason is another line. */
START_TEST(another_error_is_said)
{
	disk = -EIO;
	sa.sqn = sa.sqn_limit;
	ticks(30);
	disk = -ENOSPC;
	ticks(30);
	ck_assert_uint_eq(logged(strerror(EIO)), 1);
	ck_assert_uint_eq(logged(strerror(ENOSPC)), 1);
	ck_assert_uint_eq(logged("is written again"), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqn_store");
	TCase *tc = tcase_create("sqn_store");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_slow_disk_that_fails_is_said_once);
	tcase_add_test(tc, another_error_is_said);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

/* What opening a store says of the log that it replays, and that it can be
 * stopped there. */
#include "blt.h"
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A log longer than what is told at once. */
#define KEYS 40
#define VALUE ((size_t)100000)

static char dir[] = "/tmp/test-recover-XXXXXX";
static char path[64], left[64];

static void copy_to(const char *to)
{
	char command[160];

	snprintf(command, sizeof(command), "cp %s %s", path, to);
	ck_assert_int_eq(system(command), 0);
}

/* What a writer leaves that dies with its log in the file. */
static void leave_log(void)
{
	struct blt_open_options o = { .mode = BLT_CREATE };
	char *value = calloc(1, VALUE), key[16];
	struct blt *s;

	ck_assert_ptr_nonnull(value);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.blt", dir);
	snprintf(left, sizeof(left), "%s/left.blt", dir);
	ck_assert_int_eq(blt_open(path, &o, &s, NULL), 0);
	for (int i = 0; i < KEYS; i++) {
		int len = snprintf(key, sizeof(key), "key%d", i);

		ck_assert_int_eq(
			blt_put(s, key, (size_t)len, value, VALUE, 1000), 0);
		ck_assert_int_eq(blt_flush(s), 0);
	}
	copy_to(left);
	ck_assert_int_eq(blt_close(s), 0);
	free(value);
}

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
	strcpy(dir, "/tmp/test-recover-XXXXXX");
}

struct heard {
	unsigned calls, stop_at; /* 0: never */
	uint64_t done, total, records;
};

static int hear(void *arg, uint64_t done, uint64_t total, uint64_t records)
{
	struct heard *h = arg;

	ck_assert_uint_le(done, total);
	ck_assert_uint_ge(done, h->done);
	ck_assert_uint_ge(records, h->records);
	if (h->calls)
		ck_assert_uint_le(total, h->total);
	h->done = done;
	h->total = total;
	h->records = records;
	return ++h->calls == h->stop_at ? -ECANCELED : 0;
}

static int open_left(enum blt_mode mode, struct heard *h, struct blt **ret)
{
	struct blt_open_options o = { .mode = mode,
				      .progress = hear,
				      .progress_arg = h };

	return blt_open(left, &o, ret, NULL);
}

static void expect_all(struct blt *s, uint64_t replayed, bool or_none)
{
	struct blt_info info;

	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, KEYS);
	if (info.replayed || !or_none)
		ck_assert_uint_eq(info.replayed, replayed);
}

START_TEST(it_is_told_to_the_end)
{
	enum blt_mode mode = _i ? BLT_WRITE : BLT_READ;
	struct heard h = { 0 };
	struct blt *s;

	ck_assert_int_eq(open_left(mode, &h, &s), 0);
	expect_all(s, KEYS, false);
	/* more often than once for each pass over the log */
	ck_assert_uint_gt(h.calls, 6);
	ck_assert_uint_gt(h.total, KEYS * VALUE);
	ck_assert_uint_eq(h.done, h.total);
	ck_assert_uint_eq(h.records, KEYS);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* Wherever it is stopped, the next one does it all. */
START_TEST(it_can_be_stopped)
{
	struct blt *s;
	int rc;

	for (unsigned at = 1;; at++) {
		struct heard h = { .stop_at = at }, again = { 0 };

		leave_log();
		rc = open_left(BLT_WRITE, &h, &s);
		if (rc == 0)
			break;
		ck_assert_int_eq(rc, -ECANCELED);
		ck_assert_uint_eq(h.calls, at);
		ck_assert_int_eq(open_left(BLT_WRITE, &again, &s), 0);
		/* By the last word of all it was done. */
		expect_all(s, KEYS, h.done == h.total);
		ck_assert_int_eq(blt_close(s), 0);
		remove_dir();
	}
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(a_clean_one_is_not_told_of)
{
	struct heard h = { 0 };
	struct blt *s;

	copy_to(left);
	ck_assert_int_eq(open_left(BLT_WRITE, &h, &s), 0);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_uint_eq(h.calls, 0);
}
END_TEST

static int note_count(void *arg, const struct blt_fault *fault)
{
	if (fault->kind == BLT_FAULT_COUNT)
		++*(unsigned *)arg;
	return 0;
}

/* A record is sound by its checksum, whoever wrote what it says. */
START_TEST(a_log_with_a_wrong_count_is_faulty)
{
	struct blt_open_options o = { .mode = BLT_WRITE };
	struct blt_check_result result;
	unsigned counts = 0;
	struct heard h = { 0 };
	struct blt *s;

	ck_assert_int_eq(blt_open(path, &o, &s, NULL), 0);
	store_of(s)->engine.wal.n_keys += 7;
	ck_assert_int_eq(blt_put(s, "new", 3, "value", 5, 1000), 0);
	ck_assert_int_eq(blt_flush(s), 0);
	copy_to(left);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(open_left(_i ? BLT_WRITE : BLT_READ, &h, &s), 0);
	ck_assert_int_eq(blt_check(s, NULL, note_count, &counts, &result), 0);
	ck_assert_uint_eq(result.keys, KEYS + 1);
	ck_assert_uint_eq(counts, 1);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recover");
	TCase *tc = tcase_create("one"), *each = tcase_create("each");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, leave_log, remove_dir);
	tcase_add_loop_test(tc, it_is_told_to_the_end, 0, 2);
	tcase_add_test(tc, a_clean_one_is_not_told_of);
	tcase_add_loop_test(tc, a_log_with_a_wrong_count_is_faulty, 0, 2);
	suite_add_tcase(suite, tc);
	tcase_set_timeout(each, 0);
	tcase_add_checked_fixture(each, NULL, remove_dir);
	tcase_add_test(each, it_can_be_stopped);
	suite_add_tcase(suite, each);
	return run_suite(suite);
}

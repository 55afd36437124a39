/* One stream: a value that is written straight into its place. */
#include "lib/sound.h"
#include "lib/streamstore.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

START_TEST(value_is_there_after_commit)
{
	struct blt *s = make(NULL);
	struct blt_stream *st;
	struct blt_stat stat;

	ck_assert_int_eq(blt_put(s, "k", 1, "old", 3, 1), 0);
	st = begin(s, "k", 100000);
	write_some(st, 7, 0, 90000);
	ck_assert_uint_eq(blt_stream_len(st), 90000);
	ck_assert_int_eq(blt_stat_key(s, "k", 1, &stat), 0);
	ck_assert_uint_eq(stat.len, 3);
	ck_assert_int_eq(blt_stream_sync(st), 0);
	check_sound(s);
	commit(st, "k");
	check_value(s, "k", 7, 90000);
	ck_assert_int_eq(blt_stat_key(s, "k", 1, &stat), 0);
	ck_assert_int_eq(stat.timestamp, 12345);
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
	/* no more than the two blocks, and what is dead of the first */
	ck_assert_uint_lt(file_size_now(), 200 + 101 * 6 + 90000 + 1000);
	s = open_store(BLT_WRITE, NULL);
	check_value(s, "k", 7, 90000);
	check_sound(s);
	done(s);
}
END_TEST

START_TEST(any_order_of_writes)
{
	struct blt *s = make(NULL);
	struct blt_stream *st = begin(s, "k", 0);
	uint8_t buf[100];

	write_some(st, 1, 5000, 30000);
	ck_assert_int_eq(blt_stream_read(st, buf, 100, 100), 100);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(buf[i], 0);
	write_some(st, 9, 0, 20000);
	write_some(st, 9, 20000, 30000);
	write_some(st, 1, 30000, 40000);
	ck_assert_int_eq(blt_stream_resize(st, 25000), 0);
	ck_assert_int_eq(blt_stream_resize(st, 35000), 0);
	ck_assert_int_eq(blt_stream_read(st, buf, 100, 34990), 10);
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(buf[i], 0);
	ck_assert_int_eq(blt_stream_read(st, buf, 100, 35000), 0);
	write_some(st, 9, 25000, 35000);
	commit(st, "k");
	check_value(s, "k", 9, 35000);
	check_sound(s);
	done(s);
}
END_TEST

START_TEST(grows_where_it_stands)
{
	struct blt *s = make(NULL);
	struct blt_stream *st = begin(s, "k", 0);

	for (uint64_t at = 0; at < 500000; at += 50000) {
		write_some(st, 3, at, at + 50000);
		check_sound(s);
	}
	commit(st, "k");
	check_value(s, "k", 3, 500000);
	check_sound(s);
	ck_assert_int_eq(blt_settle(s, false), 0);
	ck_assert_uint_lt(file_size_now(), 200 + 101 * 6 + 500000 + 1000);
	done(s);
}
END_TEST

START_TEST(moves_where_others_stand_behind_it)
{
	struct blt *s = make(NULL);
	struct blt_stream *st = begin(s, "k", 0);
	char key[16];

	for (unsigned i = 0; i < 30; i++) {
		write_some(st, 3, i * 5000, (i + 1) * 5000);
		ck_assert_int_eq(snprintf(key, sizeof(key), "x%u", i) > 0, 1);
		ck_assert_int_eq(blt_put(s, key, strlen(key), "v", 1, 5), 0);
	}
	check_sound(s);
	commit(st, "k");
	check_value(s, "k", 3, 150000);
	check_sound(s);
	ck_assert_int_eq(blt_prune(s, NULL, NULL), 0);
	check_value(s, "k", 3, 150000);
	check_sound(s);
	done(s);
}
END_TEST

START_TEST(abort_leaves_nothing)
{
	struct blt *s = make(NULL);
	uint64_t before;
	struct blt_stream *st;

	ck_assert_int_eq(blt_put(s, "k", 1, "old", 3, 1), 0);
	ck_assert_int_eq(blt_settle(s, false), 0);
	before = file_size_now();
	st = begin(s, "k", 50000);
	write_some(st, 3, 0, 50000);
	blt_stream_abort(st);
	check_sound(s);
	ck_assert_int_eq(blt_settle(s, false), 0);
	ck_assert_uint_eq(file_size_now(), before);
	done(s);
}
END_TEST

START_TEST(keys_of_any_length)
{
	static char key[BLT_KEY_MAX + 1];
	static const size_t lens[] = { 0, 1, 200, 300, 64999, BLT_KEY_MAX };
	struct blt *s = make(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct blt_stream *st = begin(s, "k", 30000);

		memset(key, 'k', lens[i]);
		key[lens[i]] = '\0';
		write_some(st, 5, 0, 30000);
		ck_assert_int_eq(blt_stream_commit(st, key, lens[i], BLT_NOW),
				 0);
		check_value(s, key, 5, 30000);
		check_sound(s);
	}
	done(s);
}
END_TEST

START_TEST(empty_value)
{
	struct blt *s = make(NULL);
	struct blt_stream *st = begin(s, "k", 0);

	commit(st, "k");
	check_value(s, "k", 0, 0);
	check_sound(s);
	done(s);
}
END_TEST

START_TEST(what_would_not_load_is_refused)
{
	struct blt_create_options text = {
		.value_serializer = (unsigned)blt_serializer_code("str")
	};
	struct blt *s = make(&text);
	struct blt_stream *st = begin(s, "k", 0);

	ck_assert_int_eq(blt_stream_write(st, "\xff\xff", 2, 0), 0);
	ck_assert_int_eq(blt_stream_commit(st, "k", 1, BLT_NOW), -EINVAL);
	ck_assert_int_eq(blt_stream_commit(st, "\xff", 1, BLT_NOW), -EILSEQ);
	ck_assert_int_eq(blt_stream_write(st, "ab", 2, 0), 0);
	commit(st, "k");
	check_sound(s);
	done(s);
}
END_TEST

START_TEST(limits)
{
	struct blt_create_options fixed = { .value_len = 100000 };
	struct blt *s = make(&fixed);
	struct blt_stream *st;

	ck_assert_int_eq(blt_stream_open(s, 1, 0, &st), -ENOTSUP);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_store(BLT_READ, NULL);
	ck_assert_int_eq(blt_stream_open(s, 1, 0, &st), -EROFS);
	ck_assert_int_eq(blt_close(s), 0);
	s = make(NULL);
	st = begin(s, "k", 0);
	ck_assert_int_eq(blt_stream_write(st, "ab", 2, BLT_VALUE_MAX - 1),
			 -EFBIG);
	ck_assert_int_eq(blt_stream_write(st, "ab", 2, UINT64_MAX), -EFBIG);
	ck_assert_int_eq(blt_stream_resize(st, (uint64_t)BLT_VALUE_MAX + 1),
			 -EFBIG);
	ck_assert_uint_eq(blt_stream_len(st), 0);
	blt_stream_abort(st);
	blt_stream_abort(NULL);
	done(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("stream");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, value_is_there_after_commit);
	tcase_add_test(tc, any_order_of_writes);
	tcase_add_test(tc, grows_where_it_stands);
	tcase_add_test(tc, moves_where_others_stand_behind_it);
	tcase_add_test(tc, abort_leaves_nothing);
	tcase_add_test(tc, keys_of_any_length);
	tcase_add_test(tc, empty_value);
	tcase_add_test(tc, what_would_not_load_is_refused);
	tcase_add_test(tc, limits);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

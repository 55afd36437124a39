/* Streams: values that are written straight into their place. */
#include "blt.h"
#include "scan.h"
#include "store.h"
#include "util.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[128];

/* Nothing here is about power cuts. */
static int no_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

/* Where it counts, the n-th write that makes the file longer finds the disk
 * full. */
static unsigned full_at;

static ssize_t write_or_full(void *arg, int fd, const void *buf, size_t n,
			     off_t pos)
{
	struct stat st;

	(void)arg;
	if (full_at && fstat(fd, &st) == 0 && pos >= st.st_size &&
	    --full_at == 0) {
		errno = ENOSPC;
		return -1;
	}
	return pwrite(fd, buf, n, pos);
}

/* Not every filesystem can. */
static bool no_reserves;

static int reserve(void *arg, int fd, int mode, off_t pos, off_t len)
{
	if (!no_reserves)
		return file_system_ops.fallocate(arg, fd, mode, pos, len);
	errno = EOPNOTSUPP;
	return -1;
}

static struct blt *open_store(enum blt_mode mode,
			      const struct blt_create_options *create)
{
	struct blt_open_options o = { .mode = mode, .no_threads = true };
	struct file_ops ops = file_system_ops;
	struct blt_error err = { "" };
	struct blt *s;

	if (create)
		o.create = *create;
	ops.fdatasync = no_sync;
	ops.pwrite = write_or_full;
	ops.fallocate = reserve;
	ck_assert_msg(store_open(path, &o, &ops, &s, &err) == 0, "%s",
		      err.text);
	return s;
}

static struct blt *make(const struct blt_create_options *create)
{
	static const struct blt_create_options usual = { .n_buckets = 101 };

	snprintf(path, sizeof(path), "test-stream-%d.blt", (int)getpid());
	return open_store(BLT_TRUNCATE, create ? create : &usual);
}

static void done(struct blt *s)
{
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}

static int say_fault(void *arg, const struct blt_fault *fault)
{
	(void)arg;
	ck_abort_msg("%s at %llu: %s", blt_fault_name(fault->kind),
		     (unsigned long long)fault->position, fault->text);
	return 0;
}

static void check_store(struct blt *s)
{
	struct blt_check_options o = { .values = true };
	struct blt_check_result r;

	ck_assert_int_eq(blt_check(s, &o, say_fault, NULL, &r), 0);
	ck_assert_uint_eq(r.faults + r.warnings, 0);
}

static uint8_t byte_at(unsigned seed, uint64_t i)
{
	return (uint8_t)((i * (seed | 1) + seed) >> 3);
}

static void fill(uint8_t *to, unsigned seed, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = byte_at(seed, from + i);
}

static void write_some(struct blt_stream *st, unsigned seed, uint64_t from,
		       uint64_t to)
{
	uint8_t buf[5000];

	while (from < to) {
		size_t n = (size_t)min_u64(sizeof(buf), to - from);

		fill(buf, seed, from, n);
		ck_assert_int_eq(blt_stream_write(st, buf, n, from), 0);
		from += n;
	}
}

static void check_value(struct blt *s, const char *key, unsigned seed,
			uint64_t len)
{
	struct blt_view v;
	uint8_t *want;

	ck_assert_int_eq(blt_get(s, key, strlen(key), &v), 0);
	ck_assert_uint_eq(v.len, len);
	want = malloc(len + 1);
	ck_assert_ptr_nonnull(want);
	fill(want, seed, 0, len);
	ck_assert(memcmp(v.data, want, len) == 0);
	free(want);
	blt_view_release(&v);
}

static struct blt_stream *begin(struct blt *s, const char *key, uint64_t room)
{
	struct blt_stream *st;

	ck_assert_int_eq(blt_stream_open(s, strlen(key), room, &st), 0);
	return st;
}

static void commit(struct blt_stream *st, const char *key)
{
	ck_assert_int_eq(blt_stream_commit(st, key, strlen(key), 12345), 0);
}

static uint64_t file_size_now(void)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* ---- one stream ---- */

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
	check_store(s);
	commit(st, "k");
	check_value(s, "k", 7, 90000);
	ck_assert_int_eq(blt_stat_key(s, "k", 1, &stat), 0);
	ck_assert_int_eq(stat.timestamp, 12345);
	check_store(s);
	ck_assert_int_eq(blt_close(s), 0);
	/* no more than the two blocks, and what is dead of the first */
	ck_assert_uint_lt(file_size_now(), 200 + 101 * 6 + 90000 + 1000);
	s = open_store(BLT_WRITE, NULL);
	check_value(s, "k", 7, 90000);
	check_store(s);
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
	check_store(s);
	done(s);
}
END_TEST

START_TEST(grows_where_it_stands)
{
	struct blt *s = make(NULL);
	struct blt_stream *st = begin(s, "k", 0);

	for (uint64_t at = 0; at < 500000; at += 50000) {
		write_some(st, 3, at, at + 50000);
		check_store(s);
	}
	commit(st, "k");
	check_value(s, "k", 3, 500000);
	check_store(s);
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
	check_store(s);
	commit(st, "k");
	check_value(s, "k", 3, 150000);
	check_store(s);
	ck_assert_int_eq(blt_prune(s, NULL, NULL), 0);
	check_value(s, "k", 3, 150000);
	check_store(s);
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
	check_store(s);
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
		check_store(s);
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
	check_store(s);
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
	ck_assert_int_eq(blt_stream_commit(st, "\xff", 1, BLT_NOW), -EINVAL);
	ck_assert_int_eq(blt_stream_write(st, "ab", 2, 0), 0);
	commit(st, "k");
	check_store(s);
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

/* ---- beside others ---- */

START_TEST(several_at_once)
{
	struct blt *s = make(NULL);
	struct blt_stream *st[8];
	char key[16];

	for (unsigned i = 0; i < 8; i++)
		st[i] = begin(s, "k0", 0);
	for (uint64_t at = 0; at < 100000; at += 10000)
		for (unsigned i = 0; i < 8; i++)
			write_some(st[i], i, at, at + 10000);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "k%u", i % 4);
		if (i == 3 || i == 6)
			blt_stream_abort(st[i]);
		else
			commit(st[i], key);
		check_store(s);
	}
	check_value(s, "k0", 4, 100000);
	check_value(s, "k1", 5, 100000);
	check_value(s, "k2", 2, 100000);
	check_value(s, "k3", 7, 100000);
	done(s);
}
END_TEST

/* A scan shows the store as it was at its start: the old value once, not the
 * new one, and no key that came to life in front of it. */
START_TEST(scan_meets_each_key_once)
{
	struct blt *s = make(NULL);
	struct blt_stream *a, *b;
	struct blt_item item;
	struct blt_iter *it;
	unsigned seen = 0, olds = 0;

	ck_assert_int_eq(blt_put(s, "first", 5, "1", 1, 1), 0);
	a = begin(s, "first", 20000);
	b = begin(s, "second", 20000);
	ck_assert_int_eq(blt_put(s, "last", 4, "3", 1, 1), 0);
	write_some(a, 1, 0, 20000);
	write_some(b, 2, 0, 20000);
	ck_assert_int_eq(blt_iter_new(s, &it), 0);
	ck_assert_int_eq(blt_iter_next(it, &item), 1);
	ck_assert_uint_eq(item.key_len, 5);
	commit(a, "first");
	commit(b, "second");
	while (blt_iter_next(it, &item) > 0) {
		seen++;
		olds += item.value_len == 1;
	}
	blt_iter_free(it);
	ck_assert_uint_eq(seen, 1);
	ck_assert_uint_eq(olds, 1);
	check_value(s, "first", 1, 20000);
	check_value(s, "second", 2, 20000);
	done(s);
}
END_TEST

/* The reservations stay where they are; what is around them is packed. */
START_TEST(prune_goes_around)
{
	static const uint32_t buckets[] = { 3, 101, 1009 };

	for (size_t k = 0; k < ARRAY_SIZE(buckets); k++) {
		struct blt_create_options o = { .n_buckets = buckets[k] };
		struct blt *s = make(&o);
		struct blt_stream *a, *b;
		struct blt_prune_result r;
		char key[16], value[500] = { 0 };

		store_of(s)->engine.prune_chunk = 700;
		a = begin(s, "a", 30000);
		for (unsigned i = 0; i < 400; i++) {
			snprintf(key, sizeof(key), "k%u", i % 90);
			ck_assert_int_eq(
				blt_put(s, key, strlen(key), value, i % 500, 7),
				0);
			if (i == 200)
				ck_assert_int_eq(
					blt_reindex(s, 509, NULL, NULL), 0);
		}
		b = begin(s, "b", 30000);
		write_some(a, 1, 0, 15000);
		write_some(b, 2, 0, 15000);
		ck_assert_int_eq(blt_prune(s, NULL, &r), 0);
		check_store(s);
		write_some(a, 1, 15000, 30000);
		write_some(b, 2, 15000, 60000);
		commit(a, "a");
		ck_assert_int_eq(blt_prune(s, NULL, &r), 0);
		check_store(s);
		commit(b, "b");
		check_store(s);
		ck_assert_int_eq(blt_prune(s, NULL, &r), 0);
		check_value(s, "a", 1, 30000);
		check_value(s, "b", 2, 60000);
		check_store(s);
		ck_assert_int_eq(blt_close(s), 0);
		s = open_store(BLT_WRITE, NULL);
		check_value(s, "a", 1, 30000);
		check_value(s, "b", 2, 60000);
		done(s);
	}
}
END_TEST

START_TEST(growth_and_copy_beside_it)
{
	struct blt_create_options o = { .n_buckets = 3 };
	struct blt *s = make(&o), *c;
	struct blt_stream *st = begin(s, "k", 0);
	char key[16], copy[100];

	for (unsigned i = 0; i < 100; i++) {
		write_some(st, 3, i * 1000, (i + 1) * 1000);
		snprintf(key, sizeof(key), "x%u", i);
		ck_assert_int_eq(blt_put(s, key, strlen(key), "v", 1, 5), 0);
		if (i % 30 == 7)
			ck_assert_int_eq(blt_reindex(s, i * 3 + 5, NULL, NULL),
					 0);
	}
	check_store(s);
	snprintf(copy, sizeof(copy), "%.80s.copy", path);
	ck_assert_int_eq(blt_copy(s, copy, NULL, true, NULL, NULL, NULL), 0);
	commit(st, "k");
	check_value(s, "k", 3, 100000);
	check_store(s);
	ck_assert_int_eq(blt_open(copy, NULL, &c, NULL), 0);
	check_store(c);
	ck_assert_int_eq(blt_close(c), 0);
	unlink(copy);
	done(s);
}
END_TEST

static void check_old(struct blt *s)
{
	struct blt_view v;

	ck_assert_int_eq(blt_get(s, "k", 1, &v), 0);
	ck_assert_uint_eq(v.len, 3);
	ck_assert_mem_eq(v.data, "old", 3);
	blt_view_release(&v);
}

/* What a process leaves that dies now. */
static struct blt *die(struct blt *s, struct blt_stream *st)
{
	char kept[100], command[300];

	snprintf(kept, sizeof(kept), "%.80s.dead", path);
	snprintf(command, sizeof(command), "cp %s %s", path, kept);
	ck_assert_int_eq(system(command), 0);
	blt_stream_abort(st);
	done(s);
	strcpy(path, kept);
	return open_store(BLT_WRITE, NULL);
}

/* The store that a process leaves that dies with a stream open. */
START_TEST(death_leaves_the_old_value)
{
	struct blt *s = make(NULL), *after;
	struct blt_stream *st;

	ck_assert_int_eq(blt_put(s, "k", 1, "old", 3, 1), 0);
	st = begin(s, "k", 0);
	write_some(st, 3, 0, 200000);
	ck_assert_int_eq(blt_put(s, "other", 5, "new", 3, 1), 0);
	ck_assert_int_eq(blt_flush(s), 0);
	write_some(st, 3, 200000, 300000);
	after = die(s, st);
	check_store(after);
	check_old(after);
	ck_assert_int_eq(blt_delete(after, "k", 1), 0);
	ck_assert_int_eq(blt_delete(after, "other", 5), 0);
	done(after);
}
END_TEST

/* A region becomes longer, and there is no room for the n-th write of that:
 * once there is, the stream goes on.  Returns whether there were so many. */
static bool full_while_longer(unsigned n)
{
	struct blt *s = make(NULL), *after;
	struct blt_stream *st = begin(s, "k", 0);
	uint8_t buf[30000];
	int rc;

	fill(buf, 5, 0, sizeof(buf));
	write_some(st, 5, 0, 7000);
	ck_assert_int_eq(blt_flush(s), 0);
	full_at = n;
	rc = blt_stream_write(st, buf + 7000, 13000, 7000);
	ck_assert(rc == 0 || rc == -ENOSPC);
	full_at = 0;
	write_some(st, 5, 7000, 20000);
	ck_assert_int_eq(blt_put(s, "other", 5, "new", 3, 1), 0);
	ck_assert_int_eq(blt_flush(s), 0);
	after = die(s, st);
	check_store(after);
	ck_assert_int_eq(blt_delete(after, "other", 5), 0);
	done(after);
	return rc < 0;
}

START_TEST(disk_full_while_it_becomes_longer)
{
	unsigned n = 1;

	no_reserves = true;
	while (full_while_longer(n))
		n++;
	no_reserves = false;
	ck_assert_uint_gt(n, 1);
}
END_TEST

/* A walk stands between a region and the end, and the stream writes there. */
START_TEST(grows_where_a_scan_stands)
{
	struct blt *s = make(NULL);
	struct blt_stream *st;
	struct block b;
	struct scan scan;
	uint64_t behind;
	int rc = 1;

	ck_assert_int_eq(blt_put(s, "k", 1, "old", 3, 1), 0);
	st = begin(s, "k", 0);
	behind = store_of(s)->engine.space.end;
	ck_assert_int_eq(blt_touch(s, "k", 1, 2), 0);
	ck_assert_int_eq(blt_flush(s), 0);
	scan_start(&scan, &store_of(s)->engine, true);
	while (scan.pos < behind && rc > 0)
		rc = scan_next(&scan, &b);
	ck_assert_uint_eq(scan.pos, behind);
	ck_assert_uint_gt(scan.end, behind);
	write_some(st, 7, 0, 200000);
	while ((rc = scan_next(&scan, &b)) > 0)
		ck_assert_uint_ge(b.pos, behind);
	ck_assert_int_eq(rc, 0);
	scan_end(&scan);
	commit(st, "k");
	check_value(s, "k", 7, 200000);
	check_store(s);
	done(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("stream");
	SRunner *runner;
	int failed;

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
	tcase_add_test(tc, several_at_once);
	tcase_add_test(tc, scan_meets_each_key_once);
	tcase_add_test(tc, prune_goes_around);
	tcase_add_test(tc, growth_and_copy_beside_it);
	tcase_add_test(tc, death_leaves_the_old_value);
	tcase_add_test(tc, disk_full_while_it_becomes_longer);
	tcase_add_test(tc, grows_where_a_scan_stands);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

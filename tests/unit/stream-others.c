/* Streams beside others: other streams, snapshots, prunes, growth, a copy, a
 * full disk and the death of the process. */
#include "booklet/core/snapshot.h"
#include "lib/sound.h"
#include "booklet/store/store.h"
#include "lib/streamstore.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
		check_sound(s);
	}
	check_value(s, "k0", 4, 100000);
	check_value(s, "k1", 5, 100000);
	check_value(s, "k2", 2, 100000);
	check_value(s, "k3", 7, 100000);
	done(s);
}
END_TEST

/* A snapshot shows the store as it was at its start: the old value once, not
 * the new one, and no key that came to life in front of it. */
START_TEST(snapshot_meets_each_key_once)
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
		check_sound(s);
		write_some(a, 1, 15000, 30000);
		write_some(b, 2, 15000, 60000);
		commit(a, "a");
		ck_assert_int_eq(blt_prune(s, NULL, &r), 0);
		check_sound(s);
		commit(b, "b");
		check_sound(s);
		ck_assert_int_eq(blt_prune(s, NULL, &r), 0);
		check_value(s, "a", 1, 30000);
		check_value(s, "b", 2, 60000);
		check_sound(s);
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
	check_sound(s);
	snprintf(copy, sizeof(copy), "%.80s.copy", stream_path);
	ck_assert_int_eq(blt_copy(s, copy, NULL, true, NULL, NULL, NULL), 0);
	commit(st, "k");
	check_value(s, "k", 3, 100000);
	check_sound(s);
	ck_assert_int_eq(blt_open(copy, NULL, &c, NULL), 0);
	check_sound(c);
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

	snprintf(kept, sizeof(kept), "%.80s.dead", stream_path);
	snprintf(command, sizeof(command), "cp %s %s", stream_path, kept);
	ck_assert_int_eq(system(command), 0);
	blt_stream_abort(st);
	done(s);
	strcpy(stream_path, kept);
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
	check_sound(after);
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
	check_sound(after);
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
	struct snapshot snapshot;
	uint64_t behind;
	int rc = 1;

	ck_assert_int_eq(blt_put(s, "k", 1, "old", 3, 1), 0);
	st = begin(s, "k", 0);
	behind = store_of(s)->engine.wal.end;
	ck_assert_int_eq(blt_touch(s, "k", 1, 2), 0);
	ck_assert_int_eq(blt_flush(s), 0);
	snapshot_start(&snapshot, &store_of(s)->engine, true);
	while (snapshot.pos < behind && rc > 0)
		rc = snapshot_next(&snapshot, &b);
	ck_assert_uint_eq(snapshot.pos, behind);
	ck_assert_uint_gt(snapshot.end, behind);
	write_some(st, 7, 0, 200000);
	while ((rc = snapshot_next(&snapshot, &b)) > 0)
		ck_assert_uint_ge(b.pos, behind);
	ck_assert_int_eq(rc, 0);
	snapshot_end(&snapshot);
	commit(st, "k");
	check_value(s, "k", 7, 200000);
	check_sound(s);
	done(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream-others");
	TCase *tc = tcase_create("stream-others");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, several_at_once);
	tcase_add_test(tc, snapshot_meets_each_key_once);
	tcase_add_test(tc, prune_goes_around);
	tcase_add_test(tc, growth_and_copy_beside_it);
	tcase_add_test(tc, death_leaves_the_old_value);
	tcase_add_test(tc, disk_full_while_it_becomes_longer);
	tcase_add_test(tc, grows_where_a_scan_stands);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

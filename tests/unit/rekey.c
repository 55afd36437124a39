/* Renames that leave the value where it is, and those that cannot. */
#include "blt.h"
#include "blt_seq.h"
#include "lib/sound.h"
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Long enough here; more than what a rename adds. */
#define LEN ((size_t)60000)

static char path[64], copy_path[64];

/* Writes behind so many bytes of the file find the disk full, 0: none. */
static uint64_t full_at;

static ssize_t write_or_full(void *arg, int fd, const void *buf, size_t n,
			     off_t pos)
{
	(void)arg;
	if (full_at && (uint64_t)pos >= full_at) {
		errno = ENOSPC;
		return -1;
	}
	return pwrite(fd, buf, n, pos);
}

static struct blt *open_store(const char *at, enum blt_mode mode)
{
	const struct blt_open_options o = { .mode = mode,
					    .create = { .n_buckets = 11 } };
	struct file_ops ops = file_system_ops;
	struct blt_error err = { "" };
	struct blt *s;

	ops.pwrite = write_or_full;
	ck_assert_msg(store_open(at, &o, &ops, &s, &err) == 0, "%s", err.text);
	store_of(s)->engine.rename_least = LEN;
	return s;
}

static struct blt *make(void)
{
	snprintf(path, sizeof(path), "test-rekey-%d.blt", (int)getpid());
	snprintf(copy_path, sizeof(copy_path), "test-rekey-%d.copy",
		 (int)getpid());
	return open_store(path, BLT_TRUNCATE);
}

static void done(struct blt *s)
{
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}

static void fill(uint8_t *to, unsigned seed)
{
	for (size_t i = 0; i < LEN; i++)
		to[i] = (uint8_t)((i * (seed | 1) + seed) >> 3);
}

static void put(struct blt *s, const char *key, unsigned seed)
{
	uint8_t value[LEN];

	fill(value, seed);
	ck_assert_int_eq(blt_put(s, key, strlen(key), value, LEN, 1000 + seed),
			 0);
	ck_assert_int_eq(blt_flush(s), 0);
}

static void put_stream(struct blt *s, const char *key, unsigned seed)
{
	struct blt_stream *st;
	uint8_t value[LEN];

	fill(value, seed);
	ck_assert_int_eq(blt_stream_open(s, strlen(key), LEN, &st), 0);
	ck_assert_int_eq(blt_stream_write(st, value, LEN, 0), 0);
	ck_assert_int_eq(blt_stream_commit(st, key, strlen(key), 1000 + seed),
			 0);
}

/* Where its value is. */
static uint64_t check_value(struct blt *s, const char *key, unsigned seed)
{
	uint8_t value[LEN];
	struct blt_view v;
	uint64_t offset;

	fill(value, seed);
	ck_assert_int_eq(blt_get(s, key, strlen(key), &v), 0);
	ck_assert_uint_eq(v.len, LEN);
	ck_assert_int_eq(v.timestamp, 1000 + seed);
	ck_assert_int_eq(memcmp(v.data, value, LEN), 0);
	offset = v.offset;
	blt_view_release(&v);
	return offset;
}

static void check_gone(struct blt *s, const char *key)
{
	struct blt_stat st;

	ck_assert_int_eq(blt_stat_key(s, key, strlen(key), &st), -ENOENT);
}

static int try_rename(struct blt *s, const char *from, const char *to)
{
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(
		blt_batch_rename(b, from, strlen(from), to, strlen(to)), 0);
	return blt_batch_commit_flush(b);
}

static uint64_t size_of(struct blt *s)
{
	struct blt_info info;

	ck_assert_int_eq(blt_flush(s), 0);
	blt_get_info(s, &info);
	return info.file_size;
}

static uint64_t keys_of(struct blt *s)
{
	struct blt_info info;

	blt_get_info(s, &info);
	return info.n_keys;
}

/* Renames, and says whether the value stayed. */
static bool stays(struct blt *s, const char *from, const char *to,
		  unsigned seed)
{
	uint64_t at = check_value(s, from, seed), size = size_of(s);
	bool stayed;

	ck_assert_int_eq(try_rename(s, from, to), 0);
	check_gone(s, from);
	stayed = check_value(s, to, seed) == at;
	if (stayed)
		ck_assert_uint_lt(size_of(s), size + LEN / 4);
	else
		ck_assert_uint_ge(size_of(s), size + LEN);
	return stayed;
}

START_TEST(over_an_old_value)
{
	struct blt *s = make();

	put(s, "name", 1);
	put(s, ".name.XYZXYZ", 2);
	ck_assert(stays(s, ".name.XYZXYZ", "name", 2));
	put_stream(s, ".name.ABCABC", 3);
	ck_assert(stays(s, ".name.ABCABC", "name", 3));
	ck_assert_uint_eq(keys_of(s), 1);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_store(path, BLT_WRITE);
	check_value(s, "name", 3);
	done(s);
}
END_TEST

/* Keys of all lengths that the pad has room for, again and again; the log
 * holds none of them beside another. */
START_TEST(any_length_of_key)
{
	static const size_t len[] = { 1, 200, 2, 255, 3, 57, 256, 1, 33, 34 };
	char from[300] = "k", to[300];
	struct blt *s = make();

	put(s, "k", 5);
	for (size_t i = 0; i < ARRAY_SIZE(len); i++) {
		memset(to, 'a' + (int)i, len[i]);
		to[len[i]] = '\0';
		ck_assert(stays(s, from, to, 5));
		if (i % 3 == 0)
			ck_assert_int_eq(blt_touch(s, to, len[i], 1000 + 5), 0);
		if (i % 4 == 0)
			put(s, "other", (unsigned)i);
		strcpy(from, to);
	}
	done(s);
}
END_TEST

START_TEST(a_key_too_long_is_copied)
{
	struct blt *s = make();
	char key[300];

	memset(key, 'x', 299);
	key[299] = '\0';
	put(s, "k", 6);
	ck_assert(!stays(s, "k", key, 6));
	/* the copy has a pad, too */
	ck_assert(stays(s, key, "k", 6));
	done(s);
}
END_TEST

START_TEST(a_short_value_is_copied)
{
	struct blt *s = make();

	ck_assert_int_eq(blt_put(s, "a", 1, "v", 1, 7), 0);
	ck_assert_int_eq(try_rename(s, "a", "b"), 0);
	check_gone(s, "a");
	ck_assert_int_eq(try_rename(s, "a", "b"), -ENOENT);
	done(s);
}
END_TEST

START_TEST(copied_under_a_walk)
{
	struct blt *s = make();
	struct blt_item item;
	struct blt_iter *it;

	put(s, "a", 8);
	ck_assert_int_eq(blt_iter_new(s, &it), 0);
	ck_assert_int_eq(blt_iter_next(it, &item), 1);
	ck_assert(!stays(s, "a", "b", 8));
	ck_assert_int_eq(memcmp(item.key, "a", 1), 0);
	ck_assert_int_eq(blt_iter_next(it, &item), 0);
	blt_iter_free(it);
	ck_assert(stays(s, "b", "c", 8));
	done(s);
}
END_TEST

/* Whoever covers, moves or cuts off blocks may take the pad away. */
START_TEST(copied_behind_prune_and_trim)
{
	struct blt *s = make();

	put(s, "gone", 1);
	put(s, "a", 9);
	ck_assert_int_eq(blt_delete(s, "gone", 4), 0);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, NULL), 0);
	ck_assert(!stays(s, "a", "bb", 9));
	ck_assert_int_eq(blt_prune(s, NULL, NULL), 0);
	ck_assert(!stays(s, "bb", "c", 9));
	ck_assert(stays(s, "c", "dddd", 9));
	ck_assert_int_eq(blt_reindex(s, 3, NULL, NULL), 0);
	check_value(s, "dddd", 9);
	ck_assert_int_eq(try_rename(s, "dddd", "e"), 0);
	check_value(s, "e", 9);
	done(s);
}
END_TEST

static void copy_file(void)
{
	static uint8_t buf[1 << 20];
	FILE *in = fopen(path, "r"), *out = fopen(copy_path, "w");
	size_t n;

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(out);
	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		ck_assert_uint_eq(fwrite(buf, 1, n, out), n);
	fclose(in);
	ck_assert_int_eq(fclose(out), 0);
}

/* What a killed writer leaves is replayed, by a reader in memory alone. */
START_TEST(replayed)
{
	struct blt *s = make(), *r;

	put(s, "a", 10);
	ck_assert(stays(s, "a", "a-longer-name", 10));
	put(s, "b", 11);
	copy_file();
	for (int i = 0; i < 2; i++) {
		r = open_store(copy_path, i ? BLT_WRITE : BLT_READ);
		check_value(r, "a-longer-name", 10);
		check_value(r, "b", 11);
		check_gone(r, "a");
		check_sound(r);
		ck_assert_int_eq(blt_close(r), 0);
	}
	/* one that has died since */
	ck_assert(stays(s, "b", "c", 11));
	ck_assert_int_eq(blt_delete(s, "c", 1), 0);
	ck_assert_int_eq(blt_touch(s, "a-longer-name", 13, 1000 + 10), 0);
	ck_assert_int_eq(blt_flush(s), 0);
	copy_file();
	for (int i = 0; i < 2; i++) {
		r = open_store(copy_path, i ? BLT_WRITE : BLT_READ);
		check_value(r, "a-longer-name", 10);
		check_gone(r, "b");
		check_gone(r, "c");
		check_sound(r);
		ck_assert_int_eq(blt_close(r), 0);
	}
	unlink(copy_path);
	done(s);
}
END_TEST

/* A rename whose record does not fit has not been made. */
START_TEST(a_full_disk_changes_nothing)
{
	struct blt *s = make();

	put(s, "a", 12);
	ck_assert_int_eq(blt_put(s, "short", 5, "v", 1, 3), 0);
	full_at = size_of(s);
	ck_assert_int_eq(try_rename(s, "a", "b"), -ENOSPC);
	ck_assert_int_eq(try_rename(s, "short", "b"), -ENOSPC);
	check_gone(s, "b");
	check_value(s, "a", 12);
	full_at = 0;
	ck_assert_int_eq(try_rename(s, "short", "b"), 0);
	ck_assert_int_eq(try_rename(s, "a", "short"), 0);
	check_value(s, "short", 12);
	check_gone(s, "a");
	ck_assert_uint_eq(keys_of(s), 2);
	done(s);
}
END_TEST

/* Names that are told apart by what stands behind their beginning only. */
START_TEST(in_a_sequence)
{
	static const char *const key[] = { "s/same-beginning-a",
					   "s/same-beginning-b",
					   "s/same-beginning-c" };
	struct blt *s = make();
	struct blt_seq *seq;
	struct blt_ns *names;
	uint64_t at;

	ck_assert_int_eq(blt_ns_new(s, NULL, &names), 0);
	ck_assert_int_eq(blt_ns_wait(names), 0);
	ck_assert_int_eq(blt_seq_create(names, "s/", 2), 0);
	ck_assert_int_eq(blt_seq_open(names, "s/", 2, &seq), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(key); i++)
		put(s, key[i], i);
	ck_assert_int_eq(blt_seq_index(seq, key[1] + 2, 16, &at), 0);
	ck_assert_uint_eq(at, 1);
	ck_assert(stays(s, key[1], "s/same-beginning-d", 1));
	ck_assert_int_eq(blt_seq_index(seq, key[1] + 2, 16, &at), -ENOENT);
	ck_assert_int_eq(blt_seq_index(seq, "same-beginning-d", 16, &at), 0);
	ck_assert_uint_eq(at, 2);
	ck_assert(stays(s, "s/same-beginning-d", key[0], 1));
	ck_assert_int_eq(blt_seq_len(seq, &at), 0);
	ck_assert_uint_eq(at, 2);
	ck_assert_int_eq(blt_seq_index(seq, key[2] + 2, 16, &at), 0);
	ck_assert_uint_eq(at, 1);
	blt_seq_close(seq);
	blt_ns_free(names);
	done(s);
}
END_TEST

/* ---- beside readers ---- */

static atomic_bool stop;
static struct blt_ns *ns;

static void *read_values(void *arg)
{
	static const struct blt_bytes keys[2] = { { "a", 1 }, { "other", 5 } };
	struct blt *s = arg;

	while (!atomic_load(&stop)) {
		struct blt_view v[2];
		int result[2];

		ck_assert_uint_eq(blt_get_many(s, keys, 2, v, result), 1);
		for (int i = 0; i < 2; i++)
			if (result[i] == 0) {
				ck_assert_uint_eq(v[i].len, LEN);
				ck_assert_int_eq(v[i].data[0], 13 >> 3);
				blt_view_release(&v[i]);
			}
	}
	return NULL;
}

static int count_entry(void *arg, const struct blt_ns_entry *entry)
{
	int *n = arg;

	ck_assert(strcmp(entry->name, "a") == 0 ||
		  strcmp(entry->name, "other") == 0);
	++*n;
	return 0;
}

static void *list_names(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		int n = 0;

		ck_assert_int_eq(blt_ns_list(ns, "", 0, 0, count_entry, &n), 0);
		ck_assert_int_eq(n, 1);
	}
	return NULL;
}

START_TEST(readers_see_one_of_them)
{
	void *(*const work[])(void *) = { read_values, list_names };
	struct blt *s = make();
	pthread_t thread[2];
	bool stayed = true;

	put(s, "a", 13);
	ck_assert_int_eq(blt_ns_new(s, NULL, &ns), 0);
	ck_assert_int_eq(blt_ns_wait(ns), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, work[i], s),
				 0);
	for (int i = 0; i < 20; i++) {
		stayed = stays(s, "a", "other", 13) && stayed;
		stayed = stays(s, "other", "a", 13) && stayed;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	ck_assert(stayed);
	blt_ns_free(ns);
	done(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rekey");
	TCase *tc = tcase_create("rekey");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, over_an_old_value);
	tcase_add_test(tc, any_length_of_key);
	tcase_add_test(tc, a_key_too_long_is_copied);
	tcase_add_test(tc, a_short_value_is_copied);
	tcase_add_test(tc, copied_under_a_walk);
	tcase_add_test(tc, copied_behind_prune_and_trim);
	tcase_add_test(tc, replayed);
	tcase_add_test(tc, a_full_disk_changes_nothing);
	tcase_add_test(tc, in_a_sequence);
	tcase_add_test(tc, readers_see_one_of_them);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

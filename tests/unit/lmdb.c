/* LMDB environments behind blt.h: made and read by LMDB itself beside it. */
#include "lib/lmdbenv.h"
#include "lib/texts.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_reads_what_lmdb_wrote)
{
	struct raw r = raw_open(NULL, 0);
	struct blt_info info;
	struct blt_census census;
	struct blt_view v;
	struct blt *s;

	raw_text(&r, "a", "1");
	raw_text(&r, "b/c", "two");
	raw_text(&r, "empty", "");
	raw_close(&r);
	s = open_with(BLT_READ, NULL);
	expect(s, "a", "1");
	expect(s, "b/c", "two");
	expect(s, "empty", "");
	expect(s, "nothing", NULL);
	expect(s, "", NULL);
	/* a value is in memory, in no place of a file */
	ck_assert_int_eq(blt_get(s, "a", 1, &v), 0);
	ck_assert_int_eq(v.fd, -1);
	blt_view_release(&v);
	blt_get_info(s, &info);
	ck_assert_str_eq(info.engine, "lmdb");
	ck_assert(info.shared && !info.writable && !info.has_timestamps);
	ck_assert_uint_eq(info.n_keys, 3);
	ck_assert_int_eq(put_rc(s, "x"), -EROFS);
	ck_assert_int_eq(blt_count(s, &census), 0);
	ck_assert_uint_eq(census.keys, 3);
	ck_assert_uint_eq(census.value_bytes, 4);
	ck_assert_uint_eq(count_items(s, ""), 3);
	ck_assert_uint_eq(count_items(s, "b/"), 1);
	ck_assert_uint_eq(count_items(s, "c"), 0);
	ck_assert_int_eq(blt_close(s), 0);
	/* known by what is in it */
	ck_assert_int_eq(try_open(BLT_READ, NULL, NULL), 0);
	ck_assert_int_eq(try_open(BLT_READ, "booklet", NULL), -EINVAL);
	ck_assert_int_eq(try_open(BLT_READ, "no such", NULL), -EINVAL);
	ck_assert_int_eq(try_open(BLT_READ, NULL, "none"), -ENOENT);
}
END_TEST

START_TEST(test_directory_environment)
{
	struct blt *s;
	struct raw r;

	ck_assert_int_eq(mkdir(lmdbenv_path, 0700), 0);
	s = open_with(BLT_CREATE, NULL);
	put(s, "k", "v");
	ck_assert_int_eq(blt_close(s), 0);
	r = raw_open(NULL, 0);
	raw_expect(&r, "k", 1, "v");
	raw_close(&r);
}
END_TEST

START_TEST(test_writes_what_lmdb_reads)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct raw r;

	put(s, "a", "1");
	put(s, "a", "2");
	put(s, "gone", "x");
	ck_assert_int_eq(blt_delete(s, "gone", 4), 0);
	ck_assert_int_eq(blt_delete(s, "gone", 4), -ENOENT);
	ck_assert_int_eq(blt_touch(s, "a", 1, 5), 0);
	ck_assert_int_eq(blt_touch(s, "b", 1, 5), -ENOENT);
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_close(s), 0);
	r = raw_open(NULL, 0);
	raw_expect(&r, "a", 1, "2");
	raw_close(&r);
}
END_TEST

START_TEST(test_keys_that_cannot_be)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	char key[513];

	memset(key, 'k', 512);
	key[512] = '\0';
	ck_assert_int_eq(put_rc(s, ""), -EINVAL);
	ck_assert_int_eq(put_rc(s, key), -ENAMETOOLONG);
	ck_assert_int_eq(blt_delete(s, key, 512), -ENOENT);
	expect(s, key, NULL);
	ck_assert_int_eq(put_rc(s, key + 1), 0);
	expect(s, key + 1, "v");
	ck_assert_int_eq(blt_slot_put(s, BLT_METADATA, "1", 1), -ENOTSUP);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, NULL), -ENOTSUP);
	ck_assert_int_eq(blt_reindex(s, 0, NULL, NULL), -ENOTSUP);
	/* LMDB's locks do not bear it twice in a process */
	ck_assert_int_eq(try_open(BLT_READ, NULL, NULL), -EBUSY);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_batch_is_one)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_batch *b;
	struct blt_view v;
	bool held = true;

	put(s, "a", "1");
	put(s, "b", "2");
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_exchange(b, "a", 1, "b", 1), 0);
	ck_assert_int_eq(blt_batch_rename(b, "a", 1, "c", 1), 0);
	ck_assert_int_eq(blt_batch_put(b, "d", 1, "4", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	expect(s, "a", NULL);
	expect(s, "b", "1");
	expect(s, "c", "2");
	expect(s, "d", "4");
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, "e", 1, "5", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "none", 4), 0);
	ck_assert_int_eq(blt_batch_commit(b), -ENOENT);
	expect(s, "e", NULL);
	/* only while a value is what it was */
	ck_assert_int_eq(blt_get(s, "b", 1, &v), 0);
	put(s, "b", "other");
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "b", 1, v.offset, &held), 0);
	ck_assert_int_eq(blt_batch_delete(b, "b", 1), 0);
	ck_assert_int_eq(blt_batch_only_if(b, NULL, 0, 0, NULL), 0);
	ck_assert_int_eq(blt_batch_put(b, "f", 1, "6", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	blt_view_release(&v);
	ck_assert(!held);
	expect(s, "b", "other");
	expect(s, "f", "6");
	/* only where a key is not there */
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, "g", 1, "7", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_absent(b, "f", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EEXIST);
	expect(s, "g", NULL);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_absent(b, "g", 1), 0);
	ck_assert_int_eq(blt_batch_put(b, "g", 1, "7", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	expect(s, "g", "7");
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_map_grows)
{
	const size_t large = (size_t)20 << 20;
	char *value = calloc(1, large), key[32];
	struct raw r = raw_open(NULL, 0);
	struct blt_stat st;
	struct blt *s;

	ck_assert_ptr_nonnull(value);
	raw_text(&r, "first", "1");
	raw_close(&r);
	s = open_with(BLT_WRITE, NULL);
	for (int i = 0; i < 3000; i++) {
		sprintf(key, "k%d", i);
		ck_assert_int_eq(
			blt_put(s, key, strlen(key), value, 5000, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_put(s, "large", 5, value, large, BLT_NOW), 0);
	ck_assert_int_eq(blt_stat_key(s, "large", 5, &st), 0);
	ck_assert_uint_eq(st.len, large);
	ck_assert_uint_eq(count_items(s, "k"), 3000);
	expect(s, "first", "1");
	ck_assert_int_eq(blt_close(s), 0);
	free(value);
}
END_TEST

static int read_zeros(void *arg, void *buf, size_t n, uint64_t offset)
{
	int fail = *(int *)arg;

	(void)offset;
	memset(buf, 'z', n);
	return fail;
}

START_TEST(test_put_from)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	int fail = 0;
	struct blt_source from = { 30000000, read_zeros, &fail };
	struct blt_stat st;

	ck_assert_int_eq(blt_put_from(s, "k", 1, &from, BLT_NOW), 0);
	ck_assert_int_eq(blt_stat_key(s, "k", 1, &st), 0);
	ck_assert_uint_eq(st.len, 30000000);
	fail = -ECANCELED;
	from.len = 10;
	ck_assert_int_eq(blt_put_from(s, "k", 1, &from, BLT_NOW), -ECANCELED);
	ck_assert_int_eq(blt_stat_key(s, "k", 1, &st), 0);
	ck_assert_uint_eq(st.len, 30000000);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_listing)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_ns *ns = open_ns(s);
	struct names n = { .left = 2 };

	put(s, "a", "file");
	put(s, "a!", "between");
	put(s, "a/b", "below");
	put(s, "a/c/d", "deep");
	put(s, "kept/", "");
	put(s, "odd/", "an entry of an empty name");
	put(s, "z", "");
	expect_list(ns, "", "a% a! a/ kept/ odd/ z ");
	expect_list(ns, "a/", "b c/ ");
	expect_list(ns, "kept/", "");
	expect_list(ns, "odd/", "% ");
	ck_assert_int_eq(blt_ns_list(ns, "none/", 5, 0, add_name, &n), -ENOENT);
	/* a name that goes meanwhile is no reason to begin anew */
	ck_assert_int_eq(blt_ns_list(ns, "", 0, 0, add_name, &n), 0);
	ck_assert_str_eq(n.text, "a% a! ");
	ck_assert_int_eq(blt_delete(s, "a!", 2), 0);
	n.left = 9;
	ck_assert_int_eq(blt_ns_list(ns, "", 0, n.cookie, add_name, &n), 0);
	ck_assert_str_eq(n.text, "a% a! a/ kept/ odd/ z ");
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* Every key has a path, and the path leads back to it. */
static void expect_path(struct blt_ns *ns, const char *key)
{
	struct blt_node node;
	char *name;

	ck_assert_int_eq(blt_ns_path(ns, key, strlen(key), &name), 0);
	ck_assert_int_eq(blt_ns_resolve(ns, name, &node), 0);
	ck_assert_uint_eq(node.key_len, strlen(key));
	ck_assert_mem_eq(node.key, key, node.key_len);
	free(node.key);
	free(name);
}

START_TEST(test_long_names)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_ns *ns = open_ns(s);
	char key[512];

	memset(key, 'n', 511);
	key[511] = '\0';
	put(s, key + 100, "long");
	put(s, "short", "x");
	expect_path(ns, key + 100);
	key[400] = '/';
	put(s, key + 50, "in a directory of a long name");
	expect_path(ns, key + 50);
	memcpy(key + 50, "d/", 2);
	put(s, key + 50, "below");
	expect_path(ns, key + 50);
	expect_path(ns, "short");
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* More than is taken at a time. */
START_TEST(test_many)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_ns *ns = open_ns(s);
	struct blt_check_result result;
	struct blt_dir_facts facts;
	struct blt_batch *b;
	char key[32];

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	for (int i = 0; i < 5000; i++) {
		sprintf(key, "d/%05d", i);
		ck_assert_int_eq(blt_batch_put(b, key, strlen(key), key,
					       strlen(key), BLT_NOW),
				 0);
	}
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_uint_eq(count_items(s, ""), 5000);
	ck_assert_uint_eq(count_items(s, "d/01"), 1000);
	ck_assert_int_eq(blt_ns_dir(ns, "d/", 2, &facts), 0);
	ck_assert_uint_eq(facts.entries, 2); /* or more */
	ck_assert_int_eq(blt_check(s, NULL, NULL, NULL, &result), 0);
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(result.keys, 5000);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_copy)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_error err;
	char to[300];

	put(s, "k", "v");
	snprintf(to, sizeof(to), "%s-copy", lmdbenv_path);
	ck_assert_int_eq(blt_copy(s, to, NULL, false, NULL, NULL, &err), 0);
	ck_assert_int_eq(blt_copy(s, to, NULL, false, NULL, NULL, &err),
			 -EEXIST);
	ck_assert_int_eq(blt_copy(s, to, NULL, true, NULL, NULL, &err), 0);
	ck_assert_int_eq(
		blt_copy(s, lmdbenv_path, NULL, true, NULL, NULL, &err),
		-EEXIST);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(rename(to, lmdbenv_path), 0);
	s = open_with(BLT_READ, NULL);
	expect(s, "k", "v");
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* What is open, and read and written on, has another file under it. */
START_TEST(test_prune)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_prune_options old = { .older_than = 1 };
	struct blt_prune_result r;
	char *value = calloc(1, 100000);
	char key[32];

	ck_assert_ptr_nonnull(value);
	for (int i = 0; i < 30; i++) {
		sprintf(key, "k%d", i % 3);
		ck_assert_int_eq(blt_put(s, key, 2, value, 100000, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_delete(s, "k0", 2), 0);
	put(s, "small", "v");
	ck_assert_int_eq(blt_prune(s, &old, &r), -ENOTSUP);
	ck_assert_int_eq(blt_prune(s, NULL, &r), 0);
	ck_assert_uint_gt(r.size_before, r.size_after);
	ck_assert_uint_lt(r.size_after, 300000);
	expect(s, "small", "v");
	put(s, "small", "new");
	expect(s, "small", "new");
	ck_assert_uint_eq(count_items(s, ""), 3);
	ck_assert_int_eq(blt_prune(s, NULL, NULL), 0);
	ck_assert_int_eq(try_open(BLT_READ, NULL, NULL), -EBUSY);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_READ, NULL);
	expect(s, "small", "new");
	ck_assert_int_eq(blt_prune(s, NULL, NULL), -EROFS);
	ck_assert_int_eq(blt_close(s), 0);
	free(value);
}
END_TEST

START_TEST(test_truncate)
{
	struct raw r = raw_open("named", MDB_CREATE);
	struct blt *s;

	raw_text(&r, "x", "1");
	raw_close(&r);
	s = open_with(BLT_TRUNCATE, NULL);
	ck_assert_uint_eq(count_items(s, ""), 0);
	put(s, "named", "a plain key now");
	expect(s, "named", "a plain key now");
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(try_open(BLT_TRUNCATE, "booklet", NULL), 0);
	ck_assert_int_eq(try_open(BLT_READ, "booklet", NULL), 0);
	ck_assert_int_eq(try_open(BLT_WRITE, "lmdb", NULL), -EINVAL);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, "db"), -EINVAL);
}
END_TEST

/* ---- beside each other ---- */

struct shared {
	struct blt *store;
	atomic_int written; /* keys up to here are there */
	atomic_bool done;
};

static void *read_along(void *arg)
{
	struct shared *sh = arg;
	char key[32];

	for (unsigned i = 0; !atomic_load(&sh->done); i++) {
		int n = atomic_load(&sh->written);

		if (n == 0)
			continue;
		sprintf(key, "k%u", i % (unsigned)n);
		expect(sh->store, key, key);
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct shared sh = { .store = open_with(BLT_CREATE, NULL) };
	struct blt *s = sh.store;
	char *fill = calloc(1, 1 << 20), key[32];
	pthread_t thread[3];

	ck_assert_ptr_nonnull(fill);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, read_along, &sh), 0);
	/* the map grows some times under those who read */
	for (int i = 0; i < 60; i++) {
		sprintf(key, "k%d", i);
		put(s, key, key);
		atomic_store(&sh.written, i + 1);
		sprintf(key, "fill%d", i);
		ck_assert_int_eq(
			blt_put(s, key, strlen(key), fill, 1 << 20, BLT_NOW),
			0);
	}
	atomic_store(&sh.done, true);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	ck_assert_int_eq(blt_close(s), 0);
	free(fill);
}
END_TEST

/* ---- long values ---- */

#define LONG ((size_t)40 << 20)

static void *above; /* keeps what is freed below it in the heap */

static int fill_long(void *arg, void *to, size_t n, uint64_t offset)
{
	(void)arg;
	(void)offset;
	memset(to, 'v', n);
	above = malloc((size_t)1 << 20);
	return above ? 0 : -ENOMEM;
}

/* What a child process writes to is its own copy. */
static void expect_private(void)
{
	char *block = malloc(LONG / 2);
	pid_t pid;
	int status;

	ck_assert_ptr_nonnull(block);
	memset(block, 'p', LONG / 2);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		memset(block, 'c', LONG / 2);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (size_t i = 0; i < LONG / 2; i += 4096)
		ck_assert_int_eq(block[i], 'p');
	free(block);
}

/* The allocator may have any block in its heap, and give its memory to others
 * afterwards. */
START_TEST(test_heap_is_left_alone)
{
	const struct blt_source source = { .read = fill_long, .len = LONG };
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_view v;

	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	ck_assert_int_eq(blt_put_from(s, "k", 1, &source, BLT_NOW), 0);
	expect_private();
	free(above);
	ck_assert_int_eq(blt_get(s, "k", 1, &v), 0);
	above = malloc((size_t)1 << 20);
	ck_assert_uint_eq(v.len, LONG);
	ck_assert(v.data[0] == 'v' && v.data[LONG - 1] == 'v');
	blt_view_release(&v);
	expect_private();
	free(above);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_reads_what_lmdb_wrote);
	tcase_add_test(tc, test_directory_environment);
	tcase_add_test(tc, test_writes_what_lmdb_reads);
	tcase_add_test(tc, test_keys_that_cannot_be);
	tcase_add_test(tc, test_batch_is_one);
	tcase_add_test(tc, test_map_grows);
	tcase_add_test(tc, test_put_from);
	tcase_add_test(tc, test_listing);
	tcase_add_test(tc, test_long_names);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_copy);
	tcase_add_test(tc, test_prune);
	tcase_add_test(tc, test_truncate);
	tcase_add_test(tc, test_threads);
	tcase_add_test(tc, test_heap_is_left_alone);
}

int main(void)
{
	return lmdbenv_run("lmdb", add);
}

/* The tree, against a model, and single behaviours. */
#include "booklet/dirindex/dirindex.h"
#include "lib/rnd.h"
#include "lib/suite.h"
#include "booklet/dirindex/dirindex_dir.h"
#include "lib/treemodel.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* tests/unit/tree-weak.c includes this file with a hash that collides. */
#ifndef WEAK_HASH
#define WEAK_HASH 0
#endif

START_TEST(test_model)
{
	run_model(300, 6, "ab/", false, 40, !WEAK_HASH);
	run_model(50, 5, "a/", true, 20, !WEAK_HASH);
	run_model(13, 12, "/", false, 20, !WEAK_HASH);
	run_model(400, 8, "abcdefgh%/", false, 30, !WEAK_HASH);
}
END_TEST

START_TEST(test_model_large_directory)
{
	run_model(MAX_KEYS, 6, "abcdefghijkl", false, 12, !WEAK_HASH);
}
END_TEST

/* ---- single behaviours ---- */

static uint64_t add(struct dirindex *t, const char *key, bool empty)
{
	struct model_key *k = &keys[n_keys];

	k->len = strlen(key);
	memcpy(k->bytes, key, k->len);
	k->empty = empty;
	k->pos = new_pos(n_keys++);
	ck_assert_int_eq(dirindex_add(t, key, k->len, k->pos, empty), 0);
	return k->pos;
}

static int has(struct dirindex *t, const char *prefix)
{
	return dirindex_find(t, prefix, strlen(prefix), NULL);
}

START_TEST(test_marker_turns)
{
	struct dirindex *t = new_tree();
	struct dirindex_dir d;
	uint64_t pos = add(t, "a/", true);

	ck_assert_int_eq(dirindex_find(t, "a/", 2, &d), 1);
	ck_assert_uint_eq(d.entries, 0);
	ck_assert_uint_eq(d.marker, pos);
	dirindex_move(t, "a/", 2, pos, new_pos(0), false);
	ck_assert_int_eq(dirindex_find(t, "a/", 2, &d), 1);
	ck_assert_uint_eq(d.entries, 1);
	ck_assert_uint_eq(d.marker, 0);
	dirindex_move(t, "a/", 2, pos + 1, new_pos(0), true);
	ck_assert_int_eq(dirindex_find(t, "a/", 2, &d), 1);
	ck_assert_uint_eq(d.entries, 0);
	ck_assert_uint_eq(d.marker, pos + 2);
	dirindex_remove(t, "a/", 2, pos + 2);
	ck_assert_int_eq(has(t, "a/"), 0);
	dirindex_free(t);
}
END_TEST

START_TEST(test_directories_come_and_go)
{
	struct dirindex *t = new_tree();
	uint64_t deep = add(t, "a/b/c/d", false);
	uint64_t near = add(t, "a/x", false);

	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(has(t, "a/b/"), 1);
	ck_assert_int_eq(has(t, "a/b/c/"), 1);
	ck_assert_int_eq(has(t, "a/b/c/d/"), 0);
	ck_assert_int_eq(has(t, "a"), 0);
	ck_assert_int_eq(has(t, "b/"), 0);
	ck_assert_int_eq(has(t, "/"), 0);
	dirindex_remove(t, "a/b/c/d", 7, deep);
	ck_assert_int_eq(has(t, "a/b/c/"), 0);
	ck_assert_int_eq(has(t, "a/b/"), 0);
	ck_assert_int_eq(has(t, "a/"), 1);
	dirindex_remove(t, "a/x", 3, near);
	ck_assert_int_eq(has(t, "a/"), 0);
	ck_assert_int_eq(has(t, ""), 1);
	dirindex_free(t);
}
END_TEST

/* What is held stays without a key, and without one above it. */
START_TEST(test_held_directories)
{
	struct dirindex *t = new_tree();
	struct dirindex_dir facts;
	uint64_t pos = add(t, "a/x", false);

	ck_assert_int_eq(dirindex_hold(t, "a/", 2, true), 0);
	ck_assert_int_eq(dirindex_hold(t, "b/c/", 4, true), 0);
	dirindex_remove(t, "a/x", 3, pos);
	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(has(t, "b/"), 1);
	ck_assert_int_eq(dirindex_find(t, "b/c/", 4, &facts), 1);
	ck_assert_uint_eq(facts.entries, 0);
	ck_assert_uint_eq(facts.marker, 0);
	ck_assert_int_eq(dirindex_hold(t, "b/c/", 4, false), 0);
	ck_assert_int_eq(has(t, "b/"), 0);
	add(t, "a/y", false);
	ck_assert_int_eq(dirindex_hold(t, "a/", 2, false), 0);
	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(dirindex_hold(t, "n/", 2, false), 0);
	dirindex_free(t);
}
END_TEST

/* A key that the writer moves before the walk has met it is there once. */
START_TEST(test_move_before_walk)
{
	struct dirindex *t = new_tree();
	struct dirindex_dir d;

	keys[0] = (struct model_key){ .bytes = "k", .len = 1 };
	n_keys = 1;
	for (int i = 0; i < 9; i++)
		new_pos(0);
	ck_assert_int_eq(dirindex_move(t, "k", 1, 3, 7, false), 0);
	ck_assert_int_eq(dirindex_add(t, "k", 1, 7, false), 0);
	ck_assert_int_eq(dirindex_find(t, "", 0, &d), 1);
	ck_assert_uint_eq(d.entries, 1);
	ck_assert_int_eq(dirindex_remove(t, "k", 1, 3), 0);
	ck_assert_int_eq(dirindex_find(t, "", 0, &d), 1);
	ck_assert_uint_eq(d.entries, 1);
	dirindex_free(t);
}
END_TEST

START_TEST(test_walk_fails)
{
	struct dirindex *t = new_tree();

	add(t, "a/b", false);
	ck_assert(!dirindex_is_complete(t));
	ck_assert_int_eq(has(t, "x/"), 0);
	dirindex_complete(t, -EUCLEAN);
	ck_assert(!dirindex_is_complete(t));
	ck_assert_int_eq(dirindex_wait(t), -EUCLEAN);
	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(has(t, "x/"), -EUCLEAN);
	dirindex_free(t);
}
END_TEST

#if !WEAK_HASH
START_TEST(test_find_long)
{
	struct dirindex *t = new_tree();
	struct keyhash h = keyhash_of("a/bb", 4);
	uint8_t *comp;
	size_t len;

	add(t, "a/bb/c", false);
	ck_assert_int_eq(dirindex_find_long(t, "a/", 2, &h, &comp, &len), 1);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(comp, "bb", 2);
	free(comp);
	ck_assert_int_eq(dirindex_find_long(t, "", 0, &h, &comp, &len), 0);
	h = keyhash_of("a/b", 3);
	ck_assert_int_eq(dirindex_find_long(t, "a/", 2, &h, &comp, &len), 0);
	dirindex_free(t);
}
END_TEST
#endif

/* Memory runs out at each place in turn: the tree stays whole, says so, and
 * what was there before is still there. */
static unsigned allocations_left;

static void *scarce(void *p, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return realloc(p, size);
}

START_TEST(test_no_memory)
{
	for (unsigned allowed = 0; allowed < 400; allowed++) {
		struct dirindex *t = new_tree();
		struct dirindex_stats before, after;
		bool failed = false;
		char key[24];

		add(t, "old/key", false);
		dirindex_stats(t, &before);
		allocations_left = allowed;
		dirindex_realloc = scarce;
		for (size_t i = 1; i < 900 && !failed; i++) {
			struct model_key *k = &keys[i];

			snprintf(key, sizeof(key), i % 3 ? "x%zu" : "d%zu/e/f",
				 i);
			k->len = strlen(key);
			memcpy(k->bytes, key, k->len);
			n_keys = i + 1;
			k->pos = new_pos(i);
			dirindex_stats(t, &before);
			failed =
				dirindex_add(t, key, k->len, k->pos, false) < 0;
		}
		dirindex_realloc = realloc;
		dirindex_stats(t, &after);
		if (failed) {
			ck_assert_uint_eq(before.keys, after.keys);
			ck_assert_uint_eq(before.dirs, after.dirs);
			ck_assert_int_eq(has(t, "nothing/"), -ENOMEM);
			dirindex_complete(t, 0);
			ck_assert_int_eq(dirindex_wait(t), -ENOMEM);
		}
		ck_assert_int_eq(has(t, "old/"), 1);
		dirindex_free(t);
	}
}
END_TEST

/* An order for which there is no memory goes, and is made anew. */
START_TEST(test_order_without_memory)
{
	struct dirindex *t = new_tree();
	uint64_t n;

	for (size_t i = 0; i < 2000; i++) {
		char key[24];
		int rc;

		snprintf(key, sizeof(key), "d/%zu", i);
		btree_realloc = scarce;
		allocations_left = rnd(3);
		add(t, key, false); /* its hook may have none, either */
		allocations_left = rnd(3);
		rc = dirindex_order_count(t, "d/", 2, &n);
		btree_realloc = realloc;
		ck_assert(rc == 0 || rc == -ENOMEM);
		if (rc < 0)
			ck_assert_int_eq(dirindex_order_count(t, "d/", 2, &n),
					 0);
		ck_assert_uint_eq(n, i + 1);
	}
	ck_assert_int_eq(dirindex_order_count(t, "e/", 2, &n), -ENOENT);
	dirindex_free(t);
}
END_TEST

/* ---- size ---- */

#if !WEAK_HASH

static unsigned per_dir;

static size_t big_key(uint64_t pos, char *key)
{
	return (size_t)sprintf(key, "%llu/%llu",
			       (unsigned long long)(pos / per_dir),
			       (unsigned long long)pos);
}

static int read_big(void *arg, uint64_t pos, const uint8_t **ret_key,
		    size_t *ret_len, struct keyhash *ret_hash)
{
	static _Thread_local char key[64];

	(void)arg;
	*ret_len = big_key(pos, key);
	*ret_key = (const uint8_t *)key;
	*ret_hash = keyhash_of(key, *ret_len);
	return 0;
}

static int count(void *arg, const struct dirindex_entry *e)
{
	uint64_t *n = arg;

	(void)e;
	++*n;
	return 0;
}

/* 200 MiB for ten million keys in a hundred thousand directories. */
START_TEST(test_size)
{
	static const struct dirindex_source big = { .read_key = read_big };
	uint64_t n = 300000, listed = 0;
	const char *wanted = getenv("TREE_KEYS");
	struct dirindex_stats stats;
	struct dirindex *t;
	char key[64];

	per_dir = _i ? UINT32_MAX : 100;
	if (wanted)
		n = strtoull(wanted, NULL, 10);
	ck_assert_int_eq(dirindex_new(&big, false, &t), 0);
	for (uint64_t pos = 1; pos <= n; pos++)
		ck_assert_int_eq(
			dirindex_add(t, key, big_key(pos, key), pos, false), 0);
	dirindex_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, n);
	printf("%llu keys, %llu directories: %.2f bytes a key\n",
	       (unsigned long long)n, (unsigned long long)stats.dirs,
	       (double)stats.bytes / (double)n);
	ck_assert_uint_lt(stats.bytes, n * 20);
	if (_i) {
		ck_assert_int_eq(dirindex_list(t, "0/", 2, 0, count, &listed),
				 0);
		ck_assert_uint_eq(listed, n);
	}
	for (uint64_t pos = 1; pos <= n; pos++)
		dirindex_remove(t, key, big_key(pos, key), pos);
	dirindex_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, 0);
	ck_assert_uint_eq(stats.dirs, 1);
	dirindex_free(t);
}
END_TEST

#endif

/* Keys of nothing but slashes are as many directories. */
START_TEST(test_slashes)
{
	struct dirindex *t = new_tree();
	struct dirindex_stats stats;
	char key[4000];

	memset(key, '/', sizeof(key));
	for (size_t n = 1; n <= sizeof(key); n += 1333)
		ck_assert_int_eq(dirindex_add(t, key, n, n, n % 2), 0);
	dirindex_stats(t, &stats);
	ck_assert_uint_eq(stats.dirs, sizeof(key) + 1);
	for (size_t n = 1; n <= sizeof(key); n += 1333)
		dirindex_remove(t, key, n, n);
	dirindex_stats(t, &stats);
	ck_assert_uint_eq(stats.dirs, 1);
	dirindex_free(t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tree");
	TCase *tc = tcase_create("tree");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_model);
	tcase_add_test(tc, test_model_large_directory);
	tcase_add_test(tc, test_marker_turns);
	tcase_add_test(tc, test_directories_come_and_go);
	tcase_add_test(tc, test_held_directories);
	tcase_add_test(tc, test_move_before_walk);
	tcase_add_test(tc, test_walk_fails);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_order_without_memory);
	tcase_add_test(tc, test_slashes);
#if !WEAK_HASH
	tcase_add_test(tc, test_find_long);
	tcase_add_loop_test(tc, test_size, 0, 2);
#endif
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

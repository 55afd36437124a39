/* A walk over an LMDB environment shows it as it was, whatever this process
 * changes meanwhile; a listing goes on behind a name that has gone; names that
 * only a hash knows; parts of values; and whose changes there were. */
#include "blt.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 3000 /* more than a walk takes at a time */

static char dir[64], path[128];
static struct blt *store;

static void setup(void)
{
	struct blt_open_options how = { .mode = BLT_CREATE, .engine = "lmdb" };

	strcpy(dir, "/tmp/test-lmdb-walk-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/env", dir);
	ck_assert_int_eq(blt_open(path, &how, &store, NULL), 0);
}

static void teardown(void)
{
	char lock[140];

	ck_assert_int_eq(blt_close(store), 0);
	snprintf(lock, sizeof(lock), "%s-lock", path);
	ck_assert_int_eq(unlink(lock), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void put(const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW),
		0);
}

static void put_many(void)
{
	struct blt_batch *b;
	char key[32];

	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	for (int i = 0; i < MANY; i++) {
		sprintf(key, "k%05d", i);
		ck_assert_int_eq(blt_batch_put(b, key, 6, "old", 3, BLT_NOW),
				 0);
	}
	ck_assert_int_eq(blt_batch_commit(b), 0);
}

/* The rest of a walk: every key of put_many once, as it was. */
static void expect_old(struct blt_iter *it, int n)
{
	bool seen[MANY] = { false };
	struct blt_item item;
	int rc, got = 0;

	while ((rc = blt_iter_next(it, &item)) > 0) {
		char key[7] = { 0 };
		int i;

		ck_assert_uint_eq(item.key_len, 6);
		memcpy(key, item.key, 6);
		i = atoi(key + 1);
		ck_assert(!seen[i]);
		seen[i] = true;
		ck_assert_uint_eq(item.value_len, 3);
		if (item.value)
			ck_assert_mem_eq(item.value, "old", 3);
		got++;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(got, n);
	blt_iter_free(it);
}

static struct blt_iter *walk(bool no_values, const char *prefix)
{
	struct blt_iter_options how = { .no_values = no_values,
					.prefix = prefix,
					.prefix_len = strlen(prefix) };
	struct blt_iter *it;

	ck_assert_int_eq(blt_iter_open(store, &how, &it), 0);
	return it;
}

/* Everything that can happen to a key, in front of the walk and behind it. */
static void change_all(void)
{
	struct blt_batch *b;

	put("k00001", "new");
	put("k02999", "new");
	put("k02999", "newer");
	put("k02998x", "came");
	put("zzz", "came");
	ck_assert_int_eq(blt_delete(store, "k02000", 6), 0);
	ck_assert_int_eq(blt_delete(store, "k02001", 6), 0);
	put("k02001", "came back");
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, "k02500", 6, "k02600", 6), 0);
	ck_assert_int_eq(blt_batch_rename(b, "k02501", 6, "k02501y", 7), 0);
	ck_assert_int_eq(blt_batch_exchange(b, "k02700", 6, "k00002", 6), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	/* one that comes to nothing */
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, "k02800", 6, "x", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "none", 4), 0);
	ck_assert_int_eq(blt_batch_commit(b), -ENOENT);
}

START_TEST(test_walk_shows_the_start)
{
	struct blt_iter *all, *bare, *part, *first;
	struct blt_item item;

	put_many();
	all = walk(false, "");
	bare = walk(true, "");
	part = walk(false, "k02");
	first = walk(false, "");
	ck_assert_int_eq(blt_iter_next(first, &item), 1);
	change_all();
	expect_old(all, MANY);
	expect_old(bare, MANY);
	expect_old(part, 1000);
	expect_old(first, MANY - 1);
}
END_TEST

/* What is made of the last key stands behind it. */
START_TEST(test_walk_never_ends)
{
	struct blt_iter *it;
	struct blt_item item;
	char key[64];
	int rc, n = 0;

	put("a", "1");
	put("b", "2");
	it = walk(false, "");
	while ((rc = blt_iter_next(it, &item)) > 0) {
		n++;
		snprintf(key, sizeof(key), "%.*s-made", (int)item.key_len,
			 (const char *)item.key);
		put(key, "x");
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(n, 2);
	blt_iter_free(it);
}
END_TEST

/* ---- listings ---- */

struct listed {
	int n, most;
	uint64_t cookie[MANY];
	char name[MANY][8];
};

static int note(void *arg, const struct blt_ns_entry *e)
{
	struct listed *l = arg;

	if (l->n == l->most)
		return 1;
	l->cookie[l->n] = e->cookie;
	snprintf(l->name[l->n++], sizeof(l->name[0]), "%s", e->name);
	return 0;
}

static void list(struct blt_ns *ns, const char *at, uint64_t cookie, int most,
		 struct listed *ret)
{
	ret->n = 0;
	ret->most = most;
	ck_assert_int_eq(blt_ns_list(ns, at, strlen(at), cookie, note, ret), 0);
}

static unsigned place_of(uint64_t cookie)
{
	return (unsigned)(cookie >> 1) % 65536;
}

/* The first in one that pushes the mark of another out of its place. */
static int find_pair(const struct listed *one, const struct listed *other)
{
	static bool taken[65536];

	for (int i = 0; i < other->n; i++)
		taken[place_of(other->cookie[i])] = true;
	for (int i = 1; i + 1 < one->n; i++)
		if (taken[place_of(one->cookie[i])])
			return i;
	ck_abort_msg("no two names share a place");
}

START_TEST(test_goes_on_behind)
{
	static struct listed one, other, rest;
	struct blt_batch *b;
	struct blt_ns *ns;
	char key[32];
	int at;

	ck_assert_int_eq(blt_ns_new(store, NULL, &ns), 0);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	for (int i = 0; i < 2 * MANY; i++) {
		sprintf(key, "%c/%05d", i < MANY ? 'a' : 'b', i);
		ck_assert_int_eq(blt_batch_put(b, key, 7, "", 0, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_batch_commit(b), 0);
	list(ns, "a/", 0, MANY, &one);
	list(ns, "b/", 0, MANY, &other);
	at = find_pair(&one, &other);
	list(ns, "a/", 0, at + 1, &rest);
	list(ns, "b/", 0, MANY, &other);
	sprintf(key, "a/%.5s", one.name[at]);
	ck_assert_int_eq(blt_delete(store, key, 7), 0);
	list(ns, "a/", one.cookie[at], MANY, &rest);
	ck_assert_int_eq(rest.n, MANY - at - 1);
	ck_assert_str_eq(rest.name[0], one.name[at + 1]);
	blt_ns_free(ns);
}
END_TEST

static void expect_name(struct blt_ns *ns, const char *name, bool there,
			enum blt_kind kind)
{
	struct blt_node node;
	int rc = blt_ns_lookup(ns, "", 0, name, strlen(name), &node);

	ck_assert_int_eq(rc, there ? 0 : -ENOENT);
	if (!there)
		return;
	ck_assert_int_eq(node.kind, kind);
	free(node.key);
}

START_TEST(test_names_by_hash)
{
	char key[400], *file, *dir_path, *slash;
	struct blt_ns *ns;

	ck_assert_int_eq(blt_ns_new(store, NULL, &ns), 0);
	memset(key, 'f', 300);
	key[300] = '\0';
	put(key, "long");
	ck_assert_int_eq(blt_ns_path(ns, key, 300, &file), 0);
	memset(key, 'd', 300);
	strcpy(key + 300, "/x");
	put(key, "below");
	put("short", "x");
	ck_assert_int_eq(blt_ns_path(ns, key, 302, &dir_path), 0);
	slash = strchr(dir_path, '/');
	ck_assert_ptr_nonnull(slash);
	*slash = '\0';
	/* looked for, then known */
	for (int i = 0; i < 2; i++) {
		expect_name(ns, file, true, BLT_FILE);
		expect_name(ns, dir_path, true, BLT_DIR);
	}
	/* known, and gone */
	ck_assert_int_eq(blt_delete(store, key, 302), 0);
	expect_name(ns, dir_path, false, BLT_DIR);
	memset(key, 'f', 300);
	ck_assert_int_eq(blt_delete(store, key, 300), 0);
	expect_name(ns, file, false, BLT_FILE);
	free(file);
	free(dir_path);
	blt_ns_free(ns);
}
END_TEST

/* ---- the rest ---- */

START_TEST(test_parts)
{
	char buf[16];

	put("k", "0123456789");
	ck_assert_int_eq(blt_get_part(store, "k", 1, buf, 4, 0), 4);
	ck_assert_mem_eq(buf, "0123", 4);
	ck_assert_int_eq(blt_get_part(store, "k", 1, buf, 16, 7), 3);
	ck_assert_mem_eq(buf, "789", 3);
	ck_assert_int_eq(blt_get_part(store, "k", 1, buf, 16, 10), 0);
	ck_assert_int_eq(blt_get_part(store, "k", 1, buf, 16, UINT64_MAX), 0);
	ck_assert_int_eq(blt_get_part(store, "none", 4, buf, 1, 0), -ENOENT);
}
END_TEST

static void put_beside(const char *key)
{
	char command[512];

	snprintf(command, sizeof(command), "echo beside | %s put %s %s",
		 getenv("BLT"), path, key);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(test_whose_changes)
{
	struct blt_batch *b;
	uint64_t n;

	put("k", "1");
	put("k", "1");
	ck_assert_int_eq(blt_touch(store, "k", 1, 5), 0);
	ck_assert_int_eq(blt_delete(store, "none", 4), -ENOENT);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, "k", 1, "k", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(blt_sync(store), 0);
	ck_assert_uint_eq(blt_changes_by_others(store), 0);
	if (!getenv("BLT"))
		return;
	put_beside("one");
	n = blt_changes_by_others(store);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(blt_changes_by_others(store), n);
	/* ours, behind one of theirs that was not asked about */
	put_beside("two");
	put("k", "2");
	ck_assert_uint_gt(blt_changes_by_others(store), n);
	n = blt_changes_by_others(store);
	put("k", "3");
	ck_assert_uint_eq(blt_changes_by_others(store), n);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lmdb-walk");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_walk_shows_the_start);
	tcase_add_test(tc, test_walk_never_ends);
	tcase_add_test(tc, test_goes_on_behind);
	tcase_add_test(tc, test_names_by_hash);
	tcase_add_test(tc, test_parts);
	tcase_add_test(tc, test_whose_changes);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

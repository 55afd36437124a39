/* LMDB environments behind blt.h: made and read by LMDB itself beside it. */
#include "blt.h"
#include "util.h"

#include <check.h>
#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[128], path[256];

/* ---- with LMDB itself ---- */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

static struct raw raw_open(const char *db, unsigned flags)
{
	struct stat st;
	struct raw r;
	bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	ck_assert_int_eq(mdb_env_create(&r.env), 0);
	ck_assert_int_eq(mdb_env_set_maxdbs(r.env, 10), 0);
	ck_assert_int_eq(
		mdb_env_open(r.env, path, is_dir ? 0 : MDB_NOSUBDIR, 0600), 0);
	ck_assert_int_eq(mdb_txn_begin(r.env, NULL, 0, &r.txn), 0);
	ck_assert_int_eq(mdb_dbi_open(r.txn, db, flags, &r.dbi), 0);
	return r;
}

static void raw_close(struct raw *r)
{
	ck_assert_int_eq(mdb_txn_commit(r->txn), 0);
	mdb_env_close(r->env);
}

static void raw_put(struct raw *r, const void *key, size_t len,
		    const char *value)
{
	MDB_val k = { len, (void *)(uintptr_t)key };
	MDB_val v = { strlen(value), (void *)(uintptr_t)value };

	ck_assert_int_eq(mdb_put(r->txn, r->dbi, &k, &v, 0), 0);
}

static void raw_text(struct raw *r, const char *key, const char *value)
{
	raw_put(r, key, strlen(key), value);
}

static void raw_expect(struct raw *r, const void *key, size_t len,
		       const char *value)
{
	MDB_val k = { len, (void *)(uintptr_t)key }, v;

	ck_assert_int_eq(mdb_get(r->txn, r->dbi, &k, &v), 0);
	ck_assert_uint_eq(v.mv_size, strlen(value));
	ck_assert_mem_eq(v.mv_data, value, v.mv_size);
}

/* ---- with blt.h ---- */

static struct blt *open_with(enum blt_mode mode, const char *db)
{
	struct blt_open_options how = { .mode = mode,
					.engine = "lmdb",
					.db = db };
	struct blt_error err = { "" };
	struct blt *s;

	ck_assert_msg(blt_open(path, &how, &s, &err) == 0, "%s", err.text);
	return s;
}

static int try_open(enum blt_mode mode, const char *engine, const char *db)
{
	struct blt_open_options how = { .mode = mode,
					.engine = engine,
					.db = db };
	struct blt_error err = { "" };
	struct blt *s;
	int rc = blt_open(path, &how, &s, &err);

	if (rc == 0)
		blt_close(s);
	else
		ck_assert_ptr_nonnull(strstr(err.text, path));
	return rc;
}

static void put(struct blt *s, const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(s, key, strlen(key), value, strlen(value), BLT_NOW), 0);
}

static int put_rc(struct blt *s, const char *key)
{
	return blt_put(s, key, strlen(key), "v", 1, BLT_NOW);
}

static void expect(struct blt *s, const char *key, const char *value)
{
	struct blt_view v;
	int rc = blt_get(s, key, strlen(key), &v);

	if (!value) {
		ck_assert_int_eq(rc, -ENOENT);
		return;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(v.len, strlen(value));
	ck_assert_mem_eq(v.data, value, v.len);
	ck_assert_int_eq(v.fd, -1);
	blt_view_release(&v);
}

static uint64_t count_items(struct blt *s, const char *prefix)
{
	struct blt_iter_options o = { .prefix = prefix,
				      .prefix_len = strlen(prefix) };
	struct blt_iter *it;
	struct blt_item item;
	uint64_t n = 0;
	int rc;

	ck_assert_int_eq(blt_iter_open(s, &o, &it), 0);
	while ((rc = blt_iter_next(it, &item)) > 0) {
		ck_assert_mem_eq(item.key, prefix, o.prefix_len);
		n++;
	}
	ck_assert_int_eq(rc, 0);
	blt_iter_free(it);
	return n;
}

/* ---- listings ---- */

struct names {
	char text[4096]; /* each with a blank behind it; directories with '/' */
	unsigned left;
	uint64_t cookie;
};

static int add_name(void *arg, const struct blt_ns_entry *e)
{
	struct names *n = arg;

	if (n->left-- == 0)
		return 1;
	strcat(n->text, e->name);
	strcat(n->text, e->kind == BLT_DIR ? "/ " : " ");
	n->cookie = e->cookie;
	return 0;
}

static struct blt_ns *open_ns(struct blt *s)
{
	struct blt_ns_options o = { .control = ".bltfs" };
	struct blt_ns *ns;

	ck_assert_int_eq(blt_ns_new(s, &o, &ns), 0);
	return ns;
}

/* In pieces of step names each. */
static const char *list(struct blt_ns *ns, const char *at, unsigned step)
{
	static struct names n;
	int rc;

	n = (struct names){ .left = 0 };
	do {
		n.left = step;
		rc = blt_ns_list(ns, at, strlen(at), n.cookie, add_name, &n);
		ck_assert_int_eq(rc, 0);
	} while (n.left > step);
	return n.text;
}

static void expect_list(struct blt_ns *ns, const char *at, const char *names)
{
	for (unsigned step = 1; step < 5; step++)
		ck_assert_str_eq(list(ns, at, step), names);
	ck_assert_str_eq(list(ns, at, 1000), names);
}

/* ---- tests ---- */

START_TEST(test_reads_what_lmdb_wrote)
{
	struct raw r = raw_open(NULL, 0);
	struct blt_info info;
	struct blt_census census;
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

	ck_assert_int_eq(mkdir(path, 0700), 0);
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

START_TEST(test_named_databases)
{
	struct raw r = raw_open("alpha", MDB_CREATE);
	struct blt_ns *ns;
	struct blt *s;

	raw_text(&r, "x/y", "1");
	raw_close(&r);
	r = raw_open("beta", MDB_CREATE);
	raw_close(&r);
	r = raw_open(NULL, 0);
	raw_text(&r, "plain", "p");
	raw_close(&r);
	s = open_with(BLT_WRITE, NULL);
	expect(s, "alpha/x/y", "1");
	expect(s, "plain", "p");
	expect(s, "alpha", NULL);
	ns = open_ns(s);
	expect_list(ns, "", "alpha/ beta/ plain ");
	expect_list(ns, "alpha/", "x/ ");
	expect_list(ns, "alpha/x/", "y ");
	expect_list(ns, "beta/", "");
	put(s, "beta/new", "n");
	put(s, "other/new", "o");
	ck_assert_int_eq(put_rc(s, "alpha"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "alpha/"), -EINVAL);
	/* as a marker it changes nothing, and does not go */
	put(s, "alpha/", "");
	expect(s, "alpha/", NULL);
	ck_assert_int_eq(blt_delete(s, "alpha/", 6), -EBUSY);
	expect_list(ns, "", "alpha/ beta/ other/ plain ");
	ck_assert_uint_eq(count_items(s, ""), 4);
	ck_assert_uint_eq(count_items(s, "beta/"), 1);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
	/* one alone */
	s = open_with(BLT_READ, "beta");
	expect(s, "new", "n");
	ck_assert_uint_eq(count_items(s, ""), 1);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_CREATE, "made");
	put(s, "k", "v");
	ck_assert_int_eq(blt_close(s), 0);
	r = raw_open("made", 0);
	raw_expect(&r, "k", 1, "v");
	raw_close(&r);
}
END_TEST

START_TEST(test_integer_keys)
{
	const unsigned int small[] = { 0, 7, 300, 4294967295u };
	struct raw r = raw_open("small", MDB_CREATE | MDB_INTEGERKEY);
	size_t large = (size_t)1 << 40;
	struct blt_ns *ns;
	struct blt *s;

	for (size_t i = 0; i < ARRAY_SIZE(small); i++)
		raw_put(&r, &small[i], sizeof(small[i]), "v");
	raw_close(&r);
	r = raw_open("large", MDB_CREATE | MDB_INTEGERKEY);
	raw_put(&r, &large, sizeof(large), "v");
	raw_close(&r);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	expect_list(ns, "small/", "0 7 300 4294967295 ");
	expect_list(ns, "large/", "1099511627776 ");
	expect(s, "small/300", "v");
	expect(s, "small/0300", NULL);
	expect(s, "small/8", NULL);
	ck_assert_int_eq(put_rc(s, "small/4294967296"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "small/-1"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "small/007"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "large/18446744073709551616"), -EINVAL);
	put(s, "small/9", "nine");
	put(s, "large/9", "nine");
	expect_list(ns, "small/", "0 7 9 300 4294967295 ");
	ck_assert_uint_eq(count_items(s, ""), 7);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
	r = raw_open("large", MDB_INTEGERKEY);
	large = 9;
	raw_expect(&r, &large, sizeof(large), "nine");
	raw_close(&r);
}
END_TEST

START_TEST(test_several_values)
{
	struct raw r = raw_open("dups", MDB_CREATE | MDB_DUPSORT);
	const unsigned int n = 7;
	struct blt_check_result result;
	struct blt_ns *ns;
	struct blt *s;

	raw_text(&r, "a", "one");
	raw_text(&r, "a", "two");
	raw_text(&r, "a!", "between");
	raw_text(&r, "a/0", "below");
	raw_text(&r, "a/x/y", "deep");
	raw_text(&r, "b", "");
	raw_close(&r);
	r = raw_open("numbers", MDB_CREATE | MDB_DUPSORT | MDB_INTEGERKEY);
	raw_put(&r, &n, sizeof(n), "u");
	raw_put(&r, &n, sizeof(n), "v");
	raw_close(&r);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, "dups"), -EROFS);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	expect_list(ns, "", "dups/ numbers/ ");
	expect_list(ns, "dups/", "a/ a!/ b/ ");
	expect_list(ns, "dups/a/", "0% 1 0/ x/ ");
	expect_list(ns, "dups/a/0/", "0 ");
	expect_list(ns, "dups/a/x/", "y/ ");
	expect_list(ns, "dups/a!/", "0 ");
	expect_list(ns, "numbers/", "7/ ");
	expect_list(ns, "numbers/7/", "0 1 ");
	expect(s, "dups/a/0", "one");
	expect(s, "dups/a/1", "two");
	expect(s, "dups/a/2", NULL);
	expect(s, "dups/a/01", NULL);
	expect(s, "dups/a", NULL);
	expect(s, "dups/a/0/0", "below");
	expect(s, "dups/b/0", "");
	expect(s, "numbers/7/1", "v");
	expect(s, "numbers/8/0", NULL);
	ck_assert_int_eq(put_rc(s, "dups/a/0"), -EROFS);
	ck_assert_int_eq(put_rc(s, "dups/new"), -EROFS);
	ck_assert_int_eq(blt_delete(s, "dups/a/0", 8), -EROFS);
	ck_assert_uint_eq(count_items(s, ""), 8);
	ck_assert_uint_eq(count_items(s, "dups/a/"), 4);
	ck_assert_int_eq(blt_check(s, NULL, NULL, NULL, &result), 0);
	ck_assert_uint_eq(result.faults, 0);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* A walk goes on within a key, too. */
START_TEST(test_many_values)
{
	struct raw r = raw_open("dups", MDB_CREATE | MDB_DUPSORT);
	char value[32];
	struct blt *s;

	for (int i = 0; i < 5000; i++) {
		sprintf(value, "%05d", i);
		raw_text(&r, i < 3000 ? "one" : "two", value);
	}
	raw_close(&r);
	s = open_with(BLT_READ, "dups");
	ck_assert_uint_eq(count_items(s, ""), 5000);
	expect(s, "one/2999", "02999");
	expect(s, "two/1999", "04999");
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_what_is_not_supported)
{
	struct raw r = raw_open("back", MDB_CREATE | MDB_REVERSEKEY);

	raw_close(&r);
	ck_assert_int_eq(try_open(BLT_READ, NULL, NULL), -ENOTSUP);
	r = raw_open("plain", MDB_CREATE);
	raw_close(&r);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, "plain"), 0);
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
	snprintf(to, sizeof(to), "%s-copy", path);
	ck_assert_int_eq(blt_copy(s, to, NULL, false, NULL, NULL, &err), 0);
	ck_assert_int_eq(blt_copy(s, to, NULL, false, NULL, NULL, &err),
			 -EEXIST);
	ck_assert_int_eq(blt_copy(s, to, NULL, true, NULL, NULL, &err), 0);
	ck_assert_int_eq(blt_copy(s, path, NULL, true, NULL, NULL, &err),
			 -EEXIST);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(rename(to, path), 0);
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

static void make_dir(void)
{
	strcpy(dir, "/tmp/test-lmdb-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/env", dir);
}

static void remove_dir(void)
{
	static const char *const names[] = { "env/data.mdb", "env/lock.mdb",
					     "env",          "env-lock",
					     "env-copy",     "env-copy-lock" };
	char at[300];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(at, sizeof(at), "%s/%s", dir, names[i]);
		(void)!remove(at);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

int main(void)
{
	Suite *suite = suite_create("lmdb");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_add_test(tc, test_reads_what_lmdb_wrote);
	tcase_add_test(tc, test_directory_environment);
	tcase_add_test(tc, test_writes_what_lmdb_reads);
	tcase_add_test(tc, test_keys_that_cannot_be);
	tcase_add_test(tc, test_batch_is_one);
	tcase_add_test(tc, test_map_grows);
	tcase_add_test(tc, test_put_from);
	tcase_add_test(tc, test_named_databases);
	tcase_add_test(tc, test_integer_keys);
	tcase_add_test(tc, test_several_values);
	tcase_add_test(tc, test_many_values);
	tcase_add_test(tc, test_what_is_not_supported);
	tcase_add_test(tc, test_listing);
	tcase_add_test(tc, test_long_names);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_copy);
	tcase_add_test(tc, test_prune);
	tcase_add_test(tc, test_truncate);
	tcase_add_test(tc, test_threads);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

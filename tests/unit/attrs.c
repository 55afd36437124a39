/* Attributes of keys: what is kept, what goes and moves with its key, and what
 * is in the place of the table otherwise. */
#include "engine/attrs.h"
#include "engine/attrs_table.h"
#include "lib/rnd.h"
#include "lib/suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static char path[64];

static struct blt *open_as(enum blt_mode mode)
{
	struct blt_open_options o = { .mode = mode };
	struct blt_error err = { "" };
	struct blt *s;

	snprintf(path, sizeof(path), "test-attrs-%d.blt", (int)getpid());
	ck_assert_msg(blt_open(path, &o, &s, &err) == 0, "%s", err.text);
	return s;
}

static struct blt *reopened(struct blt *s)
{
	ck_assert_int_eq(blt_close(s), 0);
	return open_as(BLT_WRITE);
}

static void end(struct blt *s)
{
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}

static void put(struct blt *s, const char *key)
{
	ck_assert_int_eq(blt_put(s, key, strlen(key), "value", 5, BLT_NOW), 0);
}

static int set_mode(struct blt *s, const char *key, uint32_t mode)
{
	const struct blt_attrs a = { .has = BLT_ATTRS_MODE, .mode = mode };

	return blt_attrs_set(s, key, strlen(key), &a);
}

/* The mode, or -1 where there is none. */
static int mode_of(struct blt *s, const char *key)
{
	struct blt_attrs a;
	int rc = blt_attrs_get(s, key, strlen(key), &a);

	ck_assert_int_ge(rc, 0);
	ck_assert_int_eq(rc == 0 && a.has, 0);
	return a.has & BLT_ATTRS_MODE ? (int)a.mode : -1;
}

START_TEST(kept)
{
	struct blt *s = open_as(BLT_TRUNCATE);
	const struct blt_attrs both = { BLT_ATTRS_MODE | BLT_ATTRS_OWNER, 0640,
					1000, 100 };
	const struct blt_attrs none = { 0 };
	struct blt_attrs a = { .has = 7 };

	put(s, "a");
	ck_assert_int_eq(mode_of(s, "a"), -1);
	ck_assert_int_eq(blt_attrs_set(s, "a", 1, &both), 0);
	ck_assert_int_eq(set_mode(s, "", 0700), 0);
	ck_assert_int_eq(set_mode(s, "not/there", 0755), 0);
	s = reopened(s);
	ck_assert_int_eq(blt_attrs_get(s, "a", 1, &a), 1);
	ck_assert_int_eq(a.has, BLT_ATTRS_MODE | BLT_ATTRS_OWNER);
	ck_assert_int_eq(a.mode, 0640);
	ck_assert_int_eq(a.uid, 1000);
	ck_assert_int_eq(a.gid, 100);
	ck_assert_int_eq(mode_of(s, ""), 0700);
	ck_assert_int_eq(mode_of(s, "not/there"), 0755);
	ck_assert_int_eq(blt_attrs_set(s, "a", 1, &none), 0);
	ck_assert_int_eq(blt_attrs_drop(s, "", 0), 0);
	ck_assert_int_eq(blt_attrs_drop(s, "not/there", 9), 0);
	s = reopened(s);
	ck_assert_int_eq(blt_attrs_get(s, "a", 1, &a), 0);
	ck_assert_int_eq(a.has, 0);
	/* with the last record the table goes */
	ck_assert_int_eq(blt_slot_delete(s, BLT_RESERVED_2), -ENOENT);
	end(s);
}
END_TEST

START_TEST(reader)
{
	struct blt *s = open_as(BLT_TRUNCATE);

	ck_assert_int_eq(set_mode(s, "a", 0600), 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_READ);
	ck_assert_int_eq(mode_of(s, "a"), 0600);
	ck_assert_int_eq(set_mode(s, "a", 0644), -EROFS);
	ck_assert_int_eq(blt_attrs_drop(s, "a", 1), -EROFS);
	ck_assert_int_eq(blt_attrs_move(s, "a", 1, "b", 1), -EROFS);
	ck_assert_int_eq(blt_xattr_set(s, "a", 1, "user.x", "1", 1, 0), -EROFS);
	ck_assert_int_eq(mode_of(s, "a"), 0600);
	end(s);
}
END_TEST

START_TEST(follows)
{
	struct blt *s = open_as(BLT_TRUNCATE);
	struct blt_batch *b;
	bool held;

	for (const char *k = "abcdef"; *k; k++) {
		const char key[] = { *k, '\0' };

		put(s, key);
		ck_assert_int_eq(set_mode(s, key, (uint32_t)*k), 0);
	}
	put(s, "plain");
	ck_assert_int_eq(blt_delete(s, "a", 1), 0);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_delete(b, "b", 1), 0);
	ck_assert_int_eq(blt_batch_rename(b, "c", 1, "x", 1), 0);
	ck_assert_int_eq(blt_batch_exchange(b, "d", 1, "plain", 5), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	s = reopened(s);
	ck_assert_int_eq(mode_of(s, "a"), -1);
	ck_assert_int_eq(mode_of(s, "b"), -1);
	ck_assert_int_eq(mode_of(s, "c"), -1);
	ck_assert_int_eq(mode_of(s, "x"), 'c');
	ck_assert_int_eq(mode_of(s, "d"), -1);
	ck_assert_int_eq(mode_of(s, "plain"), 'd');
	/* over one that has a record, by one that has none */
	put(s, "bare");
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, "bare", 4, "e", 1), 0);
	ck_assert_int_eq(blt_batch_commit_flush(b), 0);
	ck_assert_int_eq(mode_of(s, "e"), -1);
	/* a put leaves it, and so does what is not done */
	put(s, "f");
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "f", 1, 12345, &held), 0);
	ck_assert_int_eq(blt_batch_delete(b, "f", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert(!held);
	ck_assert_int_eq(mode_of(s, "f"), 'f');
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_delete(b, "f", 1), 0);
	ck_assert_int_eq(blt_batch_absent(b, "x", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EEXIST);
	ck_assert_int_eq(mode_of(s, "f"), 'f');
	end(s);
}
END_TEST

START_TEST(directories)
{
	struct blt *s = open_as(BLT_TRUNCATE);

	put(s, "d/");
	ck_assert_int_eq(set_mode(s, "d/", 1), 0);
	ck_assert_int_eq(set_mode(s, "d/f", 2), 0);
	ck_assert_int_eq(set_mode(s, "d/e/", 3), 0);
	ck_assert_int_eq(set_mode(s, "d/e/g", 4), 0);
	ck_assert_int_eq(set_mode(s, "dd", 5), 0);
	ck_assert_int_eq(set_mode(s, "new/", 6), 0);
	ck_assert_int_eq(blt_delete(s, "d/", 2), 0);
	ck_assert_int_eq(mode_of(s, "d/"), 1);
	ck_assert_int_eq(blt_attrs_move(s, "d/", 2, "d/e/h/", 6), -EINVAL);
	ck_assert_int_eq(blt_attrs_move(s, "d/e/", 4, "d/", 2), -EINVAL);
	ck_assert_int_eq(blt_attrs_move(s, "d/", 2, "new/", 4), 0);
	s = reopened(s);
	ck_assert_int_eq(mode_of(s, "new/"), 1);
	ck_assert_int_eq(mode_of(s, "new/f"), 2);
	ck_assert_int_eq(mode_of(s, "new/e/"), 3);
	ck_assert_int_eq(mode_of(s, "new/e/g"), 4);
	ck_assert_int_eq(mode_of(s, "dd"), 5);
	ck_assert_int_eq(mode_of(s, "d/"), -1);
	ck_assert_int_eq(mode_of(s, "d/e/g"), -1);
	ck_assert_int_eq(blt_attrs_move(s, "none/", 5, "new/", 4), 0);
	ck_assert_int_eq(mode_of(s, "new/"), -1);
	ck_assert_int_eq(mode_of(s, "new/f"), 2);
	end(s);
}
END_TEST

/* A key that ends in '/' has the directory's record, whatever its value is. */
START_TEST(markers)
{
	struct blt *s = open_as(BLT_TRUNCATE);
	struct blt_batch *b;

	for (const char *k = "fghi"; *k; k++) {
		const char key[] = { *k, '\0' };

		put(s, key);
		ck_assert_int_eq(set_mode(s, key, (uint32_t)*k), 0);
	}
	ck_assert_int_eq(set_mode(s, "d/", 1), 0);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, "f", 1, "d/", 2), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(mode_of(s, "d/"), 1);
	ck_assert_int_eq(mode_of(s, "f"), -1);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_exchange(b, "d/", 2, "g", 1), 0);
	ck_assert_int_eq(blt_batch_exchange(b, "h", 1, "d/", 2), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(mode_of(s, "d/"), 1);
	ck_assert_int_eq(mode_of(s, "g"), -1);
	ck_assert_int_eq(mode_of(s, "h"), -1);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, "d/", 2, "i", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(mode_of(s, "d/"), 1);
	ck_assert_int_eq(mode_of(s, "i"), -1);
	ck_assert_int_eq(set_mode(s, "d/f", 2), 0);
	ck_assert_int_eq(blt_attrs_move(s, "d/f", 3, "d/", 2), 0);
	ck_assert_int_eq(mode_of(s, "d/"), 1);
	ck_assert_int_eq(mode_of(s, "d/f"), -1);
	end(s);
}
END_TEST

START_TEST(exchanged)
{
	static const struct {
		const char *key;
		int mode, after;
	} record[] = {
		{ "a/", 1, 2 },       { "b/", 2, 1 },       { "a/x", 3, 4 },
		{ "b/x", 4, 3 },      { "a/one/", 5, -1 },  { "b/one/", -1, 5 },
		{ "b/two/y", 6, -1 }, { "a/two/y", -1, 6 }, { "c/", 7, 7 },
		{ "a", 8, 8 },
	};
	struct blt *s = open_as(BLT_TRUNCATE);
	struct blt_batch *b;

	put(s, "a/x");
	put(s, "b/x");
	put(s, "c/z");
	for (size_t i = 0; i < sizeof(record) / sizeof(record[0]); i++)
		if (record[i].mode > 0)
			ck_assert_int_eq(set_mode(s, record[i].key,
						  (uint32_t)record[i].mode),
					 0);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_exchange(b, "a/x", 3, "b/x", 3), 0);
	ck_assert_int_eq(blt_batch_exchange_attrs(b, "a", 1, "b/", 2), -EINVAL);
	ck_assert_int_eq(blt_batch_exchange_attrs(b, "a/", 2, "", 0), -EINVAL);
	ck_assert_int_eq(blt_batch_exchange_attrs(b, "a/", 2, "a/b/", 4),
			 -EINVAL);
	ck_assert_int_eq(blt_batch_exchange_attrs(b, "a/", 2, "b/", 2), 0);
	ck_assert_int_eq(blt_batch_exchange_attrs(b, "c/", 2, "d/", 2),
			 -EINVAL);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof(record) / sizeof(record[0]); k++)
			ck_assert_msg(mode_of(s, record[k].key) ==
					      record[k].after,
				      "%s: %d", record[k].key,
				      mode_of(s, record[k].key));
		s = reopened(s);
	}
	/* a batch that fails leaves them */
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_exchange_attrs(b, "a/", 2, "b/", 2), 0);
	ck_assert_int_eq(blt_batch_delete(b, "none", 4), 0);
	ck_assert_int_eq(blt_batch_commit(b), -ENOENT);
	ck_assert_int_eq(mode_of(s, "a/"), 2);
	end(s);
}
END_TEST

static int64_t get_xattr(struct blt *s, const char *name, char *to, size_t n)
{
	return blt_xattr_get(s, "k", 1, name, to, n);
}

START_TEST(extended)
{
	struct blt *s = open_as(BLT_TRUNCATE);
	char *big = calloc(1, BLT_XATTR_MAX + 1), got[64] = "";
	char long_name[BLT_XATTR_NAME_MAX + 2];

	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	ck_assert_ptr_nonnull(big);
	ck_assert_int_eq(get_xattr(s, "user.a", got, 64), -ENODATA);
	ck_assert_int_eq(
		blt_xattr_set(s, "k", 1, "user.a", "1", 1, XATTR_REPLACE),
		-ENODATA);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, "user.a", NULL, 0, 0),
			 -ENODATA);
	ck_assert_int_eq(
		blt_xattr_set(s, "k", 1, "user.a", "one", 3, XATTR_CREATE), 0);
	ck_assert_int_eq(
		blt_xattr_set(s, "k", 1, "user.a", "1", 1, XATTR_CREATE),
		-EEXIST);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, "user.bc", "", 0, 0), 0);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, "", "", 0, 0), -ERANGE);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, long_name, "", 0, 0),
			 -ERANGE);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, long_name + 1, "", 0, 0), 0);
	ck_assert_int_eq(
		blt_xattr_set(s, "k", 1, "user.big", big, BLT_XATTR_MAX + 1, 0),
		-E2BIG);
	ck_assert_int_eq(
		blt_xattr_set(s, "k", 1, "user.big", big, BLT_XATTR_MAX, 0), 0);
	s = reopened(s);
	ck_assert_int_eq(get_xattr(s, "user.a", got, 64), 3);
	ck_assert_int_eq(memcmp(got, "one", 3), 0);
	ck_assert_int_eq(get_xattr(s, "user.a", NULL, 0), 3);
	ck_assert_int_eq(get_xattr(s, "user.bc", got, 64), 0);
	ck_assert_int_eq(get_xattr(s, "user.big", NULL, 0), BLT_XATTR_MAX);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, long_name + 1, NULL, 0, 0),
			 0);
	ck_assert_int_eq(blt_xattr_set(s, "k", 1, "user.big", NULL, 0, 0), 0);
	ck_assert_int_eq(blt_xattr_list(s, "k", 1, got, 64), 15);
	ck_assert_int_eq(memcmp(got, "user.a\0user.bc", 15), 0);
	ck_assert_int_eq(blt_xattr_list(s, "k", 1, NULL, 0), 15);
	ck_assert_int_eq(blt_xattr_list(s, "other", 5, got, 64), 0);
	/* they stay where the mode goes, and go with the record */
	ck_assert_int_eq(set_mode(s, "k", 0600), 0);
	ck_assert_int_eq(blt_attrs_set(s, "k", 1, &(struct blt_attrs){ 0 }), 0);
	ck_assert_int_eq(get_xattr(s, "user.a", got, 64), 3);
	ck_assert_int_eq(blt_attrs_drop(s, "k", 1), 0);
	ck_assert_int_eq(get_xattr(s, "user.a", got, 64), -ENODATA);
	free(big);
	end(s);
}
END_TEST

/* What is not ours stays as it is; what is damaged is not believed. */
START_TEST(others)
{
	static const char foreign[] = "{\"theirs\": 1}";
	static const char damaged[] = "bltattr1\xff\xff";
	struct blt *s = open_as(BLT_TRUNCATE);
	struct blt_attrs a;
	struct blt_view v;

	ck_assert_int_eq(
		blt_slot_put(s, BLT_RESERVED_2, foreign, sizeof(foreign)), 0);
	ck_assert_int_eq(set_mode(s, "a", 0600), -ENOTSUP);
	ck_assert_int_eq(blt_attrs_get(s, "a", 1, &a), -ENOTSUP);
	ck_assert_int_eq(blt_xattr_list(s, "a", 1, NULL, 0), -ENOTSUP);
	put(s, "a");
	ck_assert_int_eq(blt_delete(s, "a", 1), 0);
	s = reopened(s);
	ck_assert_int_eq(blt_slot_get(s, BLT_RESERVED_2, &v), 0);
	ck_assert_uint_eq(v.len, sizeof(foreign));
	blt_view_release(&v);
	ck_assert_int_eq(
		blt_slot_put(s, BLT_RESERVED_2, damaged, sizeof(damaged)), 0);
	ck_assert_int_eq(set_mode(s, "a", 0600), -EUCLEAN);
	ck_assert_int_eq(blt_slot_delete(s, BLT_RESERVED_2), 0);
	ck_assert_int_eq(set_mode(s, "a", 0600), 0);
	ck_assert_int_eq(blt_slot_get(s, BLT_RESERVED_2, &v), 0);
	blt_view_release(&v);
	end(s);
}
END_TEST

START_TEST(fixed)
{
	struct blt_open_options o = { .mode = BLT_TRUNCATE,
				      .create = { .value_len = 4 } };
	struct blt_attrs a;
	struct blt *s;

	snprintf(path, sizeof(path), "test-attrs-%d.blt", (int)getpid());
	ck_assert_int_eq(blt_open(path, &o, &s, NULL), 0);
	ck_assert_int_eq(blt_attrs_get(s, "a", 1, &a), -ENOTSUP);
	ck_assert_int_eq(set_mode(s, "a", 0600), -ENOTSUP);
	ck_assert_int_eq(blt_put(s, "a", 1, "four", 4, BLT_NOW), 0);
	ck_assert_int_eq(blt_delete(s, "a", 1), 0);
	end(s);
}
END_TEST

START_TEST(whole_file)
{
	struct blt *s = open_as(BLT_TRUNCATE), *copy;
	char to[80];

	put(s, "stays");
	put(s, "goes");
	ck_assert_int_eq(set_mode(s, "stays", 0700), 0);
	ck_assert_int_eq(set_mode(s, "never was", 0711), 0);
	ck_assert_int_eq(set_mode(s, "d/", 0722), 0);
	s = reopened(s);
	ck_assert_int_eq(set_mode(s, "not yet", 0733), 0);
	ck_assert_int_eq(blt_prune(s, NULL, NULL), 0);
	/* a file that is being made has no key yet */
	ck_assert_int_eq(mode_of(s, "not yet"), 0733);
	ck_assert_int_eq(mode_of(s, "never was"), -1);
	ck_assert_int_eq(mode_of(s, "stays"), 0700);
	ck_assert_int_eq(mode_of(s, "d/"), 0722);
	snprintf(to, sizeof(to), "%s.copy", path);
	ck_assert_int_eq(blt_copy(s, to, NULL, true, NULL, NULL, NULL), 0);
	ck_assert_int_eq(
		blt_open(to, &(struct blt_open_options){ .mode = BLT_READ },
			 &copy, NULL),
		0);
	ck_assert_int_eq(mode_of(copy, "stays"), 0700);
	ck_assert_int_eq(mode_of(copy, "not yet"), 0733);
	ck_assert_int_eq(blt_close(copy), 0);
	unlink(to);
	end(s);
}
END_TEST

/* A long table does not cost a table for each change. */
START_TEST(limited)
{
	struct blt *s = open_as(BLT_TRUNCATE);
	struct blt_info info;
	char key[300];

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%0200d", i);
		ck_assert_int_eq(set_mode(s, key, 0600), 0);
	}
	ck_assert_int_eq(blt_settle(s, true), 0);
	blt_get_info(s, &info);
	/* 4 MB of table: without a limit 45 GB would have been written */
	ck_assert_uint_lt(info.file_size, UINT64_C(500) << 20);
	s = reopened(s);
	ck_assert_int_eq(mode_of(s, key), 0600);
	end(s);
}
END_TEST

/* ---- together ---- */

#define THREADS 4
#define ROUNDS 300

struct worker {
	pthread_t thread;
	struct blt *s;
	char name;
};

static void step(struct worker *w, unsigned i)
{
	const char key[] = { w->name, (char)('0' + i % 5), '\0' };
	const char to[] = { w->name, 'x', '\0' };
	struct blt_batch *b;

	put(w->s, key);
	ck_assert_int_eq(set_mode(w->s, key, 0600 + i % 8), 0);
	ck_assert_int_eq(mode_of(w->s, key), (int)(0600 + i % 8));
	ck_assert_int_eq(blt_batch_new(w->s, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, key, 2, to, 2), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(mode_of(w->s, to), (int)(0600 + i % 8));
	ck_assert_int_eq(mode_of(w->s, key), -1);
	if (i % 16 == 0)
		ck_assert_int_eq(blt_sync(w->s), 0);
	if (i % 64 == 0)
		ck_assert_int_eq(blt_prune(w->s, NULL, NULL), 0);
}

static void *work(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		step(arg, i);
	return NULL;
}

START_TEST(together)
{
	struct blt *s = open_as(BLT_TRUNCATE);
	struct worker w[THREADS];

	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .s = s, .name = (char)('a' + i) };
		ck_assert_int_eq(
			pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	s = reopened(s);
	for (int i = 0; i < THREADS; i++) {
		const char key[] = { (char)('a' + i), 'x', '\0' };

		ck_assert_int_eq(mode_of(s, key), 0600 + (ROUNDS - 1) % 8);
	}
	end(s);
}
END_TEST

/* Bytes of any content: an error, or a table that packs to something equal. */
START_TEST(any_bytes)
{
	struct attrs_table t = { 0 }, again = { 0 };
	uint8_t *bytes, *packed;
	size_t len, packed_len;
	struct attrs_record *r;

	for (int i = 0; i < 5; i++) {
		char key[4] = { 'k', (char)('0' + i), '/', 'x' };

		ck_assert_int_eq(attrs_table_need(&t, key, 4, &r), 0);
		r->attrs = (struct blt_attrs){ 3, 0644, 1, 2 };
		ck_assert_int_eq(
			attrs_table_set_xattr(&t, r, "user.n", "value", 5), 0);
	}
	ck_assert_int_eq(attrs_table_pack(&t, &bytes, &len), 0);
	attrs_table_release(&t);
	for (int i = 0; i < 20000; i++) {
		uint8_t *copy = malloc(len);
		size_t n = len - rnd(3) * rnd(20);
		int rc;

		memcpy(copy, bytes, len);
		for (uint32_t k = rnd(4); k > 0; k--)
			copy[rnd((uint32_t)len)] = (uint8_t)rnd(256);
		rc = attrs_table_unpack(&t, copy, n);
		free(copy);
		if (rc < 0) {
			ck_assert(rc == -EUCLEAN || rc == -EEXIST);
			ck_assert_uint_eq(t.n, 0);
			continue;
		}
		ck_assert_int_eq(attrs_table_pack(&t, &packed, &packed_len), 0);
		ck_assert_int_eq(attrs_table_unpack(&again, packed, packed_len),
				 0);
		ck_assert_uint_eq(again.n, t.n);
		ck_assert_uint_eq(again.bytes, t.bytes);
		free(packed);
		attrs_table_release(&again);
		attrs_table_release(&t);
	}
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attrs");
	TCase *tc = tcase_create("attrs");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, kept);
	tcase_add_test(tc, reader);
	tcase_add_test(tc, follows);
	tcase_add_test(tc, directories);
	tcase_add_test(tc, markers);
	tcase_add_test(tc, exchanged);
	tcase_add_test(tc, extended);
	tcase_add_test(tc, others);
	tcase_add_test(tc, fixed);
	tcase_add_test(tc, whole_file);
	tcase_add_test(tc, limited);
	tcase_add_test(tc, together);
	tcase_add_test(tc, any_bytes);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

#include "tree.h"
#include "tree_dir.h"
#include "rnd.h"
#include "rounds.h"
#include "util.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* tests/test-tree-weak.c includes this file with a hash that collides. */
#ifndef WEAK_HASH
#define WEAK_HASH 0
#endif

/* ---- the model: keys in an array; what they imply by brute force ---- */

#define MAX_KEYS 3000
#define MAX_POS 400000

struct model_key {
	uint8_t bytes[24];
	size_t len;
	uint64_t pos; /* 0: not there */
	bool empty;
	bool stayed; /* present, as an entry, since the listing began */
	unsigned met;
};

static struct model_key keys[MAX_KEYS];
static size_t n_keys;
static uint16_t key_at[MAX_POS];
static uint64_t next_pos;
static bool flat;

static int read_key(void *arg, uint64_t pos, const uint8_t **ret_key,
		    size_t *ret_len, struct keyhash *ret_hash)
{
	const struct model_key *k;

	(void)arg;
	ck_assert_uint_lt(pos, next_pos);
	k = &keys[key_at[pos]];
	*ret_key = k->bytes;
	*ret_len = k->len;
	*ret_hash = keyhash_of(k->bytes, k->len);
	return 0;
}

static const struct tree_source source = { read_key, NULL };

static uint64_t new_pos(size_t i)
{
	ck_assert_uint_lt(next_pos, MAX_POS);
	key_at[next_pos] = (uint16_t)i;
	return next_pos++;
}

static void make_keys(size_t wanted, size_t max_len, const char *alphabet)
{
	n_keys = 0;
	next_pos = 1;
	while (n_keys < wanted) {
		struct model_key k = { .len = rnd((uint32_t)max_len + 1) };
		bool known = false;

		for (size_t i = 0; i < k.len; i++)
			k.bytes[i] = (uint8_t)
				alphabet[rnd((uint32_t)strlen(alphabet))];
		for (size_t i = 0; i < n_keys && !known; i++)
			known = keys[i].len == k.len &&
				memcmp(keys[i].bytes, k.bytes, k.len) == 0;
		if (!known)
			keys[n_keys++] = k;
	}
}

static size_t prefix_of(const struct model_key *k)
{
	size_t n = k->len;

	while (n > 0 && (flat || k->bytes[n - 1] != '/'))
		n--;
	return n;
}

static bool is_marker(const struct model_key *k)
{
	return k->empty && !flat && k->len > 0 && prefix_of(k) == k->len;
}

/* Whether a present key implies the directory. */
static bool implied(const uint8_t *prefix, size_t len)
{
	if (len == 0)
		return true;
	for (size_t i = 0; i < n_keys && !flat; i++) {
		if (keys[i].pos && keys[i].len >= len &&
		    memcmp(keys[i].bytes, prefix, len) == 0)
			return true;
	}
	return false;
}

static void change_one(struct tree *t)
{
	size_t i = rnd((uint32_t)n_keys);
	struct model_key *k = &keys[i];
	bool was_entry = k->pos && !is_marker(k);
	uint64_t from = k->pos;

	if (!from) {
		k->empty = rnd(2);
		k->pos = new_pos(i);
		ck_assert_int_eq(
			tree_add(t, k->bytes, k->len, k->pos, k->empty), 0);
		if (rnd(4) == 0)
			ck_assert_int_eq(
				tree_add(t, k->bytes, k->len, k->pos, k->empty),
				0);
	} else if (rnd(5) < 2) {
		ck_assert_int_eq(tree_remove(t, k->bytes, k->len, from), 0);
		k->pos = 0;
		if (rnd(4) == 0)
			ck_assert_int_eq(tree_remove(t, k->bytes, k->len, from),
					 0);
	} else {
		k->empty = rnd(2);
		k->pos = new_pos(i);
		ck_assert_int_eq(
			tree_move(t, k->bytes, k->len, from, k->pos, k->empty),
			0);
	}
	if (!was_entry || !k->pos || is_marker(k))
		k->stayed = false;
}

/* ---- one directory, listed with stops, against the model ---- */

struct check_list {
	const uint8_t *prefix;
	size_t len;
	unsigned left; /* entries until a stop */
	uint64_t cookie;
	unsigned n, n_dirs;
	bool stopped, changing;
};

static int check_entry(void *arg, const struct tree_entry *e)
{
	struct check_list *c = arg;
	uint8_t path[64];
	struct keyhash h;
	size_t n = c->len + e->comp_len;

	if (c->left-- == 0) {
		c->stopped = true;
		return 1;
	}
	ck_assert_uint_gt(e->cookie, c->cookie);
	ck_assert_uint_le(e->cookie, INT64_MAX - 2);
	c->cookie = e->cookie;
	c->n++;
	c->n_dirs += e->is_dir;
	if (c->len > 0)
		memcpy(path, c->prefix, c->len);
	memcpy(path + c->len, e->comp, e->comp_len);
	h = keyhash_of(path, n);
	ck_assert(keyhash_equal(&h, &e->hash));
	if (e->is_dir) {
		uint64_t marker = 0;

		ck_assert_ptr_null(memchr(e->comp, '/', e->comp_len));
		path[n++] = '/';
		ck_assert(implied(path, n));
		for (size_t i = 0; i < n_keys; i++) {
			if (keys[i].len == n && is_marker(&keys[i]) &&
			    memcmp(keys[i].bytes, path, n) == 0)
				marker = keys[i].pos;
		}
		ck_assert_uint_eq(e->pos, marker);
	} else {
		struct model_key *k = &keys[key_at[e->pos]];

		ck_assert_uint_eq(k->pos, e->pos);
		ck_assert_uint_eq(k->len, n);
		ck_assert_mem_eq(k->bytes, path, n);
		ck_assert(!is_marker(k));
		k->met++;
		path[n] = '/';
		ck_assert_int_eq(e->conflict, !flat && implied(path, n + 1));
	}
	return 0;
}

static bool is_in(const struct model_key *k, const struct check_list *c)
{
	return k->pos && !is_marker(k) && prefix_of(k) == c->len &&
	       memcmp(k->bytes, c->prefix, c->len) == 0;
}

/* The same in the order of its names. */

struct check_order {
	struct check_list list;
	uint8_t last[64]; /* the name before, */
	size_t last_len;
	bool last_dir, any;
};

static int compare_names(const uint8_t *a, size_t a_len, const uint8_t *b,
			 size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int check_place(void *arg, const struct tree_place *p)
{
	struct check_order *c = arg;
	uint8_t path[64];
	size_t n = c->list.len + p->comp_len;
	bool found = false;
	int order;

	memcpy(path, c->list.prefix, c->list.len);
	memcpy(path + c->list.len, p->comp, p->comp_len);
	if (p->is_dir) {
		path[n++] = '/';
		found = implied(path, n);
	}
	for (size_t i = 0; i < n_keys && !found; i++)
		found = keys[i].pos && keys[i].len == n &&
			!is_marker(&keys[i]) &&
			memcmp(keys[i].bytes, path, n) == 0;
	ck_assert(found);
	order = compare_names(c->last, c->last_len, p->comp, p->comp_len);
	if (c->any)
		ck_assert(order < 0 ||
			  (order == 0 && !c->last_dir && p->is_dir));
	c->any = true;
	c->last_dir = p->is_dir;
	c->last_len = p->comp_len;
	memcpy(c->last, p->comp, p->comp_len);
	c->list.n++;
	return 0;
}

static void check_order(struct tree *t, const uint8_t *prefix, size_t len,
			uint64_t entries)
{
	struct check_order c = { .list = { .prefix = prefix, .len = len } };
	uint64_t n, at = 0;

	ck_assert_int_eq(tree_order_count(t, prefix, len, &n), 0);
	ck_assert_uint_eq(n, entries);
	while (at < n) {
		uint64_t some = 1 + rnd(200);

		ck_assert_int_eq(tree_order_at(t, prefix, len, at, some,
					       check_place, &c),
				 0);
		at = c.list.n;
	}
	ck_assert_uint_eq(at, n);
	if (n > 0) {
		ck_assert_int_eq(tree_order_find(t, prefix, len, c.last,
						 c.last_len, &at),
				 1);
		ck_assert(at == n - 1 || (at == n - 2 && c.last_dir));
	}
	ck_assert_int_eq(tree_order_find(t, prefix, len, "\xff", 1, &at), 0);
	ck_assert_uint_eq(at, n);
}

static void check_dir(struct tree *t, const uint8_t *prefix, size_t len,
		      bool changing)
{
	struct check_list c = { .prefix = prefix,
				.len = len,
				.changing = changing };
	struct tree_dir facts;
	unsigned wanted = 0;
	int rc;

	if (!implied(prefix, len)) {
		ck_assert_int_eq(tree_find(t, prefix, len, NULL), 0);
		ck_assert_int_eq(tree_list(t, prefix, len, 0, check_entry, &c),
				 -ENOENT);
		return;
	}
	for (size_t i = 0; i < n_keys; i++) {
		keys[i].met = 0;
		keys[i].stayed = is_in(&keys[i], &c);
		wanted += keys[i].stayed;
	}
	do {
		c.stopped = false;
		c.left = rnd(10) ? 1 + rnd(20) : 600;
		rc = tree_list(t, prefix, len, c.cookie, check_entry, &c);
		/* while a listing is under way the directory may go */
		ck_assert(rc == 0 || (rc == -ENOENT && changing));
		for (unsigned i = rnd(5); changing && i > 0; i--)
			change_one(t);
	} while (c.stopped && rc == 0);
	for (size_t i = 0; i < n_keys && rc == 0; i++) {
		ck_assert_uint_le(keys[i].met, 1 + (changing ? 1 : 0));
		if (keys[i].stayed)
			ck_assert_uint_eq(keys[i].met, 1);
	}
	if (changing)
		return;
	ck_assert_int_eq(tree_find(t, prefix, len, &facts), 1);
	check_order(t, prefix, len, facts.entries);
	ck_assert_uint_eq(c.n - c.n_dirs, wanted);
	ck_assert_uint_eq(facts.entries, c.n);
	ck_assert_uint_eq(facts.subdirs, c.n_dirs);
	for (size_t i = 0; i < n_keys; i++) {
		if (is_marker(&keys[i]) && keys[i].len == len && len > 0 &&
		    memcmp(keys[i].bytes, prefix, len) == 0)
			ck_assert_uint_eq(facts.marker, keys[i].pos);
	}
}

static void check_all(struct tree *t, bool changing)
{
	struct tree_stats stats;
	uint64_t present = 0;
	static const uint8_t none[1];

	check_dir(t, none, 0, changing);
	for (size_t i = 0; i < n_keys; i++) {
		struct model_key k = keys[i];
		size_t n = prefix_of(&k);

		if (n > 0 && rnd((uint32_t)n_keys) < 60)
			check_dir(t, k.bytes, n, changing);
	}
	for (size_t i = 0; i < n_keys; i++)
		present += keys[i].pos && !is_marker(&keys[i]);
	tree_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, present);
}

static void run_model(size_t n, size_t max_len, const char *alphabet,
		      bool is_flat, unsigned rounds)
{
	struct tree *t;
	struct tree_stats stats;

	flat = is_flat;
	make_keys(n, max_len, alphabet);
	rounds = rounds_of(rounds);
	ck_assert_int_eq(tree_new(&source, flat, &t), 0);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = rnd(2 * (uint32_t)n); i > 0; i--)
			change_one(t);
		check_all(t, false);
		if (!WEAK_HASH)
			check_all(t, true);
	}
	for (size_t i = 0; i < n_keys; i++) {
		if (keys[i].pos)
			tree_remove(t, keys[i].bytes, keys[i].len, keys[i].pos);
		keys[i].pos = 0;
	}
	tree_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, 0);
	ck_assert_uint_eq(stats.dirs, 1);
	check_all(t, false);
	tree_free(t);
}

START_TEST(test_model)
{
	run_model(300, 6, "ab/", false, 40);
	run_model(50, 5, "a/", true, 20);
	run_model(13, 12, "/", false, 20);
	run_model(400, 8, "abcdefgh%/", false, 30);
}
END_TEST

START_TEST(test_model_large_directory)
{
	run_model(MAX_KEYS, 6, "abcdefghijkl", false, 12);
}
END_TEST

/* ---- single behaviours ---- */

static struct tree *new_tree(void)
{
	struct tree *t;

	flat = false;
	n_keys = 0;
	next_pos = 1;
	ck_assert_int_eq(tree_new(&source, false, &t), 0);
	return t;
}

static uint64_t add(struct tree *t, const char *key, bool empty)
{
	struct model_key *k = &keys[n_keys];

	k->len = strlen(key);
	memcpy(k->bytes, key, k->len);
	k->empty = empty;
	k->pos = new_pos(n_keys++);
	ck_assert_int_eq(tree_add(t, key, k->len, k->pos, empty), 0);
	return k->pos;
}

static int has(struct tree *t, const char *prefix)
{
	return tree_find(t, prefix, strlen(prefix), NULL);
}

START_TEST(test_marker_turns)
{
	struct tree *t = new_tree();
	struct tree_dir d;
	uint64_t pos = add(t, "a/", true);

	ck_assert_int_eq(tree_find(t, "a/", 2, &d), 1);
	ck_assert_uint_eq(d.entries, 0);
	ck_assert_uint_eq(d.marker, pos);
	tree_move(t, "a/", 2, pos, new_pos(0), false);
	ck_assert_int_eq(tree_find(t, "a/", 2, &d), 1);
	ck_assert_uint_eq(d.entries, 1);
	ck_assert_uint_eq(d.marker, 0);
	tree_move(t, "a/", 2, pos + 1, new_pos(0), true);
	ck_assert_int_eq(tree_find(t, "a/", 2, &d), 1);
	ck_assert_uint_eq(d.entries, 0);
	ck_assert_uint_eq(d.marker, pos + 2);
	tree_remove(t, "a/", 2, pos + 2);
	ck_assert_int_eq(has(t, "a/"), 0);
	tree_free(t);
}
END_TEST

START_TEST(test_directories_come_and_go)
{
	struct tree *t = new_tree();
	uint64_t deep = add(t, "a/b/c/d", false);
	uint64_t near = add(t, "a/x", false);

	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(has(t, "a/b/"), 1);
	ck_assert_int_eq(has(t, "a/b/c/"), 1);
	ck_assert_int_eq(has(t, "a/b/c/d/"), 0);
	ck_assert_int_eq(has(t, "a"), 0);
	ck_assert_int_eq(has(t, "b/"), 0);
	ck_assert_int_eq(has(t, "/"), 0);
	tree_remove(t, "a/b/c/d", 7, deep);
	ck_assert_int_eq(has(t, "a/b/c/"), 0);
	ck_assert_int_eq(has(t, "a/b/"), 0);
	ck_assert_int_eq(has(t, "a/"), 1);
	tree_remove(t, "a/x", 3, near);
	ck_assert_int_eq(has(t, "a/"), 0);
	ck_assert_int_eq(has(t, ""), 1);
	tree_free(t);
}
END_TEST

/* What is held stays without a key, and without one above it. */
START_TEST(test_held_directories)
{
	struct tree *t = new_tree();
	struct tree_dir facts;
	uint64_t pos = add(t, "a/x", false);

	ck_assert_int_eq(tree_hold(t, "a/", 2, true), 0);
	ck_assert_int_eq(tree_hold(t, "b/c/", 4, true), 0);
	tree_remove(t, "a/x", 3, pos);
	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(has(t, "b/"), 1);
	ck_assert_int_eq(tree_find(t, "b/c/", 4, &facts), 1);
	ck_assert_uint_eq(facts.entries, 0);
	ck_assert_uint_eq(facts.marker, 0);
	ck_assert_int_eq(tree_hold(t, "b/c/", 4, false), 0);
	ck_assert_int_eq(has(t, "b/"), 0);
	add(t, "a/y", false);
	ck_assert_int_eq(tree_hold(t, "a/", 2, false), 0);
	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(tree_hold(t, "n/", 2, false), 0);
	tree_free(t);
}
END_TEST

/* A key that the writer moves before the walk has met it is there once. */
START_TEST(test_move_before_walk)
{
	struct tree *t = new_tree();
	struct tree_dir d;

	keys[0] = (struct model_key){ .bytes = "k", .len = 1 };
	n_keys = 1;
	for (int i = 0; i < 9; i++)
		new_pos(0);
	ck_assert_int_eq(tree_move(t, "k", 1, 3, 7, false), 0);
	ck_assert_int_eq(tree_add(t, "k", 1, 7, false), 0);
	ck_assert_int_eq(tree_find(t, "", 0, &d), 1);
	ck_assert_uint_eq(d.entries, 1);
	ck_assert_int_eq(tree_remove(t, "k", 1, 3), 0);
	ck_assert_int_eq(tree_find(t, "", 0, &d), 1);
	ck_assert_uint_eq(d.entries, 1);
	tree_free(t);
}
END_TEST

START_TEST(test_walk_fails)
{
	struct tree *t = new_tree();

	add(t, "a/b", false);
	ck_assert(!tree_is_complete(t));
	ck_assert_int_eq(has(t, "x/"), 0);
	tree_complete(t, -EUCLEAN);
	ck_assert(!tree_is_complete(t));
	ck_assert_int_eq(tree_wait(t), -EUCLEAN);
	ck_assert_int_eq(has(t, "a/"), 1);
	ck_assert_int_eq(has(t, "x/"), -EUCLEAN);
	tree_free(t);
}
END_TEST

#if !WEAK_HASH
START_TEST(test_find_long)
{
	struct tree *t = new_tree();
	struct keyhash h = keyhash_of("a/bb", 4);
	uint8_t *comp;
	size_t len;

	add(t, "a/bb/c", false);
	ck_assert_int_eq(tree_find_long(t, "a/", 2, &h, &comp, &len), 1);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(comp, "bb", 2);
	free(comp);
	ck_assert_int_eq(tree_find_long(t, "", 0, &h, &comp, &len), 0);
	h = keyhash_of("a/b", 3);
	ck_assert_int_eq(tree_find_long(t, "a/", 2, &h, &comp, &len), 0);
	tree_free(t);
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
		struct tree *t = new_tree();
		struct tree_stats before, after;
		bool failed = false;
		char key[24];

		add(t, "old/key", false);
		tree_stats(t, &before);
		allocations_left = allowed;
		tree_realloc = scarce;
		for (size_t i = 1; i < 900 && !failed; i++) {
			struct model_key *k = &keys[i];

			snprintf(key, sizeof(key), i % 3 ? "x%zu" : "d%zu/e/f",
				 i);
			k->len = strlen(key);
			memcpy(k->bytes, key, k->len);
			n_keys = i + 1;
			k->pos = new_pos(i);
			tree_stats(t, &before);
			failed = tree_add(t, key, k->len, k->pos, false) < 0;
		}
		tree_realloc = realloc;
		tree_stats(t, &after);
		if (failed) {
			ck_assert_uint_eq(before.keys, after.keys);
			ck_assert_uint_eq(before.dirs, after.dirs);
			ck_assert_int_eq(has(t, "nothing/"), -ENOMEM);
			tree_complete(t, 0);
			ck_assert_int_eq(tree_wait(t), -ENOMEM);
		}
		ck_assert_int_eq(has(t, "old/"), 1);
		tree_free(t);
	}
}
END_TEST

/* An order for which there is no memory goes, and is made anew. */
START_TEST(test_order_without_memory)
{
	struct tree *t = new_tree();
	uint64_t n;

	for (size_t i = 0; i < 2000; i++) {
		char key[24];
		int rc;

		snprintf(key, sizeof(key), "d/%zu", i);
		order_realloc = scarce;
		allocations_left = rnd(3);
		add(t, key, false); /* its hook may have none, either */
		allocations_left = rnd(3);
		rc = tree_order_count(t, "d/", 2, &n);
		order_realloc = realloc;
		ck_assert(rc == 0 || rc == -ENOMEM);
		if (rc < 0)
			ck_assert_int_eq(tree_order_count(t, "d/", 2, &n), 0);
		ck_assert_uint_eq(n, i + 1);
	}
	ck_assert_int_eq(tree_order_count(t, "e/", 2, &n), -ENOENT);
	tree_free(t);
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

static int count(void *arg, const struct tree_entry *e)
{
	uint64_t *n = arg;

	(void)e;
	++*n;
	return 0;
}

/* 200 MiB for ten million keys in a hundred thousand directories. */
START_TEST(test_size)
{
	static const struct tree_source big = { read_big, NULL };
	uint64_t n = 300000, listed = 0;
	const char *wanted = getenv("TREE_KEYS");
	struct tree_stats stats;
	struct tree *t;
	char key[64];

	per_dir = _i ? UINT32_MAX : 100;
	if (wanted)
		n = strtoull(wanted, NULL, 10);
	ck_assert_int_eq(tree_new(&big, false, &t), 0);
	for (uint64_t pos = 1; pos <= n; pos++)
		ck_assert_int_eq(
			tree_add(t, key, big_key(pos, key), pos, false), 0);
	tree_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, n);
	printf("%llu keys, %llu directories: %.2f bytes a key\n",
	       (unsigned long long)n, (unsigned long long)stats.dirs,
	       (double)stats.bytes / (double)n);
	ck_assert_uint_lt(stats.bytes, n * 20);
	if (_i) {
		ck_assert_int_eq(tree_list(t, "0/", 2, 0, count, &listed), 0);
		ck_assert_uint_eq(listed, n);
	}
	for (uint64_t pos = 1; pos <= n; pos++)
		tree_remove(t, key, big_key(pos, key), pos);
	tree_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, 0);
	ck_assert_uint_eq(stats.dirs, 1);
	tree_free(t);
}
END_TEST

#endif

/* Keys of nothing but slashes are as many directories. */
START_TEST(test_slashes)
{
	struct tree *t = new_tree();
	struct tree_stats stats;
	char key[4000];

	memset(key, '/', sizeof(key));
	for (size_t n = 1; n <= sizeof(key); n += 1333)
		ck_assert_int_eq(tree_add(t, key, n, n, n % 2), 0);
	tree_stats(t, &stats);
	ck_assert_uint_eq(stats.dirs, sizeof(key) + 1);
	for (size_t n = 1; n <= sizeof(key); n += 1333)
		tree_remove(t, key, n, n);
	tree_stats(t, &stats);
	ck_assert_uint_eq(stats.dirs, 1);
	tree_free(t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tree");
	TCase *tc = tcase_create("tree");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 240);
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
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include "lib/nscrawl.h"
#include "base/util.h"
#include "lib/rnd.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crawl {
	struct blt_ns *ns;
	const uint8_t *dir;
	size_t dir_len;
	const char *path; /* of the directory, with a '/' behind it, or "" */
	struct blt_ns_entry *found;
	size_t n, room;
	unsigned left;
	uint64_t cookie;
	bool stopped;
	uint64_t files; /* below it, at any depth */
};

static void *copy(const void *from, size_t len)
{
	uint8_t *to = malloc(len + 1);

	memcpy(to, from, len);
	to[len] = '\0';
	return to;
}

static int take_entry(void *arg, const struct blt_ns_entry *e)
{
	struct crawl *c = arg;
	struct blt_ns_entry *mine;

	if (c->left-- == 0) {
		c->stopped = true;
		return 1;
	}
	ck_assert_uint_gt(e->cookie, c->cookie);
	c->cookie = e->cookie;
	ck_assert_uint_eq(strlen(e->name), e->name_len);
	ck_assert_uint_le(e->name_len, 255);
	ck_assert_ptr_null(strchr(e->name, '/'));
	ck_assert_str_ne(e->name, ".");
	ck_assert_str_ne(e->name, "..");
	if (c->dir_len == 0)
		ck_assert_str_ne(e->name, ".bltfs");
	ck_assert_int_eq(ARRAY_ROOM(c->found, c->room, c->n + 1), 0);
	mine = &c->found[c->n++];
	*mine = *e;
	mine->name = copy(e->name, e->name_len);
	mine->key = copy(e->key, e->key_len);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct blt_ns_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The entry, asked for in every other way. */
static void check_entry(const struct crawl *c, const struct blt_ns_entry *e,
			const char *path)
{
	struct blt_node node;
	char name[256], *again;
	uint8_t *key;
	size_t len;

	ck_assert_int_eq(blt_ns_lookup(c->ns, c->dir, c->dir_len, e->name,
				       e->name_len, &node),
			 0);
	ck_assert_int_eq(node.kind, e->kind);
	ck_assert_uint_eq(node.key_len, e->key_len);
	ck_assert_mem_eq(node.key, e->key, e->key_len);
	ck_assert_uint_eq(node.hash, e->hash);
	ck_assert_uint_eq(node.stat.len, e->stat.len);
	ck_assert_int_eq(node.stat.timestamp, e->stat.timestamp);
	ck_assert(node.sure);
	free(node.key);
	ck_assert_int_eq(blt_ns_name(c->ns, e->key, e->key_len, e->kind, name),
			 0);
	ck_assert_str_eq(name, e->name);
	ck_assert_int_eq(blt_ns_resolve(c->ns, path, &node), 0);
	ck_assert_int_eq(node.kind, e->kind);
	ck_assert_uint_eq(node.key_len, e->key_len);
	ck_assert_mem_eq(node.key, e->key, e->key_len);
	free(node.key);
	if (e->kind == BLT_DIR) {
		ck_assert_int_eq(blt_ns_key_of_path(c->ns, path, &key, &len),
				 -EISDIR);
		return;
	}
	ck_assert_int_eq(blt_ns_key_of_path(c->ns, path, &key, &len), 0);
	ck_assert_uint_eq(len, e->key_len);
	ck_assert_mem_eq(key, e->key, len);
	free(key);
	ck_assert_int_eq(blt_ns_path(c->ns, e->key, e->key_len, &again), 0);
	ck_assert_str_eq(again, path);
	free(again);
}

static uint64_t crawl_dir(struct blt_ns *ns, const uint8_t *dir, size_t dir_len,
			  const char *path)
{
	struct crawl c = {
		.ns = ns, .dir = dir, .dir_len = dir_len, .path = path
	};
	struct blt_dir_facts facts;
	uint64_t subdirs = 0;
	char *below;

	do {
		c.stopped = false;
		c.left = 1 + rnd(40);
		ck_assert_int_eq(
			blt_ns_list(ns, dir, dir_len, c.cookie, take_entry, &c),
			0);
	} while (c.stopped);
	if (c.n > 0)
		qsort(c.found, c.n, sizeof(*c.found), by_name);
	for (size_t i = 0; i < c.n; i++) {
		const struct blt_ns_entry *e = &c.found[i];

		if (i > 0)
			ck_assert_str_ne(e->name, e[-1].name);
		ck_assert_int_ge(asprintf(&below, "%s%s", path, e->name), 0);
		check_entry(&c, e, below);
		free(below);
		if (e->kind == BLT_DIR) {
			subdirs++;
			ck_assert_int_ge(
				asprintf(&below, "%s%s/", path, e->name), 0);
			c.files += crawl_dir(ns, e->key, e->key_len, below);
			free(below);
		} else {
			c.files++;
		}
	}
	ck_assert_int_eq(blt_ns_dir(ns, dir, dir_len, &facts), 0);
	ck_assert_uint_eq(facts.entries, c.n);
	ck_assert_uint_eq(facts.subdirs, subdirs);
	/* a directory is held in being by something */
	ck_assert(dir_len == 0 || facts.marked || facts.entries > 0);
	for (size_t i = 0; i < c.n; i++) {
		free((void *)(uintptr_t)c.found[i].name);
		free((void *)(uintptr_t)c.found[i].key);
	}
	free(c.found);
	return c.files;
}

static int count_key(void *arg, const uint8_t *key, size_t len,
		     uint64_t value_len)
{
	uint64_t *n = arg;

	(void)key;
	(void)len;
	(void)value_len;
	++*n;
	return 0;
}

/* Every key has one path; returns how many are files. */
static uint64_t check_keys(struct blt *store, struct blt_ns *ns, bool flat)
{
	struct blt_iter *it;
	struct blt_item item;
	struct blt_node node;
	uint64_t files = 0, keys = 0, walked = 0;
	char *path;

	ck_assert_int_eq(blt_iter_new(store, &it), 0);
	while (blt_iter_next(it, &item) == 1) {
		bool marker = !flat && item.value_len == 0 &&
			      item.key_len > 0 &&
			      item.key[item.key_len - 1] == '/';

		keys++;
		files += !marker;
		ck_assert_int_eq(blt_ns_path(ns, item.key, item.key_len, &path),
				 0);
		ck_assert_int_eq(blt_ns_resolve(ns, path, &node), 0);
		ck_assert_int_eq(node.kind, marker ? BLT_DIR : BLT_FILE);
		ck_assert_uint_eq(node.key_len, item.key_len);
		ck_assert_mem_eq(node.key, item.key, item.key_len);
		ck_assert_uint_eq(node.stat.len, item.value_len);
		free(node.key);
		free(path);
	}
	blt_iter_free(it);
	ck_assert_int_eq(blt_ns_walk(ns, "", 0, count_key, &walked), 0);
	ck_assert_uint_eq(walked, keys);
	return files;
}

uint64_t nscrawl(struct blt *store, struct blt_ns *ns, bool flat)
{
	uint64_t files = check_keys(store, ns, flat);

	ck_assert_uint_eq(crawl_dir(ns, (const uint8_t *)"", 0, ""), files);
	return files;
}

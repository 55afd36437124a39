/* Directories: nothing of them is kept (lmdb_dir_cursor.h) but the names of
 * sequences (lmdb_btree.h).
 *
 * A listing is resumed by a cookie, which is of a name's hash: that of most
 * names that were listed lately is remembered with the name
 * (lmdb_dir_cursor.h), and so is, for longer, each at which a listing paused:
 * it may be gone when that goes on.  Any other is looked for from the
 * directory's beginning.  The same marks find names that are only known by
 * their hash.
 *
 * Entries are copied some at a time, and handed out with no transaction. */
#include "lmdb/lmdb_dir_cursor.h"
#include "lmdb/lmdb_btree.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A shorter name fits into a file's, however it is written there. */
#define LONG_LEN (255u / 3)
#define CHUNK 512u
/* A listing's cookie means the same name in every directory. */
#define ANY_DIR 0
/* Names that a directory is said to have, where it has more. */
#define ENOUGH 2

static uint64_t cookie_of(const struct keyhash *hash, bool is_dir)
{
	return hash_cookie(keyhash_word(hash), is_dir);
}

/* Which directory, as far as a mark must know it. */
static uint32_t dir_of(const void *prefix, size_t len)
{
	struct keyhash h = keyhash_of(prefix, len);

	return (uint32_t)keyhash_word(&h);
}

/* ---- the rows ---- */

static int dirs_start(struct blt *blt, bool flat)
{
	struct lmdb_store *store = lmdb_of(blt);
	int rc = 0;

	pthread_mutex_lock(&store->spare_lock);
	if (!store->cookies) {
		store->cookies = lmdb_cookie_cache_new();
		store->flat = flat;
	}
	if (!store->cookies)
		rc = -ENOMEM;
	else if (store->flat != flat)
		rc = -EINVAL;
	pthread_mutex_unlock(&store->spare_lock);
	return rc;
}

static int dirs_wait(struct blt *blt)
{
	(void)blt;
	return 0;
}

static int dirs_wait_more(struct blt *blt, uint64_t *seen)
{
	(void)seen;
	return dirs_wait(blt);
}

static bool dirs_complete(struct blt *blt)
{
	(void)blt;
	return true;
}

static uint64_t dirs_known(struct blt *blt)
{
	struct blt_info info;

	blt_get_info(blt, &info);
	return info.n_keys;
}

static int dirs_find(struct blt *blt, const void *prefix, size_t len,
		     bool *ret_marked)
{
	struct dir_cursor l;
	int rc = dir_cursor_begin(&l, lmdb_of(blt), prefix, len);

	if (rc <= 0)
		return rc;
	rc = dir_cursor_there(&l, ret_marked);
	dir_cursor_end(&l);
	return rc;
}

static int dirs_facts(struct blt *blt, const void *prefix, size_t len,
		      struct blt_dir_facts *ret)
{
	struct blt_dir_facts facts = { 0 };
	struct dir_cursor_entry e;
	struct dir_cursor l;
	int rc = dir_cursor_begin(&l, lmdb_of(blt), prefix, len), there;

	if (rc <= 0)
		return rc;
	there = dir_cursor_there(&l, &facts.marked);
	if (there < 0)
		rc = there;
	/* To count them all is to walk over them all. */
	while (rc > 0 && facts.entries < ENOUGH &&
	       (rc = dir_cursor_next(&l, &e)) > 0) {
		facts.entries++;
		facts.subdirs += e.is_dir;
	}
	dir_cursor_end(&l);
	if (rc >= 0 && there)
		*ret = facts;
	return rc < 0 ? rc : there;
}

static int dirs_hold(struct blt *blt, const void *prefix, size_t len, bool held)
{
	(void)blt;
	(void)prefix;
	(void)len;
	(void)held;
	return -ENOTSUP; /* it takes markers */
}

/* ---- listing ---- */

struct chunk {
	size_t n;
	struct dir_cursor_entry at[CHUNK];
};

/* A directory that is being listed. */
struct listing {
	struct lmdb_store *store;
	const uint8_t *prefix;
	size_t len;
	uint32_t dir;
	uint8_t whole[BLT_KEY_MAX + 1 +
		      DIR_CURSOR_ROOM]; /* prefix and name, for hashes */
	size_t least;                   /* shorter names are passed over */
	/* behind which it goes on */
	bool begun, last_is_dir;
	size_t last_len;
	uint8_t last[DIR_CURSOR_ROOM];
	struct chunk chunk;
};

static void describe(struct listing *l, const struct dir_cursor_entry *e,
		     struct backend_entry *ret)
{
	memcpy(l->whole + l->len, e->name, e->len);
	*ret = (struct backend_entry){
		.is_dir = e->is_dir,
		.conflict = e->conflict,
		.comp = e->name,
		.comp_len = e->len,
		.hash = keyhash_of(l->whole, l->len + e->len),
		.stat = { .len = e->value_len,
			  .timestamp = BLT_NO_TIME,
			  .seen = e->seen },
	};
	/* of the name alone: a listing goes on when its directory is renamed */
	ret->cookie = hash_cookie(XXH3_64bits(e->name, e->len), e->is_dir);
}

static void remember(struct listing *l, const struct dir_cursor_entry *e)
{
	l->begun = true;
	l->last_is_dir = e->is_dir;
	l->last_len = e->len;
	memcpy(l->last, e->name, e->len);
}

/* -ENOENT: there is no such directory. */
static int fill(struct listing *l)
{
	struct dir_cursor look;
	bool marked;
	int rc = dir_cursor_begin(&look, l->store, l->prefix, l->len);

	l->chunk.n = 0;
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	if (!l->begun) {
		rc = dir_cursor_there(&look, &marked);
		rc = rc == 0 ? -ENOENT : rc;
	} else {
		rc = dir_cursor_from(&look, l->last, l->last_len,
				     l->last_is_dir);
		rc = rc == 0 ? 1 : rc;
	}
	while (rc > 0 && l->chunk.n < CHUNK)
		if ((rc = dir_cursor_next(&look, &l->chunk.at[l->chunk.n])) > 0)
			remember(l, &l->chunk.at[l->chunk.n++]);
	dir_cursor_end(&look);
	return rc;
}

typedef int listed_fn(void *arg, struct listing *l,
		      const struct dir_cursor_entry *e,
		      const struct backend_entry *as);

/* Calls fn for every name from there on, with no transaction, until it returns
 * something else than 0. */
static int each(struct listing *l, listed_fn *fn, void *arg)
{
	struct backend_entry as;
	int rc, stop = 0;

	do {
		rc = fill(l);
		for (size_t i = 0; rc >= 0 && !stop && i < l->chunk.n; i++) {
			if (l->chunk.at[i].len < l->least)
				continue;
			describe(l, &l->chunk.at[i], &as);
			stop = fn(arg, l, &l->chunk.at[i], &as);
		}
	} while (rc > 0 && !stop);
	return rc < 0 ? rc : stop;
}

static int listing_new(struct blt *blt, const void *prefix, size_t len,
		       struct listing **ret)
{
	struct listing *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->store = lmdb_of(blt);
	l->prefix = prefix;
	l->len = len;
	l->dir = dir_of(prefix, len);
	l->begun = false;
	l->least = 0;
	if (len)
		memcpy(l->whole, prefix, len);
	*ret = l;
	return 0;
}

static int is_cookie(void *arg, struct listing *l,
		     const struct dir_cursor_entry *e,
		     const struct backend_entry *as)
{
	const uint64_t *cookie = arg;

	if (as->cookie != *cookie)
		return 0;
	remember(l, e);
	return 1;
}

/* -ESTALE: the name is gone, and nobody remembers it. */
static int go_behind(struct listing *l, uint64_t cookie)
{
	int rc;

	if (cookie == 0)
		return 0;
	if (lmdb_cookie_cache_find(l->store->cookies, ANY_DIR, cookie, l->last,
				   &l->last_len)) {
		l->begun = true;
		l->last_is_dir = cookie & 1;
		return 0;
	}
	rc = each(l, is_cookie, &cookie);
	return rc == 0 ? -ESTALE : rc < 0 ? rc : 0;
}

struct giving {
	backend_list_fn *fn;
	void *arg;
	/* what was given last */
	uint64_t cookie; /* 0: nothing */
	size_t len;
	uint8_t name[DIR_CURSOR_ROOM];
};

static int give(void *arg, struct listing *l, const struct dir_cursor_entry *e,
		const struct backend_entry *as)
{
	struct giving *g = arg;
	int rc = g->fn(g->arg, as);

	if (rc == 0) {
		lmdb_cookie_cache_set(l->store->cookies, ANY_DIR, as->cookie,
				      e->name, e->len);
		if (e->len > LONG_LEN)
			lmdb_cookie_cache_set(l->store->cookies, l->dir,
					      cookie_of(&as->hash, e->is_dir),
					      e->name, e->len);
		g->cookie = as->cookie;
		g->len = e->len;
		memcpy(g->name, e->name, e->len);
	}
	return rc;
}

static int dirs_list(struct blt *blt, const void *prefix, size_t len,
		     uint64_t cookie, backend_list_fn *fn, void *arg)
{
	struct giving g = { .fn = fn, .arg = arg };
	struct listing *l;
	int rc = listing_new(blt, prefix, len, &l);

	if (rc < 0)
		return rc;
	rc = go_behind(l, cookie);
	if (rc == 0)
		rc = each(l, give, &g);
	if (g.cookie)
		lmdb_cookie_cache_end(l->store->cookies, ANY_DIR, g.cookie,
				      g.name, g.len);
	free(l);
	return rc < 0 ? rc : 0;
}

/* ---- by hash ---- */

struct wanted {
	const struct keyhash *hash;
	bool is_dir;
	uint8_t *name;
	size_t len;
};

static int take_wanted(struct wanted *w, const uint8_t *name, size_t len)
{
	w->name = malloc(len + 1);
	if (!w->name)
		return -ENOMEM;
	memcpy(w->name, name, len);
	w->len = len;
	return 1;
}

static int is_wanted(void *arg, struct listing *l,
		     const struct dir_cursor_entry *e,
		     const struct backend_entry *as)
{
	struct wanted *w = arg;

	if (e->is_dir != w->is_dir ||
	    memcmp(&as->hash, w->hash, sizeof(as->hash)) != 0)
		return 0;
	lmdb_cookie_cache_set(l->store->cookies, l->dir,
			      cookie_of(&as->hash, e->is_dir), e->name, e->len);
	return take_wanted(w, e->name, e->len);
}

/* Whether the name that has the mark of this hash has the hash, and is there:
 * 1, 0 or negative. */
static int try_mark(struct listing *l, struct wanted *w)
{
	uint64_t cookie = cookie_of(w->hash, w->is_dir);
	struct lmdb_store *store = l->store;
	struct keyhash hash;
	struct blt_stat st;
	bool marked;
	size_t len;
	int rc;

	if (!lmdb_cookie_cache_find(store->cookies, l->dir, cookie, l->last,
				    &len))
		return 0;
	memcpy(l->whole + l->len, l->last, len);
	hash = keyhash_of(l->whole, l->len + len);
	if (!keyhash_equal(&hash, w->hash))
		return 0;
	l->whole[l->len + len] = '/';
	rc = w->is_dir ? dirs_find(&store->face, l->whole, l->len + len + 1,
				   &marked) :
			 lmdb_stat_key(&store->face, l->whole, l->len + len,
				       &st) == 0;
	return rc > 0 ? take_wanted(w, l->last, len) : rc;
}

/* The component: 1, 0 or negative. */
static int find_hash(struct blt *blt, const void *prefix, size_t len,
		     struct wanted *w)
{
	struct listing *l;
	int rc = listing_new(blt, prefix, len, &l);

	if (rc < 0)
		return rc;
	l->least = LONG_LEN;
	rc = try_mark(l, w);
	if (rc == 0)
		rc = each(l, is_wanted, w);
	free(l);
	return rc == -ENOENT ? 0 : rc;
}

static int dirs_find_key(struct blt *blt, const void *prefix, size_t len,
			 const struct keyhash *hash, uint8_t **ret_key,
			 size_t *ret_len)
{
	struct wanted w = { .hash = hash };
	int rc = find_hash(blt, prefix, len, &w);
	uint8_t *key;

	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	key = malloc(len + w.len + 1);
	if (key) {
		if (len)
			memcpy(key, prefix, len);
		memcpy(key + len, w.name, w.len);
		*ret_key = key;
		*ret_len = len + w.len;
	}
	free(w.name);
	return key ? 0 : -ENOMEM;
}

static int dirs_find_long(struct blt *blt, const void *prefix, size_t len,
			  const struct keyhash *hash, uint8_t **ret_comp,
			  size_t *ret_len)
{
	struct wanted w = { .hash = hash, .is_dir = true };
	int rc = find_hash(blt, prefix, len, &w);

	if (rc > 0) {
		*ret_comp = w.name;
		*ret_len = w.len;
	}
	return rc;
}

const struct backend_dirs lmdb_dirs = {
	.start = dirs_start,
	.wait = dirs_wait,
	.wait_more = dirs_wait_more,
	.ready = dirs_wait,
	.complete = dirs_complete,
	.known = dirs_known,
	.find = dirs_find,
	.facts = dirs_facts,
	.find_key = dirs_find_key,
	.find_long = dirs_find_long,
	.list = dirs_list,
	.hold = dirs_hold,
	.order_count = lmdb_btree_count,
	.order_at = lmdb_btree_at,
	.order_find = lmdb_btree_find,
};

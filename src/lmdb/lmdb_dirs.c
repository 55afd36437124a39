/* Directories: nothing of them is kept (lmdb_dir_cursor.h) but the names of
 * sequences (lmdb_btree.h).  Entries are copied a page at a time, and handed
 * out with no transaction (ordered_dirs.h). */
#include "lmdb/lmdb_dir_cursor.h"
#include "lmdb/lmdb_btree.h"

#include "engine/cookie_cache.h"
#include "engine/ordered_dirs.h"

#include <errno.h>

/* Names that a directory is said to have, where it has more. */
#define ENOUGH 2

/* ---- the rows ---- */

static int dirs_start(struct blt *blt, bool flat)
{
	struct lmdb_store *store = lmdb_of(blt);
	int rc = 0;

	pthread_mutex_lock(&store->spare_lock);
	if (!store->cookies) {
		store->cookies = cookie_cache_new();
		store->flat = flat;
	}
	if (!store->cookies)
		rc = -ENOMEM;
	else if (store->flat != flat)
		rc = -EINVAL;
	pthread_mutex_unlock(&store->spare_lock);
	return rc;
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

/* ---- listing ---- */

static int add_entry(struct ordered_page *page,
		     const struct dir_cursor_entry *e)
{
	const struct ordered_name of = {
		.is_dir = e->is_dir,
		.conflict = e->conflict,
		.len = e->len,
		.stat = { .len = e->value_len,
			  .timestamp = BLT_NO_TIME,
			  .seen = e->seen },
	};

	return ordered_page_add(page, &of, e->name);
}

/* -ENOENT: there is no such directory. */
static int dirs_page(struct blt *blt, const void *prefix, size_t len,
		     const struct ordered_from *from, struct ordered_page *ret)
{
	struct dir_cursor_entry e;
	struct dir_cursor look;
	bool marked;
	int rc = dir_cursor_begin(&look, lmdb_of(blt), prefix, len), err = 0;

	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	if (!from->begun) {
		rc = dir_cursor_there(&look, &marked);
		rc = rc == 0 ? -ENOENT : rc;
	} else {
		rc = dir_cursor_from(&look, from->name, from->len,
				     from->is_dir);
		rc = rc == 0 ? 1 : rc;
	}
	while (rc > 0 && err == 0 && ret->n < ORDERED_PAGE)
		if ((rc = dir_cursor_next(&look, &e)) > 0)
			err = add_entry(ret, &e);
	dir_cursor_end(&look);
	return err < 0 ? err : rc;
}

static struct cookie_cache *cookies_of(struct blt *blt)
{
	return lmdb_of(blt)->cookies;
}

static const struct ordered_dirs ordered = { dirs_page, cookies_of };

const struct backend_dirs lmdb_dirs = {
	.start = dirs_start,
	.wait = ordered_wait,
	.wait_more = ordered_wait_more,
	.ready = ordered_wait,
	.complete = ordered_complete,
	.known = ordered_known,
	.find = dirs_find,
	.facts = dirs_facts,
	.find_key = ordered_find_key,
	.find_long = ordered_find_long,
	.list = ordered_list,
	.hold = ordered_hold,
	.order_count = lmdb_btree_count,
	.order_at = lmdb_btree_at,
	.order_find = lmdb_btree_find,
	.ordered = &ordered,
};

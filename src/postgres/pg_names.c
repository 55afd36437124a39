/* Directories: nothing of them is kept; what stands below a prefix stands side
 * by side in the index.
 *
 * A page of a listing is a range of keys at first.  Where most of these lie in
 * directories below, the server is asked for the names instead: it goes from
 * each to the first key behind its directory.
 *
 * "a" and "a/b" do not stand side by side ("a!" is between them): whether a key
 * is a directory, too, is told by the keys that follow it, and, at a page's
 * end, asked. */
#include "postgres/pg_store.h"

#include "base/util.h"
#include "booklet/format/marker.h"
#include "engine/cookie_cache.h"
#include "engine/ordered_dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 1000
/* Names that a directory is said to have, where it has more. */
#define ENOUGH 2

/* ---- one question ---- */

/* Keys from here on, and before there; a directory's names where prefix_len is
 * not 0. */
struct range {
	struct pg_store *store;
	const uint8_t *from, *end;
	size_t from_len, end_len;
	int64_t limit;
	size_t prefix_len;
};

static void fill_page(void *arg, struct pg_args *args)
{
	const struct range *r = arg;

	pg_args_int8(args, r->store->id);
	pg_args_bytes(args, r->from, r->from_len);
	pg_args_bytes(args, r->end, r->end_len);
	pg_args_int8(args, r->limit);
}

static void fill_names(void *arg, struct pg_args *args)
{
	const struct range *r = arg;

	fill_page(arg, args);
	pg_args_int4(args, (int32_t)r->prefix_len);
}

/* A sequence's mark has to be looked at. */
int pg_is_marker(struct pg_store *store, const uint8_t *key, size_t len,
		 uint64_t value_len)
{
	struct blt_view v;
	int rc;

	if (!len || key[len - 1] != '/')
		return 0;
	if (value_len != MARKER_SEQ_LEN)
		return value_len == 0;
	rc = pg_get(&store->face, key, len, &v);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = marker_is(key, len, v.data, v.len);
	blt_view_release(&v);
	return rc;
}

static bool is_key(const PGresult *res, int row, const void *key, size_t len)
{
	size_t n;
	const uint8_t *k = pg_bytes(res, row, PG_COL_KEY, &n);

	return compare_bytes(k, n, key, len) == 0;
}

/* ---- rows ---- */

static int dirs_start(struct blt *blt, bool flat)
{
	struct pg_store *store = pg_of(blt);
	int rc = 0;

	pthread_mutex_lock(&store->lock);
	if (!store->cookies) {
		store->cookies = cookie_cache_new();
		store->flat = flat;
	}
	if (!store->cookies)
		rc = -ENOMEM;
	else if (store->flat != flat)
		rc = -EINVAL;
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* The first two keys of a directory say whether it is there, is marked, and
 * has anything in it. */
static int first_rows(struct pg_store *store, const void *prefix, size_t len,
		      int64_t limit, PGresult **ret)
{
	struct range r = {
		.store = store, .from = prefix, .from_len = len, .limit = limit
	};
	uint8_t *end;
	int rc;

	if (len > PG_KEY_MAX)
		return -ENOENT;
	rc = pg_end_of(prefix, len, &end, &r.end_len);
	if (rc < 0)
		return rc;
	r.end = end;
	rc = pg_ask(store, PG_PAGE, fill_page, &r, ret);
	free(end);
	return rc;
}

static int dirs_find(struct blt *blt, const void *prefix, size_t len,
		     bool *ret_marked)
{
	PGresult *res;
	int rc = first_rows(pg_of(blt), prefix, len, 1, &res);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (PQntuples(res) == 0) {
		*ret_marked = false;
		rc = len == 0;
	} else if (is_key(res, 0, prefix, len)) {
		rc = pg_is_marker(pg_of(blt), prefix, len,
				  (uint64_t)pg_int8(res, 0, PG_COL_LEN));
		*ret_marked = rc > 0;
		/* a key that is no marker stands in it */
		rc = rc < 0 ? rc : 1;
	} else {
		*ret_marked = false;
		rc = 1;
	}
	PQclear(res);
	return rc;
}

static int dirs_facts(struct blt *blt, const void *prefix, size_t len,
		      struct blt_dir_facts *ret)
{
	struct blt_dir_facts facts = { 0 };
	PGresult *res;
	int rc = first_rows(pg_of(blt), prefix, len, ENOUGH + 1, &res), row = 0;

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (PQntuples(res) && is_key(res, 0, prefix, len)) {
		rc = pg_is_marker(pg_of(blt), prefix, len,
				  (uint64_t)pg_int8(res, 0, PG_COL_LEN));
		facts.marked = rc > 0;
		row = facts.marked;
	}
	for (; row < PQntuples(res); row++) {
		size_t n;
		const uint8_t *k = pg_bytes(res, row, PG_COL_KEY, &n);

		facts.entries++;
		facts.subdirs += memchr(k + len, '/', n - len) != NULL;
	}
	facts.entries = min_u64(facts.entries, ENOUGH);
	facts.subdirs = min_u64(facts.subdirs, facts.entries);
	if (rc == 0 || facts.marked)
		rc = len == 0 || PQntuples(res) > 0;
	PQclear(res);
	if (rc > 0)
		*ret = facts;
	return rc;
}

/* ---- a page ---- */

struct page {
	struct pg_store *store;
	const uint8_t *prefix;
	size_t len;
	bool flat;
	PGresult *res;
	int n;     /* rows */
	bool more; /* there may be some behind them */
	struct ordered_page *to;
};

/* The component of a row's key, which is a directory's up to a '/'. */
static const uint8_t *component(const struct page *p, int row, size_t *ret_len,
				bool *ret_is_dir)
{
	size_t n;
	const uint8_t *k = pg_bytes(p->res, row, PG_COL_KEY, &n);
	const uint8_t *name = k + p->len, *slash;

	n -= p->len;
	slash = n && !p->flat ? memchr(name, '/', n) : NULL;
	*ret_is_dir = slash;
	*ret_len = slash ? (size_t)(slash - name) : n;
	return name;
}

/* Whether the key of a row is a directory, too: 1, 0 or negative. */
static int has_dir_beside(const struct page *p, int row)
{
	size_t len, n;
	const uint8_t *key = pg_bytes(p->res, row, PG_COL_KEY, &len), *k;
	uint8_t prefix[PG_KEY_MAX + 1];
	bool marked;

	if (p->flat || len == 0 || len >= PG_KEY_MAX)
		return 0;
	for (int i = row + 1; i < p->n; i++) {
		k = pg_bytes(p->res, i, PG_COL_KEY, &n);
		if (n <= len || memcmp(k, key, len) != 0 || k[len] > '/')
			return 0;
		if (k[len] == '/')
			return 1;
	}
	if (!p->more)
		return 0;
	memcpy(prefix, key, len);
	prefix[len] = '/';
	return dirs_find(&p->store->face, prefix, len + 1, &marked);
}

static int add_file(struct page *p, int row, const uint8_t *name, size_t len)
{
	struct ordered_name e = {
		.len = len,
		.stat = { .len = (uint64_t)pg_int8(p->res, row, PG_COL_LEN),
			  .timestamp = pg_int8(p->res, row, PG_COL_TIME),
			  .token = (uint64_t)pg_int8(p->res, row, PG_COL_VER) },
	};
	int rc = has_dir_beside(p, row);

	if (rc < 0)
		return rc;
	e.conflict = rc;
	return ordered_page_add(p->to, &e, name);
}

static int add_dir(struct page *p, int row, const uint8_t *name, size_t len)
{
	struct ordered_name e = { .is_dir = true, .len = len };
	size_t key_len;
	const uint8_t *key = pg_bytes(p->res, row, PG_COL_KEY, &key_len);
	int rc = 0;

	if (key_len == p->len + len + 1)
		rc = pg_is_marker(p->store, key, key_len,
				  (uint64_t)pg_int8(p->res, row, PG_COL_LEN));
	if (rc > 0)
		e.stat.timestamp = pg_int8(p->res, row, PG_COL_TIME);
	return rc < 0 ? rc : ordered_page_add(p->to, &e, name);
}

static bool is_last(const struct page *p, const uint8_t *name, size_t len)
{
	const struct ordered_page *to = p->to;
	const struct ordered_name *e = to->n ? &to->name[to->n - 1] : NULL;

	return e && e->is_dir && e->len == len &&
	       memcmp(to->bytes + e->at, name, len) == 0;
}

static int add_row(struct page *p, int row)
{
	bool is_dir;
	size_t len, key_len;
	const uint8_t *name = component(p, row, &len, &is_dir);
	const uint8_t *key = pg_bytes(p->res, row, PG_COL_KEY, &key_len);
	int rc;

	if (is_dir)
		return is_last(p, name, len) ? 0 : add_dir(p, row, name, len);
	if (len == 0 && p->len) {
		rc = pg_is_marker(p->store, key, key_len,
				  (uint64_t)pg_int8(p->res, row, PG_COL_LEN));
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return add_file(p, row, name, len);
}

/* Where a page begins that goes on behind a name. */
static size_t go_behind(uint8_t *to, const void *prefix, size_t len,
			const struct ordered_from *from)
{
	if (len)
		memcpy(to, prefix, len);
	if (!from->begun)
		return len;
	if (from->len)
		memcpy(to + len, from->name, from->len);
	to[len + from->len] = from->is_dir ? '/' + 1 : 0;
	return len + from->len + 1;
}

static int ask_page(struct page *p, const struct ordered_from *from, bool names)
{
	uint8_t start[PG_KEY_MAX + BLT_KEY_MAX + 2], *end;
	struct range r = {
		.store = p->store,
		.from = start,
		.from_len = go_behind(start, p->prefix, p->len, from),
		.limit = PAGE,
		.prefix_len = p->len,
	};
	int rc = pg_end_of(p->prefix, p->len, &end, &r.end_len);

	if (rc < 0)
		return rc;
	r.end = end;
	PQclear(p->res);
	p->res = NULL;
	rc = pg_ask(p->store, names ? PG_NAMES : PG_PAGE,
		    names ? fill_names : fill_page, &r, &p->res);
	free(end);
	if (rc == 0) {
		p->n = PQntuples(p->res);
		p->more = p->n == PAGE;
	}
	return rc;
}

static int take_page(struct page *p)
{
	int rc = 0;

	p->to->n = p->to->len = 0;
	for (int row = 0; rc == 0 && row < p->n; row++)
		rc = add_row(p, row);
	return rc;
}

static int dirs_page(struct blt *blt, const void *prefix, size_t len,
		     const struct ordered_from *from, struct ordered_page *ret)
{
	struct page p = { .store = pg_of(blt),
			  .prefix = prefix,
			  .len = len,
			  .flat = pg_of(blt)->flat,
			  .to = ret };
	bool there;
	int rc;

	if (len > PG_KEY_MAX)
		return -ENOENT;
	rc = ask_page(&p, from, false);
	if (rc == 0)
		rc = take_page(&p);
	/* Most of what was read lies deeper: names alone. */
	if (rc == 0 && p.more && ret->n < PAGE / 4) {
		rc = ask_page(&p, from, true);
		if (rc == 0)
			rc = take_page(&p);
	}
	there = p.n > 0;
	PQclear(p.res);
	if (rc < 0)
		return rc;
	if (!there && !from->begun && len)
		return -ENOENT;
	return p.more;
}

/* ---- listings ---- */

static struct cookie_cache *cookies_of(struct blt *blt)
{
	return pg_of(blt)->cookies;
}

static const struct ordered_dirs ordered = { dirs_page, cookies_of };

/* ---- the table ---- */

const struct backend_dirs pg_dirs = {
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
	.order_count = pg_order_count,
	.order_at = pg_order_at,
	.order_find = pg_order_find,
	.ordered = &ordered,
};

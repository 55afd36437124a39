/* Walks, in the order of the keys, a page at a time.
 *
 * blt_iter_open's shows the store as it was when it began: it keeps a
 * connection with a transaction of the level REPEATABLE READ, and when that
 * breaks the walk is -EIO.  An ordered walk asks for each page as the store is
 * then, over whatever connection there is, and so outlives a server that is
 * restarted. */
#include "postgres/pg_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 1000
#define PAGE_BYTES (16u << 10) /* a longer value is read by itself */

struct walk {
	struct blt_iter face;
	struct pg_store *store;
	struct pg_conn *conn; /* of the snapshot; NULL: none */
	bool values;
	PGresult *page;
	int row;
	bool last; /* there is no page behind this one */
	struct blt_view view;
	uint8_t *end;
	size_t end_len;
	size_t from_len; /* the next page begins here */
	uint8_t from[PG_KEY_MAX + 1];
};

int pg_end_of(const void *prefix, size_t len, uint8_t **ret, size_t *ret_len)
{
	uint8_t *end = malloc(max_u64(len, PG_KEY_MAX + 1));

	if (!end)
		return -ENOMEM;
	if (len)
		memcpy(end, prefix, len);
	while (len && end[len - 1] == 0xff)
		len--;
	if (len) {
		end[len - 1]++;
	} else {
		len = PG_KEY_MAX + 1;
		memset(end, 0xff, len);
	}
	*ret = end;
	*ret_len = len;
	return 0;
}

static int try_begin(void *arg, struct pg_conn *c, int64_t until)
{
	struct pg_turn t;

	(void)arg;
	pg_turn_begin(&t, c, until);
	pg_turn_args(&t);
	pg_turn_add(&t, PG_BEGIN_SNAPSHOT);
	pg_turn_add(&t, PG_SNAPSHOT); /* from here on it is fixed */
	pg_turn_send(&t);
	(void)pg_turn_done(&t, NULL);
	(void)pg_turn_done(&t, NULL);
	return pg_turn_end(&t);
}

/* A connection of its own, out of the pool until the walk's end. */
static int begin_snapshot(struct walk *w)
{
	int64_t until = steady_us() + (int64_t)w->store->url.timeo * 1000000;
	int rc = -ERESTART;

	for (int tries = 0; rc == -ERESTART && tries < 3; tries++) {
		rc = pg_pool_take(&w->store->pool, until, &w->conn);
		if (rc < 0)
			break;
		rc = try_begin(w, w->conn, until);
		if (rc < 0) {
			pg_pool_give(&w->store->pool, w->conn);
			w->conn = NULL;
		}
	}
	return rc == -ERESTART ? -EIO : rc;
}

static int walk_new(struct blt *blt, const void *prefix, size_t len,
		    struct walk **ret)
{
	struct walk *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->face.store = blt;
	w->store = pg_of(blt);
	w->values = true;
	w->last = len > PG_KEY_MAX; /* nothing begins with that */
	len = w->last ? 0 : len;
	rc = pg_end_of(prefix, len, &w->end, &w->end_len);
	if (rc < 0) {
		free(w);
		return rc;
	}
	if (len)
		memcpy(w->from, prefix, len);
	w->from_len = len;
	*ret = w;
	return 0;
}

int pg_iter_open(struct blt *blt, const struct blt_iter_options *opts,
		 struct blt_iter **ret)
{
	struct walk *w;
	int rc = walk_new(blt, opts ? opts->prefix : NULL,
			  opts ? opts->prefix_len : 0, &w);

	if (rc < 0)
		return rc;
	w->values = !opts || !opts->no_values;
	rc = begin_snapshot(w);
	if (rc < 0) {
		pg_iter_free(&w->face);
		return rc;
	}
	*ret = &w->face;
	return 0;
}

/* The least key behind this one. */
static void go_behind(struct walk *w, const void *key, size_t len)
{
	len = min_u64(len, PG_KEY_MAX);
	if (len)
		memcpy(w->from, key, len);
	w->from[len] = 0;
	w->from_len = len + 1;
}

int pg_iter_ordered(struct blt *blt, const void *after, size_t after_len,
		    struct blt_iter **ret)
{
	struct walk *w;
	int rc = walk_new(blt, NULL, 0, &w);

	if (rc < 0)
		return rc;
	if (after)
		go_behind(w, after, after_len);
	*ret = &w->face;
	return 0;
}

void pg_iter_free(struct blt_iter *face)
{
	struct walk *w = (struct walk *)(void *)face;

	blt_view_release(&w->view);
	PQclear(w->page);
	if (w->conn)
		pg_pool_give(&w->store->pool, w->conn);
	free(w->end);
	free(w);
}

/* ---- pages ---- */

static void fill_page(void *arg, struct pg_args *args)
{
	const struct walk *w = arg;

	pg_args_int8(args, w->store->id);
	pg_args_bytes(args, w->from, w->from_len);
	pg_args_bytes(args, w->end, w->end_len);
	pg_args_int8(args, PAGE);
	if (w->values)
		pg_args_int8(args, PAGE_BYTES);
}

static int ask(struct walk *w, enum pg_statement s, pg_fill_fn *fill, void *arg,
	       PGresult **ret)
{
	struct pg_turn t;
	int rc;

	if (!w->conn)
		return pg_ask(w->store, s, fill, arg, ret);
	pg_turn_begin(&t, w->conn,
		      steady_us() + (int64_t)w->store->url.timeo * 1000000);
	fill(arg, pg_turn_args(&t));
	pg_turn_add(&t, s);
	pg_turn_send(&t);
	(void)pg_turn_result(&t, ret);
	rc = pg_turn_end(&t);
	return rc == -ERESTART ? -EIO : rc;
}

static int next_page(struct walk *w)
{
	int rc;

	PQclear(w->page);
	w->page = NULL;
	w->row = 0;
	rc = ask(w, w->values ? PG_PAGE_VALUES : PG_PAGE, fill_page, w,
		 &w->page);
	if (rc < 0)
		return rc;
	w->last = PQntuples(w->page) < PAGE;
	if (!w->last) {
		size_t len;
		const uint8_t *key = pg_bytes(w->page, PAGE - 1, 0, &len);

		go_behind(w, key, len);
	}
	return 0;
}

/* A long value; 0: the key has gone, where there is no snapshot. */
static int view_alone(struct walk *w, const uint8_t *key, size_t len)
{
	struct pg_row row = { w->store, key, len };
	PGresult *res;
	int rc;

	if (!w->conn) {
		rc = pg_get(&w->store->face, key, len, &w->view);
		return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
	}
	rc = ask(w, PG_GET, pg_fill_row, &row, &res);
	if (rc < 0)
		return rc;
	rc = PQntuples(res) ? pg_view_of_row(w->store, res, 0, &w->view) : -EIO;
	PQclear(res);
	return rc == -ESTALE ? -EIO : rc < 0 ? rc : 1;
}

static int take_row(struct walk *w, struct blt_item *ret)
{
	const int row = w->row++;
	struct blt_item item = {
		.timestamp = pg_int8(w->page, row, PG_COL_TIME),
		.value_len = (size_t)pg_int8(w->page, row, PG_COL_LEN),
		.value_offset = (uint64_t)pg_int8(w->page, row, PG_COL_VER),
	};
	int rc;

	item.key = pg_bytes(w->page, row, PG_COL_KEY, &item.key_len);
	if (w->values && item.value_len <= PAGE_BYTES &&
	    PQgetisnull(w->page, row, PG_COL_BLOB)) {
		size_t len;

		item.value = pg_bytes(w->page, row, PG_COL_V, &len);
		if (len != item.value_len)
			return -EUCLEAN;
	} else if (w->values) {
		rc = view_alone(w, item.key, item.key_len);
		if (rc <= 0)
			return rc;
		item.value = w->view.data;
		item.value_len = w->view.len;
		item.timestamp = w->view.timestamp;
		item.value_offset = w->view.offset;
	}
	*ret = item;
	return 1;
}

int pg_iter_next(struct blt_iter *face, struct blt_item *ret)
{
	struct walk *w = (struct walk *)(void *)face;
	int rc = 0;

	blt_view_release(&w->view);
	w->view = (struct blt_view){ 0 };
	while (rc == 0) {
		if (!w->page || w->row == PQntuples(w->page)) {
			if (w->last)
				return 0;
			rc = next_page(w);
			if (rc < 0)
				return rc;
			if (PQntuples(w->page) == 0)
				return 0;
		}
		rc = take_row(w, ret);
	}
	return rc;
}

/* Reading keys. */
#include "lmdb/lmdb_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One key, read in a guarded function (lmdb_guard), which returns 0 and leaves
 * its result in rc. */
struct reading {
	struct lmdb_read r;
	const void *key;
	size_t len;
	struct blt_view *view;
	void *copy; /* copy_len bytes, for the view; freed on failure */
	size_t copy_len;
	struct blt_stat *stat;
	void *to; /* n bytes from offset on; n becomes how many there are */
	size_t n;
	uint64_t offset;
	int rc;
};

/* As long as the reading lasts. */
static int find_value(struct reading *o, MDB_val *ret)
{
	struct lmdb_place at;
	int rc = lmdb_find_place(o->r.store, o->key, o->len, &at, NULL);

	return rc < 0 ? rc : lmdb_error(lmdb_value(o->r.txn, &at, ret));
}

static int copy_view(struct reading *o, const MDB_val *value)
{
	uint64_t token;

	o->copy_len = value->mv_size;
	o->copy = lmdb_alloc(o->r.store, value->mv_size);
	if (!o->copy)
		return -ENOMEM;
	memcpy(o->copy, value->mv_data, value->mv_size);
	token = lmdb_token(value);
	*o->view = (struct blt_view){
		.data = o->copy,
		.len = value->mv_size,
		.fd = -1,
		.offset = token,
		.timestamp = BLT_NO_TIME,
		.hold = o->copy,
		.engine = &lmdb_backend,
	};
	return 0;
}

static int run_get(void *arg)
{
	struct reading *o = arg;
	MDB_val value;

	o->rc = find_value(o, &value);
	if (o->rc == 0)
		o->rc = copy_view(o, &value);
	return 0;
}

static int run_get_part(void *arg)
{
	struct reading *o = arg;
	MDB_val value;
	size_t left;

	o->rc = find_value(o, &value);
	if (o->rc < 0)
		return 0;
	left = o->offset < value.mv_size ? value.mv_size - (size_t)o->offset :
					   0;
	o->n = o->n < left ? o->n : left;
	if (o->n)
		memcpy(o->to, (const uint8_t *)value.mv_data + o->offset, o->n);
	return 0;
}

static int run_stat(void *arg)
{
	struct reading *o = arg;
	MDB_val value;

	o->rc = find_value(o, &value);
	if (o->rc == 0)
		*o->stat = (struct blt_stat){
			.len = value.mv_size,
			.timestamp = BLT_NO_TIME,
			.seen = lmdb_seen(&o->r, o->key, o->len, &value),
		};
	return 0;
}

static int read_guarded(struct reading *o, int (*fn)(void *arg))
{
	int rc;

	o->copy = NULL;
	rc = lmdb_error(lmdb_guard(o->r.store, fn, o));
	if (rc == 0)
		return o->rc;
	lmdb_free(o->copy, o->copy_len);
	return rc;
}

static int read_one(struct blt *blt, struct reading *o, int (*fn)(void *arg))
{
	int rc = lmdb_read_begin(lmdb_of(blt), &o->r);

	if (rc < 0)
		return rc;
	rc = read_guarded(o, fn);
	lmdb_read_end(&o->r);
	return rc;
}

int lmdb_get(struct blt *blt, const void *key, size_t len, struct blt_view *ret)
{
	struct reading o = { .key = key, .len = len, .view = ret };

	return read_one(blt, &o, run_get);
}

int64_t lmdb_get_part(struct blt *blt, const void *key, size_t len, void *to,
		      size_t n, uint64_t offset)
{
	struct reading o = {
		.key = key, .len = len, .to = to, .n = n, .offset = offset
	};
	int rc = read_one(blt, &o, run_get_part);

	return rc < 0 ? rc : (int64_t)o.n;
}

int lmdb_stat_key(struct blt *blt, const void *key, size_t len,
		  struct blt_stat *ret)
{
	struct reading o = { .key = key, .len = len, .stat = ret };

	return read_one(blt, &o, run_stat);
}

size_t lmdb_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
		     struct blt_view *ret, int *ret_result)
{
	struct reading o = { .key = NULL };
	size_t found = 0;
	int rc = lmdb_read_begin(lmdb_of(blt), &o.r);

	for (size_t i = 0; i < n; i++) {
		o.key = keys[i].bytes;
		o.len = keys[i].len;
		o.view = &ret[i];
		ret_result[i] = rc < 0 ? rc : read_guarded(&o, run_get);
		found += ret_result[i] == 0;
	}
	if (rc == 0)
		lmdb_read_end(&o.r);
	return found;
}

void lmdb_view_release(struct blt_view *view)
{
	lmdb_free(view->hold, view->len);
	view->hold = NULL;
}

/* ---- the iterator ---- */

struct iter {
	struct blt_iter face;
	struct lmdb_walk *walk;
};

int lmdb_iter_open(struct blt *blt, const struct blt_iter_options *opts,
		   struct blt_iter **ret)
{
	struct iter *it = calloc(1, sizeof(*it));
	int rc;

	if (!it)
		return -ENOMEM;
	it->face.store = blt;
	rc = lmdb_walk_new(lmdb_of(blt), opts ? opts->prefix : NULL,
			   opts ? opts->prefix_len : 0,
			   !opts || !opts->no_values, &it->walk);
	if (rc < 0) {
		free(it);
		return rc;
	}
	*ret = &it->face;
	return 0;
}

int lmdb_iter_ordered(struct blt *blt, const void *after, size_t after_len,
		      struct blt_iter **ret)
{
	struct blt_iter *it;
	int rc = lmdb_iter_open(blt, NULL, &it);

	if (rc == 0 && after) {
		rc = lmdb_walk_after(((struct iter *)(void *)it)->walk, after,
				     after_len);
		if (rc < 0)
			lmdb_iter_free(it);
	}
	if (rc == 0)
		*ret = it;
	return rc;
}

int lmdb_iter_next(struct blt_iter *face, struct blt_item *ret)
{
	struct iter *it = (struct iter *)(void *)face;
	struct lmdb_met m = { 0 };
	int rc = lmdb_walk_next(it->walk, &m);

	if (rc > 0)
		*ret = (struct blt_item){
			.key = m.key,
			.value = m.value,
			.key_len = m.key_len,
			.value_len = m.value_len,
			.timestamp = BLT_NO_TIME,
			.value_offset = m.token,
			.in_file = false,
		};
	return rc;
}

void lmdb_iter_free(struct blt_iter *face)
{
	struct iter *it = (struct iter *)(void *)face;

	lmdb_walk_free(it->walk);
	free(it);
}

/* Reading keys. */
#include "lmdb/lmdb_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_view(const MDB_val *value, struct blt_view *ret)
{
	uint8_t *copy = malloc(value->mv_size + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, value->mv_data, value->mv_size);
	*ret = (struct blt_view){
		.data = copy,
		.len = value->mv_size,
		.fd = -1,
		.offset = lmdb_token(value),
		.timestamp = BLT_NO_TIME,
		.hold = copy,
		.engine = &lmdb_backend,
	};
	return 0;
}

/* As long as the reading lasts. */
static int find_value(struct lmdb_read *r, const void *key, size_t len,
		      MDB_val *ret)
{
	struct lmdb_place at;
	int rc = lmdb_find_place(r->store, key, len, &at, NULL);

	return rc < 0 ? rc : lmdb_error(lmdb_value(r->txn, &at, ret));
}

static int get(struct lmdb_read *r, const void *key, size_t len,
	       struct blt_view *ret)
{
	MDB_val value;
	int rc = find_value(r, key, len, &value);

	return rc == 0 ? copy_view(&value, ret) : rc;
}

int lmdb_get(struct blt *blt, const void *key, size_t len, struct blt_view *ret)
{
	struct lmdb_read r;
	int rc = lmdb_read_begin(lmdb_of(blt), &r);

	if (rc < 0)
		return rc;
	rc = get(&r, key, len, ret);
	lmdb_read_end(&r);
	return rc;
}

int64_t lmdb_get_part(struct blt *blt, const void *key, size_t len, void *to,
		      size_t n, uint64_t offset)
{
	struct lmdb_read r;
	MDB_val value;
	int rc = lmdb_read_begin(lmdb_of(blt), &r);

	if (rc < 0)
		return rc;
	rc = find_value(&r, key, len, &value);
	if (rc == 0) {
		size_t left = offset < value.mv_size ?
				      value.mv_size - (size_t)offset :
				      0;

		n = n < left ? n : left;
		if (n)
			memcpy(to, (const uint8_t *)value.mv_data + offset, n);
	}
	lmdb_read_end(&r);
	return rc < 0 ? rc : (int64_t)n;
}

size_t lmdb_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
		     struct blt_view *ret, int *ret_result)
{
	struct lmdb_read r;
	size_t found = 0;
	int rc = lmdb_read_begin(lmdb_of(blt), &r);

	for (size_t i = 0; i < n; i++) {
		ret_result[i] =
			rc < 0 ? rc :
				 get(&r, keys[i].bytes, keys[i].len, &ret[i]);
		found += ret_result[i] == 0;
	}
	if (rc == 0)
		lmdb_read_end(&r);
	return found;
}

void lmdb_view_release(struct blt_view *view)
{
	free(view->hold);
	view->hold = NULL;
}

int lmdb_stat_key(struct blt *blt, const void *key, size_t len,
		  struct blt_stat *ret)
{
	struct lmdb_read r;
	MDB_val value;
	int rc = lmdb_read_begin(lmdb_of(blt), &r);

	if (rc < 0)
		return rc;
	rc = find_value(&r, key, len, &value);
	if (rc == 0)
		*ret = (struct blt_stat){ value.mv_size, BLT_NO_TIME };
	lmdb_read_end(&r);
	return rc;
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

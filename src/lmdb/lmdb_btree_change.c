/* What a transaction changes is noted key by key, and the orders are told of it
 * once it is committed. */
#include "lmdb/lmdb_btree.h"

#include "booklet/format/marker.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void lmdb_btrees_begin(struct lmdb_store *store, MDB_txn *txn)
{
	struct lmdb_btrees *orders = store->orders;

	orders->writing = mdb_txn_id(txn);
	orders->lost = false;
	orders->n_touched = orders->len = 0;
	if (orders->txn == orders->writing - 1)
		return;
	pthread_rwlock_wrlock(&orders->lock);
	lmdb_btrees_follow(orders, orders->writing - 1);
	pthread_rwlock_unlock(&orders->lock);
}

static int make_room(struct lmdb_btrees *orders, size_t len)
{
	int rc = ARRAY_ROOM(orders->touched, orders->touched_room,
			    orders->n_touched + 1);

	return rc < 0 ? rc :
			ARRAY_ROOM(orders->bytes, orders->bytes_room,
				   orders->len + len);
}

/* A key below an order's prefix. */
static void touch(struct lmdb_btrees *orders, struct lmdb_order *o,
		  const uint8_t *key, size_t len)
{
	const uint8_t *slash = memchr(key + o->len, '/', len - o->len);
	struct touched *t;

	if (slash)
		len = (size_t)(slash - key) + 1;
	if (make_room(orders, len) < 0) {
		orders->lost = true;
		return;
	}
	t = &orders->touched[orders->n_touched++];
	*t = (struct touched){ o, orders->len, len, slash != NULL, false };
	memcpy(orders->bytes + orders->len, key, len);
	orders->len += len;
}

void lmdb_btrees_note(struct lmdb_store *store, const void *key, size_t len)
{
	struct lmdb_btrees *orders = store->orders;
	const uint8_t *bytes = key;

	for (size_t i = 0; i < len && orders->n > 0; i++) {
		struct lmdb_order *o =
			bytes[i] == '/' ? lmdb_btree_of(orders, key, i + 1) :
					  NULL;

		if (o)
			touch(orders, o, bytes, len);
	}
}

/* Whether a key begins with these bytes: 1, 0, negative. */
static int any_below(struct lmdb_store *store, MDB_txn *txn,
		     const uint8_t *prefix, size_t len)
{
	size_t own;
	const struct lmdb_db *db = lmdb_db_of(store, prefix, len, &own);
	MDB_val key = { len - own, (void *)(uintptr_t)(prefix + own) }, value;
	MDB_cursor *c;
	int rc = mdb_cursor_open(txn, db->dbi, &c);

	if (rc)
		return lmdb_error(rc);
	rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
	if (rc == 0 && (key.mv_size < len - own ||
			memcmp(key.mv_data, prefix + own, len - own) != 0))
		rc = MDB_NOTFOUND;
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc ? lmdb_error(rc) : 1;
}

/* Whether there is a key, and it is no marker: the same. */
static int is_file(struct lmdb_store *store, MDB_txn *txn, const uint8_t *key,
		   size_t len)
{
	struct lmdb_place at;
	MDB_val value;
	int rc;

	if (lmdb_find_place(store, key, len, &at, NULL) < 0)
		return 0;
	rc = lmdb_value(txn, &at, &value);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : lmdb_error(rc);
	return !marker_is(key, len, value.mv_data, value.mv_size);
}

void lmdb_btrees_look(struct lmdb_store *store, MDB_txn *txn)
{
	struct lmdb_btrees *orders = store->orders;

	for (size_t i = 0; i < orders->n_touched && !orders->lost; i++) {
		struct touched *t = &orders->touched[i];
		const uint8_t *key = orders->bytes + t->at;
		int rc = t->is_dir ? any_below(store, txn, key, t->len) :
				     is_file(store, txn, key, t->len);

		t->there = rc > 0;
		orders->lost = rc < 0;
	}
}

void lmdb_btrees_apply(struct lmdb_store *store)
{
	struct lmdb_btrees *orders = store->orders;

	pthread_rwlock_wrlock(&orders->lock);
	for (size_t i = 0; i < orders->n_touched && !orders->lost; i++) {
		const struct touched *t = &orders->touched[i];
		const uint8_t *key = orders->bytes + t->at;

		if (lmdb_btree_tell(t->order, key + t->order->len,
				    t->len - t->order->len - t->is_dir,
				    t->is_dir, t->there) < 0)
			orders->lost = true;
	}
	if (orders->lost)
		lmdb_btrees_drop(orders);
	orders->txn = orders->writing;
	pthread_rwlock_unlock(&orders->lock);
}

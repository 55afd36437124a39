/* Reading the names of a directory, and what is asked of them (lmdb_btree.h).
 */
#include "lmdb/lmdb_btree.h"

#include "booklet/format/marker.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define TRIES 8     /* to read a directory that others change */
#define AT_ONCE 64u /* entries copied out of one */
#define CHUNK 4096u /* names read under one hold of the locks */

/* ---- reading a directory ---- */

struct build {
	struct lmdb_store *store;
	const uint8_t *prefix;
	size_t len;
	bool begun;
	/* the least key that is not read yet, in its database */
	size_t at_len;
	uint8_t at[2 * LMDB_KEY_MAX + 2];
};

/* Puts a key's name in; the least key behind it, or behind the directory that
 * the name is, is then what comes next. */
static int take(struct build *b, struct lmdb_order *o, const MDB_val *key,
		const MDB_val *value, size_t skip)
{
	const uint8_t *name = (const uint8_t *)key->mv_data + skip;
	size_t n = key->mv_size - skip;
	const uint8_t *slash = n > 0 ? memchr(name, '/', n) : NULL;

	b->at_len = slash ? skip + (size_t)(slash - name) : key->mv_size;
	memcpy(b->at, key->mv_data, b->at_len);
	b->at[b->at_len++] = slash ? '/' + 1 : '\0';
	if (n == 0 &&
	    marker_is(key->mv_data, skip, value->mv_data, value->mv_size))
		return 0;
	return lmdb_btree_tell(o, name, slash ? (size_t)(slash - name) : n,
			       slash != NULL, true);
}

/* 1: there are more; 0: the end. */
static int read_some(struct build *b, struct lmdb_order *o, MDB_txn *txn,
		     size_t max)
{
	size_t own;
	const struct lmdb_db *db =
		lmdb_db_of(b->store, b->prefix, b->len, &own);
	size_t skip = b->len - own;
	MDB_val key, value;
	MDB_cursor *c;
	int rc;

	if (db->flags & (MDB_INTEGERKEY | MDB_DUPSORT) || skip == 0)
		return -ENOTSUP;
	if (skip > LMDB_KEY_MAX)
		return -ENOENT;
	rc = mdb_cursor_open(txn, db->dbi, &c);
	if (rc)
		return lmdb_error(rc);
	if (!b->begun) {
		b->at_len = skip;
		memcpy(b->at, b->prefix + own, skip);
	}
	for (size_t i = 0; i < max && rc == 0; i++) {
		key = (MDB_val){ b->at_len, b->at };
		rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
		if (rc == 0 &&
		    (key.mv_size < skip ||
		     memcmp(key.mv_data, b->prefix + own, skip) != 0))
			rc = MDB_NOTFOUND;
		if (rc == 0 && key.mv_size > LMDB_KEY_MAX)
			rc = MDB_CORRUPTED;
		if (rc == 0)
			rc = -take(b, o, &key, &value, skip);
		b->begun = b->begun || rc == 0;
	}
	mdb_cursor_close(c);
	if (rc == MDB_NOTFOUND)
		return b->begun ? 0 : -ENOENT;
	return rc ? lmdb_error(rc) : 1;
}

struct reading {
	struct build *b;
	struct lmdb_order *o;
	MDB_txn *txn;
	size_t max;
	int rc; /* of read_some */
};

static int run_read_some(void *arg)
{
	struct reading *s = arg;

	s->rc = read_some(s->b, s->o, s->txn, s->max);
	return 0;
}

/* 1: there are more; 0: it is complete; -EAGAIN: somebody else has changed the
 * environment meanwhile. */
static int build_some(struct build *b, size_t max)
{
	struct lmdb_btrees *orders = b->store->orders;
	struct lmdb_order *o;
	struct lmdb_read r;
	int rc;

	pthread_mutex_lock(&b->store->write);
	rc = lmdb_read_begin(b->store, &r);
	if (rc < 0)
		goto out;
	pthread_rwlock_wrlock(&orders->lock);
	lmdb_btrees_follow(orders, mdb_txn_id(r.txn));
	o = lmdb_btree_of(orders, b->prefix, b->len);
	if (!o && b->begun)
		rc = -EAGAIN;
	else if (!o)
		rc = (o = lmdb_btree_add(orders, b->prefix, b->len)) ? 0 :
								       -ENOMEM;
	if (rc == 0 && !o->complete) {
		struct reading s = { b, o, r.txn, max, 0 };

		rc = lmdb_error(lmdb_guard(b->store, run_read_some, &s));
		rc = rc < 0 ? rc : s.rc;
		o->complete = rc == 0;
		if (rc < 0)
			lmdb_btree_drop(orders, o);
	}
	pthread_rwlock_unlock(&orders->lock);
	lmdb_read_end(&r);
out:
	pthread_mutex_unlock(&b->store->write);
	return rc;
}

static int build(struct lmdb_store *store, const void *prefix, size_t len)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&store->orders->build);
	for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		struct build b = { .store = store,
				   .prefix = prefix,
				   .len = len };

		do
			/* in the end without a pause */
			rc = build_some(&b, i + 1 < TRIES ? CHUNK : SIZE_MAX);
		while (rc > 0);
	}
	pthread_mutex_unlock(&store->orders->build);
	return rc;
}

/* ---- questions ---- */

/* Whose state a reading would see that begins now. */
static int last_txn(struct lmdb_store *store, uint64_t *ret)
{
	struct lmdb_read r;
	int rc = lmdb_read_begin(store, &r);

	if (rc < 0)
		return rc;
	*ret = mdb_txn_id(r.txn);
	lmdb_read_end(&r);
	return 0;
}

/* The order of a directory as it was at a moment of the call, with lock held,
 * shared. */
static int enter(struct lmdb_store *store, const void *prefix, size_t len,
		 const struct counted_btree **ret)
{
	struct lmdb_btrees *orders = store->orders;
	uint64_t last;
	int rc = last_txn(store, &last);

	for (int i = 0; i < TRIES && rc == 0; i++) {
		const struct lmdb_order *o;

		pthread_rwlock_rdlock(&orders->lock);
		o = lmdb_btree_of(orders, prefix, len);
		if (o && o->complete && orders->txn >= last) {
			*ret = &o->names;
			return 0;
		}
		pthread_rwlock_unlock(&orders->lock);
		rc = build(store, prefix, len);
	}
	return rc < 0 ? rc : -EAGAIN;
}

int lmdb_btree_count(struct blt *blt, const void *prefix, size_t len,
		     uint64_t *ret)
{
	const struct counted_btree *names;
	int rc = enter(lmdb_of(blt), prefix, len, &names);

	if (rc < 0)
		return rc;
	*ret = btree_count(names);
	pthread_rwlock_unlock(&lmdb_of(blt)->orders->lock);
	return 0;
}

static int hand_over(const struct counted_btree *names,
		     const struct btree_entry *e, backend_order_fn *fn,
		     void *arg)
{
	struct backend_place place = { .is_dir = e->ref & REF_DIR };
	uint8_t buf[BTREE_HEAD];
	int rc = btree_name(names, e, buf, &place.comp, &place.comp_len);

	return rc < 0 ? rc : fn(arg, &place);
}

int lmdb_btree_at(struct blt *blt, const void *prefix, size_t len, uint64_t at,
		  uint64_t n, backend_order_fn *fn, void *arg)
{
	struct btree_entry e[AT_ONCE];
	const struct counted_btree *names;
	size_t had = AT_ONCE;
	int rc = enter(lmdb_of(blt), prefix, len, &names);

	if (rc < 0)
		return rc;
	while (rc == 0 && n > 0 && had > 0) {
		had = btree_at(names, at, e, n < AT_ONCE ? (size_t)n : AT_ONCE);
		for (size_t i = 0; i < had && rc == 0; i++)
			rc = hand_over(names, &e[i], fn, arg);
		at += had;
		n -= had;
	}
	pthread_rwlock_unlock(&lmdb_of(blt)->orders->lock);
	return rc;
}

int lmdb_btree_find(struct blt *blt, const void *prefix, size_t len,
		    const void *comp, size_t comp_len, uint64_t *ret)
{
	const struct counted_btree *names;
	int rc = enter(lmdb_of(blt), prefix, len, &names);

	if (rc < 0)
		return rc;
	rc = btree_find_name(names, comp, comp_len, ret);
	pthread_rwlock_unlock(&lmdb_of(blt)->orders->lock);
	return rc;
}

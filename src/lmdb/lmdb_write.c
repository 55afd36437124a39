/* Changing keys.  Every change is a transaction of LMDB's, a batch is one.
 *
 * A commit writes the new pages and waits for the disk to have them, then
 * writes which root counts (MDB_NOMETASYNC: that itself is left to the kernel).
 * So it survives this process at once; and the machine at the next commit or
 * sync, until when a crash leads back to the commit before, whole. */
#include "lmdb/lmdb_btree.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be written ---- */

static int find_writable(struct lmdb_store *store, const void *key, size_t len,
			 struct lmdb_place *ret)
{
	int why, rc;

	if (len > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	rc = lmdb_find_place(store, key, len, ret, &why);
	if (ret->self)
		return 0;
	return why < 0 ? why : rc;
}

int lmdb_key(struct blt *blt, const void *key, size_t len,
	     struct backend_key *ret)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct lmdb_place at;
	int rc;

	pthread_rwlock_rdlock(&store->lock);
	rc = find_writable(store, key, len, &at);
	pthread_rwlock_unlock(&store->lock);
	if (rc == 0)
		*ret = (struct backend_key){ .bytes = key, .len = len };
	return rc;
}

int lmdb_check_value(struct blt *blt, const void *value, size_t len)
{
	(void)value;
	return len > lmdb_of(blt)->value_max ? -EFBIG : 0;
}

/* ---- a batch ---- */

struct batch {
	struct lmdb_store *store;
	struct backend_op *first;
	bool changed; /* by this run */
};

static int place_of(struct batch *b, const struct backend_key *key,
		    struct lmdb_place *ret)
{
	return -find_writable(b->store, key->bytes, key->len, ret);
}

/* A database that was empty when it was opened may have keys by now, from
 * another process, of either width. */
static int check_width(MDB_txn *txn, const struct lmdb_place *at)
{
	MDB_val key, value;
	MDB_cursor *c;
	int rc;

	if (!(at->db->flags & MDB_INTEGERKEY))
		return 0;
	rc = mdb_cursor_open(txn, at->db->dbi, &c);
	if (rc)
		return rc;
	rc = mdb_cursor_get(c, &key, &value, MDB_FIRST);
	mdb_cursor_close(c);
	if (rc == 0 && key.mv_size != at->key.mv_size)
		return EROFS;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Whether a put finds the database that it was meant for. */
static int check_database(struct lmdb_store *store, MDB_txn *txn,
			  const struct lmdb_place *at)
{
	int rc = lmdb_db_there(store, txn, at->db);

	if (rc == 0 && store->searched && !at->db->name)
		rc = lmdb_gone_check(store, txn, &at->key);
	return rc ? rc : check_width(txn, at);
}

/* Room for a value, which stands there when it is filled.  A database needs no
 * marker to be there, and is no directory that could be removed. */
static int reserve(struct lmdb_store *store, MDB_txn *txn,
		   const struct lmdb_place *at, MDB_val *ret)
{
	MDB_val k = at->key;
	int rc;

	if (at->self)
		return ret->mv_size ? EINVAL : 0;
	/* a longer one that another program has put here, under another key */
	if (ret->mv_size > store->value_max)
		return EFBIG;
	if (ret->mv_size > store->put_max - store->n_put)
		return ENOMEM;
	store->n_put += ret->mv_size;
	rc = check_database(store, txn, at);
	return rc ? rc : mdb_put(txn, at->db->dbi, &k, ret, MDB_RESERVE);
}

static int set(struct lmdb_store *store, MDB_txn *txn,
	       const struct lmdb_place *at, const MDB_val *value)
{
	MDB_val v = { value->mv_size, NULL };
	int rc = reserve(store, txn, at, &v);

	if (rc == 0 && v.mv_size)
		memcpy(v.mv_data, value->mv_data, v.mv_size);
	return rc;
}

static int drop(MDB_txn *txn, const struct lmdb_place *at)
{
	MDB_val k = at->key;

	if (at->self)
		return EBUSY;
	return mdb_del(txn, at->db->dbi, &k, NULL);
}

static bool same_place(const struct backend_op *op)
{
	return op->key.len == op->to.len &&
	       memcmp(op->key.bytes, op->to.bytes, op->key.len) == 0;
}

/* From one place straight into the other: what is read stays where it is until
 * the next change. */
static int run_rename(struct lmdb_store *store, MDB_txn *txn,
		      const struct backend_op *op,
		      const struct lmdb_place *from,
		      const struct lmdb_place *to)
{
	MDB_val value, room;
	int rc = lmdb_value(txn, from, &value);

	if (rc || same_place(op))
		return rc;
	room.mv_size = value.mv_size;
	rc = reserve(store, txn, to, &room);
	if (rc == 0)
		rc = lmdb_value(txn, from, &value);
	if (rc == 0 && value.mv_size)
		memcpy(room.mv_data, value.mv_data, value.mv_size);
	return rc ? rc : drop(txn, from);
}

/* A copy: what stands in a page moves with the next change. */
static int copy_of(struct lmdb_store *store, MDB_txn *txn,
		   const struct lmdb_place *at, MDB_val *ret)
{
	MDB_val value;
	int rc = lmdb_value(txn, at, &value);
	void *copy;

	if (rc)
		return rc;
	copy = lmdb_alloc(store, value.mv_size);
	if (!copy)
		return ENOMEM;
	memcpy(copy, value.mv_data, value.mv_size);
	ret->mv_size = value.mv_size;
	ret->mv_data = copy;
	return 0;
}

static int run_exchange(struct lmdb_store *store, MDB_txn *txn,
			const struct lmdb_place *one,
			const struct lmdb_place *two)
{
	MDB_val a = { 0 }, b = { 0 };
	int rc = copy_of(store, txn, one, &a);

	if (rc == 0)
		rc = copy_of(store, txn, two, &b);
	if (rc == 0)
		rc = set(store, txn, one, &b);
	if (rc == 0)
		rc = set(store, txn, two, &a);
	lmdb_free(a.mv_data, a.mv_size);
	lmdb_free(b.mv_data, b.mv_size);
	return rc;
}

/* The value is read into its place. */
static int set_from(struct lmdb_store *store, MDB_txn *txn,
		    const struct lmdb_place *at,
		    const struct blt_source *source)
{
	MDB_val value = { source->len, NULL };
	int rc = at->self ? EINVAL : reserve(store, txn, at, &value);

	if (rc == 0 && source->len)
		rc = -source->read(source->arg, value.mv_data, source->len, 0);
	return rc;
}

/* LMDB makes no commit of nothing, and counts none. */
static bool changes(const struct backend_op *op, const struct lmdb_place *at)
{
	switch (op->kind) {
	case BACKEND_PUT:
	case BACKEND_DELETE:
	case BACKEND_DROP:
		return !at->self;
	case BACKEND_RENAME:
	case BACKEND_EXCHANGE:
		return !same_place(op);
	default:
		return false;
	}
}

/* In front of a change of the key: walks keep what it was. */
static int tell(struct lmdb_store *store, MDB_txn *txn,
		const struct backend_key *key, const struct lmdb_place *at,
		bool goes)
{
	int rc = lmdb_walks_tell(store, txn, key->bytes, key->len, at);

	lmdb_btrees_note(store, key->bytes, key->len);
	return rc ? rc :
		    lmdb_watch_note(store, txn, key->bytes, key->len, at, goes);
}

static int tell_all(struct batch *b, MDB_txn *txn, const struct backend_op *op,
		    const struct lmdb_place *at, const struct lmdb_place *to)
{
	bool goes = op->kind == BACKEND_DELETE || op->kind == BACKEND_DROP ||
		    op->kind == BACKEND_RENAME;
	int rc = tell(b->store, txn, &op->key, at, goes);

	if (rc == 0 &&
	    (op->kind == BACKEND_RENAME || op->kind == BACKEND_EXCHANGE))
		rc = tell(b->store, txn, &op->to, to, false);
	return rc;
}

static int run_op(struct batch *b, MDB_txn *txn, const struct backend_op *op)
{
	MDB_val value = { op->value_len, (void *)(uintptr_t)op->value };
	struct lmdb_place at, to;
	int rc;

	if (op->kind == BACKEND_CHECK)
		return -op->check(op->check_arg);
	if (op->kind == BACKEND_NOTE) {
		b->changed = true;
		return lmdb_run_note(b->store, txn, op);
	}
	rc = place_of(b, &op->key, &at);
	if (rc == 0 &&
	    (op->kind == BACKEND_RENAME || op->kind == BACKEND_EXCHANGE))
		rc = place_of(b, &op->to, &to);
	if (rc == 0 && changes(op, &at))
		rc = tell_all(b, txn, op, &at, &to);
	if (rc == 0 && (changes(op, &at) || op->kind == BACKEND_TOUCH))
		rc = lmdb_seen_note(b->store, op);
	if (rc)
		return rc;
	b->changed =
		b->changed || (op->kind != BACKEND_DROP && changes(op, &at));
	switch (op->kind) {
	case BACKEND_PUT:
		if (op->source.read)
			return set_from(b->store, txn, &at, &op->source);
		return set(b->store, txn, &at, &value);
	case BACKEND_DELETE:
		return drop(txn, &at);
	case BACKEND_DROP:
		rc = drop(txn, &at);
		b->changed = b->changed || rc == 0;
		return rc == MDB_NOTFOUND ? 0 : rc;
	case BACKEND_TOUCH:
		return lmdb_value(txn, &at, &value);
	case BACKEND_RENAME:
		return run_rename(b->store, txn, op, &at, &to);
	case BACKEND_EXCHANGE:
		return run_exchange(b->store, txn, &at, &to);
	case BACKEND_ABSENT:
		rc = lmdb_value(txn, &at, &value);
		return rc == 0 ? EEXIST : rc == MDB_NOTFOUND ? 0 : rc;
	case BACKEND_UNCHANGED:
	case BACKEND_ONLY_IF:
	case BACKEND_CHECK:
	case BACKEND_NOTE:
		break;
	}
	return EINVAL;
}

static int run_condition(struct batch *b, MDB_txn *txn, struct backend_op *op)
{
	struct lmdb_place at;
	MDB_val value;
	int rc;

	op->held = true;
	if (op->always)
		return 0;
	rc = place_of(b, &op->key, &at);
	if (rc == 0)
		rc = lmdb_value(txn, &at, &value);
	op->held = rc == 0 && lmdb_token(&value) == op->value_offset;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int run_ops(void *arg, MDB_txn *txn)
{
	struct batch *b = arg;
	bool held = true;
	int rc = 0;

	b->changed = false;
	for (struct backend_op *op = b->first; op && rc == 0; op = op->next) {
		if (op->kind == BACKEND_ONLY_IF) {
			rc = run_condition(b, txn, op);
			held = op->held;
		} else if (held) {
			rc = run_op(b, txn, op);
		}
	}
	return rc == 0 && !b->changed ? LMDB_NOTHING : rc;
}

int lmdb_commit(struct blt *blt, struct backend_op *first)
{
	struct batch b = { lmdb_of(blt), first, false };

	return lmdb_write(b.store, run_ops, &b);
}

/* ---- single changes ---- */

static int run_one(struct blt *blt, struct backend_op *op)
{
	op->next = NULL;
	return lmdb_commit(blt, op);
}

int lmdb_put(struct blt *blt, const void *key, size_t key_len,
	     const void *value, size_t value_len, int64_t timestamp)
{
	struct backend_op op = {
		.kind = BACKEND_PUT,
		.key = { .bytes = key, .len = key_len },
		.value = value,
		.value_len = value_len,
	};
	int rc = backend_time(blt, timestamp, &op.timestamp);

	if (rc == 0)
		rc = lmdb_check_value(blt, value, value_len);
	return rc < 0 ? rc : run_one(blt, &op);
}

int lmdb_delete(struct blt *blt, const void *key, size_t len)
{
	struct backend_op op = { .kind = BACKEND_DELETE,
				 .key = { .bytes = key, .len = len } };
	int rc = run_one(blt, &op);

	/* What no key can be is not there. */
	return rc == -EINVAL || rc == -ENAMETOOLONG ? -ENOENT : rc;
}

int lmdb_touch(struct blt *blt, const void *key, size_t len, int64_t timestamp)
{
	struct backend_op op = { .kind = BACKEND_TOUCH,
				 .key = { .bytes = key, .len = len } };
	int rc = backend_time(blt, timestamp, &op.timestamp);

	return rc < 0 ? rc : run_one(blt, &op);
}

/* Read straight into the pages. */
struct put_from {
	struct lmdb_store *store;
	struct backend_op op;
};

static int run_put_from(void *arg, MDB_txn *txn)
{
	struct put_from *p = arg;
	struct lmdb_place at;
	const struct backend_key *key = &p->op.key;
	int rc = -find_writable(p->store, key->bytes, key->len, &at);

	if (rc == 0)
		rc = tell(p->store, txn, key, &at, false);
	if (rc == 0)
		rc = lmdb_seen_note(p->store, &p->op);
	return rc ? rc : set_from(p->store, txn, &at, &p->op.source);
}

int lmdb_put_from(struct blt *blt, const void *key, size_t key_len,
		  const struct blt_source *source, int64_t timestamp)
{
	struct put_from p = { lmdb_of(blt),
			      { .kind = BACKEND_PUT,
				.key = { .bytes = key, .len = key_len },
				.source = *source } };
	int rc = backend_time(blt, timestamp, &p.op.timestamp);

	if (rc == 0 && source->len > p.store->value_max)
		rc = -EFBIG;
	if (rc == 0 && !blt->writable)
		rc = -EROFS;
	/* Not every source can be read once more. */
	if (rc == 0)
		rc = lmdb_make_room(p.store, source->len);
	return rc < 0 ? rc : lmdb_write(p.store, run_put_from, &p);
}

/* ---- making it last ---- */

/* Every commit has been handed to the kernel, or has failed. */
int lmdb_flush(struct blt *blt)
{
	(void)blt;
	return 0;
}

int lmdb_sync(struct blt *blt)
{
	struct lmdb_store *store = lmdb_of(blt);
	int rc;

	if (!blt->writable)
		return 0;
	/* what a change or sync, which has returned the error, left */
	if (atomic_load(&store->failed) && lmdb_heal(store) < 0)
		return -EIO;
	lmdb_long_begin(store);
	pthread_rwlock_rdlock(&store->lock);
	rc = store->env ? -lmdb_look_at_file(store, true) : EIO;
	if (rc == 0)
		rc = mdb_env_sync(store->env, 1);
	pthread_rwlock_unlock(&store->lock);
	lmdb_long_end(store);
	if (rc)
		atomic_store(&store->failed, -EIO);
	return lmdb_error(rc);
}

int lmdb_settle(struct blt *blt, bool idle)
{
	(void)idle;
	return lmdb_sync(blt);
}

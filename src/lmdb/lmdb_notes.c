/* Notes: a database of its own, LMDB_NOTES_DB, made with the first note.  The
 * unnamed database shows it to LMDB's other users, as any other; our own walks
 * and lookups do not meet it (lmdb_is_db). */
#include "lmdb/lmdb_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A key of another kind, or a database whose keys are numbers or doubled, takes
 * the place. */
static int open_handle(MDB_txn *txn, unsigned flags, MDB_dbi *ret)
{
	int rc = mdb_dbi_open(txn, LMDB_NOTES_DB, flags, ret);

	return rc == MDB_INCOMPATIBLE || rc == MDB_BAD_VALSIZE ? EEXIST : rc;
}

/* MDB_NOTFOUND: it is not there, whether there is a handle or not. */
static int open_db(MDB_txn *txn, MDB_dbi *ret)
{
	MDB_val key = { strlen(LMDB_NOTES_DB), (char[]){ LMDB_NOTES_DB } };
	MDB_val value;
	MDB_dbi main_db;
	int rc = mdb_dbi_open(txn, NULL, 0, &main_db);

	if (rc == 0)
		rc = mdb_get(txn, main_db, &key, &value);
	return rc ? rc : open_handle(txn, 0, ret);
}

struct noting {
	MDB_txn *txn;
	backend_note_fn *fn;
	void *arg;
	MDB_cursor *cursor;
	int ret; /* of fn */
};

static int run_notes(void *arg)
{
	struct noting *n = arg;
	MDB_val key, value;
	MDB_dbi dbi;
	int rc = open_db(n->txn, &dbi);

	if (rc == 0)
		rc = mdb_cursor_open(n->txn, dbi, &n->cursor);
	while (rc == 0 && n->ret == 0) {
		rc = mdb_cursor_get(n->cursor, &key, &value, MDB_NEXT);
		if (rc == 0)
			n->ret = n->fn(n->arg,
				       &(struct backend_note){
					       key.mv_data, key.mv_size,
					       value.mv_data, value.mv_size });
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* No other transaction may open a database meanwhile, so writers wait. */
int lmdb_notes(struct blt *blt, backend_note_fn *fn, void *arg)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct noting n = { .fn = fn, .arg = arg };
	struct lmdb_read r;
	int rc;

	pthread_mutex_lock(&store->write);
	rc = lmdb_read_begin(store, &r);
	if (rc == 0) {
		n.txn = r.txn;
		rc = lmdb_error(lmdb_guard(store, run_notes, &n));
		mdb_cursor_close(n.cursor);
		lmdb_read_end(&r); /* and the handle's */
	}
	pthread_mutex_unlock(&store->write);
	return rc < 0 ? rc : n.ret;
}

/* LMDB gives out the handle that it has without looking, and a put by that into
 * a database which another process has dropped is a fault of the memory. */
static int make_db(struct lmdb_store *store, MDB_txn *txn, MDB_dbi *ret)
{
	int rc = open_handle(txn, 0, ret);

	if (rc == MDB_NOTFOUND)
		return open_handle(txn, MDB_CREATE, ret);
	store->old_notes = *ret;
	return rc ? rc : LMDB_NOTES_GONE;
}

void lmdb_close_notes(struct lmdb_store *store)
{
	lmdb_lock_alone(store);
	if (store->env)
		mdb_dbi_close(store->env, store->old_notes);
	pthread_rwlock_unlock(&store->lock);
}

int lmdb_run_note(struct lmdb_store *store, MDB_txn *txn,
		  const struct backend_op *op)
{
	MDB_val key = { op->key.len, (void *)(uintptr_t)op->key.bytes };
	MDB_val to = { op->value_len, (void *)(uintptr_t)op->value }, is;
	MDB_dbi dbi;
	int rc = open_db(txn, &dbi);

	if (rc == MDB_NOTFOUND)
		rc = make_db(store, txn, &dbi);
	if (rc)
		return rc;
	rc = mdb_get(txn, dbi, &key, &is);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (op->to.bytes ?
		    rc != 0 || is.mv_size != op->to.len ||
			    memcmp(is.mv_data, op->to.bytes, is.mv_size) :
		    rc == 0)
		return ESTALE;
	if (op->value)
		return mdb_put(txn, dbi, &key, &to, 0);
	return rc == 0 ? mdb_del(txn, dbi, &key, NULL) : 0;
}

/* A lock on a part of the data file far behind its end, which LMDB, whose locks
 * are on another file, knows nothing of.  It is a new opening's own, so it ends
 * with the process, and holds against others of this process too. */
int lmdb_hold(struct blt *blt, uint64_t at, uint64_t n, int *ret_fd)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)((uint64_t)1 << 62 | at),
		.l_len = (off_t)n,
	};
	char path[64];
	int fd, rc;

	pthread_rwlock_rdlock(&store->lock);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", store->fd);
	fd = store->fd < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	rc = fd >= 0 ? 0 : store->fd < 0 ? -EIO : -errno;
	pthread_rwlock_unlock(&store->lock);
	if (rc < 0)
		return rc;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		rc = errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

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
static int open_db(MDB_txn *txn, unsigned flags, MDB_dbi *ret)
{
	int rc = mdb_dbi_open(txn, LMDB_NOTES_DB, flags, ret);

	return rc == MDB_INCOMPATIBLE || rc == MDB_BAD_VALSIZE ? EEXIST : rc;
}

static int each(MDB_txn *txn, MDB_dbi dbi, backend_note_fn *fn, void *arg,
		int *ret)
{
	MDB_val key, value;
	MDB_cursor *c;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc)
		return rc;
	while (*ret == 0 &&
	       (rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0)
		*ret = fn(arg, &(struct backend_note){ key.mv_data, key.mv_size,
						       value.mv_data,
						       value.mv_size });
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* No other transaction may open a database meanwhile, so writers wait. */
int lmdb_notes(struct blt *blt, backend_note_fn *fn, void *arg)
{
	struct lmdb_store *store = lmdb_of(blt);
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	int rc, ret = 0;

	pthread_mutex_lock(&store->write);
	pthread_rwlock_rdlock(&store->lock);
	rc = store->env ? mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn) :
			  EIO;
	if (rc == 0)
		rc = open_db(txn, 0, &dbi);
	if (rc == 0)
		rc = each(txn, dbi, fn, arg, &ret);
	/* The handle lasts where the transaction ends well. */
	if (txn && rc == 0)
		rc = mdb_txn_commit(txn);
	else if (txn)
		mdb_txn_abort(txn);
	pthread_rwlock_unlock(&store->lock);
	pthread_mutex_unlock(&store->write);
	if (rc == MDB_NOTFOUND)
		return 0;
	return rc ? lmdb_error(rc) : ret;
}

int lmdb_run_note(MDB_txn *txn, const struct backend_op *op)
{
	MDB_val key = { op->key.len, (void *)(uintptr_t)op->key.bytes };
	MDB_val to = { op->value_len, (void *)(uintptr_t)op->value }, is;
	MDB_dbi dbi;
	int rc = open_db(txn, MDB_CREATE, &dbi);

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
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	pthread_rwlock_unlock(&store->lock);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		rc = errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

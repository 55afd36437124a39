/* Transactions, and the size of the map.
 *
 * LMDB wants the map to stay as it is while this process has a transaction; so
 * each holds the store's lock shared, and whoever enlarges the map holds it
 * alone.  A reading that finds the map too small for what another process has
 * committed takes over that one's size; a writing that fills it doubles it and
 * starts anew.
 *
 * A transaction that has ended is reset and kept, with its slot in LMDB's table
 * of readers, for the next reading. */
#include "lmdb/lmdb_btree.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* The least by which the map grows. */
#define MAP_STEP ((size_t)16 << 20)

/* A disk with less than that left is full: what a filesystem takes at a time,
 * which it may refuse as a whole. */
#define NO_ROOM ((size_t)4 << 20)

int lmdb_error(int rc)
{
	switch (rc) {
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_PAGE_NOTFOUND:
	case MDB_CORRUPTED:
	case MDB_INVALID:
		return -EUCLEAN;
	case MDB_VERSION_MISMATCH:
		return -EPROTONOSUPPORT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_DBS_FULL:
		return -EMFILE;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_TXN_FULL:
		return -EFBIG;
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	case MDB_INCOMPATIBLE:
		return -EROFS;
	case MDB_BAD_DBI:
		return -ESTALE;
	}
	return rc > 0 ? -rc : rc < 0 ? -EIO : 0;
}

/* ---- the map ---- */

void lmdb_long_begin(struct lmdb_store *store)
{
	pthread_mutex_lock(&store->long_lock);
	store->n_long++;
	pthread_mutex_unlock(&store->long_lock);
}

void lmdb_long_end(struct lmdb_store *store)
{
	pthread_mutex_lock(&store->long_lock);
	store->n_long--;
	pthread_cond_broadcast(&store->long_end);
	pthread_mutex_unlock(&store->long_lock);
}

void lmdb_lock_alone(struct lmdb_store *store)
{
	pthread_mutex_lock(&store->long_lock);
	while (store->n_long)
		pthread_cond_wait(&store->long_end, &store->long_lock);
	pthread_rwlock_wrlock(&store->lock);
	pthread_mutex_unlock(&store->long_lock);
}

/* LMDB gives up the map that it has before it asks for another, and takes what
 * follows from its absence badly. */
static int try_room(size_t size)
{
	void *at;

	if (size == 0)
		return 0;
	at = mmap(NULL, size, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return errno;
	munmap(at, size);
	return 0;
}

/* There is no map any more, and nothing may be asked of LMDB without. */
static void give_up(struct lmdb_store *store)
{
	lmdb_drop_spares(store);
	mdb_env_close(store->env);
	store->env = NULL;
	store->fd = -1;
	atomic_store(&store->failed, -EIO);
}

/* size 0: that which another process has made of it. */
static int resize_map(struct lmdb_store *store, size_t size)
{
	int rc;

	lmdb_lock_alone(store);
	rc = store->env ? try_room(size) : EIO;
	if (rc == 0) {
		rc = mdb_env_set_mapsize(store->env, size);
		if (rc == ENOMEM)
			give_up(store);
	}
	pthread_rwlock_unlock(&store->lock);
	return rc;
}

/* What LMDB says of the environment it reads from the map. */
static int look_at_env(struct lmdb_store *store, MDB_envinfo *ret,
		       MDB_stat *ret_stat)
{
	int rc;

	pthread_rwlock_rdlock(&store->lock);
	rc = store->env ? mdb_env_info(store->env, ret) : EIO;
	if (rc == 0)
		rc = mdb_env_stat(store->env, ret_stat);
	pthread_rwlock_unlock(&store->lock);
	return rc;
}

static int enlarge_map(struct lmdb_store *store)
{
	MDB_envinfo info;
	MDB_stat st;
	int rc = look_at_env(store, &info, &st);

	if (rc)
		return rc;
	if (info.me_mapsize > SIZE_MAX / 4)
		return MDB_MAP_FULL;
	return resize_map(store, info.me_mapsize < MAP_STEP ?
					 MAP_STEP :
					 info.me_mapsize * 2);
}

int lmdb_make_room(struct lmdb_store *store, uint64_t len)
{
	MDB_envinfo info;
	MDB_stat st;
	uint64_t need, size;
	int rc = look_at_env(store, &info, &st);

	if (rc)
		return lmdb_error(rc);
	need = (info.me_last_pgno + 1) * (uint64_t)st.ms_psize + len + MAP_STEP;
	size = info.me_mapsize;
	while (size < need)
		size *= 2;
	if (size == info.me_mapsize)
		return 0;
	return lmdb_error(resize_map(store, (size_t)size));
}

/* ---- reading ---- */

static MDB_txn *take_spare(struct lmdb_store *store)
{
	MDB_txn *txn = NULL;

	pthread_mutex_lock(&store->spare_lock);
	if (store->n_spare)
		txn = store->spare[--store->n_spare];
	pthread_mutex_unlock(&store->spare_lock);
	return txn;
}

static bool keep_spare(struct lmdb_store *store, MDB_txn *txn)
{
	bool kept = false;

	pthread_mutex_lock(&store->spare_lock);
	if (store->n_spare < LMDB_SPARE) {
		store->spare[store->n_spare++] = txn;
		kept = true;
	}
	pthread_mutex_unlock(&store->spare_lock);
	return kept;
}

void lmdb_drop_spares(struct lmdb_store *store)
{
	MDB_txn *txn;

	while ((txn = take_spare(store)))
		mdb_txn_abort(txn);
}

static int begin(struct lmdb_store *store, MDB_txn **ret)
{
	MDB_txn *txn = take_spare(store);
	int rc, dead;

	if (!store->env)
		return EIO;
	if (txn) {
		rc = mdb_txn_renew(txn);
		if (rc == 0)
			*ret = txn;
		else
			mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, ret);
	/* Slots of processes that died are taken until somebody looks. */
	if (rc == MDB_READERS_FULL &&
	    mdb_reader_check(store->env, &dead) == 0 && dead > 0)
		rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, ret);
	return rc;
}

/* LMDB's codes. */
static int try_begin(struct lmdb_store *store, struct lmdb_read *ret)
{
	int rc;

	pthread_rwlock_rdlock(&store->lock);
	rc = begin(store, &ret->txn);
	if (rc)
		pthread_rwlock_unlock(&store->lock);
	ret->store = store;
	return rc;
}

int lmdb_read_begin(struct lmdb_store *store, struct lmdb_read *ret)
{
	int rc = try_begin(store, ret);

	while (rc == MDB_MAP_RESIZED) {
		rc = resize_map(store, 0);
		if (rc == 0)
			rc = try_begin(store, ret);
	}
	return lmdb_error(rc);
}

int lmdb_long_read_begin(struct lmdb_store *store, struct lmdb_read *ret)
{
	int rc;

	for (;;) {
		lmdb_long_begin(store);
		rc = try_begin(store, ret);
		if (rc == 0)
			return 0;
		lmdb_long_end(store);
		if (rc == MDB_MAP_RESIZED)
			rc = resize_map(store, 0);
		if (rc)
			return lmdb_error(rc);
	}
}

void lmdb_long_read_end(struct lmdb_read *r)
{
	lmdb_read_end(r);
	lmdb_long_end(r->store);
}

void lmdb_read_end(struct lmdb_read *r)
{
	mdb_txn_reset(r->txn);
	if (!keep_spare(r->store, r->txn))
		mdb_txn_abort(r->txn);
	pthread_rwlock_unlock(&r->store->lock);
}

/* ---- whose commits ---- */

/* All up to that one have been made; commits_lock is held. */
static void count_commits(struct lmdb_store *store, size_t last)
{
	bool one_is_ours =
		store->ours > store->last_known && store->ours <= last;

	if (last <= store->last_known)
		return;
	store->by_others += last - store->last_known - one_is_ours;
	store->last_known = last;
}

void lmdb_commits_begin(struct lmdb_store *store)
{
	MDB_envinfo info;
	MDB_stat st;

	if (look_at_env(store, &info, &st) == 0) {
		store->last_known = info.me_last_txnid;
		store->by_others = 0;
	}
}

uint64_t lmdb_changes_by_others(struct blt *blt)
{
	struct lmdb_store *store = lmdb_of(blt);
	MDB_envinfo info;
	MDB_stat st;
	uint64_t n;

	if (look_at_env(store, &info, &st) != 0)
		info.me_last_txnid = 0;
	pthread_mutex_lock(&store->commits_lock);
	count_commits(store, info.me_last_txnid);
	n = store->by_others;
	pthread_mutex_unlock(&store->commits_lock);
	return n;
}

/* LMDB says EIO where less was written than it wanted: the disk is full, or the
 * file as long as it may be.  That was before anything refers to it. */
static bool has_no_room(const struct lmdb_store *store)
{
	struct statvfs fs;
	struct rlimit limit;
	struct stat st;

	if (fstatvfs(store->fd, &fs) == 0 && fs.f_frsize &&
	    fs.f_bavail < NO_ROOM / fs.f_frsize)
		return true;
	return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	       limit.rlim_cur != RLIM_INFINITY && fstat(store->fd, &st) == 0 &&
	       (rlim_t)st.st_size >= limit.rlim_cur;
}

/* While we have LMDB's lock nobody else commits.  What changed nothing has no
 * number afterwards. */
static int commit(struct lmdb_store *store, MDB_txn *txn)
{
	const size_t id = mdb_txn_id(txn);
	MDB_envinfo info;
	int rc;

	pthread_mutex_lock(&store->commits_lock);
	count_commits(store, id - 1);
	store->ours = id;
	pthread_mutex_unlock(&store->commits_lock);
	rc = mdb_txn_commit(txn);
	if (rc == EFBIG || (rc == EIO && has_no_room(store)))
		rc = ENOSPC;
	pthread_mutex_lock(&store->commits_lock);
	if (rc == 0 && mdb_env_info(store->env, &info) == 0)
		count_commits(store, info.me_last_txnid);
	else
		store->by_others++; /* whoever has that number now */
	store->ours = 0;
	pthread_mutex_unlock(&store->commits_lock);
	return rc;
}

/* ---- writing ---- */

/* With write and lock (shared) held. */
static int write_once(struct lmdb_store *store, lmdb_write_fn *fn, void *arg)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
	uint64_t by_others;

	if (rc)
		return rc;
	lmdb_btrees_begin(store, txn);
	pthread_mutex_lock(&store->commits_lock);
	count_commits(store, mdb_txn_id(txn) - 1);
	by_others = store->by_others;
	pthread_mutex_unlock(&store->commits_lock);
	lmdb_watch_others(store, by_others);
	store->noted.n = 0;
	rc = fn(arg, txn);
	if (rc) {
		mdb_txn_abort(txn);
		return rc == LMDB_NOTHING ? 0 : rc;
	}
	lmdb_btrees_look(store, txn);
	rc = commit(store, txn);
	if (rc == 0) {
		lmdb_btrees_apply(store);
		lmdb_watch_tell(store);
	}
	/* The kernel may have dropped what it could not write. */
	if (rc == EIO || rc == MDB_PANIC)
		atomic_store(&store->failed, -EIO);
	return rc;
}

int lmdb_write(struct lmdb_store *store, lmdb_write_fn *fn, void *arg)
{
	int rc;

	if (!store->face.writable)
		return -EROFS;
	pthread_mutex_lock(&store->write);
	for (;;) {
		rc = EIO;
		if (atomic_load(&store->failed))
			break;
		pthread_rwlock_rdlock(&store->lock);
		rc = write_once(store, fn, arg);
		pthread_rwlock_unlock(&store->lock);
		if (rc == MDB_MAP_FULL)
			rc = enlarge_map(store);
		else if (rc == MDB_MAP_RESIZED)
			rc = resize_map(store, 0);
		else
			break;
		if (rc)
			break;
	}
	pthread_mutex_unlock(&store->write);
	return lmdb_error(rc);
}

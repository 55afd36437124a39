/* Whose commits: LMDB numbers them, and those that are not ours are counted. */
#include "lmdb/lmdb_store.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

/* A disk with less than that left is full: what a filesystem takes at a time,
 * which it may refuse as a whole. */
#define NO_ROOM ((size_t)4 << 20)

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

	if (lmdb_ask_env(store, &info, &st) == 0) {
		store->last_known = info.me_last_txnid;
		store->by_others = 0;
		atomic_store(&store->seen_txn, 0); /* by another count */
	}
}

uint64_t lmdb_changes_by_others(struct blt *blt)
{
	struct lmdb_store *store = lmdb_of(blt);
	MDB_envinfo info;
	MDB_stat st;

	if (lmdb_ask_env(store, &info, &st) != 0)
		info.me_last_txnid = 0;
	return lmdb_commits_until(store, info.me_last_txnid);
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
int lmdb_commit_txn(struct lmdb_store *store, MDB_txn **txn)
{
	MDB_txn *const ending = *txn;
	const size_t id = mdb_txn_id(ending);
	const size_t entries = lmdb_dbs_entries(store, ending);
	MDB_envinfo info;
	int rc, rc2;

	pthread_mutex_lock(&store->commits_lock);
	count_commits(store, id - 1);
	store->ours = id;
	pthread_mutex_unlock(&store->commits_lock);
	*txn = NULL;
	rc = mdb_txn_commit(ending);
	if (rc == EFBIG || (rc == EIO && has_no_room(store)))
		rc = ENOSPC;
	rc2 = rc ? rc : mdb_env_info(store->env, &info);
	pthread_mutex_lock(&store->commits_lock);
	if (rc2 == 0)
		count_commits(store, info.me_last_txnid);
	else
		store->by_others++; /* whoever has that number now */
	store->ours = 0;
	pthread_mutex_unlock(&store->commits_lock);
	if (rc2 == 0 && info.me_last_txnid >= id)
		lmdb_dbs_note(store, id, entries);
	return rc;
}

uint64_t lmdb_commits_until(struct lmdb_store *store, size_t last)
{
	uint64_t n;

	pthread_mutex_lock(&store->commits_lock);
	count_commits(store, last);
	n = store->by_others;
	pthread_mutex_unlock(&store->commits_lock);
	return n;
}

/* Environments that fail, or whose data file others remove or cut short.
 *
 * LMDB gives an environment up for good when it could not write a head
 * (MDB_PANIC); the kernel, when it could not write a page, drops what it had of
 * it.  All that a head refers to was durable before that head was written
 * (lmdb_write.c), so only the heads can be missing on the disk: they are
 * written once more, as they are, with LMDB's lock for writers held, before
 * anybody goes on.
 *
 * A data file never becomes shorter by LMDB.  Where it is, its end is missing
 * from the memory that LMDB reads.  Where LMDB meets that in a transaction that
 * writes, it is left with pointers to a stack that is gone and with the lock
 * for writers, which this thread has as long as it lives.  No call of LMDB's
 * could mend that.  So the environment stays open as it is, for as long as this
 * process: what is asked of it is EIO, and it is not opened once more. */
#include "lmdb/lmdb_store.h"

#include "booklet/io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADS 2

/* Of failed: it is open anew, but for the heads. */
#define HEALING (-EREMOTEIO)

/* ---- the data file ---- */

int lmdb_look_at_file(struct lmdb_store *store, bool write)
{
	int64_t longest = atomic_load(&store->longest);
	struct stat st;

	if (atomic_load(&store->lost) || fstat(store->fd, &st) < 0 ||
	    st.st_size < longest)
		return -EIO;
	while (st.st_size > longest &&
	       !atomic_compare_exchange_weak(&store->longest, &longest,
					     st.st_size))
		;
	return write && st.st_nlink == 0 && !store->alone ? -EIO : 0;
}

struct guarded {
	int (*fn)(void *arg);
	void *arg;
	int rc;
};

static int run_guarded(void *arg)
{
	struct guarded *g = arg;

	g->rc = g->fn(g->arg);
	return 0;
}

int lmdb_guard(struct lmdb_store *store, int (*fn)(void *arg), void *arg)
{
	struct guarded g = { fn, arg, 0 };

	if (file_try(run_guarded, &g) < 0) {
		atomic_store(&store->failed, -EIO);
		return EIO;
	}
	return g.rc;
}

int lmdb_guard_write(struct lmdb_store *store, int (*fn)(void *arg), void *arg)
{
	struct guarded g = { fn, arg, 0 };

	if (file_try(run_guarded, &g) == 0)
		return g.rc;
	/* whoever makes the commit of that number now */
	pthread_mutex_lock(&store->commits_lock);
	store->ours = 0;
	pthread_mutex_unlock(&store->commits_lock);
	atomic_store(&store->lost, true);
	atomic_store(&store->failed, -EIO);
	return EIO;
}

/* ---- opening it anew ---- */

/* Both heads, as they are. */
static int copy_heads(const struct lmdb_store *store)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	MDB_stat st;
	int rc = mdb_env_stat(store->env, &st);

	if (rc == 0) {
		len = (size_t)st.ms_psize * HEADS;
		bytes = malloc(len);
		rc = bytes ? 0 : ENOMEM;
	}
	if (rc == 0 && (pread(store->fd, bytes, len, 0) != (ssize_t)len ||
			pwrite(store->fd, bytes, len, 0) != (ssize_t)len ||
			fdatasync(store->fd) < 0))
		rc = EIO;
	free(bytes);
	return rc;
}

static int write_heads(void *arg)
{
	const struct lmdb_store *store = arg;
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = copy_heads(store);
	mdb_txn_abort(txn);
	return rc;
}

/* Whether the file of that name is the one that was open, and whole. */
static int check_file(const struct lmdb_store *store, dev_t dev, ino_t ino)
{
	struct blt_error err;
	struct stat st;
	bool is_dir;
	char *file;
	int rc = lmdb_data_file(store->path, &file, &is_dir);

	if (rc < 0)
		return rc;
	if (stat(file, &st) < 0 || st.st_dev != dev || st.st_ino != ino ||
	    st.st_size < atomic_load(&store->longest))
		rc = -EIO;
	if (rc == 0)
		rc = lmdb_check_head(store->path, file, &err);
	free(file);
	return rc;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* lock is held alone. */
static int open_anew(struct lmdb_store *store)
{
	const dev_t dev = store->dev;
	const ino_t ino = store->ino;
	int rc = check_file(store, dev, ino);

	if (rc == 0)
		rc = lmdb_replace(store, nothing, NULL);
	/* another that took its place just now is none of ours */
	if (rc == 0 && (store->dev != dev || store->ino != ino)) {
		lmdb_give_up(store);
		store->dev = dev;
		store->ino = ino;
		rc = -EIO;
	}
	atomic_store(&store->failed, rc == 0 ? HEALING : -EIO);
	return rc == 0 ? 0 : -EIO;
}

/* Another process's transaction may last, so readers go on meanwhile. */
static int restore_heads(struct lmdb_store *store)
{
	int healing = HEALING, rc = 0;

	lmdb_long_begin(store);
	pthread_rwlock_rdlock(&store->lock);
	if (store->face.writable)
		rc = store->env ? lmdb_guard_write(store, write_heads, store) :
				  EIO;
	/* unless something has failed again */
	if (rc == 0)
		atomic_compare_exchange_strong(&store->failed, &healing, 0);
	else
		atomic_store(&store->failed, -EIO);
	pthread_rwlock_unlock(&store->lock);
	lmdb_long_end(store);
	return rc == 0 ? 0 : -EIO;
}

int lmdb_heal(struct lmdb_store *store)
{
	bool healed;
	int rc = 0;

	lmdb_lock_alone(store);
	healed = !atomic_load(&store->failed);
	if (!healed)
		rc = atomic_load(&store->lost) ? -EIO : open_anew(store);
	pthread_rwlock_unlock(&store->lock);
	return healed || rc < 0 ? rc : restore_heads(store);
}

/* Recognising, opening and closing an environment. */
#include "lmdb/lmdb_dir_cursor.h"
#include "lmdb/lmdb_btree.h"

#include "base/os.h"
#include "engine/cookie_cache.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READERS 512
#define LOCK_TRIES 50 /* with 10 ms between them */

/* To read an open environment's file here, and close it, does no harm: LMDB's
 * locks are on another one. */
bool lmdb_is_mine(const char *path)
{
	bool is_dir, is;
	char *file;

	if (lmdb_data_file(path, &file, &is_dir) < 0)
		return false;
	is = lmdb_has_magic(file);
	free(file);
	return is;
}

/* ---- opening ---- */

static int drop_all(void *arg, MDB_txn *txn)
{
	struct lmdb_store *store = arg;
	int rc = 0;

	for (size_t i = store->n_dbs; rc == 0 && i-- > 0;)
		rc = mdb_drop(txn, store->db[i].dbi, store->db[i].name != NULL);
	return rc;
}

/* All that it held goes, for other processes too. */
static int empty(struct lmdb_store *store, struct blt_error *err)
{
	int rc = lmdb_write(store, drop_all, store);

	if (rc < 0)
		return store_fail(err, rc, "%s: cannot be emptied: %s",
				  store->path, strerror(-rc));
	while (store->many && store->n_dbs > 1)
		free(store->db[--store->n_dbs].name);
	store->many = false;
	return 0;
}

static void close_lock(struct lmdb_store *store)
{
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	store->lock_fd = -1;
}

static int open_env(struct lmdb_store *store)
{
	unsigned flags = MDB_NOTLS | (store->is_dir ? 0 : MDB_NOSUBDIR) |
			 (store->face.writable ? MDB_NOMETASYNC : MDB_RDONLY) |
			 (store->alone ? MDB_NOLOCK | MDB_NOSYNC : 0);
	int rc = mdb_env_create(&store->env), dead;

	if (rc == 0)
		rc = mdb_env_set_maxdbs(store->env, LMDB_DBS_MAX);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(store->env, READERS);
	if (rc == 0)
		rc = mdb_env_open(store->env, store->path, flags, 0600);
	if (rc == 0)
		rc = mdb_env_get_fd(store->env, &store->fd);
	/* The programs of a map are not to have it. */
	if (rc == 0 && fcntl(store->fd, F_SETFD, FD_CLOEXEC) < 0)
		rc = errno;
	/* Those that were killed while they read keep old pages in place. */
	if (rc == 0)
		(void)mdb_reader_check(store->env, &dead);
	return rc;
}

/* Who opens one for reading has the file before the lock: another may have
 * taken its place between the two. */
static bool was_replaced(struct lmdb_store *store, const char *file)
{
	struct stat is, st;

	return fstat(store->fd, &is) == 0 && stat(file, &st) == 0 &&
	       (is.st_dev != st.st_dev || is.st_ino != st.st_ino);
}

/* Who waited while another process put a file in this one's place has no lock
 * file that could be used (lmdb_exclude): EINVAL.  The next try has. */
static int open_this(struct lmdb_store *store, const char *file,
		     struct blt_error *err)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	int rc = open_env(store), tries = LOCK_TRIES;

	while (rc == 0 ? was_replaced(store, file) :
			 rc == EINVAL && tries-- > 0) {
		mdb_env_close(store->env);
		store->env = NULL;
		if (rc)
			nanosleep(&pause, NULL);
		rc = open_env(store);
	}
	if (rc)
		return store_fail(err, lmdb_error(rc),
				  "%s: cannot be opened: %s", store->path,
				  mdb_strerror(rc));
	return 0;
}

static int reopen_dbs(void *arg)
{
	return lmdb_reopen_dbs(arg);
}

int lmdb_replace(struct lmdb_store *store, lmdb_replace_fn *fn, void *arg)
{
	int rc, rc2;

	lmdb_drop_spares(store);
	lmdb_btrees_forget(store->orders);
	lmdb_list_hold();
	mdb_env_close(store->env);
	store->env = NULL;
	close_lock(store);
	rc = fn(arg);
	atomic_store(&store->longest, 0);
	if (store->times)
		lmdb_times_moved(store->times);
	rc2 = open_env(store);
	if (rc2 == 0)
		lmdb_list_note(store);
	lmdb_list_release();
	if (rc2 == 0)
		rc2 = lmdb_guard(store, reopen_dbs, store);
	if (rc2 == 0)
		return rc;
	lmdb_give_up(store);
	close_lock(store);
	return lmdb_error(rc2);
}

/* What is in the way of a new one, or missing for an old one. */
static int check_file(const char *path, const char *file,
		      const struct blt_open_options *opts,
		      struct blt_error *err)
{
	bool create = opts->mode == BLT_CREATE || opts->mode == BLT_TRUNCATE;
	struct stat st;
	int rc;

	if (stat(file, &st) < 0) {
		if (errno == ENOENT && create)
			return 0;
		return store_fail(err, -errno, "%s: cannot open: %s", path,
				  strerror(errno));
	}
	if (create && st.st_size == 0)
		return 0;
	if (lmdb_has_magic(file)) {
		rc = lmdb_check_head(path, file, err);
		if (rc == 0 || opts->mode != BLT_TRUNCATE)
			return rc;
	}
	if (opts->mode == BLT_TRUNCATE && truncate(file, 0) == 0)
		return 0;
	return store_fail(err, -EUCLEAN, "%s: is no LMDB environment", path);
}

static struct lmdb_store *new_store(const char *path,
				    const struct blt_open_options *opts)
{
	struct lmdb_store *store = calloc(1, sizeof(*store));
	pthread_rwlockattr_t attr;

	if (!store)
		return NULL;
	store->path = strdup(path);
	store->only = opts->db ? strdup(opts->db) : NULL;
	store->orders = lmdb_btrees_new();
	store->alone = opts->alone;
	store->put_max = os_memory_limit() / 2;
	store->value_max = min_u64(LMDB_VALUE_MAX, store->put_max);
	store->face = (struct blt){ &lmdb_backend, opts->mode != BLT_READ };
	store->fd = store->lock_fd = -1;
	/* Readers come without a pause, and the map must grow. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&store->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&store->long_lock, NULL);
	pthread_cond_init(&store->long_end, NULL);
	pthread_mutex_init(&store->write, NULL);
	pthread_mutex_init(&store->spare_lock, NULL);
	pthread_mutex_init(&store->commits_lock, NULL);
	pthread_mutex_init(&store->walks_lock, NULL);
	pthread_mutex_init(&store->names_lock, NULL);
	listeners_init(&store->listeners);
	return store;
}

static void free_store(struct lmdb_store *store)
{
	lmdb_drop_spares(store);
	/* A lost one stays open, and in the list. */
	if (!atomic_load(&store->lost)) {
		lmdb_list_hold();
		mdb_env_close(store->env);
		close_lock(store);
		lmdb_list_remove(store);
		lmdb_list_release();
	}
	cookie_cache_free(store->cookies);
	lmdb_btrees_free(store->orders);
	for (size_t i = 0; i < store->n_dbs; i++)
		free(store->db[i].name);
	free(store->db);
	free(store->path);
	free(store->only);
	pthread_rwlock_destroy(&store->lock);
	pthread_mutex_destroy(&store->long_lock);
	pthread_cond_destroy(&store->long_end);
	pthread_mutex_destroy(&store->write);
	pthread_mutex_destroy(&store->spare_lock);
	pthread_mutex_destroy(&store->commits_lock);
	pthread_mutex_destroy(&store->walks_lock);
	pthread_mutex_destroy(&store->names_lock);
	lmdb_names_clear(&store->left_out);
	lmdb_names_clear(&store->gone);
	lmdb_names_clear(&store->taken);
	listeners_release(&store->listeners);
	free(store->noted.at);
	free(store->changes.at);
	lmdb_times_free(store->times);
	if (!atomic_load(&store->lost))
		free(store);
}

static int open_listed(struct lmdb_store *store, const char *file,
		       struct blt_error *err)
{
	int rc;

	lmdb_list_hold();
	rc = lmdb_list_add(store, file);
	if (rc < 0)
		store_fail(err, rc, "%s: is open in this process already",
			   store->path);
	else
		rc = open_this(store, file, err);
	if (rc == 0)
		lmdb_list_note(store);
	lmdb_list_release();
	return rc;
}

static int open_in(struct lmdb_store *store, const char *file,
		   const struct blt_open_options *opts, struct blt_error *err)
{
	int rc = open_listed(store, file, err);

	if (rc == 0) {
		store->opened = lmdb_modified(&store->face);
		store->times = lmdb_times_new(store->opened);
		rc = lmdb_open_dbs(store, opts, err);
	}
	if (rc == 0)
		rc = lmdb_check_dbs(store, err);
	if (rc == 0 && opts->mode == BLT_TRUNCATE)
		rc = empty(store, err);
	if (rc == 0)
		lmdb_commits_begin(store);
	return rc;
}

int lmdb_store_open(const char *path, const struct blt_open_options *opts,
		    struct blt **ret, struct blt_error *err)
{
	static const struct blt_open_options plain = { .mode = BLT_READ };
	struct lmdb_store *store = NULL;
	char *file = NULL;
	bool is_dir;
	int rc;

	if (!opts)
		opts = &plain;
	rc = lmdb_data_file(path, &file, &is_dir);
	if (rc == 0)
		rc = check_file(path, file, opts, err);
	if (rc < 0)
		goto out;
	store = new_store(path, opts);
	rc = store && store->path && store->orders &&
			     (store->only || !opts->db) ?
		     0 :
		     -ENOMEM;
	if (rc == 0)
		store->is_dir = is_dir;
	if (rc == 0)
		rc = open_in(store, file, opts, err);
	if (rc == 0)
		*ret = &store->face;
	else if (store)
		free_store(store);
out:
	if (rc == -ENOMEM)
		store_fail(err, rc, "%s: out of memory", path);
	free(file);
	return rc;
}

int lmdb_store_close(struct blt *blt)
{
	int rc = lmdb_sync(blt);

	free_store(lmdb_of(blt));
	return rc;
}

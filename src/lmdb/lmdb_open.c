/* Recognising, opening and closing an environment, and facts. */
#include "lmdb/lmdb_dir_cursor.h"
#include "lmdb/lmdb_btree.h"

#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
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
	rc2 = open_env(store);
	if (rc2 == 0)
		lmdb_list_note(store);
	lmdb_list_release();
	if (rc2 == 0)
		rc2 = lmdb_reopen_dbs(store);
	if (rc2 == 0)
		return rc;
	mdb_env_close(store->env);
	store->env = NULL;
	store->fd = -1;
	close_lock(store);
	atomic_store(&store->failed, -EIO);
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
	listeners_init(&store->listeners);
	return store;
}

static void free_store(struct lmdb_store *store)
{
	lmdb_drop_spares(store);
	lmdb_list_hold();
	mdb_env_close(store->env);
	close_lock(store);
	lmdb_list_remove(store);
	lmdb_list_release();
	lmdb_cookie_cache_free(store->cookies);
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
	listeners_release(&store->listeners);
	free(store->noted.at);
	free(store);
}

/* lmdb_replace closes the descriptor, and its number may be another file's
 * meanwhile: to be called with lock held, or while nobody else has the store.
 */
static struct stat stat_of(const struct lmdb_store *store)
{
	struct stat st;

	if (fstat(store->fd, &st) < 0)
		st = (struct stat){ 0 };
	return st;
}

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000 +
	       st->st_mtim.tv_nsec / 1000;
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
	struct stat st;
	int rc = open_listed(store, file, err);

	if (rc == 0) {
		st = stat_of(store);
		store->opened = mtime_of(&st);
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

/* ---- facts ---- */

static const char *path_of(const struct blt *blt)
{
	return const_lmdb_of(blt)->path;
}

static int fd_of(const struct blt *blt)
{
	return const_lmdb_of(blt)->fd;
}

static const char *database(const struct blt *blt)
{
	return const_lmdb_of(blt)->only;
}

static void clear_dead(struct blt *blt)
{
	struct lmdb_store *store = lmdb_of(blt);
	int dead;

	pthread_rwlock_rdlock(&store->lock);
	(void)mdb_reader_check(store->env, &dead);
	pthread_rwlock_unlock(&store->lock);
}

static bool takes_empty(const struct blt *blt)
{
	(void)blt;
	return true;
}

static uint64_t count_keys(struct lmdb_store *store)
{
	struct lmdb_read r;
	uint64_t n = 0;
	MDB_stat st;

	if (lmdb_read_begin(store, &r) < 0)
		return 0;
	for (size_t i = 0; i < store->n_dbs; i++)
		if (mdb_stat(r.txn, store->db[i].dbi, &st) == 0)
			n += st.ms_entries;
	lmdb_read_end(&r);
	/* The unnamed one has a record for each of the others. */
	return store->many ? n - (store->n_dbs - 1) : n;
}

static struct stat stat_locked(struct lmdb_store *store)
{
	struct stat st;

	pthread_rwlock_rdlock(&store->lock);
	st = stat_of(store);
	pthread_rwlock_unlock(&store->lock);
	return st;
}

static int64_t modified(struct blt *blt)
{
	struct stat st = stat_locked(lmdb_of(blt));

	return mtime_of(&st);
}

static int lmdb_statvfs(struct blt *blt, struct statvfs *ret)
{
	struct lmdb_store *store = lmdb_of(blt);
	int rc = -EIO;

	pthread_rwlock_rdlock(&store->lock);
	if (store->env)
		rc = fstatvfs(store->fd, ret) < 0 ? -errno : 0;
	pthread_rwlock_unlock(&store->lock);
	return rc;
}

static void get_info(struct blt *blt, struct blt_info *ret)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct stat st = stat_locked(store);

	*ret = (struct blt_info){
		.engine = lmdb_backend.name,
		.shared = true,
		.version = 1,
		.writable = blt->writable,
		.key_serializer = (unsigned)serial_code("bytes"),
		.value_serializer = (unsigned)serial_code("bytes"),
		.n_keys = count_keys(store),
		.file_size = (uint64_t)st.st_size,
		.created = store->opened,
		.modified = mtime_of(&st),
		.failed = atomic_load(&store->failed),
		.value_max = LMDB_VALUE_MAX,
	};
}

const struct backend lmdb_backend = {
	.name = "lmdb",

	.is_mine = lmdb_is_mine,
	.open = lmdb_store_open,
	.check_file = lmdb_check_file,
	.rebuild = lmdb_rebuild,
	.close = lmdb_store_close,
	.path = path_of,
	.fd = fd_of,
	.get_info = get_info,
	.modified = modified,
	.statvfs = lmdb_statvfs,
	.count = lmdb_count,
	.takes_empty = takes_empty,

	.get = lmdb_get,
	.get_many = lmdb_get_many,
	.get_part = lmdb_get_part,
	.dirty_by_others = lmdb_changes_by_others,
	.database = database,
	.clear_dead = clear_dead,
	.view_release = lmdb_view_release,
	.stat_key = lmdb_stat_key,

	.key = lmdb_key,
	.check_value = lmdb_check_value,
	.time = lmdb_time,
	.put = lmdb_put,
	.put_from = lmdb_put_from,
	.delete = lmdb_delete,
	.touch = lmdb_touch,
	.commit = lmdb_commit,
	.watch = lmdb_watch,
	.unwatch = lmdb_unwatch,
	.flush = lmdb_flush,
	.sync = lmdb_sync,
	.settle = lmdb_settle,

	.iter_open = lmdb_iter_open,
	.iter_next = lmdb_iter_next,
	.iter_free = lmdb_iter_free,

	.hold_file = lmdb_hold_file,
	.prune = lmdb_prune,
	.copy = lmdb_copy,
	.check = lmdb_check,

	.dirs = &lmdb_dirs,
};

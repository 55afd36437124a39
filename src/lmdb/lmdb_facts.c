/* Facts of an open environment, and the table of the engine. */
#include "lmdb/lmdb_dir_cursor.h"

#include "booklet/format/serial.h"
#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

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

int64_t lmdb_mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000 +
	       st->st_mtim.tv_nsec / 1000;
}

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

struct counting {
	struct lmdb_read r;
	uint64_t n;
};

static int run_count(void *arg)
{
	static const char notes[] = LMDB_NOTES_DB;
	MDB_val key = { strlen(notes), (void *)(uintptr_t)notes }, value;
	struct counting *c = arg;
	const struct lmdb_store *store = c->r.store;
	uint64_t all = 0, dbs = atomic_load(&store->left_out.n);
	MDB_stat st;

	for (size_t i = 0; i < store->n_dbs; i++)
		if (lmdb_db_stat(store, c->r.txn, &store->db[i], &st) == 0)
			all += st.ms_entries;
	/* The unnamed one has a record for each of the others; but a list that
	 * is not that of this transaction may have more of them. */
	dbs += store->many ? store->n_dbs - 1 : 0;
	dbs += !store->only &&
	       mdb_get(c->r.txn, store->db[0].dbi, &key, &value) == 0;
	c->n = all > dbs ? all - dbs : 0;
	return 0;
}

static uint64_t count_keys(struct lmdb_store *store)
{
	struct counting c = { .n = 0 };

	if (lmdb_read_begin(store, &c.r) < 0)
		return 0;
	(void)lmdb_guard(store, run_count, &c);
	lmdb_read_end(&c.r);
	return c.n;
}

static struct stat stat_locked(struct lmdb_store *store)
{
	struct stat st;

	pthread_rwlock_rdlock(&store->lock);
	st = stat_of(store);
	pthread_rwlock_unlock(&store->lock);
	return st;
}

int64_t lmdb_modified(struct blt *blt)
{
	struct stat st = stat_locked(lmdb_of(blt));

	return lmdb_mtime_of(&st);
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
		.modified = lmdb_mtime_of(&st),
		.failed = atomic_load(&store->failed),
		.value_max = lmdb_of(blt)->value_max,
	};
}

/* ---- what its user should know ---- */

/* Of a copy, outside the lock. */
static void tell_left_out(struct lmdb_store *store, blt_caution_fn *fn,
			  void *arg)
{
	char *text = NULL;
	bool more = true;

	for (size_t i = 0; more; i++) {
		pthread_rwlock_rdlock(&store->lock);
		more = i < atomic_load(&store->left_out.n);
		if (!more ||
		    asprintf(&text,
			     "%s: database %s is not shown: it has its keys "
			     "in reversed order (MDB_REVERSEKEY), which is "
			     "not supported",
			     store->path, store->left_out.at[i]) < 0)
			text = NULL;
		pthread_rwlock_unlock(&store->lock);
		if (text)
			fn(arg, text);
		free(text);
		text = NULL;
	}
}

/* LMDB writes with system calls what it reads as memory. */
static void tell_remote(struct lmdb_store *store, blt_caution_fn *fn, void *arg)
{
	const char *remote;
	char *text;

	pthread_rwlock_rdlock(&store->lock);
	remote = store->env ? os_remote(store->fd) : NULL;
	pthread_rwlock_unlock(&store->lock);
	if (!remote ||
	    asprintf(&text,
		     "%s: is on %s, where LMDB may lose what is written: the "
		     "kernel may show it pages from before; keep it on a "
		     "disk's filesystem, or use a booklet store there (blt "
		     "copy --engine booklet)",
		     store->path, remote) < 0)
		return;
	fn(arg, text);
	free(text);
}

static void cautions(struct blt *blt, blt_caution_fn *fn, void *arg)
{
	tell_left_out(lmdb_of(blt), fn, arg);
	tell_remote(lmdb_of(blt), fn, arg);
}

const struct backend lmdb_backend = {
	.name = "lmdb",

	.is_mine = lmdb_is_mine,
	.open = lmdb_store_open,
	.rebuild = lmdb_rebuild,
	.close = lmdb_store_close,
	.path = path_of,
	.fd = fd_of,
	.get_info = get_info,
	.modified = lmdb_modified,
	.statvfs = lmdb_statvfs,
	.cautions = cautions,
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
	/* checked as anywhere, and kept no longer than the store is open */
	.time = backend_time,
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
	.iter_ordered = lmdb_iter_ordered,

	.notes = lmdb_notes,
	.hold = lmdb_hold,

	.hold_file = lmdb_hold_file,
	.prune = lmdb_prune,
	.copy = lmdb_copy,
	.check = lmdb_check,

	.dirs = &lmdb_dirs,
};

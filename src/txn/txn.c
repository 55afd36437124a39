/* Transactions: begin, end, and the table of the engine that they are. */
#include "txn/txn.h"

#include "booklet/store/store.h"
#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- keys in a list ---- */

int txn_keys_add(struct txn_keys *k, const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	if (!copy || ARRAY_ROOM(k->key, k->room, k->n + 1) < 0) {
		free(copy);
		return -ENOMEM;
	}
	if (len)
		memcpy(copy, bytes, len);
	k->key[k->n].bytes = copy;
	k->key[k->n++].len = len;
	return 0;
}

void txn_keys_clear(struct txn_keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->key[i].bytes);
	free(k->key);
	*k = (struct txn_keys){ 0 };
}

/* ---- begin ---- */

/* What is dropped when this process dies need not be durable. */

static int no_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

static int no_sync_range(void *arg, void *at, size_t len, off_t pos)
{
	(void)arg;
	(void)at;
	(void)len;
	(void)pos;
	return 0;
}

/* The engine trusts no file that somebody has removed; this one we have. */
static int stat_unlinked(void *arg, int fd, struct stat *st)
{
	int rc = file_system_ops.fstat(arg, fd, st);

	st->st_nlink = 1;
	return rc;
}

/* There may be many, and not so much address space: they take a part of what a
 * store does, and more as the file grows. */
#define MAP_MOST ((uint64_t)16 << 30)

static void *mmap_less(void *arg, size_t len, int fd)
{
	struct stat st;

	if (file_system_ops.fstat(arg, fd, &st) == 0 &&
	    len > max_u64(MAP_MOST, 4 * (uint64_t)st.st_size)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return file_system_ops.mmap(arg, len, fd);
}

static int open_at(const char *path, struct blt *lower, struct blt **ret)
{
	struct file_ops ops = file_system_ops;
	struct blt_open_options how = { .mode = BLT_TRUNCATE };
	struct blt_info info;

	blt_get_info(lower, &info);
	how.create = (struct blt_create_options){
		.value_len = info.value_len,
		.key_serializer = info.key_serializer,
		.value_serializer = info.value_len ? 0 : info.value_serializer,
		.no_timestamps = !info.has_timestamps,
	};
	ops.fdatasync = no_sync;
	ops.sync_range = no_sync_range;
	ops.fstat = stat_unlinked;
	ops.mmap = mmap_less;
	return store_open(path, &how, &ops, ret, NULL);
}

static int open_upper(const char *dir, struct blt *lower, struct blt **ret)
{
	char *path;
	int fd, rc;

	if (asprintf(&path, "%s/.bltfs-txn-XXXXXX", dir) < 0)
		return -ENOMEM;
	fd = mkstemp(path);
	if (fd < 0) {
		rc = -errno;
		free(path);
		return rc;
	}
	close(fd);
	rc = open_at(path, lower, ret);
	unlink(path);
	free(path);
	return rc;
}

static int new_upper(const char *dir, struct blt *lower, struct blt **ret)
{
	int rc = -ENOENT;

	if (dir)
		rc = open_upper(dir, lower, ret);
	if (rc < 0)
		rc = open_upper(unnamed_dir(), lower, ret);
	return rc;
}

static const struct backend txn_backend;

int blt_txn_begin(struct blt *store, const char *dir, struct blt **ret)
{
	struct blt_info info;
	struct txn *t;
	int rc;

	if (!store->writable)
		return -EROFS;
	if (!store->backend->watch && !store->backend->token)
		return -ENOTSUP;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	rc = new_upper(dir, store, &t->upper);
	if (rc < 0) {
		free(t);
		return rc;
	}
	blt_get_info(store, &info);
	t->face = (struct blt){ .backend = &txn_backend, .writable = true };
	t->lower = store;
	t->began = now_us();
	t->has_times = info.has_timestamps;
	t->listener = (struct listener){ .changed = txn_on_changed, .arg = t };
	pthread_mutex_init(&t->change, NULL);
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->see, NULL);
	if (store->backend->watch)
		store->backend->watch(store, &t->listener);
	*ret = &t->face;
	return 0;
}

static int txn_close(struct blt *face)
{
	struct txn *t = txn_of(face);

	if (t->lower->backend->watch)
		t->lower->backend->unwatch(t->lower, &t->listener);
	/* nobody will miss what is in it */
	(void)blt_close(t->upper);
	txn_keys_clear(&t->deleted);
	txn_keys_clear(&t->conflicts);
	txn_keyset_clear(&t->keys);
	txn_keyset_clear(&t->dirs);
	pthread_mutex_destroy(&t->change);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->see);
	for (size_t i = 0; i < t->n_seen; i++)
		free(t->seen[i].bytes);
	free(t->seen);
	free(t);
	return 0;
}

/* ---- facts ---- */

void blt_txn_get_info(struct blt *txn, struct blt_txn_info *ret)
{
	struct txn *t = txn_of(txn);
	struct blt_info upper;
	size_t deleted = 0;

	pthread_mutex_lock(&t->change);
	blt_get_info(t->upper, &upper);
	for (size_t i = 0; i < t->deleted.n; i++)
		deleted += txn_is_deleted(t, &t->deleted.key[i]);
	pthread_mutex_unlock(&t->change);
	pthread_mutex_lock(&t->lock);
	*ret = (struct blt_txn_info){
		.began = t->began,
		.changed = upper.n_keys + deleted,
		.seen = t->keys.n,
		.conflicts = t->n_conflicts + t->doomed,
		.ended = t->ended,
	};
	pthread_mutex_unlock(&t->lock);
}

int blt_txn_conflict(struct blt *txn, uint64_t n, uint8_t **ret_key,
		     size_t *ret_len)
{
	struct txn *t = txn_of(txn);
	const struct txn_key *key;
	uint8_t *copy;
	int rc = -ENOENT;

	pthread_mutex_lock(&t->lock);
	if (n < t->conflicts.n) {
		key = &t->conflicts.key[n];
		copy = malloc(key->len + 1);
		rc = copy ? 0 : -ENOMEM;
		if (copy) {
			memcpy(copy, key->bytes, key->len);
			*ret_key = copy;
			*ret_len = key->len;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static const char *txn_path(const struct blt *face)
{
	return blt_path(txn_of(face)->lower);
}

static int txn_fd(const struct blt *face)
{
	return blt_fd(txn_of(face)->lower);
}

static void txn_get_info(struct blt *face, struct blt_info *ret)
{
	blt_get_info(txn_of(face)->lower, ret);
}

static int64_t txn_modified(struct blt *face)
{
	return blt_modified(txn_of(face)->lower);
}

static int txn_statvfs(struct blt *face, struct statvfs *ret)
{
	return blt_statvfs(txn_of(face)->lower, ret);
}

static bool txn_takes_empty(const struct blt *face)
{
	return blt_takes_empty(txn_of(face)->lower);
}

static int txn_key(struct blt *face, const void *key, size_t len,
		   struct backend_key *ret)
{
	struct blt *lower = txn_of(face)->lower, *upper = txn_of(face)->upper;
	int rc = lower->backend->key(lower, key, len, ret);

	/* with the hash that upper wants */
	return rc < 0 ? rc : upper->backend->key(upper, key, len, ret);
}

static int txn_check_value(struct blt *face, const void *value, size_t len)
{
	int rc = blt_check_value(txn_of(face)->upper, value, len);

	return rc < 0 ? rc : blt_check_value(txn_of(face)->lower, value, len);
}

static int txn_time(const struct blt *face, int64_t timestamp, int64_t *ret)
{
	const struct blt *upper = txn_of(face)->upper;

	return upper->backend->time(upper, timestamp, ret);
}

/* ---- what only the store itself can do ---- */

static int no_count(struct blt *face, struct blt_census *ret)
{
	(void)face;
	(void)ret;
	return -ENOTSUP;
}

static int nothing(struct blt *face)
{
	(void)face;
	return 0;
}

static int no_settling(struct blt *face, bool idle)
{
	(void)face;
	(void)idle;
	return 0;
}

static int no_iter(struct blt *face, const struct blt_iter_options *opts,
		   struct blt_iter **ret)
{
	(void)face;
	(void)opts;
	(void)ret;
	return -ENOTSUP;
}

static int no_copy(struct blt *face, const char *path,
		   const struct blt_create_options *opts, bool replace,
		   blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	(void)face;
	(void)path;
	(void)opts;
	(void)replace;
	(void)progress;
	(void)arg;
	return store_fail(err, -ENOTSUP, "a transaction cannot be copied");
}

static int no_check(struct blt *face, const struct blt_check_options *opts,
		    blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	(void)face;
	(void)opts;
	(void)fn;
	(void)arg;
	(void)ret;
	return -ENOTSUP;
}

static const struct backend txn_backend = {
	.name = "transaction",

	.close = txn_close,
	.path = txn_path,
	.fd = txn_fd,
	.get_info = txn_get_info,
	.modified = txn_modified,
	.statvfs = txn_statvfs,
	.count = no_count,
	.takes_empty = txn_takes_empty,

	.get = txn_get,
	.get_part = txn_get_part,
	.stat_key = txn_stat_key,

	.key = txn_key,
	.check_value = txn_check_value,
	.time = txn_time,
	.put = txn_put,
	.put_from = txn_put_from,
	.delete = txn_delete,
	.touch = txn_touch,
	.commit = txn_commit_ops,
	.flush = nothing,
	.sync = nothing,
	.settle = no_settling,

	.iter_open = no_iter,

	.copy = no_copy,
	.check = no_check,

	.dirs = &txn_dirs,
};

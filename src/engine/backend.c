/* The face of a store: facts, and work on all of it (backend.h). */
#include "engine/backend.h"

#include "engine/attrs.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Dead bytes that are never worth a prune. */
#define PRUNE_LEAST (UINT64_C(64) << 20)

int store_fail(struct blt_error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, args);
		va_end(args);
	}
	return code;
}

/* ---- files ---- */

#define NO_DBS "%s: a booklet store has no databases in it"

static const struct backend *const backends[] = {
	&booklet_backend, /* has what no other one recognises */
#ifdef HAVE_LMDB
	&lmdb_backend,
#endif
#ifdef HAVE_POSTGRES
	&postgres_backend,
#endif
};

static const struct backend *of_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

/* NULL: nothing is there, or nothing that says what it is. */
static const struct backend *of_content(const char *path)
{
	for (size_t i = 1; i < ARRAY_SIZE(backends); i++)
		if (backends[i]->is_mine(path))
			return backends[i];
	return NULL;
}

const struct backend *backend_of_name_only(const char *path)
{
	const struct backend *is = of_content(path);

	return is && is->place_begin ? is : NULL;
}

static const struct backend *of_file(const char *path)
{
	const struct backend *is = of_content(path);

	return is ? is : backends[0];
}

int backend_hold(const char *path, int *ret_fd, struct blt_error *err)
{
	return of_file(path)->hold_file(path, ret_fd, err);
}

const char *blt_engine_name(unsigned i)
{
	return i < ARRAY_SIZE(backends) ? backends[i]->name : NULL;
}

const char *blt_engine_of(const char *path)
{
	const struct backend *is = of_content(path);

	return is ? is->name : NULL;
}

/* Whether path is a file that holds something. */
static bool holds_any(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

bool blt_is_url(const char *path)
{
	return backend_of_name_only(path) != NULL;
}

static int choose(const char *path, const struct blt_open_options *opts,
		  const struct backend **ret, struct blt_error *err)
{
	const struct backend *is = of_content(path), *want = NULL;

	if (opts->engine && !(want = of_name(opts->engine)))
		return store_fail(err, -EINVAL,
				  "%s: there is no engine of the name %s", path,
				  opts->engine);
	/* What is made anew need not be what was there. */
	if (opts->mode == BLT_TRUNCATE)
		is = want ? want : is;
	if (want && is && is != want)
		return store_fail(err, -EINVAL,
				  "%s: is a store of the engine %s", path,
				  is->name);
	if (want && want != backends[0] && !is && holds_any(path))
		return store_fail(err, -EINVAL,
				  "%s: is no store of the engine %s", path,
				  want->name);
	*ret = is ? is : want ? want : backends[0];
	if (opts->db && *ret == backends[0] &&
	    (holds_any(path) || opts->mode >= BLT_CREATE))
		return store_fail(err, -EINVAL, NO_DBS, path);
	return 0;
}

/* Attributes need a hidden entry. */
static int keep_attrs(const char *path, struct blt *store,
		      struct blt_error *err)
{
	int rc = store->backend->slot_get ? attrs_new(&store->attrs) : 0;

	if (rc < 0) {
		store->backend->close(store);
		store_fail(err, rc, "%s: %s", path, strerror(-rc));
	}
	return rc;
}

int blt_open(const char *path, const struct blt_open_options *opts,
	     struct blt **ret, struct blt_error *err)
{
	static const struct blt_open_options plain = { .mode = BLT_READ };
	const struct backend *is;
	struct blt *store;
	int rc;

	if (!opts)
		opts = &plain;
	rc = choose(path, opts, &is, err);
	if (rc == 0)
		rc = is->open(path, opts, &store, err);
	if (rc == 0)
		rc = keep_attrs(path, store, err);
	if (rc == 0)
		*ret = store;
	return rc;
}

static int check_opened(const struct backend *is, const char *path,
			const struct blt_open_options *how,
			const struct blt_check_options *opts, blt_fault_fn *fn,
			void *arg, struct blt_check_result *ret,
			struct blt_error *err)
{
	struct blt *store;
	int rc = is->open(path, how, &store, err);

	if (rc < 0)
		return rc;
	rc = is->check(store, opts, fn, arg, ret);
	if (rc < 0)
		store_fail(err, rc, "%s: cannot be checked to its end: %s",
			   path, strerror(-rc));
	blt_close(store);
	return rc;
}

int blt_check_file(const char *path, int lock_timeout_ms,
		   const struct blt_check_options *opts, blt_fault_fn *fn,
		   void *arg, struct blt_check_result *ret,
		   struct blt_error *err)
{
	const struct backend *is = of_file(path);

	if (opts && opts->db && is == backends[0])
		return store_fail(err, -EINVAL, NO_DBS, path);
	if (!is->check_file)
		return check_opened(is, path,
				    &(struct blt_open_options){
					    .mode = BLT_READ,
					    .lock_timeout_ms = lock_timeout_ms,
					    .db = opts ? opts->db : NULL,
				    },
				    opts, fn, arg, ret, err);
	return is->check_file(path, lock_timeout_ms, opts, fn, arg, ret, err);
}

int blt_rebuild(const char *path, const struct blt_rebuild_options *opts,
		struct blt_rebuild_result *ret, struct blt_error *err)
{
	return of_file(path)->rebuild(path, opts, ret, err);
}

int blt_close(struct blt *store)
{
	struct attrs *attrs;
	int rc, written;

	if (!store)
		return 0;
	attrs = store->attrs;
	written = attrs_write(store, true);
	rc = store->backend->close(store);
	attrs_free(attrs);
	return rc < 0 ? rc : written;
}

/* ---- facts ---- */

const char *blt_path(const struct blt *store)
{
	return store->backend->path(store);
}

int blt_fd(const struct blt *store)
{
	return store->backend->fd(store);
}

void blt_get_info(struct blt *store, struct blt_info *ret)
{
	store->backend->get_info(store, ret);
}

int64_t blt_modified(struct blt *store)
{
	struct blt_info info;

	if (store->backend->modified)
		return store->backend->modified(store);
	store->backend->get_info(store, &info);
	return info.modified;
}

int blt_statvfs(struct blt *store, struct statvfs *ret)
{
	if (store->backend->statvfs)
		return store->backend->statvfs(store, ret);
	return fstatvfs(store->backend->fd(store), ret) < 0 ? -errno : 0;
}

int blt_durability(struct blt *store, char text[BLT_DURABILITY_MAX])
{
	return store->backend->durability ?
		       store->backend->durability(store, text) :
		       -ENOTSUP;
}

void blt_cautions(struct blt *store, blt_caution_fn *fn, void *arg)
{
	if (store->backend->cautions)
		store->backend->cautions(store, fn, arg);
}

int blt_count(struct blt *store, struct blt_census *ret)
{
	return store->backend->count(store, ret);
}

bool blt_takes_empty(const struct blt *store)
{
	return store->backend->takes_empty(store);
}

int blt_serializer_code(const char *name)
{
	return serial_code(name);
}

const char *blt_serializer_name(unsigned code)
{
	return serial_name(code);
}

/* ---- making it last ---- */

int blt_flush(struct blt *store)
{
	int written = attrs_write(store, false);
	int rc = store->backend->flush(store);

	return rc < 0 ? rc : written;
}

int blt_sync(struct blt *store)
{
	int written = attrs_write(store, false);
	int rc = store->backend->sync(store);

	return rc < 0 ? rc : written;
}

int blt_settle(struct blt *store, bool idle)
{
	int written = attrs_write(store, true);
	int rc = store->backend->settle(store, idle);

	return rc < 0 ? rc : written;
}

/* ---- walking ---- */

int blt_iter_open(struct blt *store, const struct blt_iter_options *opts,
		  struct blt_iter **ret)
{
	return store->backend->iter_open(store, opts, ret);
}

int blt_iter_new(struct blt *store, struct blt_iter **ret)
{
	return blt_iter_open(store, NULL, ret);
}

int blt_iter_next(struct blt_iter *it, struct blt_item *ret)
{
	return it->store->backend->iter_next(it, ret);
}

void blt_iter_free(struct blt_iter *it)
{
	if (it)
		it->store->backend->iter_free(it);
}

/* ---- hidden entries ---- */

int blt_slot_get(struct blt *store, enum blt_slot slot, struct blt_view *ret)
{
	int rc;

	if (!store->backend->slot_get)
		return -ENOTSUP;
	rc = slot == BLT_RESERVED_2 ? attrs_write(store, true) : 0;
	if (rc < 0)
		return rc;
	return store->backend->slot_get(store, slot, ret);
}

int blt_slot_put_at(struct blt *store, enum blt_slot slot, const void *value,
		    size_t len, int64_t timestamp)
{
	int rc;

	if (!store->backend->slot_put)
		return -ENOTSUP;
	rc = store->backend->slot_put(store, slot, value, len, timestamp);
	if (rc == 0 && slot == BLT_RESERVED_2)
		attrs_forget(store);
	return rc;
}

int blt_slot_put(struct blt *store, enum blt_slot slot, const void *value,
		 size_t len)
{
	return blt_slot_put_at(store, slot, value, len, BLT_NOW);
}

int blt_slot_delete(struct blt *store, enum blt_slot slot)
{
	int rc;

	if (!store->backend->slot_delete)
		return -ENOTSUP;
	rc = store->backend->slot_delete(store, slot);
	if ((rc == 0 || rc == -ENOENT) && slot == BLT_RESERVED_2)
		attrs_forget(store);
	return rc;
}

/* ---- whole-file operations ---- */

int blt_reindex(struct blt *store, uint32_t n_buckets,
		blt_progress_fn *progress, void *arg)
{
	if (!store->backend->reindex)
		return -ENOTSUP;
	return store->backend->reindex(store, n_buckets, progress, arg);
}

int blt_prune(struct blt *store, const struct blt_prune_options *opts,
	      struct blt_prune_result *ret)
{
	int rc, swept;

	if (!store->backend->prune) {
		if (ret)
			*ret = (struct blt_prune_result){ 0 };
		return -ENOTSUP;
	}
	rc = store->backend->prune(store, opts, ret);
	swept = rc == 0 ? attrs_sweep(store) : 0;
	return rc < 0 ? rc : swept;
}

int blt_prune_due(struct blt *store, unsigned percent)
{
	struct blt_info info;

	blt_get_info(store, &info);
	return info.dead_known && info.writable && !info.failed &&
	       info.dead_bytes > PRUNE_LEAST &&
	       info.dead_bytes / 100 * 100 >= info.file_size / 100 * percent;
}

int blt_trim(struct blt *store, blt_progress_fn *progress, void *arg,
	     struct blt_trim_result *ret)
{
	if (!store->backend->trim) {
		if (ret)
			*ret = (struct blt_trim_result){ 0 };
		return -ENOTSUP;
	}
	return store->backend->trim(store, progress, arg, ret);
}

int blt_copy(struct blt *store, const char *path,
	     const struct blt_create_options *opts, bool replace,
	     blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	const struct backend *own = store->backend;
	const struct backend *url = backend_of_name_only(path);
	const struct backend *want = opts && opts->engine ?
					     of_name(opts->engine) :
				     url ? url :
					   own;
	struct blt_create_options named = { 0 };
	int rc;

	if (!want)
		return store_fail(err, -EINVAL,
				  "%s: there is no engine of the name %s", path,
				  opts->engine);
	rc = attrs_write(store, true);
	if (rc < 0)
		return store_fail(err, rc, "%s: %s", blt_path(store),
				  strerror(-rc));
	if (url && want != url)
		return store_fail(err, -EINVAL,
				  "%s: cannot be a store of the engine %s",
				  path, want->name);
	if (want != own) {
		if (opts)
			named = *opts;
		named.engine = want->name;
		return backend_convert(store, path, &named, replace, progress,
				       arg, err);
	}
	return own->copy(store, path, opts, replace, progress, arg, err);
}

int blt_check(struct blt *store, const struct blt_check_options *opts,
	      blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	return store->backend->check(store, opts, fn, arg, ret);
}

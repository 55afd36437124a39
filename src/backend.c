/* The face of a store: facts, and work on all of it (backend.h). */
#include "backend.h"

#include "serial.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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

int blt_open(const char *path, const struct blt_open_options *opts,
	     struct blt **ret, struct blt_error *err)
{
	return booklet_backend.open(path, opts, ret, err);
}

int blt_check_file(const char *path, int lock_timeout_ms,
		   const struct blt_check_options *opts, blt_fault_fn *fn,
		   void *arg, struct blt_check_result *ret,
		   struct blt_error *err)
{
	return booklet_backend.check_file(path, lock_timeout_ms, opts, fn, arg,
					  ret, err);
}

int blt_rebuild(const char *path, const struct blt_rebuild_options *opts,
		struct blt_rebuild_result *ret, struct blt_error *err)
{
	return booklet_backend.rebuild(path, opts, ret, err);
}

int blt_close(struct blt *store)
{
	return store ? store->backend->close(store) : 0;
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
	return store->backend->flush(store);
}

int blt_sync(struct blt *store)
{
	return store->backend->sync(store);
}

int blt_settle(struct blt *store, bool idle)
{
	return store->backend->settle(store, idle);
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
	if (!store->backend->slot_get)
		return -ENOTSUP;
	return store->backend->slot_get(store, slot, ret);
}

int blt_slot_put(struct blt *store, enum blt_slot slot, const void *value,
		 size_t len)
{
	if (!store->backend->slot_put)
		return -ENOTSUP;
	return store->backend->slot_put(store, slot, value, len);
}

int blt_slot_delete(struct blt *store, enum blt_slot slot)
{
	if (!store->backend->slot_delete)
		return -ENOTSUP;
	return store->backend->slot_delete(store, slot);
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
	return store->backend->prune(store, opts, ret);
}

int blt_trim(struct blt *store, blt_progress_fn *progress, void *arg,
	     struct blt_trim_result *ret)
{
	if (!store->backend->trim)
		return -ENOTSUP;
	return store->backend->trim(store, progress, arg, ret);
}

int blt_copy(struct blt *store, const char *path,
	     const struct blt_create_options *opts, bool replace,
	     blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	return store->backend->copy(store, path, opts, replace, progress, arg,
				    err);
}

int blt_check(struct blt *store, const struct blt_check_options *opts,
	      blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	return store->backend->check(store, opts, fn, arg, ret);
}

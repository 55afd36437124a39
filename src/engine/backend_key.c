/* The face of a store: one key (backend.h). */
#include "engine/backend.h"

#include "engine/attrs.h"
#include "booklet/io/file.h"
#include "base/util.h"

#include <errno.h>

/* ---- reading ---- */

int blt_get(struct blt *store, const void *key, size_t len,
	    struct blt_view *ret)
{
	return store->backend->get(store, key, len, ret);
}

size_t blt_get_many(struct blt *store, const struct blt_bytes *keys, size_t n,
		    struct blt_view *ret, int *ret_result)
{
	const struct backend *is = store->backend;
	size_t found = 0;

	if (is->get_many)
		return is->get_many(store, keys, n, ret, ret_result);
	for (size_t i = 0; i < n; i++) {
		ret_result[i] =
			is->get(store, keys[i].bytes, keys[i].len, &ret[i]);
		found += ret_result[i] == 0;
	}
	return found;
}

int blt_stat_key(struct blt *store, const void *key, size_t len,
		 struct blt_stat *ret)
{
	return store->backend->stat_key(store, key, len, ret);
}

int blt_locate(struct blt *store, const void *key, size_t len,
	       struct blt_location *ret)
{
	if (!store->backend->locate)
		return -ENOTSUP;
	return store->backend->locate(store, key, len, ret);
}

uint64_t blt_compactions(struct blt *store)
{
	if (!store->backend->compactions)
		return 0;
	return store->backend->compactions(store);
}

/* ---- views ---- */

void blt_view_release(struct blt_view *view)
{
	const struct backend *is = view->engine;

	/* One that was never filled holds nothing. */
	if (is)
		is->view_release(view);
}

int64_t blt_view_copy(const struct blt_view *view, void *to, size_t len,
		      uint64_t offset)
{
	size_t n;
	int rc;

	if (offset >= view->len)
		return 0;
	n = (size_t)min_u64(len, view->len - offset);
	rc = file_copy(to, view->data + offset, n);
	return rc < 0 ? rc : (int64_t)n;
}

int64_t blt_get_part(struct blt *store, const void *key, size_t len, void *to,
		     size_t n, uint64_t offset)
{
	struct blt_view view;
	int64_t got;

	if (store->backend->get_part)
		return store->backend->get_part(store, key, len, to, n, offset);
	got = blt_get(store, key, len, &view);
	if (got < 0)
		return got;
	got = blt_view_copy(&view, to, n, offset);
	blt_view_release(&view);
	return got;
}

uint64_t blt_changes_by_others(struct blt *store)
{
	if (!store->backend->dirty_by_others)
		return 0;
	return store->backend->dirty_by_others(store);
}

/* ---- writing ---- */

int blt_check_key(struct blt *store, const void *key, size_t len)
{
	struct backend_key k;

	return store->backend->key(store, key, len, &k);
}

int blt_check_value(struct blt *store, const void *value, size_t len)
{
	return store->backend->check_value(store, value, len);
}

int blt_put(struct blt *store, const void *key, size_t key_len,
	    const void *value, size_t value_len, int64_t timestamp)
{
	return store->backend->put(store, key, key_len, value, value_len,
				   timestamp);
}

int blt_put_from(struct blt *store, const void *key, size_t key_len,
		 const struct blt_source *source, int64_t timestamp)
{
	return store->backend->put_from(store, key, key_len, source, timestamp);
}

int blt_delete(struct blt *store, const void *key, size_t len)
{
	int rc = store->backend->delete (store, key, len);

	if (rc == 0)
		attrs_deleted(store, key, len);
	return rc;
}

int blt_touch(struct blt *store, const void *key, size_t len, int64_t timestamp)
{
	return store->backend->touch(store, key, len, timestamp);
}

/* ---- streams ---- */

int blt_stream_open(struct blt *store, size_t key_len, uint64_t room,
		    struct blt_stream **ret)
{
	if (!store->backend->stream_open)
		return store->writable ? -ENOTSUP : -EROFS;
	return store->backend->stream_open(store, key_len, room, ret);
}

int blt_stream_write(struct blt_stream *s, const void *buf, size_t n,
		     uint64_t offset)
{
	return s->store->backend->stream_write(s, buf, n, offset);
}

int64_t blt_stream_read(struct blt_stream *s, void *buf, size_t n,
			uint64_t offset)
{
	return s->store->backend->stream_read(s, buf, n, offset);
}

int blt_stream_resize(struct blt_stream *s, uint64_t len)
{
	return s->store->backend->stream_resize(s, len);
}

uint64_t blt_stream_len(const struct blt_stream *s)
{
	return s->store->backend->stream_len(s);
}

int blt_stream_sync(struct blt_stream *s)
{
	return s->store->backend->stream_sync(s);
}

int blt_stream_commit(struct blt_stream *s, const void *key, size_t key_len,
		      int64_t timestamp)
{
	return s->store->backend->stream_commit(s, key, key_len, timestamp);
}

void blt_stream_abort(struct blt_stream *s)
{
	if (s)
		s->store->backend->stream_abort(s);
}

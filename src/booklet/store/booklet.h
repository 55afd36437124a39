/* booklet.h - the booklet engine's rows of the table in backend.h.
 *
 * Each is what the function of blt.h that has its name is for a booklet store;
 * booklet.c makes the table of them.
 */
#ifndef BLT_BOOKLET_H
#define BLT_BOOKLET_H

#include "engine/backend.h"

/* ---- store.c ---- */

int booklet_open(const char *path, const struct blt_open_options *opts,
		 struct blt **ret, struct blt_error *err);
int booklet_close(struct blt *blt);
const char *booklet_path(const struct blt *blt);
int booklet_fd(const struct blt *blt);
void booklet_get_info(struct blt *blt, struct blt_info *ret);
int booklet_count(struct blt *blt, struct blt_census *ret);
bool booklet_takes_empty(const struct blt *blt);

/* ---- store_grow.c ---- */

void booklet_cautions(struct blt *blt, blt_caution_fn *fn, void *arg);

/* ---- store_read.c ---- */

int booklet_get(struct blt *blt, const void *key, size_t len,
		struct blt_view *ret);
size_t booklet_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
			struct blt_view *ret, int *ret_result);
void booklet_view_release(struct blt_view *view);
int booklet_stat_key(struct blt *blt, const void *key, size_t len,
		     struct blt_stat *ret);
int booklet_locate(struct blt *blt, const void *key, size_t len,
		   struct blt_location *ret);
uint64_t booklet_compactions(struct blt *blt);
int booklet_slot_get(struct blt *blt, enum blt_slot slot, struct blt_view *ret);

/* ---- store_write.c ---- */

int booklet_key(struct blt *blt, const void *key, size_t len,
		struct backend_key *ret);
int booklet_check_value(struct blt *blt, const void *value, size_t len);
int booklet_time(const struct blt *blt, int64_t timestamp, int64_t *ret);
int booklet_put(struct blt *blt, const void *key, size_t key_len,
		const void *value, size_t value_len, int64_t timestamp);
int booklet_put_from(struct blt *blt, const void *key, size_t key_len,
		     const struct blt_source *source, int64_t timestamp);
int booklet_delete(struct blt *blt, const void *key, size_t len);
int booklet_touch(struct blt *blt, const void *key, size_t len,
		  int64_t timestamp);
int booklet_commit(struct blt *blt, struct backend_op *first);
int booklet_commit_flush(struct blt *blt, struct backend_op *first);
int booklet_prepare_rename(struct blt *blt, const void *key, size_t len);
void booklet_watch(struct blt *blt, struct listener *w);
void booklet_unwatch(struct blt *blt, struct listener *w);
int booklet_flush(struct blt *blt);
int booklet_sync(struct blt *blt);
int booklet_settle(struct blt *blt, bool idle);
int booklet_slot_put(struct blt *blt, enum blt_slot slot, const void *value,
		     size_t len, int64_t timestamp);
int booklet_slot_delete(struct blt *blt, enum blt_slot slot);

/* ---- store_notes.c ---- */

int booklet_notes(struct blt *blt, backend_note_fn *fn, void *arg);

/* ---- stream.c ---- */

int booklet_stream_open(struct blt *blt, size_t key_len, uint64_t room,
			struct blt_stream **ret);
int booklet_stream_write(struct blt_stream *s, const void *buf, size_t n,
			 uint64_t offset);
int64_t booklet_stream_read(struct blt_stream *s, void *buf, size_t n,
			    uint64_t offset);
int booklet_stream_resize(struct blt_stream *s, uint64_t len);
uint64_t booklet_stream_len(const struct blt_stream *s);
int booklet_stream_sync(struct blt_stream *s);
int booklet_stream_commit(struct blt_stream *s, const void *key, size_t key_len,
			  int64_t timestamp);
void booklet_stream_abort(struct blt_stream *s);

/* ---- store_walk.c ---- */

int booklet_iter_open(struct blt *blt, const struct blt_iter_options *opts,
		      struct blt_iter **ret);
int booklet_iter_ordered(struct blt *blt, const void *after, size_t after_len,
			 struct blt_iter **ret);
int booklet_iter_next(struct blt_iter *it, struct blt_item *ret);
void booklet_iter_free(struct blt_iter *it);

/* ---- store_grow.c, store_prune.c, store_copy.c ---- */

int booklet_reindex(struct blt *blt, uint32_t n_buckets,
		    blt_progress_fn *progress, void *arg);
int booklet_prune(struct blt *blt, const struct blt_prune_options *opts,
		  struct blt_prune_result *ret);
int booklet_trim(struct blt *blt, blt_progress_fn *progress, void *arg,
		 struct blt_trim_result *ret);
int booklet_copy(struct blt *blt, const char *path,
		 const struct blt_create_options *opts, bool replace,
		 blt_progress_fn *progress, void *arg, struct blt_error *err);
int booklet_hold_file(const char *path, int *ret_fd, struct blt_error *err);

/* ---- store_check.c, store_rebuild.c ---- */

int booklet_check(struct blt *blt, const struct blt_check_options *opts,
		  blt_fault_fn *fn, void *arg, struct blt_check_result *ret);
int booklet_check_file(const char *path, int lock_timeout_ms,
		       const struct blt_check_options *opts, blt_fault_fn *fn,
		       void *arg, struct blt_check_result *ret,
		       struct blt_error *err);
int booklet_rebuild(const char *path, const struct blt_rebuild_options *opts,
		    struct blt_rebuild_result *ret, struct blt_error *err);

/* ---- store_dirs.c ---- */

extern const struct backend_dirs booklet_dirs;

#endif

/* pg_store.h - a store in a PostgreSQL database: what its files share.
 *
 *   pg_url      the URL                    pg_sql     statements and schema
 *   pg_conn     connections, turns         pg_run     trying again
 *   pg_open     opening, facts             pg_read    values
 *   pg_blob     long values in chunks      pg_commit  batches
 *   pg_change   what a batch comes to      pg_walk    walks
 *   pg_names    directories                pg_notes   notes
 *   pg_token    whether it is still so
 *   pg_order    sequences                  pg_copy    copies
 *   pg_whole    counting, checking, pruning
 *
 * A value of up to PG_INLINE bytes stands in its key's row, a longer one in
 * chunks of PG_CHUNK bytes under a number, the blob, that the row names.
 * Chunks are written before the row that makes them count, in commits of
 * their own; a blob that no row names is an orphan, which a prune sweeps once
 * it is PG_ORPHAN_AGE old: a blob's number begins with its time.
 *
 * ver is a random number for each value that is put: whether a value is still
 * the same is told by it (struct blt_view's offset).
 *
 * Threads: everything here may be called by any thread, but for what belongs
 * to one struct (a turn, a walk, a stream).
 */
#ifndef BLT_PG_STORE_H
#define BLT_PG_STORE_H

#include "engine/backend.h"
#include "postgres/pg_conn.h"

#include <stdatomic.h>

#define PG_KEY_MAX 2048u
#define PG_INLINE (256u << 10)
#define PG_CHUNK (256u << 10)
#define PG_ORPHAN_AGE 86400 /* seconds */
#define PG_COPY_AGE 3600    /* of a copy that nobody makes any longer */
#define PG_BLOB_BITS 29     /* of a blob's number, behind its time */
#define PG_VALUE_MAX BLT_VALUE_MAX

struct cookie_cache;

struct pg_store {
	struct blt face;
	char *path; /* the URL, as given */
	struct pg_url url;
	struct pg_pool pool;
	int64_t id, created;
	_Atomic uint64_t random; /* pg_random's */
	pthread_mutex_t lock;    /* of what follows */
	int64_t *settled;        /* ids in done that nobody will ask for */
	size_t n_settled, settled_room;
	int64_t *given_up; /* ids of commits that may still arrive */
	size_t n_given_up, given_up_room;
	char why[PG_WHY_MAX];
	_Atomic bool told_down;
	uint64_t n_keys, file_size; /* of facts_at */
	int64_t facts_at;
	uint64_t snapshot, changes; /* pg_changes' */
	bool flat;
	struct cookie_cache *cookies;
	blt_tell_fn *tell;
	void *tell_arg;
};

static inline struct pg_store *pg_of(struct blt *blt)
{
	return (struct pg_store *)(void *)blt;
}

static inline const struct pg_store *const_pg_of(const struct blt *blt)
{
	return (const struct pg_store *)(const void *)blt;
}

extern const struct backend_dirs pg_dirs;

/* ---- pg_run ---- */

/* One try, over a connection: as pg_conn.h has results. */
typedef int pg_try_fn(void *arg, struct pg_conn *c, int64_t until);

/* Tries until it succeeds or fails for good; -EIO where the server cannot be
 * reached for the URL's timeo, or goes on refusing. */
int pg_run(struct pg_store *store, pg_try_fn *fn, void *arg);

/* A key of a store, as the first two parameters; arg is the row. */
struct pg_row {
	struct pg_store *store;
	const void *key;
	size_t len;
};
void pg_fill_row(void *arg, struct pg_args *args);

/* An int64_t, as the only parameter. */
void pg_fill_number(void *arg, struct pg_args *args);

/* The store's id, as the only parameter; arg is the store. */
void pg_fill_id(void *arg, struct pg_args *args);

/* A number that nobody else has, but for chance; not 0. */
int64_t pg_random(struct pg_store *store);

/* One statement that answers with rows, tried as pg_run does.  args stand in
 * the turn; they are set by fill. */
typedef void pg_fill_fn(void *arg, struct pg_args *args);
int pg_ask(struct pg_store *store, enum pg_statement s, pg_fill_fn *fill,
	   void *arg, PGresult **ret);
/* The same where only the error counts. */
int pg_do(struct pg_store *store, enum pg_statement s, pg_fill_fn *fill,
	  void *arg);

/* From now on what this thread asks is asked over this connection, within its
 * transaction, once; NULL: no more. */
void pg_pin(struct pg_conn *c, int64_t until);

/* ---- pg_read ---- */

/* The columns k, len, mtime, ver, blob, v of the statements that have them. */
enum { PG_COL_KEY, PG_COL_LEN, PG_COL_TIME, PG_COL_VER, PG_COL_BLOB, PG_COL_V };

int pg_get(struct blt *blt, const void *key, size_t len, struct blt_view *ret);
size_t pg_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
		   struct blt_view *ret, int *ret_result);
int64_t pg_get_part(struct blt *blt, const void *key, size_t len, void *to,
		    size_t n, uint64_t offset);
int pg_stat_key(struct blt *blt, const void *key, size_t len,
		struct blt_stat *ret);
void pg_view_release(struct blt_view *view);
/* The value of a row with all these columns.  -ESTALE: its chunks are gone, or
 * fewer: ask once more. */
int pg_view_of_row(struct pg_store *store, const PGresult *res, int row,
		   struct blt_view *ret);

/* ---- pg_blob ---- */

int64_t pg_blob_new(struct pg_store *store);
/* Bytes read, fewer only at the end; -ESTALE: chunks are missing. */
int64_t pg_blob_read(struct pg_store *store, int64_t blob, uint64_t len,
		     void *to, size_t n, uint64_t offset);
/* All of a value, of which source->len is over PG_INLINE. */
int pg_blob_put(struct pg_store *store, const struct blt_source *source,
		int64_t *ret);
int pg_stream_open(struct blt *blt, size_t key_len, uint64_t room,
		   struct blt_stream **ret);
int pg_stream_write(struct blt_stream *s, const void *buf, size_t n,
		    uint64_t offset);
int64_t pg_stream_read(struct blt_stream *s, void *buf, size_t n,
		       uint64_t offset);
int pg_stream_resize(struct blt_stream *s, uint64_t len);
uint64_t pg_stream_len(const struct blt_stream *s);
int pg_stream_sync(struct blt_stream *s);
int pg_stream_commit(struct blt_stream *s, const void *key, size_t key_len,
		     int64_t timestamp);
void pg_stream_abort(struct blt_stream *s);

/* ---- pg_commit ---- */

int pg_key(struct blt *blt, const void *key, size_t len,
	   struct backend_key *ret);
int pg_check_value(struct blt *blt, const void *value, size_t len);
int pg_put(struct blt *blt, const void *key, size_t key_len, const void *value,
	   size_t value_len, int64_t timestamp);
int pg_put_from(struct blt *blt, const void *key, size_t key_len,
		const struct blt_source *source, int64_t timestamp);
int pg_delete(struct blt *blt, const void *key, size_t len);
int pg_touch(struct blt *blt, const void *key, size_t len, int64_t timestamp);
int pg_commit(struct blt *blt, struct backend_op *first);
/* A value whose chunks are there already becomes the key's. */
int pg_put_blob(struct pg_store *store, const void *key, size_t len,
		int64_t blob, uint64_t value_len, int64_t timestamp);
int pg_sync(struct blt *blt);
int pg_settle(struct blt *blt, bool idle);

/* ---- pg_walk ---- */

int pg_iter_open(struct blt *blt, const struct blt_iter_options *opts,
		 struct blt_iter **ret);
int pg_iter_ordered(struct blt *blt, const void *after, size_t after_len,
		    struct blt_iter **ret);
int pg_iter_next(struct blt_iter *it, struct blt_item *ret);
void pg_iter_free(struct blt_iter *it);

/* The least string of bytes behind all that begin with these, malloc'd; of no
 * bytes, or of only 0xff, one that no key reaches. */
int pg_end_of(const void *prefix, size_t len, uint8_t **ret, size_t *ret_len);

/* ---- pg_names, pg_look ---- */

/* Whether a key with a value of that length is the marker of the directory that
 * it names: 1, 0 or negative. */
int pg_is_marker(struct pg_store *store, const uint8_t *key, size_t len,
		 uint64_t value_len);
int pg_look(struct blt *blt, const void *prefix, size_t len,
	    struct backend_look *ret);

/* ---- pg_token ---- */

int pg_token(struct blt *blt, const void *key, size_t len, bool names,
	     uint64_t *ret);
/* Of a key that is there. */
uint64_t pg_token_of(uint64_t ver, int64_t mtime);

/* ---- pg_order ---- */

int pg_order_count(struct blt *blt, const void *prefix, size_t len,
		   uint64_t *ret);
int pg_order_at(struct blt *blt, const void *prefix, size_t len, uint64_t at,
		uint64_t n, backend_order_fn *fn, void *arg);
int pg_order_find(struct blt *blt, const void *prefix, size_t len,
		  const void *comp, size_t comp_len, uint64_t *ret);

/* ---- pg_notes ---- */

int pg_notes(struct blt *blt, backend_note_fn *fn, void *arg);

/* ---- pg_whole ---- */

int pg_count(struct blt *blt, struct blt_census *ret);
int pg_check(struct blt *blt, const struct blt_check_options *opts,
	     blt_fault_fn *fn, void *arg, struct blt_check_result *ret);
int pg_prune(struct blt *blt, const struct blt_prune_options *opts,
	     struct blt_prune_result *ret);
int pg_clear(struct pg_store *store, struct blt_error *err);
void pg_drop_settled(struct pg_store *store);

/* ---- pg_copy ---- */

int pg_copy(struct blt *blt, const char *path,
	    const struct blt_create_options *opts, bool replace,
	    blt_progress_fn *progress, void *arg, struct blt_error *err);
int pg_place_begin(const char *path, bool replace, char **ret_temporary,
		   struct blt_error *err);
int pg_place_end(const char *path, const char *temporary, bool replace,
		 struct blt_error *err);
void pg_place_drop(const char *temporary);

/* ---- pg_open ---- */

int pg_store_open(const char *path, const struct blt_open_options *opts,
		  struct blt **ret, struct blt_error *err);
uint64_t pg_changes(struct blt *blt);

#endif

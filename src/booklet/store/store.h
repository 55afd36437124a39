/* store.h - an open booklet store, and what its files ask of each other.
 *
 * The booklet engine behind the seam of backend.h: store.c opens, closes and
 * states facts; the other store_*.c and stream*.c hold the rest of the
 * functions that booklet.h names.
 */
#ifndef BLT_STORE_H
#define BLT_STORE_H

#include "booklet/core/batch.h"
#include "booklet/core/engine.h"
#include "booklet/format/serial.h"
#include "booklet/store/booklet.h"
#include "engine/backend.h"

struct store {
	struct blt face;
	struct engine engine;
	bool was_open;
	uint64_t replayed;        /* records, by opening it */
	bool alone;               /* no threads of its own */
	_Atomic uint64_t grow_at; /* n_keys at which to try growth again */
	atomic_bool growing;      /* a thread of its own is about it, */
	atomic_bool helping;      /* and syncs whatever it comes to */
	/* and would have nobody commit until then: steady_us, 0 */
	_Atomic int64_t quiet_until;
	pthread_mutex_t grower_lock;
	bool grower_made; /* these two under grower_lock, until the close */
	pthread_t grower;
	pthread_t walker; /* fills the tree; under wal.write */
	bool walking;
	atomic_bool stop_walk;
};

static inline struct store *store_of(struct blt *face)
{
	return (struct store *)(void *)face;
}

static inline const struct store *const_store_of(const struct blt *face)
{
	return (const struct store *)(const void *)face;
}

/* As blt_open, with another table of system calls. */
int store_open(const char *path, const struct blt_open_options *opts,
	       const struct file_ops *ops, struct blt **ret,
	       struct blt_error *err);

/* A store in an open descriptor without a lock (memory files in tests and
 * fuzzers).  The descriptor is closed with the store, or here on an error. */
int store_adopt(int fd, bool write, const struct file_ops *ops,
		struct blt **ret, struct blt_error *err);

/* 0 and a key of the store, or -EINVAL, -ENAMETOOLONG: bytes that would not
 * load as a key, or a hidden entry's. */
int store_key(struct store *store, const void *key, size_t len,
	      struct batch_key *ret);

/* The time that a put or touch is to write: -EINVAL where none can. */
int store_time(const struct store *store, int64_t timestamp, int64_t *ret);

/* BACKEND_NOTE, in store_notes.c. */
int store_note(struct store *store, struct batch *b,
	       const struct backend_op *op);

/* What a commit may bring about, with no lock held: the index grows where
 * n_keys has passed n_buckets, in a thread of its own or, where the store has
 * none, by a step; much that waits for a sync is synced.  What fails there is
 * no failure of the commit, which all can see: a full disk, or too little
 * memory, is tried again by the next commit, and told by the next flush, sync
 * or close; so is a failed disk, and by each further write. */
void store_committed(struct store *store);

/* Goes on with a growth that a dead writer left: beside this, or to its end. */
int store_grow_on(struct store *store);

/* One step of a growth to n_buckets, or of the one under way; for tests. */
int store_grow_step(struct store *store, uint32_t n_buckets);

/* Waits for the thread; for blt_close. */
void store_grow_end(struct store *store);

/* wal_mark_clean, with an index move that a full disk had stopped finished
 * first.
 */
int store_settle(struct store *store, bool idle);

/* The store's directory tree, made at the first call (whose flat counts for
 * the store's life), with the walk that fills it under way in a thread of its
 * own.  Borrowed; lives as long as the store.  Any thread. */
int store_dirindex(struct store *store, bool flat, struct dirindex **ret);

/* Ends the walk and frees the tree; for blt_close. */
void store_dirindex_end(struct store *store);

/* Length and timestamp of the block at a position that the tree gave within
 * the running dirindex_list callback, or that belongs to a key that is not
 * changed meanwhile.  -EUCLEAN where no block can stand there. */
int store_stat_at(struct store *store, uint64_t pos, struct blt_stat *ret);

/* The key whose hash is *h, malloc'd; -ENOENT. */
int store_find_hash(struct store *store, const struct keyhash *h,
		    uint8_t **ret_key, size_t *ret_len);

/* Long values of a batch, in their places before it begins.
 *
 * To copy what a batch takes from sources while the write lock is held would
 * keep all other writers waiting for as long.  So where that is much, it is
 * staged first: the blocks stand one behind the other inside regions as streams
 * have them (stream.c), dead blocks to everybody, and are durable; the batch
 * then only makes them live.
 *
 *   rc = batch_stage_ahead(store, first, &st);   sets op->staged_at; no lock is
 *                                                held
 *   rc = batch_begin(...);
 *   ...                                          batch_stage_adopt for each
 *   if (rc == 0)
 *           rc = batch_stage_split(st, &b);      regions become their blocks
 *   rc = batch_end(&b, rc);
 *   batch_stage_end(st, rc == 0);                st may be NULL
 *
 * What is staged and not adopted stays dead.  Errors: -errno; those of a
 * stream, and -EINVAL for a value that would not load.  A struct batch_stage is
 * its caller's alone.
 */

struct staged;

/* *ret is NULL where there is nothing that is worth it. */
int batch_stage_ahead(struct store *store, struct backend_op *first,
		      struct staged **ret);
/* For an operation that has staged_at: as batch_put. */
int batch_stage_adopt(struct batch *b, const struct backend_op *op);
int batch_stage_split(struct staged *staged, struct batch *b);
void batch_stage_end(struct staged *staged, bool committed);

/* The bytes of a blt_source, checked on their way.
 *
 *   rc = source_begin(&c, store, source);
 *   if (rc == 0)
 *           ... c.value.read(c.value.arg, ...)   once, from front to back
 *   source_end(&c);                              whatever it returned
 *
 * A value that would not load in Python is -EINVAL from its last read.  One of
 * a wrong length is -EINVAL or -EFBIG at once.  source must last as long.
 */

struct checked_source {
	const struct blt_source *source;
	struct serial_check *check; /* NULL: all bytes will do */
	struct batch_value value;
};

int source_begin(struct checked_source *c, const struct store *store,
		 const struct blt_source *source);
void source_end(struct checked_source *c);

/* Whether a value may have that length: 0, -EINVAL, -EFBIG. */
int source_check_len(const struct store *store, uint64_t len);

#endif

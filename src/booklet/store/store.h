/* store.h - an open booklet store, and what its files ask of each other.
 *
 * The booklet engine behind the seam of backend.h: store.c opens, closes and
 * states facts; the other store_*.c and stream*.c hold the rest of the
 * functions that booklet.h names.
 */
#ifndef BLT_STORE_H
#define BLT_STORE_H

#include "engine/backend.h"
#include "booklet/core/batch.h"
#include "booklet/store/booklet.h"
#include "booklet/core/engine.h"

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
	bool grower_made;
	pthread_t grower; /* set by who set growing */
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

#endif

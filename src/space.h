/* space.h - the bytes of a store: the file, and what is not in it yet.
 *
 * Positions below the tail's base are read from the file's mapping; the tail
 * is the end of the data that still stands in memory.  Pointers (bucket
 * entries, next pointers) and timestamps that a commit changed in bytes below
 * are looked up in two sets of changes first, active and frozen, and only then
 * in those bytes.
 *
 * A commit, under the write lock:
 *
 *   space_begin(sp)
 *   space_reserve / space_append ...     new blocks, at sp->append
 *   changes_set(&sp->delta, ...)         pointers that change
 *   space_publish(sp)                    seen by readers from here
 *     or space_rollback(sp)              as if nothing had been
 *   space_end(sp)
 *
 * then space_flush hands it to the kernel and space_sync makes it durable.
 *
 * Threads and locks (doc/concurrency.md): sp->write serialises writers and is
 * taken by space_begin.  sp->lock is held shared by readers for the time of a
 * lookup and exclusively for the moment of a publish, of a new tail, or of
 * dropping applied changes: never across I/O.  A pointer is written into the
 * file only while a set of changes still answers for it, so that no reader
 * sees it half-written.
 *
 * Errors: the first failed write or fsync is kept in sp->failed; from then on
 * space_begin returns -EIO.  What readers see stays as it was.
 */
#ifndef BLT_SPACE_H
#define BLT_SPACE_H

#include "changes.h"
#include "file.h"
#include "format.h"

#include <pthread.h>
#include <stdatomic.h>

/* Data blocks that fit are gathered in chunks of this size before they are
 * written; no block stands in two chunks. */
#define SPACE_CHUNK ((size_t)1 << 20)

/* A piece of the tail.  A view of a value in it holds a reference. */
struct chunk {
	atomic_uint refs;
	uint64_t base; /* file position of data[0] */
	size_t len;
	uint8_t data[];
};

/* The index that is being built while the old one is still in use: buckets
 * below moved of the old index have their keys here.  offset 0: none. */
struct next_index {
	uint64_t offset;
	uint32_t n_buckets;
	uint32_t moved;
};

struct space {
	struct file file;
	pthread_mutex_t write;
	pthread_rwlock_t lock;
	pthread_mutex_t sync_lock;

	/* Changed with write and lock (exclusive) held, read with either. */
	struct format fmt;
	struct next_index next;
	struct changes active; /* committed, not yet being written */
	struct changes frozen; /* committed, being written into the file */
	struct chunk *tail;
	uint64_t end; /* of committed data */
	uint64_t n_keys;
	int64_t changed; /* time of the last commit, microseconds */

	/* Under write. */
	struct changes delta; /* of the commit that is being built */
	uint64_t append;      /* where the next byte goes */
	uint64_t reserved;    /* disk space is had up to here */
	bool reserve_fails;   /* the filesystem cannot reserve */
	bool marked;          /* the header says that a writer is at work */
	uint64_t flushes;     /* count of flushes that wrote anything */

	uint64_t synced;   /* under sync_lock: flushes made durable */
	atomic_int failed; /* the first error, negative; 0: none */
};

/* Takes the file over; *file is not to be closed by the caller any more where
 * this returns 0. */
int space_init(struct space *sp, const struct file *file,
	       const struct format *fmt, uint64_t end);
void space_release(struct space *sp);

/* ---- reading; the caller holds lock shared, or write ---- */

static inline const uint8_t *space_ptr(const struct space *sp, uint64_t pos)
{
	if (sp->tail && pos >= sp->tail->base)
		return sp->tail->data + (pos - sp->tail->base);
	return file_ptr(&sp->file, pos);
}

/* Whose view of the store: a reader sees what is committed; the writer, with
 * write held, also what the commit it is building has done so far. */
enum space_who { SPACE_READER, SPACE_WRITER };

/* A pointer or timestamp of len bytes. */
uint64_t space_field(const struct space *sp, uint64_t pos, uint32_t len,
		     enum space_who who);

/* Where the data ends. */
static inline uint64_t space_limit(const struct space *sp, enum space_who who)
{
	return who == SPACE_WRITER ? sp->append : sp->end;
}

/* Where the tail's chunk holds pos, the chunk with a reference taken, else
 * NULL. */
struct chunk *space_pin(const struct space *sp, uint64_t pos);
void chunk_put(struct chunk *c); /* NULL is fine */

/* ---- writing ---- */

/* Takes the write lock; -EROFS, -EIO. */
int space_begin(struct space *sp);
void space_end(struct space *sp);

/* Gets room on the disk for len more bytes: -ENOSPC here, or never. */
int space_reserve(struct space *sp, uint64_t len);

/* Called in front of and behind the bytes of one block, with its length. */
int space_block(struct space *sp, uint64_t len);
int space_block_end(struct space *sp, uint64_t len);
int space_append(struct space *sp, const void *bytes, size_t len);

/* Room for len bytes of the current block, in memory, to be filled by the
 * caller: returns how many fit (at least 1), and counts them as appended. */
int64_t space_append_room(struct space *sp, uint64_t len, uint8_t **ret);

/* Leaves len bytes that the caller writes with space_write itself. */
int space_skip(struct space *sp, uint64_t len);
int space_write(struct space *sp, const void *bytes, size_t len, uint64_t pos);

/* Makes what was appended and set since space_begin the state of the store.
 * also, which may be NULL, runs while no reader looks; where it fails nothing
 * is published. */
int space_publish(struct space *sp, int64_t more_keys, int (*also)(void *arg),
		  void *arg);
void space_rollback(struct space *sp);

/* With write held: to the kernel, changes included. */
int space_flush(struct space *sp);

/* Without a lock held: flushes and makes durable; callers share fdatasyncs. */
int space_sync(struct space *sp);

/* With write held, at the end: everything into the file, the file cut to its
 * length, the header as a plain booklet file has it, durable. */
int space_clean(struct space *sp);

/* Writes the header as sp->fmt has it. */
int space_write_header(struct space *sp);

/* Keeps err as the reason for taking no more writes; returns it. */
int space_fail(struct space *sp, int err);

#endif

/* wal.h - the bytes of a store: the file, and what is not in it yet.
 *
 * Positions below the tail's base are read from the file's mapping; the tail
 * is the end of the data that still stands in memory.  Pointers (bucket
 * entries, next pointers) and timestamps that a commit changed in bytes below
 * are looked up in dirty tables first, and only then in those bytes.
 *
 * A commit, under the write lock:
 *
 *   wal_begin(wal)
 *   wal_reserve / wal_block / wal_append ...   new blocks
 *   dirty_set(&wal->delta, ...)         pointers that change
 *   wal_publish(wal)                    seen by readers from here
 *     or wal_rollback(wal)              as if nothing had been
 *   wal_end(wal)
 *
 * A change passes through four dirty tables on its way into the file, and
 * readers ask them in this order:
 *
 *   delta      of the commit that is being built; the writer alone asks it
 *   dirty      committed, in no record of the log yet
 *   logged     in a record that has been handed to the kernel (wal_flush)
 *   flushing   in a record that is being made durable and then written into
 *              its place (wal_sync)
 *
 * Nothing in the file changes in place before the record that can redo it is
 * durable, or a crash would lose the old value and the new one.
 *
 * Threads and locks (doc/concurrency.md): wal->write serialises writers and is
 * taken by wal_begin.  wal->lock is held shared by readers for the time of a
 * lookup and exclusively for the moment of a publish, of a new tail, or of
 * moving and dropping changes: never across I/O.  wal->sync_lock comes before
 * write and lets one thread at a time make durable; callers of sync who come
 * together share what one of them does.  A pointer is written into the file
 * only while a dirty table still answers for it, so that no reader sees it
 * half-written.
 *
 * Errors: the first failed write or fsync is kept in wal->failed; from then on
 * wal_begin returns -EIO, and the file stays as it is until it is opened
 * again and recovered.  What readers see stays as it was.
 */
#ifndef BLT_WAL_H
#define BLT_WAL_H

#include "booklet/log/dirty_table.h"
#include "booklet/log/commitlog.h"
#include "base/epoch.h"
#include "booklet/io/file.h"
#include "booklet/format/format.h"
#include "booklet/log/group_commit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <xxhash.h>

/* Data blocks that fit are gathered in chunks of this size before they are
 * written; no block stands in two chunks. */
#define WAL_CHUNK ((size_t)1 << 20)

/* Dead blocks that are remembered. */
#define WAL_FILLERS 64u

/* A piece of the tail.  A view of a value in it holds a reference. */
struct chunk {
	atomic_uint refs;
	uint64_t base; /* file position of data[0] */
	size_t len;
	uint8_t data[];
};

/* The part of the log that has no record yet: its checksum so far, and the
 * next pointers and timestamps that the checksum leaves out. */
struct batch_log {
	uint64_t start; /* where it begins */
	XXH3_state_t *sum;
	size_t own_len;
};

/* How often syncs come: for wal_prealloc.c. */
struct wal_pace {
	unsigned quick;  /* small ones soon one after another */
	int64_t last_us; /* when the last one was */
	uint64_t step;   /* zeros written ahead then; 0: none yet */
};

struct wal {
	struct file file;
	pthread_mutex_t write;
	pthread_rwlock_t lock;
	pthread_mutex_t sync_lock;

	/* Changed with write and lock (exclusive) held, read with either. */
	struct format fmt;
	struct log_growth next; /* the index that is being built: what stood
				 * in buckets of the old one below moved is
				 * there */
	uint64_t index_gap;     /* dead bytes behind the index that will be
				 * covered together with it when it is left */
	uint64_t next_gap;      /* dead bytes behind the next one */
	struct log_gap gap;     /* bytes that walks pass over: prune writes
				 * there */
	struct log_gap *merge;  /* runs of dead blocks, in order, that become
				 * fewer (punch_holes.c): walks pass over them */
	size_t n_merge;
	struct dirty_table dirty, logged, flushing;
	struct chunk *tail;
	uint64_t end; /* of committed data */
	uint64_t n_keys;
	/* The same as of the last record: a checkpoint must not tell of what
	 * never reached the log. */
	uint64_t logged_keys;
	struct log_growth logged_next;
	struct log_gap logged_gap;
	int64_t changed; /* time of the last commit, microseconds */

	/* Under write. */
	struct dirty_table delta;
	uint64_t append;     /* where the next byte goes */
	uint64_t reserved;   /* disk space is had up to here */
	uint64_t ahead;      /* the file reaches to here, zeros behind
			      * the tail's base; if that is behind it,
			      * it ends there (wal_prealloc.c) */
	bool reserve_fails;  /* the filesystem cannot reserve */
	bool unclean;        /* the file has a log: checkpoint says where */
	uint64_t record_seq; /* of the next record */
	bool cutover;        /* the next record ends the growth */
	uint8_t salt[LOG_SALT_LEN]; /* of this log */
	bool first_record;          /* of this log: it carries the header */
	struct batch_log log;       /* what the next record will cover */
	struct batch_log before;    /* the same as it was at wal_begin, */
	bool sum_kept;              /* its sum too, if so: log's has changed */
	uint64_t late_pos; /* a block that log.sum does not have yet, */
	uint64_t late_len; /* its length; 0: none */
	uint8_t *own;      /* of log.own_len bytes */
	size_t own_room;
	uint64_t flushes;       /* records written */
	uint64_t flushing_from; /* the bytes of the log that are being made */
	uint64_t flushing_end;  /* durable; below from they are */
	uint64_t commits, cleaned; /* counts of publishes: all, and as of the
				    * last time the file was plain */
	struct log_gap filler[WAL_FILLERS]; /* dead blocks that stand in front
					     * of long values; len 0: none */
	unsigned next_filler;               /* the one to be forgotten next */

	/* Under sync_lock; where the file is not unclean, under write. */
	struct log_checkpoint checkpoint; /* the newest one in the header */
	int checkpoint_at;                /* its number */
	uint8_t checkpoints[2 * LOG_CHECKPOINT_LEN]; /* both as they are in the
							header */
	uint64_t synced;                             /* records made durable */
	uint64_t sync_to; /* as flushing_end, with fresh zeros */
	struct wal_pace pace;

	struct group_commit syncs; /* the callers of wal_sync */

	struct epoch epoch;  /* who holds bytes of the file without a lock; a
			      * new one begins with lock held exclusively */
	atomic_bool full;    /* much waits for a sync; set by commits */
	atomic_bool crowded; /* more keys than buckets; as of the last commit */
	atomic_int failed;   /* the first error, negative; 0: none */
};

/* Takes the file over; *file is not to be closed by the caller any more where
 * this returns 0. */
int wal_init(struct wal *wal, const struct file *file, const struct format *fmt,
	     uint64_t end);
void wal_release(struct wal *wal);

/* ---- reading; the caller holds lock shared, or write ---- */

static inline const uint8_t *wal_ptr(const struct wal *wal, uint64_t pos)
{
	if (wal->tail && pos >= wal->tail->base)
		return wal->tail->data + (pos - wal->tail->base);
	return file_ptr(&wal->file, pos);
}

/* Whose view of the store: a reader sees what is committed; the writer, with
 * write held, also what the commit it is building has done so far. */
enum wal_who { WAL_READER, WAL_WRITER };

/* A pointer of len bytes. */
static inline uint64_t wal_field(const struct wal *wal, uint64_t pos,
				 uint32_t len, enum wal_who who)
{
	uint64_t v;

	if ((who == WAL_WRITER && dirty_get(&wal->delta, pos, &v)) ||
	    dirty_get(&wal->dirty, pos, &v) ||
	    dirty_get(&wal->logged, pos, &v) ||
	    dirty_get(&wal->flushing, pos, &v))
		return v;
	return get_le(wal_ptr(wal, pos), len);
}

/* The same for a timestamp: few commits change one in place. */
static inline uint64_t wal_time(const struct wal *wal, uint64_t pos,
				enum wal_who who)
{
	uint64_t v;

	if ((who == WAL_WRITER && dirty_get_odd(&wal->delta, pos, &v)) ||
	    dirty_get_odd(&wal->dirty, pos, &v) ||
	    dirty_get_odd(&wal->logged, pos, &v) ||
	    dirty_get_odd(&wal->flushing, pos, &v))
		return v;
	return get_le(wal_ptr(wal, pos), FORMAT_TIME_LEN);
}

/* Where the data ends. */
static inline uint64_t wal_limit(const struct wal *wal, enum wal_who who)
{
	return who == WAL_WRITER ? wal->append : wal->end;
}

/* Where the tail's chunk holds pos, the chunk with a reference taken, else
 * NULL. */
struct chunk *wal_pin(const struct wal *wal, uint64_t pos);
void chunk_put(struct chunk *c); /* NULL is fine */

/* Keeps the bytes at pos as they are, wherever they stand and whatever becomes
 * of their block, until wal_let_go. */
void *wal_hold(struct wal *wal, uint64_t pos);
void wal_let_go(void *hold); /* NULL is fine */

/* ---- writing ---- */

/* Takes the write lock; -EROFS, -EIO. */
int wal_begin(struct wal *wal);
void wal_end(struct wal *wal);

/* Where a rollback goes back to, for a second commit under one lock. */
void wal_mark(struct wal *wal);

/* Gets room on the disk for len more bytes: -ENOSPC here, or never. */
int wal_reserve(struct wal *wal, uint64_t len);

/* A block: its head, then its key and value by wal_append (or, for the
 * value, wal_append_room and wal_filled), then wal_block_end. */
int wal_block(struct wal *wal, const struct block_head *head,
	      uint64_t *ret_pos);
int wal_append(struct wal *wal, const void *bytes, size_t len);
int wal_block_end(struct wal *wal, const struct block_head *head);

/* Dead blocks over the next len bytes, which must be a sum of legal ones; the
 * file has a hole where their keys and values are (wal_reservation.c), for
 * which disk space is had, unless sparse. */
int wal_append_hole(struct wal *wal, uint64_t len, bool sparse,
		    uint64_t *ret_pos);

/* One dead block of len bytes, which are written. */
int wal_append_filler(struct wal *wal, uint64_t len, uint64_t *ret_pos);

/* Room for at most len bytes, to be filled by the caller, who then says so:
 * returns how many, at least 1. */
int64_t wal_append_room(struct wal *wal, uint64_t len, uint8_t **ret);
void wal_filled(struct wal *wal, const uint8_t *bytes, size_t len);

/* What the pointer at checkpoint will be once this is published. */
static inline int wal_set_pointer(struct wal *wal, uint64_t slot, uint64_t to)
{
	return dirty_set(&wal->delta, slot, to, FORMAT_POS_LEN);
}

/* Makes what was appended and set since wal_begin the state of the store.
 * also, which may be NULL, runs while no reader looks; where it fails nothing
 * is published. */
int wal_publish(struct wal *wal, int64_t more_keys, int (*also)(void *arg),
		void *arg);
void wal_rollback(struct wal *wal);

/* With write held: the dead block at pos, which never lived, is remembered as
 * the one in front of what stands behind it; where it begins, 0: none is known;
 * all that begin at or behind pos are forgotten.  Whoever covers, moves or cuts
 * off blocks forgets. */
void wal_note_filler(struct wal *wal, uint64_t pos, uint64_t len);
uint64_t wal_filler_before(const struct wal *wal, uint64_t pos);
void wal_forget_fillers(struct wal *wal, uint64_t pos);

/* Keeps err as the reason for taking no more writes; returns it. */
int wal_fail(struct wal *wal, int err);

/* ---- from memory into the file: wal.c, checkpoint.c ---- */

/* With write held: to the kernel, with a record, so that it survives the death
 * of the process. */
int wal_flush(struct wal *wal);

/* Without a lock held: flushes and makes durable; concurrent callers share the
 * call.  Durable is the log, with the blocks in it; bytes that were written
 * elsewhere are with the next checkpoint, or with file_sync. */
int wal_sync(struct wal *wal);

/* Under sync_lock: makes these bytes of the file durable, and no others. */
int wal_sync_range(struct wal *wal, uint64_t from, uint64_t to);

/* Without a lock held: a plain booklet file until the next commit.  idle: only
 * if nothing has been committed since the last call with idle. */
int wal_mark_clean(struct wal *wal, bool idle);

/* Of a clean file, without a lock held: disk space past its end, which its size
 * does not show, so that keys can be deleted when the disk is full; and that
 * space given back. */
void wal_keep_space(struct wal *wal);
int wal_return_space(struct wal *wal);

/* Without a lock held: as wal_sync, and begins the log anew.  What is in the
 * file's places then is durable there, the checkpoint's gap included, and no
 * record names any of it. */
int wal_begin_log(struct wal *wal);

/* For work on the whole file: takes sync_lock and write. */
int wal_begin_whole(struct wal *wal);
void wal_end_whole(struct wal *wal);

/* With sync_lock held, and not write, which commits may take meanwhile: all
 * that has been committed so far goes into its place and is durable; the log
 * begins behind it. */
int wal_checkpoint_beside(struct wal *wal);

/* With both held, the log empty and a checkpoint written that begins it at to:
 * the file ends there. */
int wal_cut(struct wal *wal, uint64_t to);

/* A new checkpoint, in the place of the older one, durable. */
int wal_write_checkpoint(struct wal *wal, const struct log_checkpoint *slot);

/* For checkpoint.c: the header while the file is unclean. */
int wal_write_unclean_header(struct wal *wal);

/* ---- a commit whose record is written before anybody sees it:
 * wal_commit.c ---- */

/* Behind wal_begin: what waits for a record gets one, so that the commit to
 * be built has one of its own. */
int wal_begin_logged(struct wal *wal);

/* As wal_publish, with the record in the kernel.  Where that fails, nothing
 * is published. */
int wal_publish_logged(struct wal *wal, int64_t more_keys,
		       int (*also)(void *arg), void *arg);
void wal_rollback_logged(struct wal *wal);

/* The same where the changes go into their places at once, also such as no set
 * of changes answers for: heads and keys.  With both locks (wal_begin_whole):
 * an empty log; the commit; its record, durable; then what land does while no
 * reader looks.  Behind the record the disk may fail: then writing ends, and
 * what was committed is seen all the same. */
int wal_empty_log(struct wal *wal);
int wal_log_commit(struct wal *wal, int64_t more_keys);
int wal_land(struct wal *wal, int64_t more_keys, int (*also)(void *arg),
	     void *arg);

/* Puts changes into their places in the file (writeback.c). */
int wal_writeback(struct wal *wal, const struct dirty_table *changes);

/* For wal_commit.c: room on the disk for the record of all that waits for
 * one; the count behind a commit; it is made.  The record of these changes; it
 * is in the kernel. */
int wal_reserve_record(struct wal *wal);
uint64_t wal_keys_after(const struct wal *wal, int64_t more_keys);
void wal_count_commit(struct wal *wal, int64_t more_keys);
int wal_reserve_logged(struct wal *wal, size_t n);
int wal_append_record(struct wal *wal, const struct dirty_table *changes,
		      uint64_t n_keys);
void wal_logged(struct wal *wal);

/* For wal.c and recover.c: the tail's bytes to the kernel; an empty
 * batch that begins at wal->append; what tells a new log from those before. */
int wal_flush_tail(struct wal *wal);
void wal_log_reset(struct wal *wal);
void wal_new_salt(uint8_t salt[LOG_SALT_LEN]);

/* For append.c (wal_checksum.c): a block in the tail counts from now on; the
 * commit has succeeded, or everything is as it was at wal_mark. */
void wal_checksum_late(struct wal *wal);
void wal_checksum_published(struct wal *wal);
void wal_checksum_back(struct wal *wal);

/* Where the file ends, as far as is known. */
static inline uint64_t wal_file_end(const struct wal *wal)
{
	return wal->ahead > wal->tail->base ? wal->ahead : wal->tail->base;
}

/* With sync_lock and write held, the tail flushed: another sync.  Where they
 * are frequent, makes the file longer than it need be. */
int wal_preallocate(struct wal *wal);

/* For wal_reservation.c: the file ends where it should, or -EIO: somebody who
 * ignores the lock changed it.  The tail, which is empty, goes on at base.  The
 * bytes of a block's head that the checksum leaves out, for the record. */
int wal_check_file(struct wal *wal);
int wal_move_tail(struct wal *wal, uint64_t base);
int wal_note_own(struct wal *wal, const struct block_head *head);

/* For wal.c: bytes that no checksum of a batch covers, as blocks of
 * their own; what was appended behind wal->end is dropped again. */
int wal_start_block(struct wal *wal, uint64_t len);
int wal_append_plain(struct wal *wal, const void *bytes, size_t len);
int wal_finish_block(struct wal *wal, uint64_t len);
void wal_cut_back(struct wal *wal);

/* With write held: the mark in the header, before the first byte of a log. */
int wal_mark_unclean(struct wal *wal);

#endif

/* space.h - the bytes of a store: the file, and what is not in it yet.
 *
 * Positions below the tail's base are read from the file's mapping; the tail
 * is the end of the data that still stands in memory.  Pointers (bucket
 * entries, next pointers) and timestamps that a commit changed in bytes below
 * are looked up in sets of changes first, and only then in those bytes.
 *
 * A commit, under the write lock:
 *
 *   space_begin(sp)
 *   space_reserve / space_block / space_append ...   new blocks
 *   changes_set(&sp->delta, ...)         pointers that change
 *   space_publish(sp)                    seen by readers from here
 *     or space_rollback(sp)              as if nothing had been
 *   space_end(sp)
 *
 * A change goes through four hands on its way into the file, and readers ask
 * them in this order:
 *
 *   delta      of the commit that is being built; the writer alone asks it
 *   active     committed, in no record of the log yet
 *   recorded   in a record that has been handed to the kernel (space_flush)
 *   frozen     in a record that is being made durable and then written into
 *              its place (space_sync)
 *
 * Nothing in the file changes in place before the record that can redo it is
 * durable, or a crash would lose the old value and the new one.
 *
 * Threads and locks (doc/concurrency.md): sp->write serialises writers and is
 * taken by space_begin.  sp->lock is held shared by readers for the time of a
 * lookup and exclusively for the moment of a publish, of a new tail, or of
 * moving and dropping changes: never across I/O.  sp->sync_lock comes before
 * write and lets one thread at a time make durable; callers of sync who come
 * together share what one of them does.  A pointer is written into the file
 * only while a set of changes still answers for it, so that no reader sees it
 * half-written.
 *
 * Errors: the first failed write or fsync is kept in sp->failed; from then on
 * space_begin returns -EIO, and the file stays as it is until it is opened
 * again and recovered.  What readers see stays as it was.
 */
#ifndef BLT_SPACE_H
#define BLT_SPACE_H

#include "booklet/log/changes.h"
#include "booklet/log/commitlog.h"
#include "base/epoch.h"
#include "booklet/io/file.h"
#include "booklet/format/format.h"
#include "booklet/log/space_group.h"

#include <pthread.h>
#include <stdatomic.h>
#include <xxhash.h>

/* Data blocks that fit are gathered in chunks of this size before they are
 * written; no block stands in two chunks. */
#define SPACE_CHUNK ((size_t)1 << 20)

/* Dead blocks that are remembered. */
#define SPACE_PADS 64u

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

/* How often syncs come: for space_ahead.c. */
struct space_pace {
	unsigned quick;  /* small ones soon one after another */
	int64_t last_us; /* when the last one was */
	uint64_t step;   /* zeros written ahead then; 0: none yet */
};

struct space {
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
	struct log_zone zone;   /* bytes that walks pass over: prune writes
				 * there */
	struct log_zone *merge; /* runs of dead blocks, in order, that become
				 * fewer (trim.c): walks pass over them */
	size_t n_merge;
	struct changes active, recorded, frozen;
	struct chunk *tail;
	uint64_t end; /* of committed data */
	uint64_t n_keys;
	/* The same as of the last record: a slot must not tell of what never
	 * reached the log. */
	uint64_t recorded_keys;
	struct log_growth recorded_next;
	struct log_zone recorded_zone;
	int64_t changed; /* time of the last commit, microseconds */

	/* Under write. */
	struct changes delta;
	uint64_t append;            /* where the next byte goes */
	uint64_t reserved;          /* disk space is had up to here */
	uint64_t ahead;             /* the file reaches to here, zeros behind
				     * the tail's base; if that is behind it,
				     * it ends there (space_ahead.c) */
	bool reserve_fails;         /* the filesystem cannot reserve */
	bool hot;                   /* the file has a log: slot says where */
	uint64_t record_seq;        /* of the next record */
	bool landing;               /* the next record ends the growth */
	uint8_t salt[LOG_SALT_LEN]; /* of this log */
	bool first_record;          /* of this log: it carries the header */
	struct batch_log log;       /* what the next record will cover */
	struct batch_log before;    /* the same as it was at space_begin, */
	bool sum_kept;              /* its sum too, if so: log's has changed */
	uint64_t late_pos; /* a block that log.sum does not have yet, */
	uint64_t late_len; /* its length; 0: none */
	uint8_t *own;      /* of log.own_len bytes */
	size_t own_room;
	uint64_t flushes;     /* records written */
	uint64_t frozen_from; /* the bytes of the log that are being made */
	uint64_t frozen_end;  /* durable; below from they are */
	uint64_t commits, settled; /* counts of publishes: all, and as of the
				    * last time the file was plain */
	struct log_zone pad[SPACE_PADS]; /* dead blocks that stand in front of
					  * long values; len 0: none */
	unsigned next_pad;               /* the one to be forgotten next */

	/* Under sync_lock; where the file is not hot, under write. */
	struct log_slot slot;            /* the newest one in the header */
	int slot_at;                     /* its number */
	uint8_t slots[2 * LOG_SLOT_LEN]; /* both as they are in the header */
	uint64_t synced;                 /* records made durable */
	uint64_t sync_to;                /* as frozen_end, with fresh zeros */
	struct space_pace pace;

	struct space_group syncs; /* the callers of space_sync */

	struct epoch epoch;  /* who holds bytes of the file without a lock; a
			      * new one begins with lock held exclusively */
	atomic_bool full;    /* much waits for a sync; set by commits */
	atomic_bool crowded; /* more keys than buckets; as of the last commit */
	atomic_int failed;   /* the first error, negative; 0: none */
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

/* A pointer of len bytes. */
static inline uint64_t space_field(const struct space *sp, uint64_t pos,
				   uint32_t len, enum space_who who)
{
	uint64_t v;

	if ((who == SPACE_WRITER && changes_get(&sp->delta, pos, &v)) ||
	    changes_get(&sp->active, pos, &v) ||
	    changes_get(&sp->recorded, pos, &v) ||
	    changes_get(&sp->frozen, pos, &v))
		return v;
	return get_le(space_ptr(sp, pos), len);
}

/* The same for a timestamp: few commits change one in place. */
static inline uint64_t space_time(const struct space *sp, uint64_t pos,
				  enum space_who who)
{
	uint64_t v;

	if ((who == SPACE_WRITER && changes_get_odd(&sp->delta, pos, &v)) ||
	    changes_get_odd(&sp->active, pos, &v) ||
	    changes_get_odd(&sp->recorded, pos, &v) ||
	    changes_get_odd(&sp->frozen, pos, &v))
		return v;
	return get_le(space_ptr(sp, pos), FORMAT_TIME_LEN);
}

/* Where the data ends. */
static inline uint64_t space_limit(const struct space *sp, enum space_who who)
{
	return who == SPACE_WRITER ? sp->append : sp->end;
}

/* Where the tail's chunk holds pos, the chunk with a reference taken, else
 * NULL. */
struct chunk *space_pin(const struct space *sp, uint64_t pos);
void chunk_put(struct chunk *c); /* NULL is fine */

/* Keeps the bytes at pos as they are, wherever they stand and whatever becomes
 * of their block, until space_let_go. */
void *space_hold(struct space *sp, uint64_t pos);
void space_let_go(void *hold); /* NULL is fine */

/* ---- writing ---- */

/* Takes the write lock; -EROFS, -EIO. */
int space_begin(struct space *sp);
void space_end(struct space *sp);

/* Where a rollback goes back to, for a second commit under one lock. */
void space_mark(struct space *sp);

/* Gets room on the disk for len more bytes: -ENOSPC here, or never. */
int space_reserve(struct space *sp, uint64_t len);

/* A block: its head, then its key and value by space_append (or, for the
 * value, space_append_room and space_filled), then space_block_end. */
int space_block(struct space *sp, const struct block_head *head,
		uint64_t *ret_pos);
int space_append(struct space *sp, const void *bytes, size_t len);
int space_block_end(struct space *sp, const struct block_head *head);

/* Dead blocks over the next len bytes, which must be a sum of legal ones; the
 * file has a hole where their keys and values are (space_hole.c), for which
 * disk space is had, unless sparse. */
int space_append_hole(struct space *sp, uint64_t len, bool sparse,
		      uint64_t *ret_pos);

/* One dead block of len bytes, which are written. */
int space_append_filler(struct space *sp, uint64_t len, uint64_t *ret_pos);

/* Room for at most len bytes, to be filled by the caller, who then says so:
 * returns how many, at least 1. */
int64_t space_append_room(struct space *sp, uint64_t len, uint8_t **ret);
void space_filled(struct space *sp, const uint8_t *bytes, size_t len);

/* What the pointer at slot will be once this is published. */
static inline int space_set_pointer(struct space *sp, uint64_t slot,
				    uint64_t to)
{
	return changes_set(&sp->delta, slot, to, FORMAT_POS_LEN);
}

/* Makes what was appended and set since space_begin the state of the store.
 * also, which may be NULL, runs while no reader looks; where it fails nothing
 * is published. */
int space_publish(struct space *sp, int64_t more_keys, int (*also)(void *arg),
		  void *arg);
void space_rollback(struct space *sp);

/* With write held: the dead block at pos, which never lived, is remembered as
 * the one in front of what stands behind it; where it begins, 0: none is known;
 * all that begin at or behind pos are forgotten.  Whoever covers, moves or cuts
 * off blocks forgets. */
void space_note_pad(struct space *sp, uint64_t pos, uint64_t len);
uint64_t space_pad_before(const struct space *sp, uint64_t pos);
void space_forget_pads(struct space *sp, uint64_t pos);

/* Keeps err as the reason for taking no more writes; returns it. */
int space_fail(struct space *sp, int err);

/* ---- from memory into the file: space_log.c, space_sync.c ---- */

/* With write held: to the kernel, with a record, so that it survives the death
 * of the process. */
int space_flush(struct space *sp);

/* Without a lock held: flushes and makes durable; concurrent callers share the
 * call.  Durable is the log, with the blocks in it; bytes that were written
 * elsewhere are with the next checkpoint, or with file_sync. */
int space_sync(struct space *sp);

/* Under sync_lock: makes these bytes of the file durable, and no others. */
int space_sync_range(struct space *sp, uint64_t from, uint64_t to);

/* Without a lock held: a plain booklet file until the next commit.  idle: only
 * if nothing has been committed since the last call with idle. */
int space_settle(struct space *sp, bool idle);

/* Without a lock held: as space_sync, and begins the log anew.  What is in the
 * file's places then is durable there, the slot's zone included, and no record
 * names any of it. */
int space_begin_log(struct space *sp);

/* For work on the whole file: takes sync_lock and write. */
int space_begin_whole(struct space *sp);
void space_end_whole(struct space *sp);

/* With sync_lock held, and not write, which commits may take meanwhile: all
 * that has been committed so far goes into its place and is durable; the log
 * begins behind it. */
int space_checkpoint_beside(struct space *sp);

/* With both held, the log empty and a slot written that begins it at to: the
 * file ends there. */
int space_cut(struct space *sp, uint64_t to);

/* A new slot, in the place of the older one, durable. */
int space_write_slot(struct space *sp, const struct log_slot *slot);

/* For space_sync.c: the header while the file is hot. */
int space_write_hot_header(struct space *sp);

/* ---- a commit whose record is written before anybody sees it:
 * space_logged.c ---- */

/* Behind space_begin: what waits for a record gets one, so that the commit to
 * be built has one of its own. */
int space_begin_logged(struct space *sp);

/* As space_publish, with the record in the kernel.  Where that fails, nothing
 * is published. */
int space_publish_logged(struct space *sp, int64_t more_keys,
			 int (*also)(void *arg), void *arg);
void space_rollback_logged(struct space *sp);

/* The same where the changes go into their places at once, also such as no set
 * of changes answers for: heads and keys.  With both locks (space_begin_whole):
 * an empty log; the commit; its record, durable; then what land does while no
 * reader looks.  Behind the record the disk may fail: then writing ends, and
 * what was committed is seen all the same. */
int space_empty_log(struct space *sp);
int space_log_commit(struct space *sp, int64_t more_keys);
int space_land(struct space *sp, int64_t more_keys, int (*also)(void *arg),
	       void *arg);

/* Puts changes into their places in the file (space_apply.c). */
int space_apply(struct space *sp, const struct changes *changes);

/* For space_logged.c: room on the disk for the record of all that waits for
 * one; the count behind a commit; it is made.  The record of these changes; it
 * is in the kernel. */
int space_reserve_record(struct space *sp);
uint64_t space_keys_after(const struct space *sp, int64_t more_keys);
void space_count_commit(struct space *sp, int64_t more_keys);
int space_reserve_recorded(struct space *sp, size_t n);
int space_append_record(struct space *sp, const struct changes *changes,
			uint64_t n_keys);
void space_recorded(struct space *sp);

/* For space_log.c and recover.c: the tail's bytes to the kernel; an empty
 * batch that begins at sp->append; what tells a new log from those before. */
int space_flush_tail(struct space *sp);
void space_log_reset(struct space *sp);
void space_new_salt(uint8_t salt[LOG_SALT_LEN]);

/* For space.c (space_sum.c): a block in the tail counts from now on; the commit
 * has succeeded, or everything is as it was at space_mark. */
void space_sum_late(struct space *sp);
void space_sum_published(struct space *sp);
void space_sum_back(struct space *sp);

/* Where the file ends, as far as is known. */
static inline uint64_t space_file_end(const struct space *sp)
{
	return sp->ahead > sp->tail->base ? sp->ahead : sp->tail->base;
}

/* With sync_lock and write held, the tail flushed: another sync.  Where they
 * are frequent, makes the file longer than it need be. */
int space_look_ahead(struct space *sp);

/* For space_hole.c: the file ends where it should, or -EIO: somebody who
 * ignores the lock changed it.  The tail, which is empty, goes on at base.  The
 * bytes of a block's head that the checksum leaves out, for the record. */
int space_check_file(struct space *sp);
int space_move_tail(struct space *sp, uint64_t base);
int space_note_own(struct space *sp, const struct block_head *head);

/* For space_log.c: bytes that no checksum of a batch covers, as blocks of
 * their own; what was appended behind sp->end is dropped again. */
int space_start_block(struct space *sp, uint64_t len);
int space_append_plain(struct space *sp, const void *bytes, size_t len);
int space_finish_block(struct space *sp, uint64_t len);
void space_cut_back(struct space *sp);

/* With write held: the mark in the header, before the first byte of a log. */
int space_go_hot(struct space *sp);

#endif

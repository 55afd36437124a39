/* From the log to the disk: syncs, checkpoints, unclean and clean.
 *
 * The order that keeps what is promised (doc/durability.md has the reasons):
 *
 *   1. the header says "unclean", and where the log begins: durable
 *   2. blocks and the record that commits them: one sequential write
 *   3. these bytes of the file made durable: from here they survive the
 *      machine's death
 *   4. the changes that the record lists, in their places
 *   5. now and then: fdatasync, a new checkpoint that begins the log behind
 * them, fdatasync
 *   6. at rest: the same, and a plain header
 *
 * Steps 3 to 5 are the work of one thread at a time, under sync_lock; commits
 * go on beside them.
 */
#include "booklet/log/wal.h"

#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>

/* Bytes of log after which a sync brings about a checkpoint: a quarter of the
 * file, within these.  A checkpoint writes every page that has changed, so in a
 * large file with changes all over it, many of them had better share one; what
 * a longer log costs is a longer recovery. */
#define CHECKPOINT_LEAST ((uint64_t)8 << 20)
#define CHECKPOINT_MOST ((uint64_t)64 << 20)

/* ---- sync and checkpoint ---- */

/* With write held: what has been flushed is to be made durable now.  Says what
 * a checkpoint would be that begins the log behind it. */
static void freeze(struct wal *wal, struct log_checkpoint *ret)
{
	struct dirty_table empty;

	*ret = wal->checkpoint;
	ret->seq = wal->checkpoint.seq + 1;
	ret->record_seq = wal->record_seq;
	ret->start = wal->log.start;
	ret->n_keys = (uint32_t)wal->logged_keys;
	wal->flushing_from = wal->flushing_end;
	/* What others have committed since the flush is in memory still. */
	wal->flushing_end = wal->sync_to = wal->log.start;
	atomic_store(&wal->full, false);
	ret->growth = wal->logged_next;
	ret->gap = wal->logged_gap;
	pthread_rwlock_wrlock(&wal->lock);
	empty = wal->flushing;
	wal->flushing = wal->logged;
	wal->logged = empty;
	pthread_rwlock_unlock(&wal->lock);
}

int wal_sync_range(struct wal *wal, uint64_t from, uint64_t to)
{
	return file_sync_range(&wal->file, from, to);
}

/* Under sync_lock: the log as far as it is frozen.  What older records changed
 * in place waits for a checkpoint: they would do it again. */
static int sync_flushing(struct wal *wal)
{
	return wal_sync_range(wal, wal->flushing_from, wal->sync_to);
}

/* Under sync_lock: makes durable what is frozen, and puts it in its place. */
static int land_flushing(struct wal *wal)
{
	int rc = 0;

	if (MUTANT(POINTERS_FIRST))
		rc = wal_writeback(wal, &wal->flushing);
	if (rc == 0 && !MUTANT(SYNC_DOES_NOTHING))
		rc = sync_flushing(wal);
	if (rc == 0)
		rc = wal_writeback(wal, &wal->flushing);
	return rc < 0 ? wal_fail(wal, rc) : 0;
}

/* With write held.  The next commits get the memory, unless they have as much:
 * where nobody commits beside a sync, one set's is all there is. */
static void drop_flushing(struct wal *wal)
{
	struct dirty_table old;

	pthread_rwlock_wrlock(&wal->lock);
	old = wal->flushing;
	wal->flushing = (struct dirty_table)DIRTY_TABLE_INIT;
	pthread_rwlock_unlock(&wal->lock);
	dirty_clear(&old);
	pthread_rwlock_wrlock(&wal->lock);
	if (wal->dirty.n == 0 && wal->dirty.room < old.room) {
		wal->flushing = wal->dirty;
		wal->dirty = old;
	} else {
		wal->flushing = old;
	}
	pthread_rwlock_unlock(&wal->lock);
}

static int begin_log_anew(struct wal *wal,
			  const struct log_checkpoint *checkpoint)
{
	int rc = MUTANT(CHECKPOINT_UNSYNCED) ? 0 : file_sync(&wal->file);

	if (rc < 0)
		return wal_fail(wal, rc);
	return wal_write_checkpoint(wal, checkpoint);
}

/* Under sync_lock: makes durable what freeze took, as of so many records. */
static int finish_flushing(struct wal *wal, uint64_t covers)
{
	int rc = land_flushing(wal);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&wal->write);
	drop_flushing(wal);
	pthread_mutex_unlock(&wal->write);
	wal->synced = covers;
	return 0;
}

static bool is_long(uint64_t log, uint64_t file)
{
	return log >
	       max_u64(CHECKPOINT_LEAST, min_u64(CHECKPOINT_MOST, file / 4));
}

/* Under sync_lock: all that has been committed so far.  anew: however
 * short the log is. */
static int sync_all(struct wal *wal, bool anew)
{
	struct log_checkpoint checkpoint;
	uint64_t covers = 0;
	bool done = false;
	int rc = wal_begin(wal);

	if (rc < 0)
		return rc;
	if (anew)
		rc = wal_mark_unclean(wal);
	if (rc == 0)
		rc = wal_flush(wal);
	if (rc == 0) {
		covers = wal->flushes;
		done = !anew && wal->synced == covers;
	}
	if (rc == 0 && !done) {
		freeze(wal, &checkpoint);
		rc = anew ? 0 : wal_preallocate(wal);
	}
	wal_end(wal);
	if (rc < 0 || done)
		return rc;
	rc = finish_flushing(wal, covers);
	if (rc < 0 ||
	    (!anew && !is_long(checkpoint.start - wal->checkpoint.start,
			       checkpoint.start)))
		return rc;
	return begin_log_anew(wal, &checkpoint);
}

static int sync_for_group(void *arg)
{
	struct wal *wal = arg;
	int rc;

	pthread_mutex_lock(&wal->sync_lock);
	rc = sync_all(wal, false);
	pthread_mutex_unlock(&wal->sync_lock);
	return rc;
}

int wal_sync(struct wal *wal)
{
	if (!wal->file.writable)
		return 0;
	return group_commit_call(&wal->syncs, sync_for_group, wal);
}

int wal_begin_whole(struct wal *wal)
{
	int rc;

	if (!wal->file.writable)
		return -EROFS;
	pthread_mutex_lock(&wal->sync_lock);
	rc = wal_begin(wal);
	if (rc < 0)
		pthread_mutex_unlock(&wal->sync_lock);
	return rc;
}

void wal_end_whole(struct wal *wal)
{
	wal_end(wal);
	pthread_mutex_unlock(&wal->sync_lock);
}

int wal_begin_log(struct wal *wal)
{
	int rc;

	pthread_mutex_lock(&wal->sync_lock);
	rc = sync_all(wal, true);
	pthread_mutex_unlock(&wal->sync_lock);
	return rc;
}

/* With both locks: as sync_all, without letting go of either. */
static int sync_whole(struct wal *wal, struct log_checkpoint *ret)
{
	int rc = wal_flush(wal);

	if (rc < 0)
		return rc;
	freeze(wal, ret);
	rc = land_flushing(wal);
	if (rc < 0)
		return rc;
	drop_flushing(wal);
	wal->synced = wal->flushes;
	return 0;
}

int wal_empty_log(struct wal *wal)
{
	struct log_checkpoint checkpoint;
	int rc = wal_mark_unclean(wal);

	if (rc < 0 ||
	    (wal->record_seq == wal->checkpoint.record_seq &&
	     wal->dirty.n == 0 && wal->append == wal->checkpoint.start))
		return rc;
	rc = sync_whole(wal, &checkpoint);
	return rc < 0 ? rc : begin_log_anew(wal, &checkpoint);
}

int wal_checkpoint_beside(struct wal *wal)
{
	return sync_all(wal, true);
}

/* ---- clean ---- */

/* A plain header.  If it cannot be made durable, the disk may still say
 * unclean: so must the cache, or a reader would take the file for clean. */
static int write_plain_header(struct wal *wal)
{
	uint64_t n = min_u64(wal->n_keys, FORMAT_N_KEYS_OPEN - 1);
	int rc;

	format_set_n_keys(&wal->fmt, (uint32_t)n);
	rc = file_write(&wal->file, wal->fmt.raw, FORMAT_HEADER_LEN, 0);
	if (rc == 0)
		rc = file_sync(&wal->file);
	if (rc < 0)
		(void)wal_write_unclean_header(wal);
	return rc;
}

static int mark_clean(struct wal *wal)
{
	struct log_checkpoint checkpoint;
	int rc = sync_whole(wal, &checkpoint);

	/* Half moved, the index is no index to booklet. */
	if (rc == 0 && (wal->next.offset || wal->gap.len))
		return -ENOSPC;
	/* A file that booklet's writer left open gets its count, too. */
	if (rc < 0 || (!wal->unclean && wal->fmt.n_keys != FORMAT_N_KEYS_OPEN))
		return rc;
	rc = file_resize(&wal->file, wal->end);
	if (rc == 0 && !MUTANT(CLEAN_UNSYNCED))
		rc = file_sync(&wal->file);
	if (rc == 0)
		rc = write_plain_header(wal);
	if (rc < 0)
		return wal_fail(wal, rc);
	wal->unclean = false;
	wal->reserved = wal->end;
	wal->ahead = 0;
	wal->pace = (struct wal_pace){ 0 };
	return 0;
}

int wal_mark_clean(struct wal *wal, bool idle)
{
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc == -EROFS ? 0 : rc;
	if (!idle || wal->commits == wal->cleaned)
		rc = mark_clean(wal);
	wal->cleaned = wal->commits;
	wal_end_whole(wal);
	return rc;
}

int wal_return_space(struct wal *wal)
{
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc == -EROFS ? 0 : rc;
	if (!wal->unclean && wal->reserved > wal->end) {
		rc = file_resize(&wal->file, wal->end);
		wal->reserved = wal->end;
	}
	wal_end_whole(wal);
	return rc;
}

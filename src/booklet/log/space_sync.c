/* From the log to the disk: syncs, checkpoints, hot and clean.
 *
 * The order that keeps what is promised (doc/durability.md has the reasons):
 *
 *   1. the header says "hot", and where the log begins: durable
 *   2. blocks and the record that commits them: one sequential write
 *   3. these bytes of the file made durable: from here they survive the
 *      machine's death
 *   4. the changes that the record lists, in their places
 *   5. now and then: fdatasync, a new slot that begins the log behind them,
 *      fdatasync
 *   6. at rest: the same, and a plain header
 *
 * Steps 3 to 5 are the work of one thread at a time, under sync_lock; commits
 * go on beside them.
 */
#include "booklet/log/space.h"

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
 * a slot would be that begins the log behind it. */
static void freeze(struct space *sp, struct log_slot *ret)
{
	struct changes empty;

	*ret = sp->slot;
	ret->seq = sp->slot.seq + 1;
	ret->record_seq = sp->record_seq;
	ret->start = sp->log.start;
	ret->n_keys = (uint32_t)sp->recorded_keys;
	sp->frozen_from = sp->frozen_end;
	/* What others have committed since the flush is in memory still. */
	sp->frozen_end = sp->sync_to = sp->log.start;
	atomic_store(&sp->full, false);
	ret->growth = sp->recorded_next;
	ret->zone = sp->recorded_zone;
	pthread_rwlock_wrlock(&sp->lock);
	empty = sp->frozen;
	sp->frozen = sp->recorded;
	sp->recorded = empty;
	pthread_rwlock_unlock(&sp->lock);
}

int space_sync_range(struct space *sp, uint64_t from, uint64_t to)
{
	struct file file;

	/* The mapping may be replaced meanwhile; the old one stays. */
	pthread_rwlock_rdlock(&sp->lock);
	file = sp->file;
	pthread_rwlock_unlock(&sp->lock);
	return file_sync_range(&file, from, to);
}

/* Under sync_lock: the log as far as it is frozen.  What older records changed
 * in place waits for a checkpoint: they would do it again. */
static int sync_frozen(struct space *sp)
{
	return space_sync_range(sp, sp->frozen_from, sp->sync_to);
}

/* Under sync_lock: makes durable what is frozen, and puts it in its place. */
static int land_frozen(struct space *sp)
{
	int rc = 0;

	if (MUTANT(POINTERS_FIRST))
		rc = space_apply(sp, &sp->frozen);
	if (rc == 0 && !MUTANT(SYNC_DOES_NOTHING))
		rc = sync_frozen(sp);
	if (rc == 0)
		rc = space_apply(sp, &sp->frozen);
	return rc < 0 ? space_fail(sp, rc) : 0;
}

/* With write held.  The next commits get the memory, unless they have as much:
 * where nobody commits beside a sync, one set's is all there is. */
static void drop_frozen(struct space *sp)
{
	struct changes old;

	pthread_rwlock_wrlock(&sp->lock);
	old = sp->frozen;
	sp->frozen = (struct changes)CHANGES_INIT;
	pthread_rwlock_unlock(&sp->lock);
	changes_clear(&old);
	pthread_rwlock_wrlock(&sp->lock);
	if (sp->active.n == 0 && sp->active.room < old.room) {
		sp->frozen = sp->active;
		sp->active = old;
	} else {
		sp->frozen = old;
	}
	pthread_rwlock_unlock(&sp->lock);
}

static int begin_log_anew(struct space *sp, const struct log_slot *slot)
{
	int rc = MUTANT(CHECKPOINT_UNSYNCED) ? 0 : file_sync(&sp->file);

	if (rc < 0)
		return space_fail(sp, rc);
	return space_write_slot(sp, slot);
}

/* Under sync_lock: makes durable what freeze took, as of so many records. */
static int finish_frozen(struct space *sp, uint64_t covers)
{
	int rc = land_frozen(sp);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&sp->write);
	drop_frozen(sp);
	pthread_mutex_unlock(&sp->write);
	sp->synced = covers;
	return 0;
}

static bool is_long(uint64_t log, uint64_t file)
{
	return log >
	       max_u64(CHECKPOINT_LEAST, min_u64(CHECKPOINT_MOST, file / 4));
}

/* Under sync_lock: all that has been committed so far.  checkpoint: however
 * short the log is. */
static int sync_all(struct space *sp, bool checkpoint)
{
	struct log_slot slot;
	uint64_t covers = 0;
	bool done = false;
	int rc = space_begin(sp);

	if (rc < 0)
		return rc;
	if (checkpoint)
		rc = space_go_hot(sp);
	if (rc == 0)
		rc = space_flush(sp);
	if (rc == 0) {
		covers = sp->flushes;
		done = !checkpoint && sp->synced == covers;
	}
	if (rc == 0 && !done) {
		freeze(sp, &slot);
		rc = checkpoint ? 0 : space_look_ahead(sp);
	}
	space_end(sp);
	if (rc < 0 || done)
		return rc;
	rc = finish_frozen(sp, covers);
	if (rc < 0 ||
	    (!checkpoint && !is_long(slot.start - sp->slot.start, slot.start)))
		return rc;
	return begin_log_anew(sp, &slot);
}

static int sync_for_group(void *arg)
{
	struct space *sp = arg;
	int rc;

	pthread_mutex_lock(&sp->sync_lock);
	rc = sync_all(sp, false);
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

int space_sync(struct space *sp)
{
	if (!sp->file.writable)
		return 0;
	return space_group_call(&sp->syncs, sync_for_group, sp);
}

int space_begin_whole(struct space *sp)
{
	int rc;

	if (!sp->file.writable)
		return -EROFS;
	pthread_mutex_lock(&sp->sync_lock);
	rc = space_begin(sp);
	if (rc < 0)
		pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

void space_end_whole(struct space *sp)
{
	space_end(sp);
	pthread_mutex_unlock(&sp->sync_lock);
}

int space_begin_log(struct space *sp)
{
	int rc;

	pthread_mutex_lock(&sp->sync_lock);
	rc = sync_all(sp, true);
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

/* With both locks: as sync_all, without letting go of either. */
static int sync_whole(struct space *sp, struct log_slot *ret)
{
	int rc = space_flush(sp);

	if (rc < 0)
		return rc;
	freeze(sp, ret);
	rc = land_frozen(sp);
	if (rc < 0)
		return rc;
	drop_frozen(sp);
	sp->synced = sp->flushes;
	return 0;
}

int space_empty_log(struct space *sp)
{
	struct log_slot slot;
	int rc = space_go_hot(sp);

	if (rc < 0 || (sp->record_seq == sp->slot.record_seq &&
		       sp->active.n == 0 && sp->append == sp->slot.start))
		return rc;
	rc = sync_whole(sp, &slot);
	return rc < 0 ? rc : begin_log_anew(sp, &slot);
}

int space_checkpoint_beside(struct space *sp)
{
	return sync_all(sp, true);
}

/* ---- clean ---- */

/* A plain header.  If it cannot be made durable, the disk may still say hot: so
 * must the cache, or a reader would take the file for clean. */
static int write_plain_header(struct space *sp)
{
	uint64_t n = min_u64(sp->n_keys, FORMAT_N_KEYS_OPEN - 1);
	int rc;

	format_set_n_keys(&sp->fmt, (uint32_t)n);
	rc = file_write(&sp->file, sp->fmt.raw, FORMAT_HEADER_LEN, 0);
	if (rc == 0)
		rc = file_sync(&sp->file);
	if (rc < 0)
		(void)space_write_hot_header(sp);
	return rc;
}

static int settle(struct space *sp)
{
	struct log_slot slot;
	int rc = sync_whole(sp, &slot);

	/* Half moved, the index is no index to booklet. */
	if (rc == 0 && (sp->next.offset || sp->zone.len))
		return -ENOSPC;
	/* A file that booklet's writer left open gets its count, too. */
	if (rc < 0 || (!sp->hot && sp->fmt.n_keys != FORMAT_N_KEYS_OPEN))
		return rc;
	rc = file_resize(&sp->file, sp->end);
	if (rc == 0 && !MUTANT(CLEAN_UNSYNCED))
		rc = file_sync(&sp->file);
	if (rc == 0)
		rc = write_plain_header(sp);
	if (rc < 0)
		return space_fail(sp, rc);
	sp->hot = false;
	sp->reserved = sp->end;
	sp->ahead = 0;
	sp->pace = (struct space_pace){ 0 };
	return 0;
}

int space_settle(struct space *sp, bool idle)
{
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc == -EROFS ? 0 : rc;
	if (!idle || sp->commits == sp->settled)
		rc = settle(sp);
	sp->settled = sp->commits;
	space_end_whole(sp);
	return rc;
}

/* From memory into the file: records, syncs, checkpoints, hot and clean.
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
#include "space.h"

#include "mutants.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Bytes of log after which a sync brings about a checkpoint: a quarter of the
 * file, within these.  A checkpoint writes every page that has changed, so in a
 * large file with changes all over it, many of them had better share one; what
 * a longer log costs is a longer recovery. */
#define CHECKPOINT_LEAST ((uint64_t)8 << 20)
#define CHECKPOINT_MOST ((uint64_t)64 << 20)

/* ---- putting changes into the file ---- */

/* Changes that stand within one window, each less than a page behind the one
 * before, are written with one call: where there are many, that is one for
 * several pages, and none is written that has no change. */
#define APPLY_WINDOW 32768u
#define APPLY_GAP 4096u

struct apply_window {
	struct space *sp;
	const struct change *item;
	size_t n;
	int result;
};

/* Rewrites the bytes from the first change of a window to its last. */
static int apply_window(void *arg)
{
	struct apply_window *w = arg;
	const struct change *last = &w->item[w->n - 1];
	uint64_t from = w->item->pos;
	size_t len = (size_t)(last->pos + last->len - from);
	uint8_t buf[APPLY_WINDOW + 8];

	if (w->n > 1)
		memcpy(buf, file_ptr(&w->sp->file, from), len);
	for (size_t i = 0; i < w->n; i++)
		put_le(buf + (w->item[i].pos - from), w->item[i].value,
		       w->item[i].len);
	return file_write(&w->sp->file, buf, len, from);
}

/* A window writes what lies between two changes as it was read: so there must
 * be nothing that somebody else writes meanwhile. */
static bool fits_window(const struct space *sp, const struct change *item,
			size_t n)
{
	const struct change *last = &item[n - 1], *next = &item[n];
	uint64_t zone_end = sp->zone.pos + sp->zone.len;

	if (next->pos < last->pos || next->pos - last->pos >= APPLY_GAP ||
	    next->pos - item->pos >= APPLY_WINDOW)
		return false;
	return next->pos <= sp->zone.pos || last->pos + last->len >= zone_end;
}

static int apply_items(struct space *sp, const struct change *item, size_t n)
{
	while (n) {
		struct apply_window w = { .sp = sp, .item = item, .n = 1 };
		int rc;

		while (w.n < n && fits_window(sp, item, w.n))
			w.n++;
		rc = file_try(apply_window, &w);
		if (rc < 0)
			return rc;
		item += w.n;
		n -= w.n;
	}
	return 0;
}

int space_apply(struct space *sp, const struct changes *changes)
{
	/* Without memory for sorting, the order of their setting does. */
	struct change *sorted = changes_sorted(changes);
	int rc = apply_items(sp, sorted ? sorted : changes->item, changes->n);

	changes_put_sorted(changes, sorted);
	return rc;
}

/* ---- the header ---- */

static void random_salt(uint8_t salt[LOG_SALT_LEN])
{
	if (getrandom(salt, LOG_SALT_LEN, 0) < LOG_SALT_LEN)
		put_le(salt, (uint64_t)now_us(), LOG_SALT_LEN);
}

/* The header while the file is hot: one write, within the first sector. */
static int write_hot_header(struct space *sp)
{
	uint8_t raw[FORMAT_HEADER_LEN];

	memcpy(raw, sp->fmt.raw, sizeof(raw));
	put_le(raw + FORMAT_AT_VERSION, FORMAT_VERSION_HOT, 2);
	memset(raw + LOG_SLOT_AT, 0, FORMAT_HEADER_LEN - LOG_SLOT_AT);
	memcpy(raw + LOG_SLOT_AT, sp->slots, sizeof(sp->slots));
	return file_write(&sp->file, raw, sizeof(raw), 0);
}

int space_write_slot(struct space *sp, const struct log_slot *slot)
{
	int at = 1 - sp->slot_at, rc;

	log_slot_encode(slot, sp->slots + (size_t)at * LOG_SLOT_LEN);
	rc = write_hot_header(sp);
	if (rc == 0 && !(MUTANT(HOT_UNSYNCED) && !sp->hot))
		rc = file_sync(&sp->file);
	if (rc < 0)
		return space_fail(sp, rc);
	sp->slot = *slot;
	sp->slot_at = at;
	return 0;
}

int space_go_hot(struct space *sp)
{
	struct log_slot slot = { .seq = 1,
				 .record_seq = 1,
				 .start = sp->log.start,
				 .n_keys = (uint32_t)sp->recorded_keys,
				 .zone = sp->recorded_zone,
				 .version = (uint16_t)sp->fmt.version,
				 .fill = sp->fmt.raw[LOG_SLOT_AT] };
	int rc;

	if (sp->hot)
		return 0;
	random_salt(slot.salt);
	memset(sp->slots, 0, sizeof(sp->slots));
	sp->slot_at = 1;
	rc = space_write_slot(sp, &slot);
	if (rc < 0)
		return rc;
	sp->hot = true;
	memcpy(sp->salt, slot.salt, sizeof(sp->salt));
	sp->record_seq = 1;
	sp->first_record = true;
	return 0;
}

void space_log_reset(struct space *sp)
{
	sp->log.start = sp->append;
	sp->log.own_len = 0;
	XXH3_64bits_reset(sp->log.sum);
	sp->before.start = sp->append;
	sp->before.own_len = 0;
	sp->sum_kept = false;
}

/* ---- records ---- */

static int put_piece(void *arg, const void *bytes, size_t len)
{
	return space_append_plain(arg, bytes, len);
}

static int append_record(struct space *sp)
{
	struct log_record r = { .seq = sp->record_seq,
				.start = sp->log.start,
				.batch_len = sp->append - sp->log.start,
				.n_keys = (uint32_t)sp->n_keys };
	uint8_t *payload;
	uint64_t len;
	int rc;

	memcpy(r.salt, sp->salt, sizeof(r.salt));
	if (!sp->landing)
		r.growth = sp->next;
	r.zone = sp->zone;
	payload =
		log_payload(&sp->fmt, &r, sp->first_record ? sp->fmt.raw : NULL,
			    sp->own, sp->log.own_len, &sp->active);
	if (!payload)
		return -ENOMEM;
	XXH3_copyState(sp->before.sum, sp->log.sum);
	XXH3_64bits_update(sp->before.sum, payload, r.payload_len);
	log_payload_set_sum(payload, XXH3_64bits_digest(sp->before.sum));
	len = log_record_len(&sp->fmt, r.payload_len);
	rc = space_start_block(sp, len);
	if (rc == 0)
		rc = log_carry(&sp->fmt, payload, r.payload_len, put_piece, sp);
	if (rc == 0)
		rc = space_finish_block(sp, len);
	log_payload_free(&sp->fmt, &r, payload);
	return rc;
}

/* Hands the active changes on; the room for them has been had. */
static void pass_on(struct space *sp)
{
	struct changes empty = sp->recorded;

	if (empty.n == 0) {
		sp->recorded = sp->active;
		sp->active = empty;
		return;
	}
	for (size_t i = 0; i < sp->active.n; i++) {
		const struct change *c = &sp->active.item[i];

		changes_set(&sp->recorded, c->pos, c->value, c->len);
	}
	changes_clear(&sp->active);
}

static int grow_recorded(struct space *sp)
{
	int rc;

	if (sp->recorded.n == 0)
		return 0;
	pthread_rwlock_wrlock(&sp->lock);
	rc = changes_reserve(&sp->recorded, sp->active.n);
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

/* With write held: nothing waits for a record any more. */
static void all_recorded(struct space *sp)
{
	sp->recorded_keys = sp->n_keys;
	sp->recorded_zone = sp->zone;
	sp->recorded_next = sp->next;
	if (sp->landing)
		sp->recorded_next = (struct log_growth){ 0 };
}

int space_flush(struct space *sp)
{
	int rc;

	if (sp->active.n == 0 && sp->append == sp->log.start) {
		all_recorded(sp);
		return 0;
	}
	rc = grow_recorded(sp);
	if (rc == 0)
		rc = space_go_hot(sp);
	if (rc == 0)
		rc = append_record(sp);
	if (rc == 0)
		rc = space_flush_tail(sp);
	if (rc < 0) {
		space_cut_back(sp);
		return rc;
	}
	pthread_rwlock_wrlock(&sp->lock);
	sp->end = sp->append;
	all_recorded(sp);
	pass_on(sp);
	pthread_rwlock_unlock(&sp->lock);
	space_log_reset(sp);
	sp->record_seq++;
	sp->first_record = false;
	sp->flushes++;
	return 0;
}

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
	sp->frozen_end = sp->log.start;
	atomic_store(&sp->full, false);
	ret->growth = sp->recorded_next;
	ret->zone = sp->recorded_zone;
	pthread_rwlock_wrlock(&sp->lock);
	empty = sp->frozen;
	sp->frozen = sp->recorded;
	sp->recorded = empty;
	pthread_rwlock_unlock(&sp->lock);
}

/* Under sync_lock: the log as far as it is frozen.  What older records changed
 * in place waits for a checkpoint: they would do it again. */
static int sync_frozen(struct space *sp)
{
	struct file file;

	/* The mapping may be replaced meanwhile; the old one stays. */
	pthread_rwlock_rdlock(&sp->lock);
	file = sp->file;
	pthread_rwlock_unlock(&sp->lock);
	return file_sync_range(&file, sp->frozen_from, sp->frozen_end);
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
	struct changes empty;

	pthread_rwlock_wrlock(&sp->lock);
	changes_clear(&sp->frozen);
	empty = sp->frozen;
	if (sp->active.n == 0 && sp->active.room < empty.room) {
		sp->frozen = sp->active;
		sp->active = empty;
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

/* Under sync_lock: whatever was flushed while this caller waited for the one
 * before is made durable by the same call.  checkpoint: however short the log
 * is. */
static int sync_all(struct space *sp, bool checkpoint)
{
	struct log_slot slot;
	uint64_t covers;
	int rc;

	pthread_mutex_lock(&sp->write);
	covers = sp->flushes;
	freeze(sp, &slot);
	pthread_mutex_unlock(&sp->write);
	rc = finish_frozen(sp, covers);
	if (rc < 0 ||
	    (!checkpoint && !is_long(slot.start - sp->slot.start, slot.start)))
		return rc;
	return begin_log_anew(sp, &slot);
}

int space_sync(struct space *sp)
{
	uint64_t want;
	int rc = space_begin(sp);

	if (rc < 0)
		return rc == -EROFS ? 0 : rc;
	rc = space_flush(sp);
	want = sp->flushes;
	space_end(sp);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&sp->sync_lock);
	if (atomic_load(&sp->failed))
		rc = -EIO;
	else if (sp->synced < want)
		rc = sync_all(sp, false);
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
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
	struct log_slot slot;
	uint64_t covers = 0;
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	rc = space_go_hot(sp);
	if (rc == 0)
		rc = space_flush(sp);
	if (rc == 0) {
		covers = sp->flushes;
		freeze(sp, &slot);
	}
	space_end(sp);
	if (rc == 0)
		rc = finish_frozen(sp, covers);
	if (rc == 0)
		rc = begin_log_anew(sp, &slot);
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

int space_checkpoint(struct space *sp)
{
	struct log_slot slot;
	int rc = space_go_hot(sp);

	if (rc == 0)
		rc = sync_whole(sp, &slot);
	if (rc == 0)
		rc = begin_log_anew(sp, &slot);
	return rc;
}

int space_checkpoint_beside(struct space *sp)
{
	int rc = space_begin(sp);

	if (rc < 0)
		return rc;
	rc = space_go_hot(sp);
	if (rc == 0)
		rc = space_flush(sp);
	space_end(sp);
	return rc < 0 ? rc : sync_all(sp, true);
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
		(void)write_hot_header(sp);
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

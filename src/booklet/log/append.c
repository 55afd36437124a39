#include "booklet/log/wal.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Disk space is got in steps of this, so that small commits do not each pay
 * for a system call; what is left of the last one on a full disk is for
 * records, so that deletes go through there. */
#define RESERVE_STEP ((uint64_t)4 << 20)
#define RESERVE_KEEP ((uint64_t)256 << 10)

/* Changes and bytes that may wait for a sync: a little less than what sets of
 * changes, which double, have room for.  A sync of many changes finds several
 * of them in each page. */
#define FULL_CHANGES (((size_t)1 << 19) - 4096)
#define FULL_BYTES ((uint64_t)32 << 20)

int wal_fail(struct wal *wal, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&wal->failed, &none, err);
	return err;
}

static struct chunk *chunk_new(uint64_t base)
{
	struct chunk *c = malloc(sizeof(*c) + WAL_CHUNK);

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->base = base;
	c->len = 0;
	return c;
}

void chunk_put(struct chunk *c)
{
	if (c && atomic_fetch_sub(&c->refs, 1) == 1)
		free(c);
}

static int init_log(struct wal *wal)
{
	wal->tail = chunk_new(wal->end);
	wal->log.sum = XXH3_createState();
	wal->before.sum = XXH3_createState();
	if (!wal->tail || !wal->log.sum || !wal->before.sum)
		return -ENOMEM;
	wal_log_reset(wal);
	return 0;
}

static void free_memory(struct wal *wal)
{
	chunk_put(wal->tail);
	XXH3_freeState(wal->log.sum);
	XXH3_freeState(wal->before.sum);
	scratch_put(wal->own, wal->own_room);
	free(wal->merge);
	dirty_release(&wal->delta);
	dirty_release(&wal->dirty);
	dirty_release(&wal->logged);
	dirty_release(&wal->flushing);
}

int wal_init(struct wal *wal, const struct file *file, const struct format *fmt,
	     uint64_t end)
{
	pthread_rwlockattr_t attr;
	int rc;

	*wal = (struct wal){ .fmt = *fmt,
			     .end = end,
			     .append = end,
			     .reserved = end,
			     .flushing_end = end,
			     .n_keys = fmt->n_keys,
			     .logged_keys = fmt->n_keys };
	rc = file->writable ? init_log(wal) : 0;
	if (rc < 0) {
		free_memory(wal);
		return rc;
	}
	wal->file = *file;
	pthread_mutex_init(&wal->write, NULL);
	pthread_mutex_init(&wal->sync_lock, NULL);
	group_commit_init(&wal->syncs);
	epoch_init(&wal->epoch);
	/* Readers come without a pause; a writer must not wait for the end of
	 * them. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&wal->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return 0;
}

void wal_release(struct wal *wal)
{
	file_close(&wal->file);
	free_memory(wal);
	pthread_mutex_destroy(&wal->write);
	pthread_mutex_destroy(&wal->sync_lock);
	group_commit_release(&wal->syncs);
	epoch_release(&wal->epoch);
	pthread_rwlock_destroy(&wal->lock);
}

struct chunk *wal_pin(const struct wal *wal, uint64_t pos)
{
	if (!wal->tail || pos < wal->tail->base)
		return NULL;
	atomic_fetch_add(&wal->tail->refs, 1);
	return wal->tail;
}

void *wal_hold(struct wal *wal, uint64_t pos)
{
	struct chunk *pin = wal_pin(wal, pos);

	if (pin)
		return pin;
	/* Nothing moves in a store that is only read. */
	return wal->file.writable ? epoch_enter(&wal->epoch) : NULL;
}

void wal_let_go(void *hold)
{
	if (epoch_is_ticket(hold))
		epoch_leave(hold);
	else
		chunk_put(hold);
}

void wal_mark(struct wal *wal)
{
	wal->before.start = wal->log.start;
	wal->before.own_len = wal->log.own_len;
	wal->sum_kept = false;
}

int wal_begin(struct wal *wal)
{
	if (!wal->file.writable)
		return -EROFS;
	pthread_mutex_lock(&wal->write);
	if (atomic_load(&wal->failed)) {
		pthread_mutex_unlock(&wal->write);
		return -EIO;
	}
	wal_mark(wal);
	return 0;
}

void wal_end(struct wal *wal)
{
	pthread_mutex_unlock(&wal->write);
}

/* What the record of all that waits for one will take. */
static uint64_t record_bound(const struct wal *wal)
{
	uint64_t n_own = wal->log.own_len / log_own_len(&wal->fmt);

	return log_record_len(&wal->fmt,
			      log_payload_bound(&wal->fmt, n_own,
						wal->dirty.n + wal->delta.n));
}

/* The tail may have lost what was reserved for it (write_tail). */
static int reserve_to(struct wal *wal, uint64_t to)
{
	uint64_t from =
		min_u64(wal->append, max_u64(wal->reserved, wal->tail->base));
	int rc = file_reserve(&wal->file, from, to - from);

	if (rc == 0)
		wal->reserved = to;
	return rc;
}

/* keep: bytes that are to be left over. */
static int reserve(struct wal *wal, uint64_t len, uint64_t keep)
{
	uint64_t need = wal->append + len + record_bound(wal) + keep;
	int rc;

	if (need <= wal->reserved || wal->reserve_fails)
		return 0;
	rc = reserve_to(wal, need + RESERVE_STEP);
	if (rc == -ENOSPC)
		rc = reserve_to(wal, need);
	if (rc == -EOPNOTSUPP) {
		wal->reserve_fails = true;
		return 0;
	}
	return rc;
}

int wal_reserve(struct wal *wal, uint64_t len)
{
	return reserve(wal, len, RESERVE_KEEP);
}

void wal_keep_space(struct wal *wal)
{
	if (wal_begin_whole(wal) < 0)
		return;
	/* A disk that is full already keeps what it has. */
	if (!wal->unclean && !wal->reserve_fails &&
	    wal->reserved < wal->append + RESERVE_KEEP)
		(void)reserve_to(wal, wal->append + RESERVE_KEEP);
	wal_end_whole(wal);
}

/* Whoever ignores the lock and changes the file, or takes its last name away,
 * ends our writing: what went on would be lost without a word. */
int wal_check_file(struct wal *wal)
{
	struct stat st;
	int rc = file_stat(&wal->file, &st);

	if (rc == 0 && ((uint64_t)st.st_size != wal_file_end(wal) ||
			(wal->file.path && st.st_nlink == 0)))
		return wal_fail(wal, -EIO);
	return rc;
}

/* The tail's bytes, all or none: a part of a block at the end of the file would
 * mislead a walk.  A full disk is the caller's affair and may pass; any other
 * failure is the end of writing. */
static int write_tail(struct wal *wal)
{
	const struct chunk *c = wal->tail;
	int rc = wal_mark_unclean(wal);

	if (rc == 0)
		rc = wal_check_file(wal);
	if (rc < 0)
		return rc;
	rc = file_write(&wal->file, c->data, c->len, c->base);
	if (rc == 0)
		return 0;
	/* Cutting the file gives back what was reserved behind, too. */
	if (file_resize(&wal->file, c->base) < 0 || rc != -ENOSPC)
		wal_fail(wal, rc);
	wal->reserved = min_u64(wal->reserved, c->base);
	wal->ahead = 0;
	return rc;
}

/* Behind a write of its bytes, the tail goes on behind them, in new memory if a
 * view stands in the old. */
static int renew_tail(struct wal *wal, uint64_t base)
{
	struct chunk *old = wal->tail, *fresh = NULL;
	int rc = file_map_to(&wal->file, base);

	if (rc < 0)
		return rc;
	if (atomic_load(&old->refs) > 1) {
		fresh = chunk_new(base);
		if (!fresh)
			return -ENOMEM;
		wal->tail = fresh;
		chunk_put(old);
		return 0;
	}
	old->base = base;
	old->len = 0;
	return 0;
}

int wal_move_tail(struct wal *wal, uint64_t base)
{
	int rc;

	pthread_rwlock_wrlock(&wal->lock);
	rc = renew_tail(wal, base);
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

int wal_flush_tail(struct wal *wal)
{
	uint64_t behind = wal->tail->base + wal->tail->len;
	int rc;

	if (wal->tail->len == 0)
		return 0;
	wal_checksum_late(wal);
	rc = write_tail(wal);
	if (rc < 0)
		return rc;
	rc = wal_move_tail(wal, behind);
	/* The bytes are in the file and the tail still shows them: to go on
	 * writing behind would put them there twice. */
	return rc < 0 ? wal_fail(wal, rc) : 0;
}

int wal_cut(struct wal *wal, uint64_t to)
{
	int rc = file_resize(&wal->file, to);

	wal_forget_fillers(wal, to);
	if (rc < 0)
		return wal_fail(wal, rc);
	pthread_rwlock_wrlock(&wal->lock);
	rc = renew_tail(wal, to);
	if (rc == 0)
		wal->append = wal->end = to;
	pthread_rwlock_unlock(&wal->lock);
	if (rc < 0)
		return wal_fail(wal, rc);
	wal->reserved = wal->flushing_end = to;
	wal->ahead = 0;
	wal_log_reset(wal);
	return 0;
}

int64_t wal_append_room(struct wal *wal, uint64_t len, uint8_t **ret)
{
	uint64_t n;

	if (wal->tail->len == WAL_CHUNK) {
		int rc = wal_flush_tail(wal);

		if (rc < 0)
			return rc;
	}
	n = min_u64(len, WAL_CHUNK - wal->tail->len);
	*ret = wal->tail->data + wal->tail->len;
	wal->tail->len += n;
	wal->append += n;
	return (int64_t)n;
}

int wal_append_plain(struct wal *wal, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		uint8_t *to;
		int64_t n = wal_append_room(wal, len, &to);

		if (n < 0)
			return (int)n;
		memcpy(to, p, (size_t)n);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int wal_append(struct wal *wal, const void *bytes, size_t len)
{
	int rc = wal_append_plain(wal, bytes, len);

	if (rc == 0 && len)
		wal_filled(wal, bytes, len);
	return rc;
}

int wal_start_block(struct wal *wal, uint64_t len)
{
	if (wal->tail->len + len <= WAL_CHUNK)
		return 0;
	return wal_flush_tail(wal);
}

/* A block longer than a chunk ends in a tail that does not hold its beginning,
 * and readers want blocks in one piece. */
int wal_finish_block(struct wal *wal, uint64_t len)
{
	return len > WAL_CHUNK ? wal_flush_tail(wal) : 0;
}

int wal_block(struct wal *wal, const struct block_head *head, uint64_t *ret_pos)
{
	uint64_t len = format_block_len(&wal->fmt, head);
	uint8_t bytes[FORMAT_HEAD_MAX];
	int rc;

	rc = wal_reserve(wal, len);
	if (rc == 0)
		rc = wal_start_block(wal, len);
	if (rc == 0)
		rc = wal_note_own(wal, head);
	if (rc < 0)
		return rc;
	*ret_pos = wal->append;
	format_head_encode(&wal->fmt, head, bytes);
	if (wal->tail->len + len <= WAL_CHUNK) {
		wal->late_pos = wal->append;
		wal->late_len = len;
	}
	rc = wal_append_plain(wal, bytes, format_head_len(&wal->fmt));
	log_mask_head(&wal->fmt, bytes);
	wal_filled(wal, bytes, format_head_len(&wal->fmt));
	return rc;
}

int wal_block_end(struct wal *wal, const struct block_head *head)
{
	return wal_finish_block(wal, format_block_len(&wal->fmt, head));
}

/* The count is a hint (doc/format.md, section 2) and may be too low. */
uint64_t wal_keys_after(const struct wal *wal, int64_t more_keys)
{
	if (more_keys < 0 && wal->n_keys < (uint64_t)-more_keys)
		return 0;
	return wal->n_keys + (uint64_t)more_keys;
}

void wal_count_commit(struct wal *wal, int64_t more_keys)
{
	bool crowded;

	wal->end = wal->append;
	wal->n_keys = wal_keys_after(wal, more_keys);
	wal->changed = now_us();
	wal->commits++;
	crowded = wal->n_keys > wal->fmt.n_buckets;
	if (crowded != atomic_load(&wal->crowded))
		atomic_store(&wal->crowded, crowded);
	if (wal->dirty.n + wal->logged.n > FULL_CHANGES ||
	    wal->append - wal->flushing_end > FULL_BYTES)
		atomic_store(&wal->full, true);
}

/* Room for the changes has been had: nothing fails. */
static void merge_delta(struct wal *wal, int64_t more_keys)
{
	for (size_t i = 0; i < wal->delta.n; i++) {
		const struct change *c = &wal->delta.item[i];

		dirty_set(&wal->dirty, c->pos, c->value, c->len);
	}
	wal_count_commit(wal, more_keys);
}

int wal_reserve_record(struct wal *wal)
{
	return reserve(wal, 0, 0);
}

int wal_publish(struct wal *wal, int64_t more_keys, int (*also)(void *arg),
		void *arg)
{
	/* The record's room is had now: a flush does not find the disk full. */
	int rc = wal_reserve_record(wal);

	if (rc == 0 && wal->reserve_fails)
		rc = wal_flush_tail(wal);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&wal->lock);
	/* Before also: what that does is not undone. */
	rc = dirty_reserve(&wal->dirty, wal->delta.n);
	if (rc == 0 && also)
		rc = also(arg);
	if (rc == 0)
		merge_delta(wal, more_keys);
	pthread_rwlock_unlock(&wal->lock);
	if (rc < 0)
		return rc;
	wal_checksum_published(wal);
	dirty_clear(&wal->delta);
	return 0;
}

void wal_cut_back(struct wal *wal)
{
	uint64_t size = 0;

	if (wal->append == wal->end)
		return;
	wal_forget_fillers(wal, wal->end);
	pthread_rwlock_wrlock(&wal->lock);
	if (wal->tail->base > wal->end) {
		wal->tail->base = wal->end;
		wal->tail->len = 0;
	} else {
		wal->tail->len = (size_t)(wal->end - wal->tail->base);
	}
	pthread_rwlock_unlock(&wal->lock);
	wal->append = wal->end;
	wal->reserved = min_u64(wal->reserved, wal->tail->base);
	wal->ahead = 0;
	/* Bytes of the commit that never was may be in the file already. */
	if (file_size(&wal->file, &size) < 0 ||
	    (size > wal->tail->base &&
	     file_resize(&wal->file, wal->tail->base) < 0))
		wal_fail(wal, -EIO);
}

void wal_rollback(struct wal *wal)
{
	dirty_clear(&wal->delta);
	wal->log.start = wal->before.start;
	wal->log.own_len = wal->before.own_len;
	wal_checksum_back(wal);
	wal_cut_back(wal);
}

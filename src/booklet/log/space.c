#include "booklet/log/space.h"

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

int space_fail(struct space *sp, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&sp->failed, &none, err);
	return err;
}

static struct chunk *chunk_new(uint64_t base)
{
	struct chunk *c = malloc(sizeof(*c) + SPACE_CHUNK);

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

static int init_log(struct space *sp)
{
	sp->tail = chunk_new(sp->end);
	sp->log.sum = XXH3_createState();
	sp->before.sum = XXH3_createState();
	if (!sp->tail || !sp->log.sum || !sp->before.sum)
		return -ENOMEM;
	space_log_reset(sp);
	return 0;
}

static void free_memory(struct space *sp)
{
	chunk_put(sp->tail);
	XXH3_freeState(sp->log.sum);
	XXH3_freeState(sp->before.sum);
	scratch_put(sp->own, sp->own_room);
	free(sp->merge);
	changes_release(&sp->delta);
	changes_release(&sp->active);
	changes_release(&sp->recorded);
	changes_release(&sp->frozen);
}

int space_init(struct space *sp, const struct file *file,
	       const struct format *fmt, uint64_t end)
{
	pthread_rwlockattr_t attr;
	int rc;

	*sp = (struct space){ .fmt = *fmt,
			      .end = end,
			      .append = end,
			      .reserved = end,
			      .frozen_end = end,
			      .n_keys = fmt->n_keys,
			      .recorded_keys = fmt->n_keys };
	rc = file->writable ? init_log(sp) : 0;
	if (rc < 0) {
		free_memory(sp);
		return rc;
	}
	sp->file = *file;
	pthread_mutex_init(&sp->write, NULL);
	pthread_mutex_init(&sp->sync_lock, NULL);
	space_group_init(&sp->syncs);
	epoch_init(&sp->epoch);
	/* Readers come without a pause; a writer must not wait for the end of
	 * them. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sp->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return 0;
}

void space_release(struct space *sp)
{
	file_close(&sp->file);
	free_memory(sp);
	pthread_mutex_destroy(&sp->write);
	pthread_mutex_destroy(&sp->sync_lock);
	space_group_release(&sp->syncs);
	epoch_release(&sp->epoch);
	pthread_rwlock_destroy(&sp->lock);
}

struct chunk *space_pin(const struct space *sp, uint64_t pos)
{
	if (!sp->tail || pos < sp->tail->base)
		return NULL;
	atomic_fetch_add(&sp->tail->refs, 1);
	return sp->tail;
}

void *space_hold(struct space *sp, uint64_t pos)
{
	struct chunk *pin = space_pin(sp, pos);

	if (pin)
		return pin;
	/* Nothing moves in a store that is only read. */
	return sp->file.writable ? epoch_enter(&sp->epoch) : NULL;
}

void space_let_go(void *hold)
{
	if (epoch_is_ticket(hold))
		epoch_leave(hold);
	else
		chunk_put(hold);
}

void space_mark(struct space *sp)
{
	sp->before.start = sp->log.start;
	sp->before.own_len = sp->log.own_len;
	sp->sum_kept = false;
}

int space_begin(struct space *sp)
{
	if (!sp->file.writable)
		return -EROFS;
	pthread_mutex_lock(&sp->write);
	if (atomic_load(&sp->failed)) {
		pthread_mutex_unlock(&sp->write);
		return -EIO;
	}
	space_mark(sp);
	return 0;
}

void space_end(struct space *sp)
{
	pthread_mutex_unlock(&sp->write);
}

/* What the record of all that waits for one will take. */
static uint64_t record_bound(const struct space *sp)
{
	uint64_t n_own = sp->log.own_len / log_own_len(&sp->fmt);

	return log_record_len(
		&sp->fmt,
		log_payload_bound(&sp->fmt, n_own, sp->active.n + sp->delta.n));
}

static int reserve_to(struct space *sp, uint64_t to)
{
	int rc = file_reserve(&sp->file, sp->append, to - sp->append);

	if (rc == 0)
		sp->reserved = to;
	return rc;
}

/* keep: bytes that are to be left over. */
static int reserve(struct space *sp, uint64_t len, uint64_t keep)
{
	uint64_t need = sp->append + len + record_bound(sp) + keep;
	int rc;

	if (need <= sp->reserved || sp->reserve_fails)
		return 0;
	rc = reserve_to(sp, need + RESERVE_STEP);
	if (rc == -ENOSPC)
		rc = reserve_to(sp, need);
	if (rc == -EOPNOTSUPP) {
		sp->reserve_fails = true;
		return 0;
	}
	return rc;
}

int space_reserve(struct space *sp, uint64_t len)
{
	return reserve(sp, len, RESERVE_KEEP);
}

/* Whoever ignores the lock and changes the file, or takes its last name away,
 * ends our writing: what went on would be lost without a word. */
int space_check_file(struct space *sp)
{
	struct stat st;
	int rc = file_stat(&sp->file, &st);

	if (rc == 0 && ((uint64_t)st.st_size != space_file_end(sp) ||
			(sp->file.path && st.st_nlink == 0)))
		return space_fail(sp, -EIO);
	return rc;
}

/* The tail's bytes, all or none: a part of a block at the end of the file would
 * mislead a walk.  A full disk is the caller's affair and may pass; any other
 * failure is the end of writing. */
static int write_tail(struct space *sp)
{
	const struct chunk *c = sp->tail;
	int rc = space_go_hot(sp);

	if (rc == 0)
		rc = space_check_file(sp);
	if (rc < 0)
		return rc;
	rc = file_write(&sp->file, c->data, c->len, c->base);
	if (rc == 0)
		return 0;
	if (file_resize(&sp->file, c->base) < 0 || rc != -ENOSPC)
		space_fail(sp, rc);
	sp->ahead = 0;
	return rc;
}

/* Behind a write of its bytes, the tail goes on behind them, in new memory if a
 * view stands in the old. */
static int renew_tail(struct space *sp, uint64_t base)
{
	struct chunk *old = sp->tail, *fresh = NULL;
	int rc = file_map_to(&sp->file, base);

	if (rc < 0)
		return rc;
	if (atomic_load(&old->refs) > 1) {
		fresh = chunk_new(base);
		if (!fresh)
			return -ENOMEM;
		sp->tail = fresh;
		chunk_put(old);
		return 0;
	}
	old->base = base;
	old->len = 0;
	return 0;
}

int space_move_tail(struct space *sp, uint64_t base)
{
	int rc;

	pthread_rwlock_wrlock(&sp->lock);
	rc = renew_tail(sp, base);
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

int space_flush_tail(struct space *sp)
{
	uint64_t behind = sp->tail->base + sp->tail->len;
	int rc;

	if (sp->tail->len == 0)
		return 0;
	space_sum_late(sp);
	rc = write_tail(sp);
	if (rc < 0)
		return rc;
	rc = space_move_tail(sp, behind);
	/* The bytes are in the file and the tail still shows them: to go on
	 * writing behind would put them there twice. */
	return rc < 0 ? space_fail(sp, rc) : 0;
}

int space_cut(struct space *sp, uint64_t to)
{
	int rc = file_resize(&sp->file, to);

	space_forget_pads(sp, to);
	if (rc < 0)
		return space_fail(sp, rc);
	pthread_rwlock_wrlock(&sp->lock);
	rc = renew_tail(sp, to);
	if (rc == 0)
		sp->append = sp->end = to;
	pthread_rwlock_unlock(&sp->lock);
	if (rc < 0)
		return space_fail(sp, rc);
	sp->reserved = sp->frozen_end = to;
	sp->ahead = 0;
	space_log_reset(sp);
	return 0;
}

int64_t space_append_room(struct space *sp, uint64_t len, uint8_t **ret)
{
	uint64_t n;

	if (sp->tail->len == SPACE_CHUNK) {
		int rc = space_flush_tail(sp);

		if (rc < 0)
			return rc;
	}
	n = min_u64(len, SPACE_CHUNK - sp->tail->len);
	*ret = sp->tail->data + sp->tail->len;
	sp->tail->len += n;
	sp->append += n;
	return (int64_t)n;
}

int space_append_plain(struct space *sp, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		uint8_t *to;
		int64_t n = space_append_room(sp, len, &to);

		if (n < 0)
			return (int)n;
		memcpy(to, p, (size_t)n);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int space_append(struct space *sp, const void *bytes, size_t len)
{
	int rc = space_append_plain(sp, bytes, len);

	if (rc == 0 && len)
		space_filled(sp, bytes, len);
	return rc;
}

int space_start_block(struct space *sp, uint64_t len)
{
	if (sp->tail->len + len <= SPACE_CHUNK)
		return 0;
	return space_flush_tail(sp);
}

/* A block longer than a chunk ends in a tail that does not hold its beginning,
 * and readers want blocks in one piece. */
int space_finish_block(struct space *sp, uint64_t len)
{
	return len > SPACE_CHUNK ? space_flush_tail(sp) : 0;
}

int space_block(struct space *sp, const struct block_head *head,
		uint64_t *ret_pos)
{
	uint64_t len = format_block_len(&sp->fmt, head);
	uint8_t bytes[FORMAT_HEAD_MAX];
	int rc;

	rc = space_reserve(sp, len);
	if (rc == 0)
		rc = space_start_block(sp, len);
	if (rc == 0)
		rc = space_note_own(sp, head);
	if (rc < 0)
		return rc;
	*ret_pos = sp->append;
	format_head_encode(&sp->fmt, head, bytes);
	if (sp->tail->len + len <= SPACE_CHUNK) {
		sp->late_pos = sp->append;
		sp->late_len = len;
	}
	rc = space_append_plain(sp, bytes, format_head_len(&sp->fmt));
	log_mask_head(&sp->fmt, bytes);
	space_filled(sp, bytes, format_head_len(&sp->fmt));
	return rc;
}

int space_block_end(struct space *sp, const struct block_head *head)
{
	return space_finish_block(sp, format_block_len(&sp->fmt, head));
}

/* The count is a hint (doc/format.md, section 2) and may be too low. */
uint64_t space_keys_after(const struct space *sp, int64_t more_keys)
{
	if (more_keys < 0 && sp->n_keys < (uint64_t)-more_keys)
		return 0;
	return sp->n_keys + (uint64_t)more_keys;
}

void space_count_commit(struct space *sp, int64_t more_keys)
{
	bool crowded;

	sp->end = sp->append;
	sp->n_keys = space_keys_after(sp, more_keys);
	sp->changed = now_us();
	sp->commits++;
	crowded = sp->n_keys > sp->fmt.n_buckets;
	if (crowded != atomic_load(&sp->crowded))
		atomic_store(&sp->crowded, crowded);
	if (sp->active.n + sp->recorded.n > FULL_CHANGES ||
	    sp->append - sp->frozen_end > FULL_BYTES)
		atomic_store(&sp->full, true);
}

/* Room for the changes has been had: nothing fails. */
static void merge_delta(struct space *sp, int64_t more_keys)
{
	for (size_t i = 0; i < sp->delta.n; i++) {
		const struct change *c = &sp->delta.item[i];

		changes_set(&sp->active, c->pos, c->value, c->len);
	}
	space_count_commit(sp, more_keys);
}

int space_reserve_record(struct space *sp)
{
	return reserve(sp, 0, 0);
}

int space_publish(struct space *sp, int64_t more_keys, int (*also)(void *arg),
		  void *arg)
{
	/* The record's room is had now: a flush does not find the disk full. */
	int rc = space_reserve_record(sp);

	if (rc == 0 && sp->reserve_fails)
		rc = space_flush_tail(sp);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	/* Before also: what that does is not undone. */
	rc = changes_reserve(&sp->active, sp->delta.n);
	if (rc == 0 && also)
		rc = also(arg);
	if (rc == 0)
		merge_delta(sp, more_keys);
	pthread_rwlock_unlock(&sp->lock);
	if (rc < 0)
		return rc;
	space_sum_published(sp);
	changes_clear(&sp->delta);
	return 0;
}

void space_cut_back(struct space *sp)
{
	uint64_t size = 0;

	if (sp->append == sp->end)
		return;
	space_forget_pads(sp, sp->end);
	pthread_rwlock_wrlock(&sp->lock);
	if (sp->tail->base > sp->end) {
		sp->tail->base = sp->end;
		sp->tail->len = 0;
	} else {
		sp->tail->len = (size_t)(sp->end - sp->tail->base);
	}
	pthread_rwlock_unlock(&sp->lock);
	sp->append = sp->end;
	sp->reserved = min_u64(sp->reserved, sp->tail->base);
	sp->ahead = 0;
	/* Bytes of the commit that never was may be in the file already. */
	if (file_size(&sp->file, &size) < 0 ||
	    (size > sp->tail->base &&
	     file_resize(&sp->file, sp->tail->base) < 0))
		space_fail(sp, -EIO);
}

void space_rollback(struct space *sp)
{
	changes_clear(&sp->delta);
	sp->log.start = sp->before.start;
	sp->log.own_len = sp->before.own_len;
	space_sum_back(sp);
	space_cut_back(sp);
}

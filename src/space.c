#include "space.h"

#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Disk space is got in steps of this, so that small commits do not each pay
 * for a system call. */
#define RESERVE_STEP ((uint64_t)4 << 20)

/* Changes that stand within one window are written with one call. */
#define APPLY_WINDOW 4096u

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

int space_init(struct space *sp, const struct file *file,
	       const struct format *fmt, uint64_t end)
{
	pthread_rwlockattr_t attr;

	*sp = (struct space){ .fmt = *fmt,
			      .end = end,
			      .append = end,
			      .reserved = end,
			      .n_keys = fmt->n_keys };
	if (file->writable) {
		sp->tail = chunk_new(end);
		if (!sp->tail)
			return -ENOMEM;
	}
	sp->file = *file;
	pthread_mutex_init(&sp->write, NULL);
	pthread_mutex_init(&sp->sync_lock, NULL);
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
	chunk_put(sp->tail);
	changes_release(&sp->active);
	changes_release(&sp->frozen);
	changes_release(&sp->delta);
	pthread_mutex_destroy(&sp->write);
	pthread_mutex_destroy(&sp->sync_lock);
	pthread_rwlock_destroy(&sp->lock);
}

uint64_t space_field(const struct space *sp, uint64_t pos, uint32_t len,
		     enum space_who who)
{
	uint64_t v;

	if ((who == SPACE_WRITER && changes_get(&sp->delta, pos, &v)) ||
	    changes_get(&sp->active, pos, &v) ||
	    changes_get(&sp->frozen, pos, &v))
		return v;
	return get_le(space_ptr(sp, pos), len);
}

struct chunk *space_pin(const struct space *sp, uint64_t pos)
{
	if (!sp->tail || pos < sp->tail->base)
		return NULL;
	atomic_fetch_add(&sp->tail->refs, 1);
	return sp->tail;
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
	return 0;
}

void space_end(struct space *sp)
{
	pthread_mutex_unlock(&sp->write);
}

int space_reserve(struct space *sp, uint64_t len)
{
	uint64_t need = sp->append + len, step = len + RESERVE_STEP;
	int rc;

	if (need <= sp->reserved || sp->reserve_fails)
		return 0;
	rc = file_reserve(&sp->file, sp->append, step);
	if (rc == -ENOSPC) {
		step = len;
		rc = file_reserve(&sp->file, sp->append, step);
	}
	if (rc == -EOPNOTSUPP) {
		sp->reserve_fails = true;
		return 0;
	}
	if (rc == 0)
		sp->reserved = sp->append + step;
	return rc;
}

int space_write_header(struct space *sp)
{
	return file_write(&sp->file, sp->fmt.raw, FORMAT_HEADER_LEN, 0);
}

/* Says in the header that a writer is at work, as booklet does. */
static int mark_open(struct space *sp)
{
	int rc;

	if (sp->marked)
		return 0;
	format_set_n_keys(&sp->fmt, FORMAT_N_KEYS_OPEN);
	rc = space_write_header(sp);
	if (rc == 0)
		sp->marked = true;
	return rc;
}

/* The tail's bytes, all or none: a part of a block at the end of the file would
 * mislead a walk.  A full disk is the caller's affair and may pass; any other
 * failure is the end of writing. */
static int write_tail(struct space *sp)
{
	const struct chunk *c = sp->tail;
	int rc = mark_open(sp);

	if (rc == 0)
		rc = file_write(&sp->file, c->data, c->len, c->base);
	if (rc == 0)
		return 0;
	if (file_resize(&sp->file, c->base) < 0 || rc != -ENOSPC)
		space_fail(sp, rc);
	return rc;
}

/* Writes the tail's bytes and starts a new tail behind them. */
static int flush_tail(struct space *sp)
{
	struct chunk *old = sp->tail, *fresh = NULL;
	uint64_t behind = old->base + old->len;
	int rc;

	if (old->len == 0)
		return 0;
	/* A view may stand in the old chunk: then it cannot be filled anew. */
	if (atomic_load(&old->refs) > 1) {
		fresh = chunk_new(behind);
		if (!fresh)
			return -ENOMEM;
	}
	rc = write_tail(sp);
	if (rc < 0) {
		chunk_put(fresh);
		return rc;
	}
	pthread_rwlock_wrlock(&sp->lock);
	rc = file_map_to(&sp->file, behind);
	if (rc == 0 && !fresh && atomic_load(&old->refs) > 1) {
		fresh = chunk_new(behind);
		rc = fresh ? 0 : -ENOMEM;
	}
	if (rc == 0 && fresh) {
		sp->tail = fresh;
		fresh = old;
	} else if (rc == 0) {
		old->base = behind;
		old->len = 0;
	}
	pthread_rwlock_unlock(&sp->lock);
	chunk_put(fresh);
	return rc;
}

int space_block(struct space *sp, uint64_t len)
{
	if (sp->tail->len + len <= SPACE_CHUNK)
		return 0;
	return flush_tail(sp);
}

/* A block longer than a chunk ends in a tail that does not hold its beginning,
 * and readers want blocks in one piece. */
int space_block_end(struct space *sp, uint64_t len)
{
	return len > SPACE_CHUNK ? flush_tail(sp) : 0;
}

int64_t space_append_room(struct space *sp, uint64_t len, uint8_t **ret)
{
	uint64_t n;

	if (sp->tail->len == SPACE_CHUNK) {
		int rc = flush_tail(sp);

		if (rc < 0)
			return rc;
	}
	n = min_u64(len, SPACE_CHUNK - sp->tail->len);
	*ret = sp->tail->data + sp->tail->len;
	sp->tail->len += n;
	sp->append += n;
	return (int64_t)n;
}

int space_append(struct space *sp, const void *bytes, size_t len)
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

int space_skip(struct space *sp, uint64_t len)
{
	int rc = flush_tail(sp);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	sp->append += len;
	sp->tail->base = sp->append;
	rc = file_map_to(&sp->file, sp->append);
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

int space_write(struct space *sp, const void *bytes, size_t len, uint64_t pos)
{
	return file_write(&sp->file, bytes, len, pos);
}

/* Room for the changes is had before the first is moved over: from there
 * nothing fails. */
static int merge_delta(struct space *sp, int64_t more_keys)
{
	int rc = changes_reserve(&sp->active, sp->delta.n);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sp->delta.n; i++) {
		const struct change *c = &sp->delta.item[i];

		changes_set(&sp->active, c->pos, c->value, c->len);
	}
	sp->end = sp->append;
	/* The count is a hint (doc/format.md, section 2) and may be too low. */
	if (more_keys < 0 && sp->n_keys < (uint64_t)-more_keys)
		sp->n_keys = 0;
	else
		sp->n_keys += (uint64_t)more_keys;
	sp->changed = now_us();
	return 0;
}

int space_publish(struct space *sp, int64_t more_keys, int (*also)(void *arg),
		  void *arg)
{
	int rc = 0;

	if (sp->reserve_fails)
		rc = flush_tail(sp);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	rc = also ? also(arg) : 0;
	if (rc == 0)
		rc = merge_delta(sp, more_keys);
	pthread_rwlock_unlock(&sp->lock);
	if (rc == 0)
		changes_clear(&sp->delta);
	return rc;
}

void space_rollback(struct space *sp)
{
	changes_clear(&sp->delta);
	if (sp->append == sp->end)
		return;
	/* Bytes of the commit that never was may be in the file already: a
	 * reader that walks it would take them for blocks. */
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
	if (file_resize(&sp->file, sp->tail->base) < 0)
		space_fail(sp, -EIO);
}

/* ---- putting changes into the file ---- */

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

static int apply_items(struct space *sp, const struct change *item, size_t n)
{
	while (n) {
		struct apply_window w = { .sp = sp, .item = item, .n = 1 };
		int rc;

		while (w.n < n && item[w.n].pos >= item[w.n - 1].pos &&
		       item[w.n].pos - item->pos < APPLY_WINDOW)
			w.n++;
		rc = file_try(apply_window, &w);
		if (rc < 0)
			return rc;
		item += w.n;
		n -= w.n;
	}
	return 0;
}

static int apply(struct space *sp)
{
	struct changes empty;
	struct change *sorted;
	int rc;

	if (sp->active.n == 0)
		return 0;
	pthread_rwlock_wrlock(&sp->lock);
	empty = sp->frozen;
	sp->frozen = sp->active;
	sp->active = empty;
	pthread_rwlock_unlock(&sp->lock);

	/* Without memory for sorting, the order of their setting does. */
	sorted = changes_sorted(&sp->frozen);
	rc = apply_items(sp, sorted ? sorted : sp->frozen.item, sp->frozen.n);
	free(sorted);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	changes_clear(&sp->frozen);
	pthread_rwlock_unlock(&sp->lock);
	return 0;
}

int space_flush(struct space *sp)
{
	int rc;

	if (sp->tail->len == 0 && sp->active.n == 0 && sp->frozen.n == 0)
		return 0;
	rc = mark_open(sp);
	if (rc == 0)
		rc = flush_tail(sp);
	if (rc < 0)
		return rc;
	rc = apply(sp);
	if (rc < 0)
		return space_fail(sp, rc);
	sp->flushes++;
	return 0;
}

int space_sync(struct space *sp)
{
	uint64_t want;
	int rc;

	rc = space_begin(sp);
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
	if (rc == 0 && sp->synced < want) {
		uint64_t covers;

		/* Whatever was flushed while this caller waited for the one
		 * before is made durable by the same call. */
		pthread_mutex_lock(&sp->write);
		covers = sp->flushes;
		pthread_mutex_unlock(&sp->write);
		rc = file_sync(&sp->file);
		if (rc == 0)
			sp->synced = covers;
		else
			space_fail(sp, rc);
	}
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

int space_clean(struct space *sp)
{
	int rc = space_flush(sp);

	if (rc < 0)
		return rc;
	if (!sp->marked)
		return 0;
	rc = file_resize(&sp->file, sp->end);
	if (rc == 0)
		rc = file_sync(&sp->file);
	if (rc == 0) {
		uint64_t n = min_u64(sp->n_keys, FORMAT_N_KEYS_OPEN - 1);

		format_set_n_keys(&sp->fmt, (uint32_t)n);
		rc = space_write_header(sp);
	}
	if (rc == 0)
		rc = file_sync(&sp->file);
	if (rc < 0)
		return space_fail(sp, rc);
	sp->marked = false;
	sp->reserved = sp->end;
	return 0;
}

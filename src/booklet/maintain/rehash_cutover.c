#include "booklet/maintain/maintain.h"

#include "booklet/core/batch.h"
#include "booklet/log/block.h"
#include "base/mutants.h"
#include "booklet/core/reservations.h"
#include "booklet/core/snapshot.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>

/* Entries written and synced under one hold of the sync lock. */
#define FILL_STEP ((uint64_t)4 << 20)

/* ---- the old index's place ---- */

static struct vacated place_of_index(const struct wal *wal)
{
	struct vacated v = { 0 };

	/* Prune brought it down: all from the new one to its end. */
	if (wal->next.offset && wal->next.offset < wal->fmt.index_offset) {
		v.pos = wal->next.offset +
			format_index_len(wal->next.n_buckets);
		v.len = wal->fmt.index_offset +
			format_index_len(wal->fmt.n_buckets) - v.pos;
	} else if (wal->fmt.index_offset != FORMAT_HEADER_LEN) {
		v.pos = wal->fmt.index_offset;
		v.len = format_index_len(wal->fmt.n_buckets);
	}
	return v;
}

/* The blocks behind the index move, until the hole is a sum of legal ones. */
static int move_neighbours(struct batch *b, struct vacated *v)
{
	struct wal *wal = &b->engine->wal;
	uint64_t pad;
	int rc = 0;

	while (rc == 0 && !format_dead_fits(&wal->fmt, v->len)) {
		uint64_t len = 0;

		if (v->pos + v->len >= wal->append)
			rc = wal_append_filler(wal, format_dead_min(&wal->fmt),
					       &pad);
		if (rc == 0 && reservations_any(b->engine, v->pos + v->len,
						v->pos + v->len + 1))
			rc = -EBUSY;
		if (rc == 0)
			rc = batch_away(b, v->pos + v->len, &len);
		v->len += len;
	}
	return rc;
}

/* From now on no walk comes to a stand among what is to be covered; one that
 * stands there has nothing more to find. */
static void pass_over(struct engine *e, const struct vacated *v)
{
	struct wal *wal = &e->wal;
	uint64_t index_end =
		wal->fmt.index_offset + format_index_len(wal->fmt.n_buckets);

	pthread_rwlock_wrlock(&wal->lock);
	wal->index_gap = v->pos + v->len - index_end;
	snapshot_pass_over(e, v->pos, v->pos + v->len);
	pthread_rwlock_unlock(&wal->lock);
}

int rehash_vacate(struct engine *e)
{
	struct wal *wal = &e->wal;
	struct vacated v = place_of_index(wal);
	struct batch b;
	int rc = 0;

	if (v.len == 0 || format_dead_fits(&wal->fmt, v.len))
		return 0;
	rc = wal_begin(wal);
	if (rc < 0)
		return rc;
	batch_begin_locked(&b, e);
	/* A snapshot that began before would look for them where they were. */
	b.no_snapshots = true;
	rc = batch_end(&b, e->walking ? -EBUSY : move_neighbours(&b, &v));
	if (rc == 0)
		pass_over(e, &v);
	wal_end(wal);
	atomic_fetch_add(&e->compactions, 1);
	return rc;
}

struct widening {
	struct wal *wal;
	struct vacated *v;
};

/* Blocks that had to make way have made way before the growth began, in
 * another process perhaps; which ones follows from their being dead. */
static int widen(void *arg)
{
	struct widening *w = arg;
	struct block b;

	while (!format_dead_fits(&w->wal->fmt, w->v->len)) {
		uint64_t behind = w->v->pos + w->v->len;
		int rc;

		/* The gap is no data any more, but its blocks are there. */
		rc = block_raw(w->wal, behind, w->wal->append, &b);
		if (rc < 0)
			return rc;
		if (wal_field(w->wal, behind + FORMAT_AT_NEXT, FORMAT_POS_LEN,
			      WAL_WRITER) != FORMAT_DEAD)
			return -EUCLEAN;
		w->v->len += b.len;
	}
	return 0;
}

int rehash_old_place(struct engine *e, struct vacated *ret)
{
	struct vacated v = place_of_index(&e->wal);
	struct widening w = { &e->wal, &v };
	int rc = 0;

	if (v.len)
		rc = file_try(widen, &w);
	if (rc == 0 && v.len)
		pass_over(e, &v);
	if (rc == 0)
		*ret = v;
	return rc;
}

/* ---- the new one's ---- */

/* Bytes that dead blocks can cover, the index and what is left of them. */
static uint64_t place_for(const struct format *f, uint64_t index_len)
{
	uint64_t len = index_len;

	while (!format_dead_fits(f, len))
		len += format_dead_min(f);
	return len;
}

int rehash_reserve(struct engine *e, uint32_t n_buckets)
{
	struct wal *wal = &e->wal;
	struct growth *g = &e->growth;
	uint64_t pos, len = place_for(&wal->fmt, format_index_len(n_buckets));
	int rc = wal_begin(wal);

	if (rc < 0)
		return rc;
	rc = wal_append_hole(wal, len, false, &pos);
	if (rc == 0)
		rc = wal_publish(wal, 0, NULL, NULL);
	if (rc < 0)
		wal_rollback(wal);
	wal_end(wal);
	if (rc < 0)
		return rc;
	g->n_buckets = n_buckets;
	g->pos = pos;
	g->place = len;
	g->dead = pos;
	g->dead_len = 0;
	g->filled = pos;
	/* Until the log begins behind them, a record's checksum covers the
	 * blocks. */
	if (MUTANT(PLACE_IN_LOG))
		return 0;
	pthread_mutex_lock(&wal->sync_lock);
	rc = atomic_load(&wal->failed) ? -EIO : wal_checkpoint_beside(wal);
	pthread_mutex_unlock(&wal->sync_lock);
	return rc;
}

/* Entries at most up to the end of the dead block; its head stays. */
static int fill_block(struct engine *e, const uint8_t *entries, size_t room,
		      uint64_t *left)
{
	struct wal *wal = &e->wal;
	struct growth *g = &e->growth;
	uint64_t n, phase;
	int rc;

	if (g->filled == g->dead + g->dead_len) {
		g->dead = g->filled;
		g->dead_len = format_dead_piece(&wal->fmt,
						g->pos + g->place - g->dead);
		g->filled += format_head_len(&wal->fmt);
	}
	n = min_u64(g->dead + g->dead_len - g->filled, min_u64(room, *left));
	phase = (g->filled - g->pos) % FORMAT_POS_LEN;
	rc = file_write(&wal->file, entries + phase, (size_t)n, g->filled);
	if (rc < 0)
		return rc;
	g->filled += n;
	*left -= n;
	return 0;
}

static int fill_some(struct engine *e)
{
	const size_t room = 8192 * FORMAT_POS_LEN;
	struct growth *g = &e->growth;
	uint64_t left = g->fill_step ? g->fill_step : FILL_STEP;
	uint8_t *entries = malloc(room + FORMAT_POS_LEN);
	int rc = entries ? 0 : -ENOMEM;

	for (size_t i = 0; entries && i < room + FORMAT_POS_LEN;
	     i += FORMAT_POS_LEN)
		put_le(entries + i, FORMAT_LAST, FORMAT_POS_LEN);
	while (rc == 0 && left && g->filled < g->pos + g->place)
		rc = fill_block(e, entries, room, &left);
	free(entries);
	return rc;
}

/* Under the sync lock: changes are put into their places in windows, and one
 * that reaches over the place must not bring old bytes back. */
int rehash_fill(struct engine *e)
{
	struct wal *wal = &e->wal;
	int rc;

	pthread_mutex_lock(&wal->sync_lock);
	rc = atomic_load(&wal->failed) ? -EIO : fill_some(e);
	if (rc == 0) {
		rc = file_sync(&wal->file);
		/* Whatever a failed fsync says, its pages may be lost. */
		if (rc < 0)
			wal_fail(wal, rc);
	} else if (rc != -ENOSPC && rc != -ENOMEM) {
		wal_fail(wal, rc);
	}
	pthread_mutex_unlock(&wal->sync_lock);
	return rc < 0 ? rc : e->growth.filled < e->growth.pos + e->growth.place;
}

/* The entries that a dead block's head stands in. */
static int empty_entries(struct wal *wal, const struct growth *g, uint64_t head)
{
	uint64_t end = g->pos + format_index_len(g->n_buckets);
	uint64_t to = min_u64(head + format_head_len(&wal->fmt), end);
	uint64_t at = head - (head - g->pos) % FORMAT_POS_LEN;
	int rc = 0;

	for (; at < to && rc == 0; at += FORMAT_POS_LEN)
		rc = wal_set_pointer(wal, at, FORMAT_LAST);
	return rc;
}

static int replace_heads(struct wal *wal, const struct growth *g)
{
	uint64_t index_end = g->pos + format_index_len(g->n_buckets);
	uint64_t end = g->pos + g->place, at = g->pos;
	int rc = 0;

	while (at < end && rc == 0) {
		rc = empty_entries(wal, g, at);
		at += format_dead_piece(&wal->fmt, end - at);
	}
	return rc < 0 ? rc : block_cover(wal, index_end, end - index_end);
}

static int set_next(void *arg)
{
	struct engine *e = arg;
	const struct growth *g = &e->growth;

	e->wal.next = (struct log_growth){ .offset = g->pos,
					   .n_buckets = g->n_buckets };
	e->wal.next_gap = g->place - format_index_len(g->n_buckets);
	snapshot_pass_over(e, g->pos, g->pos + g->place);
	return 0;
}

int rehash_declare(struct engine *e)
{
	struct wal *wal = &e->wal;
	int rc = wal_begin(wal);

	if (rc < 0)
		return rc;
	rc = replace_heads(wal, &e->growth);
	if (rc == 0)
		rc = wal_publish(wal, 0, set_next, e);
	if (rc < 0)
		wal_rollback(wal);
	wal_end(wal);
	return rc;
}

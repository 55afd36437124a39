#include "booklet/maintain/reindex_place.h"

#include "booklet/core/batch.h"
#include "booklet/log/block.h"
#include "base/mutants.h"
#include "booklet/core/pins.h"
#include "booklet/core/scan.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>

/* Entries written and synced under one hold of the sync lock. */
#define FILL_STEP ((uint64_t)4 << 20)

/* ---- the old index's place ---- */

static struct vacated place_of_index(const struct space *sp)
{
	struct vacated v = { 0 };

	/* Prune brought it down: all from the new one to its end. */
	if (sp->next.offset && sp->next.offset < sp->fmt.index_offset) {
		v.pos = sp->next.offset + format_index_len(sp->next.n_buckets);
		v.len = sp->fmt.index_offset +
			format_index_len(sp->fmt.n_buckets) - v.pos;
	} else if (sp->fmt.index_offset != FORMAT_HEADER_LEN) {
		v.pos = sp->fmt.index_offset;
		v.len = format_index_len(sp->fmt.n_buckets);
	}
	return v;
}

/* The blocks behind the index move, until the hole is a sum of legal ones. */
static int move_neighbours(struct batch *b, struct vacated *v)
{
	struct space *sp = &b->engine->space;
	uint64_t pad;
	int rc = 0;

	while (rc == 0 && !format_dead_fits(&sp->fmt, v->len)) {
		uint64_t len = 0;

		if (v->pos + v->len >= sp->append)
			rc = space_append_filler(sp, format_dead_min(&sp->fmt),
						 &pad);
		if (rc == 0 &&
		    pins_any(b->engine, v->pos + v->len, v->pos + v->len + 1))
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
	struct space *sp = &e->space;
	uint64_t index_end =
		sp->fmt.index_offset + format_index_len(sp->fmt.n_buckets);

	pthread_rwlock_wrlock(&sp->lock);
	sp->index_gap = v->pos + v->len - index_end;
	scan_pass_over(e, v->pos, v->pos + v->len);
	pthread_rwlock_unlock(&sp->lock);
}

int reindex_vacate(struct engine *e)
{
	struct space *sp = &e->space;
	struct vacated v = place_of_index(sp);
	struct batch b;
	int rc = 0;

	if (v.len == 0 || format_dead_fits(&sp->fmt, v.len))
		return 0;
	rc = space_begin(sp);
	if (rc < 0)
		return rc;
	batch_begin_locked(&b, e);
	/* A scan that began before would look for them where they were. */
	b.no_scans = true;
	rc = batch_end(&b, e->walking ? -EBUSY : move_neighbours(&b, &v));
	if (rc == 0)
		pass_over(e, &v);
	space_end(sp);
	atomic_fetch_add(&e->compactions, 1);
	return rc;
}

struct widening {
	struct space *sp;
	struct vacated *v;
};

/* Blocks that had to make way have made way before the growth began, in
 * another process perhaps; which ones follows from their being dead. */
static int widen(void *arg)
{
	struct widening *w = arg;
	struct block b;

	while (!format_dead_fits(&w->sp->fmt, w->v->len)) {
		uint64_t behind = w->v->pos + w->v->len;
		int rc;

		/* The gap is no data any more, but its blocks are there. */
		rc = block_raw(w->sp, behind, w->sp->append, &b);
		if (rc < 0)
			return rc;
		if (space_field(w->sp, behind + FORMAT_AT_NEXT, FORMAT_POS_LEN,
				SPACE_WRITER) != FORMAT_DEAD)
			return -EUCLEAN;
		w->v->len += b.len;
	}
	return 0;
}

int reindex_old_place(struct engine *e, struct vacated *ret)
{
	struct vacated v = place_of_index(&e->space);
	struct widening w = { &e->space, &v };
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

int reindex_reserve(struct engine *e, uint32_t n_buckets)
{
	struct space *sp = &e->space;
	struct growth *g = &e->growth;
	uint64_t pos, len = place_for(&sp->fmt, format_index_len(n_buckets));
	int rc = space_begin(sp);

	if (rc < 0)
		return rc;
	rc = space_append_hole(sp, len, false, &pos);
	if (rc == 0)
		rc = space_publish(sp, 0, NULL, NULL);
	if (rc < 0)
		space_rollback(sp);
	space_end(sp);
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
	pthread_mutex_lock(&sp->sync_lock);
	rc = atomic_load(&sp->failed) ? -EIO : space_checkpoint_beside(sp);
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

/* Entries at most up to the end of the dead block; its head stays. */
static int fill_block(struct engine *e, const uint8_t *entries, size_t room,
		      uint64_t *left)
{
	struct space *sp = &e->space;
	struct growth *g = &e->growth;
	uint64_t n, phase;
	int rc;

	if (g->filled == g->dead + g->dead_len) {
		g->dead = g->filled;
		g->dead_len = format_dead_piece(&sp->fmt,
						g->pos + g->place - g->dead);
		g->filled += format_head_len(&sp->fmt);
	}
	n = min_u64(g->dead + g->dead_len - g->filled, min_u64(room, *left));
	phase = (g->filled - g->pos) % FORMAT_POS_LEN;
	rc = file_write(&sp->file, entries + phase, (size_t)n, g->filled);
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
int reindex_fill(struct engine *e)
{
	struct space *sp = &e->space;
	int rc;

	pthread_mutex_lock(&sp->sync_lock);
	rc = atomic_load(&sp->failed) ? -EIO : fill_some(e);
	if (rc == 0) {
		rc = file_sync(&sp->file);
		/* Whatever a failed fsync says, its pages may be lost. */
		if (rc < 0)
			space_fail(sp, rc);
	} else if (rc != -ENOSPC && rc != -ENOMEM) {
		space_fail(sp, rc);
	}
	pthread_mutex_unlock(&sp->sync_lock);
	return rc < 0 ? rc : e->growth.filled < e->growth.pos + e->growth.place;
}

/* The entries that a dead block's head stands in. */
static int empty_entries(struct space *sp, const struct growth *g,
			 uint64_t head)
{
	uint64_t end = g->pos + format_index_len(g->n_buckets);
	uint64_t to = min_u64(head + format_head_len(&sp->fmt), end);
	uint64_t at = head - (head - g->pos) % FORMAT_POS_LEN;
	int rc = 0;

	for (; at < to && rc == 0; at += FORMAT_POS_LEN)
		rc = space_set_pointer(sp, at, FORMAT_LAST);
	return rc;
}

static int replace_heads(struct space *sp, const struct growth *g)
{
	uint64_t index_end = g->pos + format_index_len(g->n_buckets);
	uint64_t end = g->pos + g->place, at = g->pos;
	int rc = 0;

	while (at < end && rc == 0) {
		rc = empty_entries(sp, g, at);
		at += format_dead_piece(&sp->fmt, end - at);
	}
	return rc < 0 ? rc : block_cover(sp, index_end, end - index_end);
}

static int set_next(void *arg)
{
	struct engine *e = arg;
	const struct growth *g = &e->growth;

	e->space.next = (struct log_growth){ .offset = g->pos,
					     .n_buckets = g->n_buckets };
	e->space.next_gap = g->place - format_index_len(g->n_buckets);
	scan_pass_over(e, g->pos, g->pos + g->place);
	return 0;
}

int reindex_declare(struct engine *e)
{
	struct space *sp = &e->space;
	int rc = space_begin(sp);

	if (rc < 0)
		return rc;
	rc = replace_heads(sp, &e->growth);
	if (rc == 0)
		rc = space_publish(sp, 0, set_next, e);
	if (rc < 0)
		space_rollback(sp);
	space_end(sp);
	return rc;
}

#include "booklet/maintain/reindex.h"

#include "booklet/core/batch.h"
#include "booklet/log/block.h"
#include "booklet/core/index.h"
#include "base/mutants.h"
#include "booklet/maintain/reindex_place.h"
#include "booklet/maintain/trim.h"
#include "base/util.h"

#include <errno.h>

/* Buckets moved as one commit: what the write lock is held for. */
#define MOVE_STEP 1024u

/* Changes on their way at which they are brought into the file. */
#define MANY_CHANGES ((size_t)1 << 16)

/* ---- moving ---- */

struct step {
	struct space *sp;
	uint32_t at, to;
	uint64_t keys;
};

/* Puts the blocks of one old bucket at the heads of their new chains. */
static int move_bucket(struct step *st)
{
	struct space *sp = st->sp;
	uint64_t at =
		space_field(sp, sp->fmt.index_offset + format_index_len(st->at),
			    FORMAT_POS_LEN, SPACE_WRITER);
	/* No chain is longer than the file has room for blocks: one that seems
	 * to be comes back to itself. */
	uint64_t most = sp->append / format_head_len(&sp->fmt);

	while (at > FORMAT_LAST) {
		struct block b;
		uint64_t slot;
		int rc = most-- ? block_at(sp, at, SPACE_WRITER, &b) : -EUCLEAN;

		if (rc < 0)
			return rc;
		slot = sp->next.offset +
		       format_index_len(keyhash_bucket(&b.head.hash,
						       sp->next.n_buckets));
		rc = space_set_pointer(
			sp, at + FORMAT_AT_NEXT,
			index_chain(space_field(sp, slot, FORMAT_POS_LEN,
						SPACE_WRITER)));
		if (rc == 0)
			rc = space_set_pointer(sp, slot, at);
		if (rc < 0)
			return rc;
		at = b.head.next;
		st->keys++;
	}
	return 0;
}

static int move_buckets(void *arg)
{
	struct step *st = arg;
	int rc = 0;

	for (; st->at < st->to && rc == 0; st->at++)
		rc = move_bucket(st);
	return rc;
}

static int count_moved(void *arg)
{
	struct step *st = arg;

	st->sp->next.moved = st->to;
	return 0;
}

/* Blocks of a chain that are looked at before it is moved. */
#define LOOK_AHEAD 16

static int touch_bucket(void *arg)
{
	const struct step *st = arg;
	const struct space *sp = st->sp;
	uint64_t at =
		space_field(sp, sp->fmt.index_offset + format_index_len(st->at),
			    FORMAT_POS_LEN, SPACE_READER);
	struct block b;

	for (int i = 0; i < LOOK_AHEAD && at > FORMAT_LAST; i++) {
		if (block_at(sp, at, SPACE_READER, &b) < 0)
			break;
		(void)space_field(
			sp,
			sp->next.offset +
				format_index_len(keyhash_bucket(
					&b.head.hash, sp->next.n_buckets)),
			FORMAT_POS_LEN, SPACE_READER);
		at = b.head.next;
	}
	return 0;
}

/* What will be read with the write lock held is read from the disk before. */
static void touch_buckets(struct step st)
{
	for (; st.at < st.to; st.at++) {
		pthread_rwlock_rdlock(&st.sp->lock);
		(void)file_try(touch_bucket, &st);
		pthread_rwlock_unlock(&st.sp->lock);
	}
}

static int move(struct engine *e)
{
	struct space *sp = &e->space;
	uint32_t n = e->growth.move_step ? e->growth.move_step : MOVE_STEP;
	uint64_t to = (uint64_t)sp->next.moved + n;
	struct step st = { sp, sp->next.moved,
			   (uint32_t)min_u64(sp->fmt.n_buckets, to), 0 };
	bool many;
	int rc;

	touch_buckets(st);
	batch_give_way(e);
	rc = space_begin(sp);
	if (rc < 0)
		return rc;
	rc = file_try(move_buckets, &st);
	if (rc == 0)
		rc = space_publish(sp, 0, count_moved, &st);
	if (rc < 0)
		space_rollback(sp);
	else
		e->growth.keys += st.keys;
	many = sp->active.n + sp->recorded.n > MANY_CHANGES;
	space_end(sp);
	if (rc == 0 && (many || atomic_load(&sp->full)))
		rc = space_sync(sp);
	return rc;
}

/* ---- landing ---- */

static int set_field(struct space *sp, uint64_t at, uint32_t len)
{
	return changes_set(&sp->delta, at, get_le(sp->fmt.raw + at, len), len);
}

/* Where the first block is then.  Only an index at the front, where prune
 * brings one, pushes it on. */
static uint64_t data_behind(const struct space *sp)
{
	if (sp->next.offset != FORMAT_HEADER_LEN)
		return sp->fmt.data_offset;
	return sp->next.offset + format_index_len(sp->next.n_buckets);
}

static int set_layout(struct space *sp, const struct vacated *v)
{
	int rc = set_field(sp, FORMAT_AT_N_BUCKETS, 4);

	if (rc == 0)
		rc = set_field(sp, FORMAT_AT_INDEX, FORMAT_POS_LEN);
	if (rc == 0)
		rc = set_field(sp, FORMAT_AT_DATA, FORMAT_POS_LEN);
	if (rc == 0)
		rc = block_cover(sp, v->pos, v->len);
	return rc;
}

/* With sync_lock and write held: the old index's place becomes dead blocks, and
 * the header names the new one.  From this record on no growth is under way. */
static int commit_landing(struct engine *e)
{
	struct space *sp = &e->space;
	struct vacated v = { 0 };
	int rc = reindex_old_place(e, &v);

	if (rc < 0)
		return rc;
	format_put_layout(&sp->fmt, sp->next.n_buckets, sp->next.offset,
			  data_behind(sp));
	rc = set_layout(sp, &v);
	if (rc == 0)
		rc = space_publish(sp, 0, NULL, NULL);
	if (rc < 0) {
		space_rollback(sp);
		format_put_layout(&sp->fmt, sp->fmt.n_buckets,
				  sp->fmt.index_offset, sp->fmt.data_offset);
		return rc;
	}
	sp->landing = true;
	rc = space_flush(sp);
	return rc < 0 ? space_fail(sp, rc) : 0;
}

/* Readers learn of it when the file says so: until then the old place is no
 * data. */
static void switch_layout(struct space *sp)
{
	pthread_mutex_lock(&sp->write);
	pthread_rwlock_wrlock(&sp->lock);
	format_set_layout(&sp->fmt, sp->next.n_buckets, sp->next.offset,
			  data_behind(sp));
	sp->next = (struct log_growth){ 0 };
	sp->index_gap = sp->next_gap = 0;
	pthread_rwlock_unlock(&sp->lock);
	sp->landing = false;
	pthread_mutex_unlock(&sp->write);
}

/* No change to the old index may be on its way, nor in the log: it would
 * overlap what covers it. */
static int begin_landing(struct engine *e)
{
	struct space *sp = &e->space;
	int rc = atomic_load(&sp->failed) ? -EIO : 0;

	if (rc == 0 && !MUTANT(LANDED_IN_LOG))
		rc = space_checkpoint_beside(sp);
	if (rc == 0)
		rc = space_begin(sp);
	if (rc < 0)
		return rc;
	rc = commit_landing(e);
	space_end(sp);
	return rc;
}

static int land_with_lock(struct engine *e)
{
	struct space *sp = &e->space;
	int rc = atomic_load(&sp->failed) ? -EIO : 0;

	/* The commit may have been made by a call that came no further. */
	if (rc == 0 && !sp->landing)
		rc = begin_landing(e);
	if (rc == 0)
		rc = space_checkpoint_beside(sp);
	if (rc == 0)
		switch_layout(sp);
	return rc;
}

static int land(struct engine *e)
{
	struct space *sp = &e->space;
	int rc;

	pthread_mutex_lock(&sp->sync_lock);
	rc = land_with_lock(e);
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

/* ---- the whole ---- */

static void end(struct engine *e)
{
	e->growth.stage = GROWTH_NONE;
	atomic_store(&e->growing, false);
}

/* Nothing has been moved: what is there are dead blocks. */
static void give_up(struct engine *e)
{
	struct space *sp = &e->space;

	pthread_rwlock_wrlock(&sp->lock);
	sp->index_gap = 0;
	pthread_rwlock_unlock(&sp->lock);
	end(e);
}

int reindex_begin(struct engine *e, uint32_t n_buckets)
{
	int rc = trim_resume(e);

	if (rc == 0)
		rc = reindex_vacate(e);
	if (rc < 0)
		return rc;
	atomic_store(&e->growing, true);
	e->growth.stage = GROWTH_FILL;
	e->growth.keys = 0;
	rc = reindex_reserve(e, n_buckets);
	if (rc < 0)
		give_up(e);
	return rc;
}

static int fill_step(struct engine *e)
{
	int rc = reindex_fill(e);

	if (rc == 0)
		rc = reindex_declare(e);
	else if (rc > 0)
		return 0;
	if (rc == 0)
		e->growth.stage = GROWTH_MOVE;
	else
		give_up(e);
	return rc;
}

/* From the first bucket moved on there is no way back, but forward.  A full
 * disk or too little memory stops the work between two buckets: every key is
 * found, and the next call goes on. */
static int move_step(struct engine *e)
{
	struct space *sp = &e->space;
	bool moved = sp->next.moved == sp->fmt.n_buckets;
	int rc = moved ? land(e) : move(e);

	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT && rc != -ENOMEM)
		return space_fail(sp, rc);
	if (rc == 0 && moved)
		end(e);
	return rc;
}

int reindex_step(struct engine *e)
{
	struct growth *g = &e->growth;
	int rc = trim_resume(e);

	if (rc < 0)
		return rc;
	if (g->stage == GROWTH_NONE && e->space.next.offset) {
		g->stage = GROWTH_MOVE;
		atomic_store(&e->growing, true);
	}
	if (g->stage == GROWTH_FILL)
		rc = fill_step(e);
	else if (g->stage == GROWTH_MOVE)
		rc = move_step(e);
	return rc < 0 ? rc : g->stage != GROWTH_NONE;
}

uint64_t reindex_done(const struct engine *e, uint64_t *ret_total)
{
	const struct space *sp = &e->space;
	const struct growth *g = &e->growth;
	uint64_t old = format_index_len(sp->fmt.n_buckets);

	*ret_total = old + format_index_len(g->stage == GROWTH_MOVE ?
						    sp->next.n_buckets :
						    g->n_buckets);
	if (g->stage == GROWTH_FILL)
		return g->filled - g->pos;
	return *ret_total - old + format_index_len(sp->next.moved);
}

int reindex_resume(struct engine *e)
{
	int rc;

	do
		rc = reindex_step(e);
	while (rc > 0);
	return rc;
}

int reindex(struct engine *e, uint32_t n_buckets)
{
	int rc = reindex_resume(e);

	if (rc == 0)
		rc = reindex_begin(e, n_buckets);
	return rc < 0 ? rc : reindex_resume(e);
}

#include "booklet/maintain/maintain.h"

#include "booklet/core/batch.h"
#include "booklet/log/block.h"
#include "booklet/core/index.h"
#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>

/* Buckets moved as one commit: what the write lock is held for. */
#define MOVE_STEP 1024u

/* Changes on their way at which they are brought into the file. */
#define MANY_CHANGES ((size_t)1 << 16)

/* ---- moving ---- */

struct step {
	struct wal *wal;
	uint32_t at, to;
	uint64_t keys;
};

/* Puts the blocks of one old bucket at the heads of their new chains. */
static int move_bucket(struct step *st)
{
	struct wal *wal = st->wal;
	uint64_t at =
		wal_field(wal, wal->fmt.index_offset + format_index_len(st->at),
			  FORMAT_POS_LEN, WAL_WRITER);
	/* No chain is longer than the file has room for blocks: one that seems
	 * to be comes back to itself. */
	uint64_t most = wal->append / format_head_len(&wal->fmt);

	while (at > FORMAT_LAST) {
		struct block b;
		uint64_t slot;
		int rc = most-- ? block_at(wal, at, WAL_WRITER, &b) : -EUCLEAN;

		if (rc < 0)
			return rc;
		slot = wal->next.offset +
		       format_index_len(keyhash_bucket(&b.head.hash,
						       wal->next.n_buckets));
		rc = wal_set_pointer(
			wal, at + FORMAT_AT_NEXT,
			index_chain(wal_field(wal, slot, FORMAT_POS_LEN,
					      WAL_WRITER)));
		if (rc == 0)
			rc = wal_set_pointer(wal, slot, at);
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

	st->wal->next.moved = st->to;
	return 0;
}

/* Blocks of a chain that are looked at before it is moved. */
#define LOOK_AHEAD 16

static int touch_bucket(void *arg)
{
	const struct step *st = arg;
	const struct wal *wal = st->wal;
	uint64_t at =
		wal_field(wal, wal->fmt.index_offset + format_index_len(st->at),
			  FORMAT_POS_LEN, WAL_READER);
	struct block b;

	for (int i = 0; i < LOOK_AHEAD && at > FORMAT_LAST; i++) {
		if (block_at(wal, at, WAL_READER, &b) < 0)
			break;
		(void)wal_field(
			wal,
			wal->next.offset +
				format_index_len(keyhash_bucket(
					&b.head.hash, wal->next.n_buckets)),
			FORMAT_POS_LEN, WAL_READER);
		at = b.head.next;
	}
	return 0;
}

/* What will be read with the write lock held is read from the disk before. */
static void touch_buckets(struct step st)
{
	for (; st.at < st.to; st.at++) {
		pthread_rwlock_rdlock(&st.wal->lock);
		(void)file_try(touch_bucket, &st);
		pthread_rwlock_unlock(&st.wal->lock);
	}
}

static int move(struct engine *e)
{
	struct wal *wal = &e->wal;
	uint32_t n = e->growth.move_step ? e->growth.move_step : MOVE_STEP;
	uint64_t to = (uint64_t)wal->next.moved + n;
	struct step st = { wal, wal->next.moved,
			   (uint32_t)min_u64(wal->fmt.n_buckets, to), 0 };
	bool many;
	int rc;

	touch_buckets(st);
	batch_give_way(e);
	rc = wal_begin(wal);
	if (rc < 0)
		return rc;
	rc = file_try(move_buckets, &st);
	if (rc == 0)
		rc = wal_publish(wal, 0, count_moved, &st);
	if (rc < 0)
		wal_rollback(wal);
	else
		e->growth.keys += st.keys;
	many = wal->dirty.n + wal->logged.n > MANY_CHANGES;
	wal_end(wal);
	if (rc == 0 && (many || atomic_load(&wal->full)))
		rc = wal_sync(wal);
	return rc;
}

/* ---- landing ---- */

static int set_field(struct wal *wal, uint64_t at, uint32_t len)
{
	return dirty_set(&wal->delta, at, get_le(wal->fmt.raw + at, len), len);
}

/* Where the first block is then.  Only an index at the front, where prune
 * brings one, pushes it on. */
static uint64_t data_behind(const struct wal *wal)
{
	if (wal->next.offset != FORMAT_HEADER_LEN)
		return wal->fmt.data_offset;
	return wal->next.offset + format_index_len(wal->next.n_buckets);
}

static int set_layout(struct wal *wal, const struct vacated *v)
{
	int rc = set_field(wal, FORMAT_AT_N_BUCKETS, 4);

	if (rc == 0)
		rc = set_field(wal, FORMAT_AT_INDEX, FORMAT_POS_LEN);
	if (rc == 0)
		rc = set_field(wal, FORMAT_AT_DATA, FORMAT_POS_LEN);
	if (rc == 0)
		rc = block_cover(wal, v->pos, v->len);
	return rc;
}

/* With sync_lock and write held: the old index's place becomes dead blocks, and
 * the header names the new one.  From this record on no growth is under way. */
static int commit_cutover(struct engine *e)
{
	struct wal *wal = &e->wal;
	struct vacated v = { 0 };
	int rc = rehash_old_place(e, &v);

	if (rc < 0)
		return rc;
	format_put_layout(&wal->fmt, wal->next.n_buckets, wal->next.offset,
			  data_behind(wal));
	rc = set_layout(wal, &v);
	if (rc == 0)
		rc = wal_publish(wal, 0, NULL, NULL);
	if (rc < 0) {
		wal_rollback(wal);
		format_put_layout(&wal->fmt, wal->fmt.n_buckets,
				  wal->fmt.index_offset, wal->fmt.data_offset);
		return rc;
	}
	wal->cutover = true;
	rc = wal_flush(wal);
	return rc < 0 ? wal_fail(wal, rc) : 0;
}

/* Readers learn of it when the file says so: until then the old place is no
 * data. */
static void switch_layout(struct wal *wal)
{
	pthread_mutex_lock(&wal->write);
	pthread_rwlock_wrlock(&wal->lock);
	format_set_layout(&wal->fmt, wal->next.n_buckets, wal->next.offset,
			  data_behind(wal));
	wal->next = (struct log_growth){ 0 };
	wal->index_gap = wal->next_gap = 0;
	pthread_rwlock_unlock(&wal->lock);
	wal->cutover = false;
	pthread_mutex_unlock(&wal->write);
}

/* No change to the old index may be on its way, nor in the log: it would
 * overlap what covers it. */
static int begin_cutover(struct engine *e)
{
	struct wal *wal = &e->wal;
	int rc = atomic_load(&wal->failed) ? -EIO : 0;

	if (rc == 0 && !MUTANT(LANDED_IN_LOG))
		rc = wal_checkpoint_beside(wal);
	if (rc == 0)
		rc = wal_begin(wal);
	if (rc < 0)
		return rc;
	rc = commit_cutover(e);
	wal_end(wal);
	return rc;
}

static int land_with_lock(struct engine *e)
{
	struct wal *wal = &e->wal;
	int rc = atomic_load(&wal->failed) ? -EIO : 0;

	/* The commit may have been made by a call that came no further. */
	if (rc == 0 && !wal->cutover)
		rc = begin_cutover(e);
	if (rc == 0)
		rc = wal_checkpoint_beside(wal);
	if (rc == 0)
		switch_layout(wal);
	return rc;
}

static int land(struct engine *e)
{
	struct wal *wal = &e->wal;
	int rc;

	pthread_mutex_lock(&wal->sync_lock);
	rc = land_with_lock(e);
	pthread_mutex_unlock(&wal->sync_lock);
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
	struct wal *wal = &e->wal;

	pthread_rwlock_wrlock(&wal->lock);
	wal->index_gap = 0;
	pthread_rwlock_unlock(&wal->lock);
	end(e);
}

int rehash_begin(struct engine *e, uint32_t n_buckets)
{
	int rc = punch_resume(e);

	if (rc == 0)
		rc = rehash_vacate(e);
	if (rc < 0)
		return rc;
	atomic_store(&e->growing, true);
	e->growth.stage = GROWTH_FILL;
	e->growth.keys = 0;
	rc = rehash_reserve(e, n_buckets);
	if (rc < 0)
		give_up(e);
	return rc;
}

static int fill_step(struct engine *e)
{
	int rc = rehash_fill(e);

	if (rc == 0)
		rc = rehash_declare(e);
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
	struct wal *wal = &e->wal;
	bool moved = wal->next.moved == wal->fmt.n_buckets;
	int rc = moved ? land(e) : move(e);

	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT && rc != -ENOMEM)
		return wal_fail(wal, rc);
	if (rc == 0 && moved)
		end(e);
	return rc;
}

int rehash_step(struct engine *e)
{
	struct growth *g = &e->growth;
	int rc = punch_resume(e);

	if (rc < 0)
		return rc;
	if (g->stage == GROWTH_NONE && e->wal.next.offset) {
		g->stage = GROWTH_MOVE;
		atomic_store(&e->growing, true);
	}
	if (g->stage == GROWTH_FILL)
		rc = fill_step(e);
	else if (g->stage == GROWTH_MOVE)
		rc = move_step(e);
	return rc < 0 ? rc : g->stage != GROWTH_NONE;
}

uint64_t rehash_done(const struct engine *e, uint64_t *ret_total)
{
	const struct wal *wal = &e->wal;
	const struct growth *g = &e->growth;
	uint64_t old = format_index_len(wal->fmt.n_buckets);

	*ret_total = old + format_index_len(g->stage == GROWTH_MOVE ?
						    wal->next.n_buckets :
						    g->n_buckets);
	if (g->stage == GROWTH_FILL)
		return g->filled - g->pos;
	return *ret_total - old + format_index_len(wal->next.moved);
}

int rehash_resume(struct engine *e)
{
	int rc;

	do
		rc = rehash_step(e);
	while (rc > 0);
	return rc;
}

int rehash(struct engine *e, uint32_t n_buckets)
{
	int rc = rehash_resume(e);

	if (rc == 0)
		rc = rehash_begin(e, n_buckets);
	return rc < 0 ? rc : rehash_resume(e);
}

/* The gap's life.
 *
 *   open     in memory; the next record or checkpoint declares it
 *   vacated  nobody looks at its bytes any more, the durable checkpoint
 *            declares it, and no record behind that checkpoint names a byte
 *            of it: what is written into it now is undone by nothing
 *   closed   dead blocks cover it; walks pass over it until their heads stand
 *            in the file
 *
 * A gap changes only while no snapshot runs and no other walk of the store
 * stands in its blocks. */
#include "booklet/maintain/compact.h"

#include "booklet/log/block.h"
#include "base/mutants.h"
#include "booklet/core/reservations.h"
#include "booklet/core/snapshot.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

/* How long to wait before progress is told again, so that it can cancel. */
#define PATIENCE_MS 200
/* At the least, where prune's steps are smaller than COMPACT_PUNCH. */
#define PUNCH_LEAST ((uint64_t)4 << 10)

int compact_tell(struct compaction_plan *m)
{
	struct wal *wal = &m->engine->wal;
	int rc = atomic_load(&wal->full) ? wal_sync(wal) : 0;

	if (rc < 0 || !m->progress)
		return rc;
	return m->progress(m->arg, min_u64(m->done, m->total), m->total,
			   m->keys);
}

/* ---- waiting for those who look ---- */

bool compact_watched(struct engine *e)
{
	return e->snapshots || e->walking;
}

static bool unwatched(void *arg)
{
	struct engine *e = arg;
	bool is;

	pthread_rwlock_rdlock(&e->wal.lock);
	is = !compact_watched(e);
	pthread_rwlock_unlock(&e->wal.lock);
	return is;
}

/* A snapshot of this very thread would never end. */
static bool own_snapshot(struct engine *e)
{
	bool own = false;

	pthread_rwlock_rdlock(&e->wal.lock);
	for (const struct snapshot *s = e->snapshots; s; s = s->next)
		own = own || pthread_equal(s->thread, pthread_self());
	pthread_rwlock_unlock(&e->wal.lock);
	return own;
}

int compact_wait_snapshots(struct compaction_plan *m)
{
	struct engine *e = m->engine;

	if (own_snapshot(e))
		return -EBUSY;
	while (!epoch_wait_for(&e->wal.epoch, PATIENCE_MS, unwatched, e)) {
		int rc = compact_tell(m);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int wait_views(struct compaction_plan *m)
{
	struct epoch *epoch = &m->engine->wal.epoch;

	while (!epoch_wait(epoch, PATIENCE_MS)) {
		int rc = compact_tell(m);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Whoever may have seen a pointer to what is dead by now has left. */
static int retire(struct compaction_plan *m)
{
	struct wal *wal = &m->engine->wal;
	int rc = wait_views(m);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&wal->lock);
	epoch_begin(&wal->epoch);
	pthread_rwlock_unlock(&wal->lock);
	return wait_views(m);
}

/* ---- open ---- */

struct gap_change {
	struct engine *engine;
	struct log_gap gap;
};

/* For wal_publish. */
static int set_gap(void *arg)
{
	struct gap_change *z = arg;

	if (compact_watched(z->engine))
		return -EAGAIN;
	z->engine->wal.gap = z->gap;
	return 0;
}

static int set_front(struct dirty_table *to, const uint8_t *raw)
{
	int rc = dirty_set(to, FORMAT_AT_DATA,
			   get_le(raw + FORMAT_AT_DATA, FORMAT_POS_LEN),
			   FORMAT_POS_LEN);

	if (rc == 0)
		rc = dirty_set(to, FORMAT_AT_INDEX,
			       get_le(raw + FORMAT_AT_INDEX, FORMAT_POS_LEN),
			       FORMAT_POS_LEN);
	return rc;
}

/* The disk was full for the record that claims the front: it is given back, for
 * the next header that is written must say what the log says.  The next record
 * has these fields still, as they were before. */
static int unclaim_front(struct wal *wal, const uint8_t *raw)
{
	int rc;

	memcpy(wal->fmt.raw, raw, FORMAT_HEADER_LEN);
	pthread_rwlock_wrlock(&wal->lock);
	rc = set_front(&wal->dirty, raw);
	wal->gap = (struct log_gap){ 0 };
	pthread_rwlock_unlock(&wal->lock);
	return rc < 0 ? wal_fail(wal, rc) : -ENOSPC;
}

/* The space in front of the first block was an index once. */
static int claim_front(struct wal *wal, struct gap_change *z)
{
	uint8_t before[FORMAT_HEADER_LEN];
	int rc;

	memcpy(before, wal->fmt.raw, sizeof(before));
	format_put_layout(&wal->fmt, wal->fmt.n_buckets, wal->fmt.index_offset,
			  z->gap.pos);
	rc = set_front(&wal->delta, wal->fmt.raw);
	if (rc == 0)
		rc = wal_publish(wal, 0, set_gap, z);
	if (rc < 0) {
		wal_rollback(wal);
		memcpy(wal->fmt.raw, before, sizeof(before));
		return rc;
	}
	/* The next header that is written says so: the log must, too. */
	rc = wal_flush(wal);
	if (rc == -ENOSPC)
		return unclaim_front(wal, before);
	return rc < 0 ? wal_fail(wal, rc) : 0;
}

/* With both locks held. */
static int open_gap(struct wal *wal, struct gap_change *z)
{
	int rc;

	if (z->gap.pos < wal->fmt.data_offset) {
		wal_mark(wal);
		return claim_front(wal, z);
	}
	pthread_rwlock_wrlock(&wal->lock);
	rc = set_gap(z);
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

/* What readers go by, and writers too. */
static int set_layout(struct wal *wal, uint64_t data_offset,
		      const struct log_gap *gap)
{
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&wal->lock);
	if (data_offset != wal->fmt.data_offset)
		format_set_layout(&wal->fmt, wal->fmt.n_buckets,
				  wal->fmt.index_offset, data_offset);
	wal->gap = *gap;
	pthread_rwlock_unlock(&wal->lock);
	wal_end_whole(wal);
	return 0;
}

int gap_open(struct compaction_plan *m, uint64_t pos, uint64_t len)
{
	struct wal *wal = &m->engine->wal;
	struct gap_change z = { m->engine, { pos, len } };
	bool front = pos < wal->fmt.data_offset;
	int rc;

	do {
		rc = compact_wait_snapshots(m);
		if (rc == 0)
			rc = wal_begin_whole(wal);
		if (rc < 0)
			return rc;
		rc = open_gap(wal, &z);
		wal_end_whole(wal);
	} while (rc == -EAGAIN);
	if (rc < 0 || !front)
		return rc;
	/* Walks begin there from when the header in the file says so. */
	rc = wal_begin_log(wal);
	return rc < 0 ? rc : set_layout(wal, pos, &z.gap);
}

int gap_vacate(struct compaction_plan *m)
{
	int rc = retire(m);

	if (rc < 0 || MUTANT(REUSE_UNCHECKPOINTED))
		return rc;
	return wal_begin_log(&m->engine->wal);
}

/* ---- close ---- */

static int cover(struct wal *wal)
{
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc;
	rc = block_cover(wal, wal->gap.pos, wal->gap.len);
	if (rc == 0)
		rc = wal_publish(wal, 0, NULL, NULL);
	if (rc < 0)
		wal_rollback(wal);
	else
		rc = wal_flush(wal);
	wal_end_whole(wal);
	return rc;
}

int gap_cover(struct engine *e)
{
	const struct log_gap none = { 0 };
	struct wal *wal = &e->wal;
	int rc;

	if (!wal->gap.len)
		return 0;
	/* No change to its bytes may be on its way. */
	rc = wal_begin_log(wal);
	if (rc == 0)
		rc = cover(wal);
	if (rc == 0)
		rc = wal_begin_log(wal);
	return rc < 0 ? rc : set_layout(wal, wal->fmt.data_offset, &none);
}

/* ---- the end of the file ---- */

/* With both locks held: nothing is on its way to anywhere, and the log is
 * empty. */
static bool at_rest(const struct wal *wal, uint64_t end)
{
	return wal->append == end && wal->log.start == end && !wal->dirty.n &&
	       !wal->logged.n && !wal->flushing.n;
}

/* The same: nothing behind to lives, so it ends there.  The checkpoint comes
 * first: from then on nothing behind it counts. */
static int cut(struct wal *wal, uint64_t to)
{
	struct log_checkpoint checkpoint = wal->checkpoint;
	int rc = 0;

	checkpoint.seq++;
	checkpoint.record_seq = wal->record_seq;
	checkpoint.start = to;
	checkpoint.n_keys = (uint32_t)wal->logged_keys;
	checkpoint.gap = wal->gap;
	checkpoint.growth = wal->next;
	if (!MUTANT(CUT_EARLY))
		rc = wal_write_checkpoint(wal, &checkpoint);
	if (rc == 0)
		rc = wal_cut(wal, to);
	if (rc == 0 && MUTANT(CUT_EARLY))
		rc = wal_write_checkpoint(wal, &checkpoint);
	return rc;
}

/* 1: done; 0: somebody was faster. */
static int try_cut(struct engine *e, uint64_t to, uint64_t end)
{
	struct wal *wal = &e->wal;
	bool held;
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc;
	pthread_rwlock_rdlock(&wal->lock);
	held = compact_watched(e) || reservations_any(e, to, end);
	pthread_rwlock_unlock(&wal->lock);
	if (!held && at_rest(wal, end)) {
		rc = cut(wal, to);
		rc = rc < 0 ? rc : 1;
	}
	wal_end_whole(wal);
	return rc;
}

/* ---- what is to be cut off ---- */

struct large {
	uint64_t step, pos, len;
};

static int see_large(void *arg, const struct block *b)
{
	struct large *l = arg;

	l->pos = b->pos;
	l->len = b->len;
	return b->len >= 2 * l->step;
}

/* Whole steps of it, behind its head. */
static int punch_block(struct wal *wal, const struct large *l)
{
	uint64_t pos = l->pos + FORMAT_HEAD_MAX, end = l->pos + l->len;
	int rc = 0;

	pos = (pos + l->step - 1) / l->step * l->step;
	for (; pos + l->step <= end && rc == 0; pos += l->step)
		rc = file_punch(&wal->file, pos, l->step);
	return rc;
}

static uint64_t punch_step(const struct engine *e)
{
	uint64_t most = e->prune_chunk ? e->prune_chunk : COMPACT_PUNCH;

	return max_u64(min_u64(most, COMPACT_PUNCH) / PUNCH_LEAST, 1) *
	       PUNCH_LEAST;
}

/* To cut gigabytes off takes long, while writers wait: so most of it goes
 * before, without a lock.  Since gap_vacate nobody looks at it, and the heads
 * of its dead blocks, which stay, are in the file. */
static int punch_dead(struct compaction_plan *m, uint64_t pos, uint64_t to)
{
	struct large l = { .step = punch_step(m->engine) };
	struct compact_stroll s = { pos, to, see_large, &l };
	int rc;

	while ((rc = compact_stroll(m, &s)) == 0 && s.pos < to) {
		rc = punch_block(&m->engine->wal, &l);
		if (rc < 0)
			break;
		s.pos = l.pos + l.len;
	}
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The end of all blocks; -EEXIST: something lives behind to. */
static int dead_end(struct compaction_plan *m, uint64_t to, uint64_t *ret)
{
	struct wal *wal = &m->engine->wal;
	uint64_t live;
	bool pinned;
	int rc;

	rc = gap_vacate(m);
	if (rc < 0)
		return rc;
	*ret = compact_end_of(m);
	pthread_rwlock_rdlock(&wal->lock);
	pinned = reservations_any(m->engine, to, *ret);
	pthread_rwlock_unlock(&wal->lock);
	rc = compact_skip(m, to, *ret, false, &live);
	if (rc == 0 && !pinned)
		rc = punch_dead(m, to, live);
	if (rc == 0 && (pinned || live < *ret))
		rc = -EEXIST;
	return rc;
}

/* Writers may be at work: then after some tries the file stays as long as it
 * is. */
int compact_cut(struct compaction_plan *m, uint64_t to)
{
	int rc = 0;

	for (int i = 0; i < 10 && rc == 0; i++) {
		uint64_t end;

		rc = dead_end(m, to, &end);
		if (rc == 0)
			rc = compact_wait_snapshots(m);
		if (rc == 0)
			rc = try_cut(m->engine, to, end);
	}
	return rc == -EEXIST ? 0 : rc;
}

int compact_cut_unused(struct engine *e, uint64_t to)
{
	struct wal *wal = &e->wal;
	uint64_t end;
	int rc = wal_begin_log(wal);

	if (rc == 0)
		rc = wal_begin(wal);
	if (rc < 0)
		return rc;
	end = wal->append;
	/* The place of an index to be is dead, too. */
	rc = atomic_load(&e->growing) ? 0 : block_unused(wal, to, end);
	wal_end(wal);
	return rc > 0 ? try_cut(e, to, end) : rc;
}

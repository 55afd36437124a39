/* The zone's life.
 *
 *   open     in memory; the next record or slot declares it
 *   vacated  nobody looks at its bytes any more, the durable slot declares it,
 *            and no record behind that slot names a byte of it: what is
 *            written into it now is undone by nothing
 *   closed   dead blocks cover it; walks pass over it until their heads stand
 *            in the file
 *
 * A zone changes only while no scan runs and no other walk of the store
 * stands in its blocks. */
#include "booklet/maintain/mover.h"

#include "booklet/log/block.h"
#include "base/mutants.h"
#include "booklet/core/pins.h"
#include "booklet/core/scan.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

/* How long to wait before progress is told again, so that it can cancel. */
#define PATIENCE_MS 200
/* At the least, where prune's steps are smaller than MOVER_PUNCH. */
#define PUNCH_LEAST ((uint64_t)4 << 10)

int mover_tell(struct mover *m)
{
	struct space *sp = &m->engine->space;
	int rc = atomic_load(&sp->full) ? space_sync(sp) : 0;

	if (rc < 0 || !m->progress)
		return rc;
	return m->progress(m->arg, min_u64(m->done, m->total), m->total,
			   m->keys);
}

/* ---- waiting for those who look ---- */

bool mover_watched(struct engine *e)
{
	return e->scans || e->walking;
}

static bool unwatched(void *arg)
{
	struct engine *e = arg;
	bool is;

	pthread_rwlock_rdlock(&e->space.lock);
	is = !mover_watched(e);
	pthread_rwlock_unlock(&e->space.lock);
	return is;
}

/* A scan of this very thread would never end. */
static bool own_scan(struct engine *e)
{
	bool own = false;

	pthread_rwlock_rdlock(&e->space.lock);
	for (const struct scan *s = e->scans; s; s = s->next)
		own = own || pthread_equal(s->thread, pthread_self());
	pthread_rwlock_unlock(&e->space.lock);
	return own;
}

int mover_wait_scans(struct mover *m)
{
	struct engine *e = m->engine;

	if (own_scan(e))
		return -EBUSY;
	while (!epoch_wait_for(&e->space.epoch, PATIENCE_MS, unwatched, e)) {
		int rc = mover_tell(m);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int wait_views(struct mover *m)
{
	struct epoch *epoch = &m->engine->space.epoch;

	while (!epoch_wait(epoch, PATIENCE_MS)) {
		int rc = mover_tell(m);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Whoever may have seen a pointer to what is dead by now has left. */
static int retire(struct mover *m)
{
	struct space *sp = &m->engine->space;
	int rc = wait_views(m);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	epoch_begin(&sp->epoch);
	pthread_rwlock_unlock(&sp->lock);
	return wait_views(m);
}

/* ---- open ---- */

struct zone_change {
	struct engine *engine;
	struct log_zone zone;
};

/* For space_publish. */
static int set_zone(void *arg)
{
	struct zone_change *z = arg;

	if (mover_watched(z->engine))
		return -EAGAIN;
	z->engine->space.zone = z->zone;
	return 0;
}

static int set_front(struct changes *to, const uint8_t *raw)
{
	int rc = changes_set(to, FORMAT_AT_DATA,
			     get_le(raw + FORMAT_AT_DATA, FORMAT_POS_LEN),
			     FORMAT_POS_LEN);

	if (rc == 0)
		rc = changes_set(to, FORMAT_AT_INDEX,
				 get_le(raw + FORMAT_AT_INDEX, FORMAT_POS_LEN),
				 FORMAT_POS_LEN);
	return rc;
}

/* The disk was full for the record that claims the front: it is given back, for
 * the next header that is written must say what the log says.  The next record
 * has these fields still, as they were before. */
static int unclaim_front(struct space *sp, const uint8_t *raw)
{
	int rc;

	memcpy(sp->fmt.raw, raw, FORMAT_HEADER_LEN);
	pthread_rwlock_wrlock(&sp->lock);
	rc = set_front(&sp->active, raw);
	sp->zone = (struct log_zone){ 0 };
	pthread_rwlock_unlock(&sp->lock);
	return rc < 0 ? space_fail(sp, rc) : -ENOSPC;
}

/* The space in front of the first block was an index once. */
static int claim_front(struct space *sp, struct zone_change *z)
{
	uint8_t before[FORMAT_HEADER_LEN];
	int rc;

	memcpy(before, sp->fmt.raw, sizeof(before));
	format_put_layout(&sp->fmt, sp->fmt.n_buckets, sp->fmt.index_offset,
			  z->zone.pos);
	rc = set_front(&sp->delta, sp->fmt.raw);
	if (rc == 0)
		rc = space_publish(sp, 0, set_zone, z);
	if (rc < 0) {
		space_rollback(sp);
		memcpy(sp->fmt.raw, before, sizeof(before));
		return rc;
	}
	/* The next header that is written says so: the log must, too. */
	rc = space_flush(sp);
	if (rc == -ENOSPC)
		return unclaim_front(sp, before);
	return rc < 0 ? space_fail(sp, rc) : 0;
}

/* With both locks held. */
static int open_zone(struct space *sp, struct zone_change *z)
{
	int rc;

	if (z->zone.pos < sp->fmt.data_offset) {
		space_mark(sp);
		return claim_front(sp, z);
	}
	pthread_rwlock_wrlock(&sp->lock);
	rc = set_zone(z);
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

/* What readers go by, and writers too. */
static int set_layout(struct space *sp, uint64_t data_offset,
		      const struct log_zone *zone)
{
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	if (data_offset != sp->fmt.data_offset)
		format_set_layout(&sp->fmt, sp->fmt.n_buckets,
				  sp->fmt.index_offset, data_offset);
	sp->zone = *zone;
	pthread_rwlock_unlock(&sp->lock);
	space_end_whole(sp);
	return 0;
}

int zone_open(struct mover *m, uint64_t pos, uint64_t len)
{
	struct space *sp = &m->engine->space;
	struct zone_change z = { m->engine, { pos, len } };
	bool front = pos < sp->fmt.data_offset;
	int rc;

	do {
		rc = mover_wait_scans(m);
		if (rc == 0)
			rc = space_begin_whole(sp);
		if (rc < 0)
			return rc;
		rc = open_zone(sp, &z);
		space_end_whole(sp);
	} while (rc == -EAGAIN);
	if (rc < 0 || !front)
		return rc;
	/* Walks begin there from when the header in the file says so. */
	rc = space_begin_log(sp);
	return rc < 0 ? rc : set_layout(sp, pos, &z.zone);
}

int zone_vacate(struct mover *m)
{
	int rc = retire(m);

	if (rc < 0 || MUTANT(REUSE_UNCHECKPOINTED))
		return rc;
	return space_begin_log(&m->engine->space);
}

/* ---- close ---- */

static int cover(struct space *sp)
{
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	rc = block_cover(sp, sp->zone.pos, sp->zone.len);
	if (rc == 0)
		rc = space_publish(sp, 0, NULL, NULL);
	if (rc < 0)
		space_rollback(sp);
	else
		rc = space_flush(sp);
	space_end_whole(sp);
	return rc;
}

int zone_cover(struct engine *e)
{
	const struct log_zone none = { 0 };
	struct space *sp = &e->space;
	int rc;

	if (!sp->zone.len)
		return 0;
	/* No change to its bytes may be on its way. */
	rc = space_begin_log(sp);
	if (rc == 0)
		rc = cover(sp);
	if (rc == 0)
		rc = space_begin_log(sp);
	return rc < 0 ? rc : set_layout(sp, sp->fmt.data_offset, &none);
}

/* ---- the end of the file ---- */

/* With both locks held: nothing is on its way to anywhere, and the log is
 * empty. */
static bool at_rest(const struct space *sp, uint64_t end)
{
	return sp->append == end && sp->log.start == end && !sp->active.n &&
	       !sp->recorded.n && !sp->frozen.n;
}

/* The same: nothing behind to lives, so it ends there.  The slot comes first:
 * from then on nothing behind it counts. */
static int cut(struct space *sp, uint64_t to)
{
	struct log_slot slot = sp->slot;
	int rc = 0;

	slot.seq++;
	slot.record_seq = sp->record_seq;
	slot.start = to;
	slot.n_keys = (uint32_t)sp->recorded_keys;
	slot.zone = sp->zone;
	slot.growth = sp->next;
	if (!MUTANT(CUT_EARLY))
		rc = space_write_slot(sp, &slot);
	if (rc == 0)
		rc = space_cut(sp, to);
	if (rc == 0 && MUTANT(CUT_EARLY))
		rc = space_write_slot(sp, &slot);
	return rc;
}

/* 1: done; 0: somebody was faster. */
static int try_cut(struct engine *e, uint64_t to, uint64_t end)
{
	struct space *sp = &e->space;
	bool held;
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	pthread_rwlock_rdlock(&sp->lock);
	held = mover_watched(e) || pins_any(e, to, end);
	pthread_rwlock_unlock(&sp->lock);
	if (!held && at_rest(sp, end)) {
		rc = cut(sp, to);
		rc = rc < 0 ? rc : 1;
	}
	space_end_whole(sp);
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
static int punch_block(struct space *sp, const struct large *l)
{
	uint64_t pos = l->pos + FORMAT_HEAD_MAX, end = l->pos + l->len;
	int rc = 0;

	pos = (pos + l->step - 1) / l->step * l->step;
	for (; pos + l->step <= end && rc == 0; pos += l->step)
		rc = file_punch(&sp->file, pos, l->step);
	return rc;
}

static uint64_t punch_step(const struct engine *e)
{
	uint64_t most = e->prune_chunk ? e->prune_chunk : MOVER_PUNCH;

	return max_u64(min_u64(most, MOVER_PUNCH) / PUNCH_LEAST, 1) *
	       PUNCH_LEAST;
}

/* To cut gigabytes off takes long, while writers wait: so most of it goes
 * before, without a lock.  Since zone_vacate nobody looks at it, and the heads
 * of its dead blocks, which stay, are in the file. */
static int punch_dead(struct mover *m, uint64_t pos, uint64_t to)
{
	struct large l = { .step = punch_step(m->engine) };
	struct mover_stroll s = { pos, to, see_large, &l };
	int rc;

	while ((rc = mover_stroll(m, &s)) == 0 && s.pos < to) {
		rc = punch_block(&m->engine->space, &l);
		if (rc < 0)
			break;
		s.pos = l.pos + l.len;
	}
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The end of all blocks; -EEXIST: something lives behind to. */
static int dead_end(struct mover *m, uint64_t to, uint64_t *ret)
{
	struct space *sp = &m->engine->space;
	uint64_t live;
	bool pinned;
	int rc;

	rc = zone_vacate(m);
	if (rc < 0)
		return rc;
	*ret = mover_end_of(m);
	pthread_rwlock_rdlock(&sp->lock);
	pinned = pins_any(m->engine, to, *ret);
	pthread_rwlock_unlock(&sp->lock);
	rc = mover_skip(m, to, *ret, false, &live);
	if (rc == 0 && !pinned)
		rc = punch_dead(m, to, live);
	if (rc == 0 && (pinned || live < *ret))
		rc = -EEXIST;
	return rc;
}

/* Writers may be at work: then after some tries the file stays as long as it
 * is. */
int mover_cut(struct mover *m, uint64_t to)
{
	int rc = 0;

	for (int i = 0; i < 10 && rc == 0; i++) {
		uint64_t end;

		rc = dead_end(m, to, &end);
		if (rc == 0)
			rc = mover_wait_scans(m);
		if (rc == 0)
			rc = try_cut(m->engine, to, end);
	}
	return rc == -EEXIST ? 0 : rc;
}

int mover_cut_unused(struct engine *e, uint64_t to)
{
	struct space *sp = &e->space;
	uint64_t end;
	int rc = space_begin_log(sp);

	if (rc == 0)
		rc = space_begin(sp);
	if (rc < 0)
		return rc;
	end = sp->append;
	/* The place of an index to be is dead, too. */
	rc = atomic_load(&e->growing) ? 0 : block_unused(sp, to, end);
	space_end(sp);
	return rc > 0 ? try_cut(e, to, end) : rc;
}

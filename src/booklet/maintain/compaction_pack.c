/* The gap [d, s) between what is packed and the next live block moves up. While
 * it is large, blocks go straight into its front.  While it is small they go by
 * way of scratch space at the end, for bytes are never copied over themselves,
 * and a step for each few bytes would take for ever.
 *
 * At any moment the gap must be a sum of legal dead blocks, for a recovery
 * covers it.  Where an index of few buckets was in front of the first block it
 * is not, and no copying makes it one: so first blocks make way there, to the
 * end.  A gap that would be none stays behind, dead as it is. */
#include "booklet/maintain/compact.h"

#include "booklet/core/batch.h"
#include "base/util.h"

#include <errno.h>

/* ---- scratch space ---- */

/* The least length from which on every one is a sum of legal dead blocks. */
static uint64_t any_dead(const struct format *f)
{
	uint64_t min = format_dead_min(f);
	uint64_t more = format_dead_max(f) - min;

	return (min / more + 1) * min;
}

/* One commit of dead blocks: nobody's blocks come between.  Nothing but their
 * heads is written. */
static int add_scratch(struct compaction *p, uint64_t len)
{
	struct wal *wal = &p->engine->wal;
	uint64_t start;
	struct batch b;
	int rc = batch_begin(&b, p->engine);

	if (rc < 0)
		return rc;
	rc = batch_end(&b, wal_append_hole(wal, len, false, &start));
	if (rc < 0)
		return rc;
	p->scratch = start;
	p->scratch_len = len;
	return 0;
}

static int have_scratch(struct compaction *p, uint64_t first)
{
	uint64_t spare = any_dead(&p->engine->wal.fmt);
	int rc;

	if (p->scratch_len >= first + spare)
		return 0;
	rc = add_scratch(p, max_u64(first, p->chunk) + spare);
	if (rc == -ENOSPC && first < p->chunk)
		rc = add_scratch(p, first + spare);
	return rc;
}

/* ---- packing ---- */

/* Blocks leave the plan until the gap at d is a sum of legal dead blocks
 * before they are moved to its front (in place: while they still stand in it)
 * and afterwards.  Whether any are left. */
static bool punch_plan(struct compaction *p, uint64_t d, bool in_place)
{
	const struct format *f = &p->engine->wal.fmt;
	struct compaction_plan *m = &p->compaction_plan;

	while (m->n && (!format_dead_fits(f, m->end - d - m->sum) ||
			(in_place && !format_dead_fits(f, m->end - d)))) {
		m->n--;
		m->end = m->block[m->n].pos;
		m->sum -= m->block[m->n].len;
	}
	return m->n;
}

/* Where the next live block is small enough for the gap, and the gap so large
 * that steps through it are worth their syncs. */
static bool goes_straight(const struct compaction *p, uint64_t gap,
			  uint64_t len, uint64_t rest)
{
	return len <= gap && (gap >= p->chunk / 4 || rest <= 4 * gap);
}

/* Each step ends with a checkpoint, which writes every page of the index that
 * has changed, so one takes as much as the gap has room for, up to so many
 * chunks. */
#define STRAIGHT_CHUNKS 16

/* A step: 0, or 1: nothing can go there. */
static int step_straight(struct compaction *p, uint64_t first, uint64_t *d,
			 uint64_t *s, uint64_t to)
{
	struct compaction_plan *m = &p->compaction_plan;
	uint64_t most = min_u64(*s - *d, STRAIGHT_CHUNKS * p->chunk);
	uint64_t room = max_u64(first, most);
	int rc = compact_plan(m, *s, to, room);

	if (rc == 0 && !punch_plan(p, *d, false))
		return 1;
	if (rc == 0)
		rc = gap_open(m, *d, *s - *d);
	if (rc == 0)
		rc = compact_slide(m, true);
	if (rc < 0)
		return rc;
	p->result->moved += m->sum;
	*d += m->sum;
	*s = m->end;
	return 0;
}

/* The plan's blocks as they stand in scratch now. */
static void plan_back(struct compaction_plan *m, uint64_t at)
{
	for (size_t i = 0; i < m->n; i++) {
		m->block[i].pos = at;
		at += m->block[i].len;
	}
	m->end = at;
}

static int to_scratch(struct compaction *p, uint64_t first, uint64_t d,
		      uint64_t s, uint64_t to)
{
	struct compaction_plan *m = &p->compaction_plan;
	int rc = gap_cover(p->engine);

	if (rc == 0)
		rc = have_scratch(p, first);
	if (rc == 0)
		rc = compact_plan(m, s, to,
				  p->scratch_len -
					  any_dead(&p->engine->wal.fmt));
	if (rc == 0 && !punch_plan(p, d, true))
		return 1;
	if (rc == 0)
		rc = gap_open(m, p->scratch, p->scratch_len);
	if (rc == 0)
		rc = compact_slide(m, false);
	return rc < 0 ? rc : gap_cover(p->engine);
}

static int step_by_scratch(struct compaction *p, uint64_t first, uint64_t *d,
			   uint64_t *s, uint64_t to)
{
	struct compaction_plan *m = &p->compaction_plan;
	uint64_t end;
	int rc = to_scratch(p, first, *d, *s, to);

	if (rc)
		return rc;
	end = m->end;
	plan_back(m, p->scratch);
	rc = gap_open(m, *d, end - *d);
	if (rc == 0)
		rc = compact_slide(m, false);
	if (rc < 0)
		return rc;
	p->result->moved += 2 * m->sum;
	*d += m->sum;
	*s = end;
	return 0;
}

int compaction_find_gap(struct compaction *p, uint64_t pos, uint64_t to,
			uint64_t *ret_d, uint64_t *ret_s)
{
	int rc = compact_skip(&p->compaction_plan, pos, to, true, ret_d);

	return rc < 0 ? rc :
			compact_skip(&p->compaction_plan, *ret_d, to, false,
				     ret_s);
}

static int step(struct compaction *p, uint64_t *d, uint64_t *s, uint64_t to)
{
	struct wal *wal = &p->engine->wal;
	uint64_t gap = *s - *d, len = 0;
	int rc = compact_block_len(&p->compaction_plan, *s, &len);

	if (rc < 0)
		return rc;
	if (goes_straight(p, gap, len, to - *s) &&
	    format_dead_fits(&wal->fmt, gap))
		rc = step_straight(p, len, d, s, to);
	else
		rc = step_by_scratch(p, len, d, s, to);
	if (rc <= 0)
		return rc;
	/* The gap stays. */
	rc = gap_cover(p->engine);
	return rc < 0 ? rc : compaction_find_gap(p, *s, to, d, s);
}

int compaction_pack(struct compaction *p, uint64_t *d, uint64_t s, uint64_t to)
{
	struct compaction_plan *m = &p->compaction_plan;
	const uint64_t before = m->done, from = *d;
	int rc = 0;

	while (rc == 0 && s < to) {
		rc = step(p, d, &s, to);
		m->done = before + (s - from);
		if (rc == 0)
			rc = compact_tell(m);
	}
	return rc;
}

int compaction_pack_from(struct compaction *p, uint64_t pos, uint64_t to,
			 uint64_t *ret_d)
{
	uint64_t s;
	int rc = compaction_find_gap(p, pos, to, ret_d, &s);

	return rc < 0 ? rc : compaction_pack(p, ret_d, s, to);
}

/* The order of the work:
 *
 *   1. what is too old is deleted, as a user would
 *   2. the data in front of the index, and where an index once stood in front
 *      of that, is packed
 *   3. the index slides into the gap that leaves; where that is too small for
 *      it, it goes to the end and comes down when all is packed
 *   4. the data behind it is packed
 *   5. the file is cut, where nothing was committed meanwhile; what was is
 *      packed by another call, from where the packed blocks end
 *
 * The end state has the size that booklet's own prune gives.  An index at its
 * first place stays there. */
#include "booklet/maintain/maintain.h"

#include "booklet/core/batch.h"
#include "booklet/log/block.h"
#include "booklet/core/reservations.h"
#include "booklet/maintain/compact.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes moved by one step; engine.prune_chunk has another number in tests. */
#define CHUNK ((uint64_t)16 << 20)

/* ---- beside open streams ---- */

static bool pinned(struct compaction *p, uint64_t to)
{
	uint64_t first, behind;

	reservations_first(p->engine, 0, to, &first, &behind);
	return first < to;
}

/* Packs [pos, to), each stretch between their reservations by itself; *ret_d is
 * the end of what is packed in the last. */
static int pack_between(struct compaction *p, uint64_t pos, uint64_t to,
			uint64_t *ret_d)
{
	uint64_t stop, behind;
	int rc;

	do {
		reservations_first(p->engine, pos, to, &stop, &behind);
		rc = compaction_pack_from(p, pos, stop, ret_d);
		if (rc == 0)
			rc = gap_cover(p->engine);
		pos = behind;
	} while (rc == 0 && stop < to);
	return rc;
}

/* Of what stands behind nothing lives, unless somebody has committed. */
static int cut(struct compaction *p, uint64_t d)
{
	p->packed = d;
	return compact_cut(&p->compaction_plan, d);
}

/* The index stays where it is. */
static int prune_between(struct compaction *p, uint64_t end)
{
	const struct wal *wal = &p->engine->wal;
	uint64_t index = wal->fmt.index_offset, d;
	int rc = 0;

	if (index > wal->fmt.data_offset)
		rc = pack_between(p, wal->fmt.data_offset, index, &d);
	if (rc == 0)
		rc = pack_between(
			p,
			max_u64(block_first(wal),
				index + format_index_len(wal->fmt.n_buckets)),
			end, &d);
	return rc < 0 ? rc : cut(p, d);
}

/* ---- the index ---- */

/* Empty entries, where the gap begins. */
static int fill_index(struct compaction *p, uint64_t len)
{
	struct wal *wal = &p->engine->wal;
	const uint64_t from = wal->gap.pos, end = from + len;
	uint64_t pos = from;
	int rc = 0;

	for (size_t i = 0; i < COMPACT_PIECE / FORMAT_POS_LEN; i++)
		put_le(p->compaction_plan.buf + i * FORMAT_POS_LEN, FORMAT_LAST,
		       FORMAT_POS_LEN);
	while (rc == 0 && pos < end) {
		size_t n = (size_t)min_u64(end - pos, COMPACT_PIECE /
							      FORMAT_POS_LEN *
							      FORMAT_POS_LEN);

		rc = compact_write(&p->compaction_plan, n, pos);
		pos += n;
	}
	return rc == 0 ? compact_sync(&p->compaction_plan, from, end) : rc;
}

/* From here a growth is under way, whose new index has the old one's size and
 * stands in front of it. */
static int declare_index(struct wal *wal)
{
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&wal->lock);
	wal->next = (struct log_growth){ .offset = wal->gap.pos,
					 .n_buckets = wal->fmt.n_buckets };
	wal->gap = (struct log_gap){ 0 };
	pthread_rwlock_unlock(&wal->lock);
	wal_end_whole(wal);
	return 0;
}

/* The index moves down to pos; all from there to it is dead. */
static int index_down(struct compaction *p, uint64_t pos)
{
	struct wal *wal = &p->engine->wal;
	int rc =
		gap_open(&p->compaction_plan, pos, wal->fmt.index_offset - pos);

	if (rc == 0)
		rc = gap_vacate(&p->compaction_plan);
	if (rc == 0)
		rc = fill_index(p, format_index_len(wal->fmt.n_buckets));
	if (rc == 0)
		rc = declare_index(wal);
	return rc < 0 ? rc : rehash_resume(p->engine);
}

/* ---- the whole ---- */

static int finish_at(struct compaction *p, uint64_t end)
{
	int rc = gap_cover(p->engine);

	return rc < 0 ? rc : cut(p, end);
}

/* Packs the data from pos on, which is the last region. */
static int pack_rest(struct compaction *p, uint64_t pos, uint64_t to)
{
	uint64_t d;
	int rc = compaction_pack_from(p, pos, to, &d);

	return rc < 0 ? rc : finish_at(p, d);
}

/* Packs from *d on, which may stand where an index was in front of the first
 * block once. */
static int pack_front(struct compaction *p, uint64_t *d, uint64_t to)
{
	const struct format *f = &p->engine->wal.fmt;
	uint64_t s;
	int rc;

	if (f->data_offset > *d)
		rc = compact_skip(&p->compaction_plan, f->data_offset, to,
				  false, &s);
	else
		rc = compaction_find_gap(p, *d, to, d, &s);
	return rc < 0 ? rc : compaction_pack(p, d, s, to);
}

/* A snapshot in another thread may stand where blocks have to make way, or a
 * stream that was opened meanwhile: 1, for that is not waited for. */
static int index_to_end(struct compaction *p)
{
	int rc;

	do {
		rc = compact_wait_snapshots(&p->compaction_plan);
		if (rc < 0)
			return rc;
		rc = rehash(p->engine, p->engine->wal.fmt.n_buckets);
		if (rc == -EBUSY &&
		    pinned(p, compact_end_of(&p->compaction_plan)))
			return 1;
	} while (rc == -EBUSY);
	return rc;
}

/* The gap in front of the index, at d, is too small for it. */
static int by_way_of_the_end(struct compaction *p, uint64_t d)
{
	struct wal *wal = &p->engine->wal;
	uint64_t len = format_index_len(wal->fmt.n_buckets);
	int rc = gap_cover(p->engine);

	if (rc == 0)
		rc = index_to_end(p);
	/* The scratch space is in the middle of what is to be packed now: a gap
	 * that reaches over it would have its blocks in it. */
	p->scratch_len = 0;
	if (rc > 0)
		return prune_between(p, compact_end_of(&p->compaction_plan));
	/* Streams that were opened meanwhile stand there, too: the index comes
	 * down at another time. */
	if (rc == 0 && pinned(p, wal->fmt.index_offset))
		return pack_between(p, max_u64(d, wal->fmt.data_offset),
				    wal->fmt.index_offset, &d);
	if (rc == 0)
		rc = pack_front(p, &d, wal->fmt.index_offset);
	/* A few bytes at the front, and nothing alive, are left. */
	if (rc == 0 && !format_dead_fits(&wal->fmt, wal->fmt.index_offset - d))
		return gap_cover(p->engine);
	if (rc == 0)
		rc = index_down(p, d);
	return rc < 0 ? rc : finish_at(p, d + len);
}

static int prune_relocated(struct compaction *p, uint64_t end)
{
	struct wal *wal = &p->engine->wal;
	uint64_t index = wal->fmt.index_offset, d = FORMAT_HEADER_LEN;
	uint64_t len = format_index_len(wal->fmt.n_buckets);
	int rc = pack_front(p, &d, index);

	if (rc < 0)
		return rc;
	if (d == index)
		return pack_rest(p, index + len, end);
	if (index - d < len || !format_dead_fits(&wal->fmt, index - d))
		return by_way_of_the_end(p, d);
	rc = index_down(p, d);
	return rc < 0 ? rc : pack_rest(p, d + len, end);
}

/* What is in front of the first live block, where an index was once, becomes a
 * sum of legal dead blocks, unless it reaches to the index. */
static int clear_front(struct compaction *p)
{
	struct wal *wal = &p->engine->wal;
	const uint64_t index = wal->fmt.index_offset;
	uint64_t s, len;
	struct batch b;
	int rc = 0;

	if (index == FORMAT_HEADER_LEN ||
	    wal->fmt.data_offset == FORMAT_HEADER_LEN)
		return 0;
	while (rc == 0) {
		rc = compact_skip(&p->compaction_plan, wal->fmt.data_offset,
				  index, false, &s);
		if (rc < 0 || s == index ||
		    format_dead_fits(&wal->fmt, s - FORMAT_HEADER_LEN))
			break;
		rc = batch_begin(&b, p->engine);
		if (rc == 0)
			rc = batch_end(&b, batch_away(&b, s, &len));
	}
	return rc;
}

static int run(struct compaction *p)
{
	struct wal *wal = &p->engine->wal;
	uint64_t end;
	int rc = compaction_age(p);

	if (rc == 0)
		rc = clear_front(p);
	if (rc == 0)
		rc = wal_begin_log(wal);
	if (rc < 0)
		return rc;
	p->compaction_plan.total = end = compact_end_of(&p->compaction_plan);
	if (pinned(p, end))
		return prune_between(p, end);
	if (wal->fmt.index_offset == FORMAT_HEADER_LEN)
		return pack_rest(p, block_first(wal), end);
	return prune_relocated(p, end);
}

/* The data from pos on: what was committed while that in front was packed. */
static int run_behind(struct compaction *p, uint64_t pos)
{
	struct engine *e = p->engine;
	uint64_t end, d;
	int rc = wal_begin_log(&e->wal);

	if (rc < 0)
		return rc;
	p->compaction_plan.total = end = compact_end_of(&p->compaction_plan);
	if (!pinned(p, end))
		return pack_rest(p, pos, end);
	rc = pack_between(p, pos, end, &d);
	return rc < 0 ? rc : cut(p, d);
}

int compaction(struct engine *e, const struct blt_prune_options *opts,
	       uint64_t *at, struct blt_prune_result *ret)
{
	struct blt_prune_result result = { 0 };
	struct compaction p = { .engine = e, .opts = opts, .result = &result };
	int rc = compact_begin(&p.compaction_plan, e, opts->progress,
			       opts->arg),
	    covered;

	p.chunk = e->prune_chunk ? e->prune_chunk : CHUNK;
	result.size_before = compact_end_of(&p.compaction_plan);
	if (rc == 0)
		rc = rehash_resume(e);
	if (rc == 0)
		rc = gap_cover(e);
	if (rc == 0)
		rc = *at ? run_behind(&p, *at) : run(&p);
	covered = gap_cover(e);
	result.size_after = compact_end_of(&p.compaction_plan);
	*ret = result;
	*at = p.packed;
	compact_end(&p.compaction_plan);
	free(p.keep);
	return rc < 0 ? rc : covered;
}

int compaction_resume(struct engine *e)
{
	return gap_cover(e);
}

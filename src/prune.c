/* The order of the work:
 *
 *   1. what is too old is deleted, as a user would
 *   2. the data in front of the index, and where an index once stood in front
 *      of that, is packed
 *   3. the index slides into the gap that leaves; where that is too small for
 *      it, it goes to the end and comes down when all is packed
 *   4. the data behind it is packed
 *   5. the file is cut, where nothing was committed meanwhile
 *
 * The end state has the size that booklet's own prune gives.  An index at its
 * first place stays there.
 *
 * Packing: the gap [d, s) between what is packed and the next live block moves
 * up.  While it is large, blocks go straight into its front.  While it is small
 * they go by way of scratch space at the end, for bytes are never copied over
 * themselves, and a step for each few bytes would take for ever.
 *
 * At any moment the gap must be a sum of legal dead blocks, for a recovery
 * covers it.  Where an index of few buckets was in front of the first block it
 * is not, and no copying makes it one: so first blocks make way there, to the
 * end.  A gap that would be none stays behind, dead as it is. */
#include "prune.h"

#include "batch.h"
#include "block.h"
#include "mover.h"
#include "reindex.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes moved by one step; engine.prune_chunk has another number in tests. */
#define CHUNK ((uint64_t)16 << 20)

/* Blocks looked at in one hold of the write lock. */
#define STRIDE 256

struct pruner {
	struct engine *engine;
	const struct blt_prune_options *opts;
	struct blt_prune_result *result;
	struct keyhash *keep; /* sorted */
	struct mover mover;
	uint64_t chunk;
	uint64_t scratch, scratch_len; /* dead blocks of our own */
};

static uint64_t space_end_of(struct space *sp)
{
	uint64_t end;

	pthread_rwlock_rdlock(&sp->lock);
	end = sp->end;
	pthread_rwlock_unlock(&sp->lock);
	return end;
}

/* ---- what is too old ---- */

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct keyhash));
}

static int sort_keep(struct pruner *p)
{
	const struct blt_prune_options *o = p->opts;

	if (!o->n_keep)
		return 0;
	p->keep = malloc(o->n_keep * sizeof(*p->keep));
	if (!p->keep)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_keep; i++)
		p->keep[i] = keyhash_of(o->keep[i].bytes, o->keep[i].len);
	qsort(p->keep, o->n_keep, sizeof(*p->keep), by_hash);
	return 0;
}

struct ageing {
	struct pruner *p;
	uint64_t pos, to;
	struct batch_key key;
	bool drop;
};

/* A directory that is held by a marker is not old, nor is a hidden entry. */
static bool too_old(const struct pruner *p, const struct block *b)
{
	const struct format *f = &p->engine->space.fmt;

	if (b->head.next == FORMAT_DEAD || format_hidden(f, &b->head.hash) ||
	    b->head.timestamp >= p->opts->older_than)
		return false;
	if (!b->head.value_len && b->head.key_len &&
	    b->key[b->head.key_len - 1] == '/')
		return false;
	return !p->keep || !bsearch(&b->head.hash, p->keep, p->opts->n_keep,
				    sizeof(*p->keep), by_hash);
}

static int look_at_age(void *arg)
{
	struct ageing *a = arg;
	struct space *sp = &a->p->engine->space;
	struct index_place place;
	struct block b;
	int rc = block_at(sp, a->pos, SPACE_WRITER, &b);

	if (rc < 0)
		return rc;
	a->drop = too_old(a->p, &b);
	a->key.hash = b.head.hash;
	if (a->drop) {
		rc = index_find(sp, &b.head.hash, SPACE_WRITER, &place);
		if (rc == 0 || (rc > 0 && place.block.pos != b.pos))
			rc = -EUCLEAN;
	}
	a->pos = block_skip_index(sp, b.pos + b.len);
	return rc < 0 ? rc : 0;
}

static int drop_stride(struct ageing *a)
{
	uint64_t dropped = 0;
	struct batch b;
	int rc = batch_begin(&b, a->p->engine);

	if (rc < 0)
		return rc;
	for (int i = 0; i < STRIDE && a->pos < a->to && rc == 0; i++) {
		rc = file_try(look_at_age, a);
		if (rc == 0 && a->drop)
			rc = batch_delete(&b, &a->key);
		dropped += rc == 0 && a->drop;
	}
	rc = batch_end(&b, rc);
	if (rc == 0)
		a->p->result->dropped += dropped;
	return rc;
}

static int drop_old(struct pruner *p)
{
	struct space *sp = &p->engine->space;
	struct ageing a = { .p = p, .to = space_end_of(sp) };
	int rc = sort_keep(p);

	if (!p->opts->older_than)
		return rc;
	if (rc == 0 && !sp->fmt.timestamps)
		rc = -ENOTSUP;
	a.pos = block_first(sp);
	while (rc == 0 && a.pos < a.to) {
		rc = drop_stride(&a);
		if (rc == 0)
			rc = mover_tell(&p->mover);
	}
	return rc;
}

/* ---- scratch space ---- */

/* The least length from which on every one is a sum of legal dead blocks. */
static uint64_t any_dead(const struct format *f)
{
	uint64_t min = format_dead_min(f);
	uint64_t more = format_dead_max(f) - min;

	return (min / more + 1) * min;
}

static int append_dead(struct space *sp, uint64_t len)
{
	struct block_head head = { .next = FORMAT_DEAD };
	uint8_t bytes[FORMAT_HEAD_MAX];
	static const uint8_t zeros[4096];
	uint64_t pos;
	int rc;

	format_dead_head(&sp->fmt, len, bytes);
	format_head_decode(&sp->fmt, bytes, &head);
	rc = space_block(sp, &head, &pos);
	len -= format_head_len(&sp->fmt);
	while (rc == 0 && len) {
		size_t n = (size_t)min_u64(len, sizeof(zeros));

		rc = space_append(sp, zeros, n);
		len -= n;
	}
	return rc < 0 ? rc : space_block_end(sp, &head);
}

/* One commit of dead blocks: nobody's blocks come between. */
static int add_scratch(struct pruner *p, uint64_t need)
{
	struct space *sp = &p->engine->space;
	const struct format *f = &sp->fmt;
	uint64_t most = max_u64(format_dead_min(f), (uint64_t)1 << 20);
	uint64_t len = 0, start, n;
	struct batch b;
	int rc = batch_begin(&b, p->engine);

	if (rc < 0)
		return rc;
	start = sp->append;
	rc = space_reserve(sp, need);
	for (; rc == 0 && len < need; len += n) {
		n = min_u64(need - len, min_u64(most, format_dead_max(f)));
		n = max_u64(n, format_dead_min(f));
		rc = append_dead(sp, n);
	}
	rc = batch_end(&b, rc);
	if (rc < 0)
		return rc;
	p->scratch = start;
	p->scratch_len = len;
	return 0;
}

static int have_scratch(struct pruner *p, uint64_t first)
{
	uint64_t spare = any_dead(&p->engine->space.fmt);
	int rc;

	if (p->scratch_len >= first + spare)
		return 0;
	rc = add_scratch(p, max_u64(first, p->chunk) + spare);
	if (rc == -ENOSPC && first < p->chunk)
		rc = add_scratch(p, first + spare);
	return rc;
}

/* ---- packing ---- */

/* Blocks leave the plan until the zone at d is a sum of legal dead blocks
 * before they are moved to its front (in place: while they still stand in it)
 * and afterwards.  Whether any are left. */
static bool trim_plan(struct pruner *p, uint64_t d, bool in_place)
{
	const struct format *f = &p->engine->space.fmt;
	struct mover *m = &p->mover;

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
static bool goes_straight(const struct pruner *p, uint64_t gap, uint64_t len,
			  uint64_t rest)
{
	return len <= gap && (gap >= p->chunk / 4 || rest <= 4 * gap);
}

/* A step: 0, or 1: nothing can go there. */
static int step_straight(struct pruner *p, uint64_t first, uint64_t *d,
			 uint64_t *s, uint64_t to)
{
	struct mover *m = &p->mover;
	uint64_t room = max_u64(first, min_u64(*s - *d, p->chunk));
	int rc = mover_plan(m, *s, to, room);

	if (rc == 0 && !trim_plan(p, *d, false))
		return 1;
	if (rc == 0)
		rc = zone_open(m, *d, *s - *d);
	if (rc == 0)
		rc = mover_slide(m, true);
	if (rc < 0)
		return rc;
	p->result->moved += m->sum;
	*d += m->sum;
	*s = m->end;
	return 0;
}

/* The plan's blocks as they stand in scratch now. */
static void plan_back(struct mover *m, uint64_t at)
{
	for (size_t i = 0; i < m->n; i++) {
		m->block[i].pos = at;
		at += m->block[i].len;
	}
	m->end = at;
}

static int to_scratch(struct pruner *p, uint64_t first, uint64_t d, uint64_t s,
		      uint64_t to)
{
	struct mover *m = &p->mover;
	int rc = zone_cover(p->engine);

	if (rc == 0)
		rc = have_scratch(p, first);
	if (rc == 0)
		rc = mover_plan(m, s, to,
				p->scratch_len -
					any_dead(&p->engine->space.fmt));
	if (rc == 0 && !trim_plan(p, d, true))
		return 1;
	if (rc == 0)
		rc = zone_open(m, p->scratch, p->scratch_len);
	if (rc == 0)
		rc = mover_slide(m, false);
	return rc < 0 ? rc : zone_cover(p->engine);
}

static int step_by_scratch(struct pruner *p, uint64_t first, uint64_t *d,
			   uint64_t *s, uint64_t to)
{
	struct mover *m = &p->mover;
	uint64_t end;
	int rc = to_scratch(p, first, *d, *s, to);

	if (rc)
		return rc;
	end = m->end;
	plan_back(m, p->scratch);
	rc = zone_open(m, *d, end - *d);
	if (rc == 0)
		rc = mover_slide(m, false);
	if (rc < 0)
		return rc;
	p->result->moved += 2 * m->sum;
	*d += m->sum;
	*s = end;
	return 0;
}

/* The first hole at or behind pos: [*ret_d, *ret_s). */
static int find_gap(struct pruner *p, uint64_t pos, uint64_t to,
		    uint64_t *ret_d, uint64_t *ret_s)
{
	int rc = mover_skip(&p->mover, pos, to, true, ret_d);

	return rc < 0 ? rc : mover_skip(&p->mover, *ret_d, to, false, ret_s);
}

static int step(struct pruner *p, uint64_t *d, uint64_t *s, uint64_t to)
{
	struct space *sp = &p->engine->space;
	uint64_t gap = *s - *d, len = 0;
	int rc = mover_block_len(&p->mover, *s, &len);

	if (rc < 0)
		return rc;
	if (goes_straight(p, gap, len, to - *s) &&
	    format_dead_fits(&sp->fmt, gap))
		rc = step_straight(p, len, d, s, to);
	else
		rc = step_by_scratch(p, len, d, s, to);
	if (rc <= 0)
		return rc;
	/* The gap stays. */
	rc = zone_cover(p->engine);
	return rc < 0 ? rc : find_gap(p, *s, to, d, s);
}

/* Packs [*d, to), whose first live block stands at s; *d becomes the end of
 * what is packed. */
static int pack(struct pruner *p, uint64_t *d, uint64_t s, uint64_t to)
{
	struct mover *m = &p->mover;
	const uint64_t before = m->done, from = *d;
	int rc = 0;

	while (rc == 0 && s < to) {
		rc = step(p, d, &s, to);
		m->done = before + (s - from);
		if (rc == 0)
			rc = mover_tell(m);
	}
	return rc;
}

static int pack_from(struct pruner *p, uint64_t pos, uint64_t to,
		     uint64_t *ret_d)
{
	uint64_t s;
	int rc = find_gap(p, pos, to, ret_d, &s);

	return rc < 0 ? rc : pack(p, ret_d, s, to);
}

/* ---- the index ---- */

/* Empty entries, where the zone begins. */
static int fill_index(struct pruner *p, uint64_t len)
{
	struct space *sp = &p->engine->space;
	uint64_t pos = sp->zone.pos;
	int rc = 0;

	for (size_t i = 0; i < MOVER_PIECE / FORMAT_POS_LEN; i++)
		put_le(p->mover.buf + i * FORMAT_POS_LEN, FORMAT_LAST,
		       FORMAT_POS_LEN);
	while (rc == 0 && len) {
		size_t n = (size_t)min_u64(len, MOVER_PIECE / FORMAT_POS_LEN *
							FORMAT_POS_LEN);

		rc = mover_write(&p->mover, n, pos);
		pos += n;
		len -= n;
	}
	return rc == 0 ? mover_sync(&p->mover) : rc;
}

/* From here a growth is under way, whose new index has the old one's size and
 * stands in front of it. */
static int declare_index(struct space *sp)
{
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	sp->next = (struct log_growth){ .offset = sp->zone.pos,
					.n_buckets = sp->fmt.n_buckets };
	sp->zone = (struct log_zone){ 0 };
	pthread_rwlock_unlock(&sp->lock);
	space_end_whole(sp);
	return 0;
}

/* The index moves down to pos; all from there to it is dead. */
static int index_down(struct pruner *p, uint64_t pos)
{
	struct space *sp = &p->engine->space;
	int rc = zone_open(&p->mover, pos, sp->fmt.index_offset - pos);

	if (rc == 0)
		rc = zone_vacate(&p->mover);
	if (rc == 0)
		rc = fill_index(p, format_index_len(sp->fmt.n_buckets));
	if (rc == 0)
		rc = declare_index(sp);
	return rc < 0 ? rc : reindex_resume(p->engine);
}

/* ---- the whole ---- */

static int finish_at(struct pruner *p, uint64_t end)
{
	int rc = zone_cover(p->engine);

	return rc < 0 ? rc : mover_cut(&p->mover, end);
}

/* Packs the data from pos on, which is the last region. */
static int pack_rest(struct pruner *p, uint64_t pos, uint64_t to)
{
	uint64_t d;
	int rc = pack_from(p, pos, to, &d);

	return rc < 0 ? rc : finish_at(p, d);
}

/* Packs from *d on, which may stand where an index was in front of the first
 * block once. */
static int pack_front(struct pruner *p, uint64_t *d, uint64_t to)
{
	const struct format *f = &p->engine->space.fmt;
	uint64_t s;
	int rc;

	if (f->data_offset > *d)
		rc = mover_skip(&p->mover, f->data_offset, to, false, &s);
	else
		rc = find_gap(p, *d, to, d, &s);
	return rc < 0 ? rc : pack(p, d, s, to);
}

/* A scan in another thread may stand where blocks have to make way. */
static int index_to_end(struct pruner *p)
{
	int rc;

	do {
		rc = mover_wait_scans(&p->mover);
		if (rc < 0)
			return rc;
		rc = reindex(p->engine, p->engine->space.fmt.n_buckets);
	} while (rc == -EBUSY);
	return rc;
}

/* The gap in front of the index, at d, is too small for it. */
static int by_way_of_the_end(struct pruner *p, uint64_t d)
{
	struct space *sp = &p->engine->space;
	uint64_t len = format_index_len(sp->fmt.n_buckets);
	int rc = zone_cover(p->engine);

	if (rc == 0)
		rc = index_to_end(p);
	/* The scratch space is in the middle of what is to be packed now: a gap
	 * that reaches over it would have its blocks in it. */
	p->scratch_len = 0;
	if (rc == 0)
		rc = pack_front(p, &d, sp->fmt.index_offset);
	/* A few bytes at the front, and nothing alive, are left. */
	if (rc == 0 && !format_dead_fits(&sp->fmt, sp->fmt.index_offset - d))
		return zone_cover(p->engine);
	if (rc == 0)
		rc = index_down(p, d);
	return rc < 0 ? rc : finish_at(p, d + len);
}

static int prune_relocated(struct pruner *p, uint64_t end)
{
	struct space *sp = &p->engine->space;
	uint64_t index = sp->fmt.index_offset, d = FORMAT_HEADER_LEN;
	uint64_t len = format_index_len(sp->fmt.n_buckets);
	int rc = pack_front(p, &d, index);

	if (rc < 0)
		return rc;
	if (d == index)
		return pack_rest(p, index + len, end);
	if (index - d < len || !format_dead_fits(&sp->fmt, index - d))
		return by_way_of_the_end(p, d);
	rc = index_down(p, d);
	return rc < 0 ? rc : pack_rest(p, d + len, end);
}

/* What is in front of the first live block, where an index was once, becomes a
 * sum of legal dead blocks, unless it reaches to the index. */
static int clear_front(struct pruner *p)
{
	struct space *sp = &p->engine->space;
	const uint64_t index = sp->fmt.index_offset;
	uint64_t s, len;
	struct batch b;
	int rc = 0;

	if (index == FORMAT_HEADER_LEN ||
	    sp->fmt.data_offset == FORMAT_HEADER_LEN)
		return 0;
	while (rc == 0) {
		rc = mover_skip(&p->mover, sp->fmt.data_offset, index, false,
				&s);
		if (rc < 0 || s == index ||
		    format_dead_fits(&sp->fmt, s - FORMAT_HEADER_LEN))
			break;
		rc = batch_begin(&b, p->engine);
		if (rc == 0)
			rc = batch_end(&b, batch_away(&b, s, &len));
	}
	return rc;
}

static int run(struct pruner *p)
{
	struct space *sp = &p->engine->space;
	uint64_t end;
	int rc = drop_old(p);

	if (rc == 0)
		rc = clear_front(p);
	if (rc == 0)
		rc = space_begin_log(sp);
	if (rc < 0)
		return rc;
	p->mover.total = end = space_end_of(sp);
	if (sp->fmt.index_offset == FORMAT_HEADER_LEN)
		return pack_rest(p, block_first(sp), end);
	return prune_relocated(p, end);
}

int prune(struct engine *e, const struct blt_prune_options *opts,
	  struct blt_prune_result *ret)
{
	struct blt_prune_result result = { 0 };
	struct pruner p = { .engine = e, .opts = opts, .result = &result };
	int rc, covered;

	p.chunk = e->prune_chunk ? e->prune_chunk : CHUNK;
	result.size_before = space_end_of(&e->space);
	rc = mover_begin(&p.mover, e, opts->progress, opts->arg);
	if (rc < 0)
		return rc;
	rc = reindex_resume(e);
	if (rc == 0)
		rc = zone_cover(e);
	if (rc == 0)
		rc = run(&p);
	covered = zone_cover(e);
	result.size_after = space_end_of(&e->space);
	*ret = result;
	mover_end(&p.mover);
	free(p.keep);
	return rc < 0 ? rc : covered;
}

int prune_resume(struct engine *e)
{
	return zone_cover(e);
}

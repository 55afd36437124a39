/* Runs of dead blocks are gathered, some thousand at a time, in front of where
 * the data ended when the work began.  For each such batch:
 *
 *   1. whoever may see those blocks is waited for: scans, which may have begun
 *      before they died, and views
 *   2. the log begins anew: from here no record names a byte of them, and that
 *      they are dead is durable
 *   3. one commit: their new heads; space.merge keeps walks from standing in a
 *      run while its heads change
 *   4. sync: the record is durable, then the heads are in the file
 *   5. holes are punched between the heads
 *
 * A crash before 4 leaves the old blocks, whole; later, the record's redo puts
 * the new heads in their places, whatever has been punched.
 *
 * On a full disk there may be no room for the record of 3: then holes are
 * punched between the old heads, which makes room. */
#include "booklet/maintain/trim.h"

#include "booklet/log/block.h"
#include "booklet/maintain/mover.h"
#include "base/mutants.h"
#include "booklet/core/pins.h"
#include "booklet/maintain/reindex.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>

/* Dead blocks that a commit may make of others, and holes of a batch. */
#define PIECES ((size_t)4096)

/* Blocks looked at before progress is told. */
#define LOOK ((size_t)1 << 16)

/* A filesystem with larger blocks than this gives the space of whole ones back,
 * where holes meet. */
#define PAGE_MOST ((uint64_t)128 << 10)
#define PAGE ((uint64_t)4096)

/* Dead blocks that stand side by side; no blocks: bytes that are no data. */
struct run {
	uint64_t pos, len, blocks;
	bool merged;
};

struct trimmer {
	struct engine *engine;
	struct blt_trim_result *result;
	struct mover mover;
	uint64_t page;
	struct run *run;
	size_t n, room;
	uint64_t pieces; /* that they would be merged into */
	size_t looked;   /* blocks, since progress was told */
	bool full, cut;  /* there are more; the last run goes on behind it */
};

static uint64_t pieces_of(const struct trimmer *t, uint64_t len)
{
	uint64_t most = format_dead_max(&t->engine->space.fmt);

	return (len + most - 1) / most;
}

static uint64_t page_up(const struct trimmer *t, uint64_t pos)
{
	return (pos + t->page - 1) / t->page * t->page;
}

/* Whether a hole fits between two positions. */
static bool has_page(const struct trimmer *t, uint64_t from, uint64_t to)
{
	return page_up(t, from) + t->page <= to;
}

/* ---- what is dead ---- */

static bool mergeable(const struct trimmer *t, const struct run *r)
{
	return pieces_of(t, r->len) < r->blocks &&
	       format_dead_fits(&t->engine->space.fmt, r->len);
}

/* The last run is forgotten where nothing can be done about it. */
static void drop_useless(struct trimmer *t)
{
	const struct run *r;

	if (!t->n)
		return;
	r = &t->run[t->n - 1];
	if (r->blocks > 1 || has_page(t, r->pos, r->pos + r->len))
		return;
	t->n--;
	t->pieces--;
}

static int gather_block(void *arg, const struct block *b)
{
	struct trimmer *t = arg;
	struct run *r = t->n ? &t->run[t->n - 1] : NULL;
	bool follows = r && r->pos + r->len == b->pos;
	uint64_t more = 1;

	if (t->looked++ == LOOK)
		return 1;
	if (b->head.next != FORMAT_DEAD ||
	    pins_any(t->engine, b->pos, b->pos + 1))
		return 0;
	if (!follows)
		drop_useless(t);
	else
		more = pieces_of(t, r->len + b->len) - pieces_of(t, r->len);
	if (t->pieces + more > t->room) {
		t->full = true;
		t->cut = follows;
		return 1;
	}
	if (!follows)
		t->run[t->n++] = (struct run){ .pos = b->pos };
	r = &t->run[t->n - 1];
	r->len += b->len;
	r->blocks++;
	t->pieces += more;
	return 0;
}

static int gather(struct trimmer *t, struct mover_stroll *s, uint64_t from)
{
	int rc;

	t->n = 0;
	t->pieces = 0;
	t->full = t->cut = false;
	do {
		t->looked = 0;
		rc = mover_stroll(&t->mover, s);
		t->mover.done = s->pos - from;
		if (rc == 0)
			rc = mover_tell(&t->mover);
	} while (rc == 0 && s->pos < s->to && !t->full);
	if (rc == 0)
		drop_useless(t);
	return rc;
}

/* Where the next batch begins: with what is left of a run that goes on, such
 * that all pieces of it but the last are as long as can be. */
static uint64_t next_batch(const struct trimmer *t, uint64_t behind)
{
	const struct format *f = &t->engine->space.fmt;
	const struct run *r;
	uint64_t pos, end, len;

	if (!t->cut || !t->n)
		return behind;
	r = &t->run[t->n - 1];
	if (!r->merged)
		return behind;
	for (pos = r->pos, end = pos + r->len; pos < end; pos += len) {
		len = format_dead_piece(f, end - pos);
		if (len < format_dead_max(f))
			break;
	}
	return pos == t->run[0].pos ? behind : pos;
}

/* ---- the merge ---- */

/* A head that will stand in a hole needs space on the disk: it is had now. */
static int reserve_heads(struct trimmer *t, const struct run *r)
{
	struct space *sp = &t->engine->space;
	const uint32_t head = format_head_len(&sp->fmt);
	uint64_t pos = r->pos, end = r->pos + r->len;
	int rc = 0;

	while (rc == 0) {
		pos += format_dead_piece(&sp->fmt, end - pos);
		if (pos == end)
			break;
		rc = file_reserve(&sp->file, pos, head);
	}
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The runs to be merged, and room for their heads; *ret_n may be 0. */
static int plan_merge(struct trimmer *t, struct log_zone **ret, size_t *ret_n)
{
	struct log_zone *merge = malloc((t->n + 1) * sizeof(*merge));
	size_t n = 0;
	int rc = merge ? 0 : -ENOMEM;

	for (size_t i = 0; i < t->n && rc == 0; i++) {
		const struct run *r = &t->run[i];

		if (!mergeable(t, r))
			continue;
		merge[n++] = (struct log_zone){ r->pos, r->len };
		rc = reserve_heads(t, r);
	}
	if (rc < 0 || !n) {
		free(merge);
		merge = NULL;
	}
	*ret = merge;
	*ret_n = n;
	return rc;
}

struct merging {
	struct engine *engine;
	struct log_zone *merge;
	size_t n;
};

/* For space_publish. */
static int set_merge(void *arg)
{
	const struct merging *g = arg;

	if (mover_watched(g->engine))
		return -EAGAIN;
	g->engine->space.merge = g->merge;
	g->engine->space.n_merge = g->n;
	return 0;
}

static int commit_merge(struct merging *g)
{
	struct space *sp = &g->engine->space;
	int rc = space_begin(sp);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < g->n && rc == 0; i++)
		rc = block_cover(sp, g->merge[i].pos, g->merge[i].len);
	if (rc == 0)
		rc = space_publish(sp, 0, set_merge, g);
	if (rc < 0)
		space_rollback(sp);
	space_end(sp);
	return rc;
}

static void note_merged(struct trimmer *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct run *r = &t->run[i];

		if (!mergeable(t, r))
			continue;
		r->merged = true;
		t->result->merged += r->blocks - pieces_of(t, r->len);
	}
}

int trim_resume(struct engine *e)
{
	struct space *sp = &e->space;
	struct log_zone *merge = sp->merge;
	int rc;

	if (!sp->n_merge)
		return 0;
	rc = space_sync(sp);
	if (rc == 0)
		rc = space_begin(sp);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	sp->merge = NULL;
	sp->n_merge = 0;
	pthread_rwlock_unlock(&sp->lock);
	space_end(sp);
	free(merge);
	return 0;
}

static int merge(struct trimmer *t)
{
	struct merging g = { .engine = t->engine };
	int rc = trim_resume(t->engine); /* of a merge that was not synced */

	if (rc == 0)
		rc = plan_merge(t, &g.merge, &g.n);
	if (rc < 0 || !g.n)
		return rc;
	while ((rc = commit_merge(&g)) == -EAGAIN) {
		rc = mover_wait_scans(&t->mover);
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		free(g.merge);
		return rc;
	}
	note_merged(t);
	return MUTANT(PUNCH_EARLY) ? 0 : trim_resume(t->engine);
}

/* ---- the holes ---- */

/* Disk space of the file, but for what others allocate in this very moment. */
static int file_blocks(struct file *f, uint64_t *ret)
{
	struct stat st;
	int rc = file_stat(f, &st);

	if (rc == 0)
		*ret = (uint64_t)st.st_blocks * 512;
	return rc;
}

static int punch_step(struct trimmer *t, uint64_t pos, uint64_t len)
{
	struct file *f = &t->engine->space.file;
	uint64_t before, after;
	int rc = file_blocks(f, &before);

	if (rc == 0)
		rc = file_punch(f, pos, len);
	if (rc == -EOPNOTSUPP) {
		t->result->no_holes = true;
		return 0;
	}
	if (rc == 0)
		rc = file_blocks(f, &after);
	if (rc == 0 && after < before)
		t->result->freed += before - after;
	return rc < 0 ? rc : mover_tell(&t->mover);
}

static int punch(struct trimmer *t, uint64_t from, uint64_t to)
{
	int rc = 0;

	from = page_up(t, from);
	to -= to % t->page;
	while (rc == 0 && from < to && !t->result->no_holes) {
		uint64_t n = min_u64(to - from, MOVER_PUNCH);

		rc = punch_step(t, from, n);
		from += n;
	}
	return rc;
}

static int punch_run(struct trimmer *t, const struct run *r)
{
	const struct format *f = &t->engine->space.fmt;
	uint64_t pos = r->pos, end = r->pos + r->len, len = 0;
	int rc = 0;

	if (!r->blocks)
		return punch(t, pos, end);
	for (; pos < end && rc == 0; pos += len) {
		if (r->merged)
			len = format_dead_piece(f, end - pos);
		else
			rc = mover_block_len(&t->mover, pos, &len);
		if (rc == 0)
			rc = punch(t, pos + format_head_len(f), pos + len);
	}
	return rc;
}

static int punch_all(struct trimmer *t)
{
	int rc = 0;

	for (size_t i = 0; i < t->n && rc == 0 && !t->result->no_holes; i++)
		rc = punch_run(t, &t->run[i]);
	return rc;
}

/* ---- the whole ---- */

static int do_batch(struct trimmer *t)
{
	int rc = mover_wait_scans(&t->mover);

	/* Who has the place of a value learns that it is not good any more. */
	atomic_fetch_add(&t->engine->compactions, 1);
	if (rc == 0)
		rc = zone_vacate(&t->mover);
	if (rc < 0)
		return rc;
	rc = merge(t);
	/* Not where a merge is on its way: its record may be lost yet. */
	if (rc == -ENOSPC && !t->engine->space.n_merge) {
		rc = punch_all(t);
		if (rc == 0)
			rc = merge(t);
	}
	if (rc == 0)
		rc = punch_all(t);
	if (rc == 0 && MUTANT(PUNCH_EARLY))
		rc = trim_resume(t->engine);
	return rc;
}

/* Where an index was in front of the first block once. */
static int do_front(struct trimmer *t)
{
	const struct format *f = &t->engine->space.fmt;

	if (f->index_offset == FORMAT_HEADER_LEN ||
	    !has_page(t, FORMAT_HEADER_LEN, f->data_offset))
		return 0;
	t->run[0] = (struct run){
		.pos = FORMAT_HEADER_LEN,
		.len = f->data_offset - FORMAT_HEADER_LEN,
	};
	t->n = 1;
	return do_batch(t);
}

static int run(struct trimmer *t)
{
	struct space *sp = &t->engine->space;
	struct mover_stroll s = { .see = gather_block, .arg = t };
	uint64_t from;
	int rc;

	pthread_rwlock_rdlock(&sp->lock);
	from = s.pos = block_first(sp);
	s.to = sp->end;
	pthread_rwlock_unlock(&sp->lock);
	t->mover.total = s.to > from ? s.to - from : 0;
	rc = do_front(t);
	while (rc == 0 && s.pos < s.to) {
		rc = gather(t, &s, from);
		if (rc == 0 && t->n)
			rc = do_batch(t);
		if (rc == 0)
			s.pos = next_batch(t, s.pos);
	}
	return rc;
}

static int begin(struct trimmer *t)
{
	struct engine *e = t->engine;
	struct stat st;
	int rc = file_stat(&e->space.file, &st);

	if (rc < 0)
		return rc;
	t->page = (uint64_t)st.st_blksize;
	if (t->page < 512 || t->page > PAGE_MOST)
		t->page = PAGE;
	if (e->trim_page)
		t->page = e->trim_page;
	t->room = e->trim_runs ? e->trim_runs : PIECES;
	t->run = malloc(t->room * sizeof(*t->run));
	return t->run ? 0 : -ENOMEM;
}

/* What was under way before. */
static int finish_others(struct engine *e)
{
	int rc = reindex_resume(e);

	return rc < 0 ? rc : zone_cover(e);
}

int trim(struct engine *e, blt_progress_fn *progress, void *arg,
	 struct blt_trim_result *ret)
{
	struct blt_trim_result result = { 0 };
	struct trimmer t = { .engine = e, .result = &result };
	int rc = mover_begin(&t.mover, e, progress, arg), before = 0;

	if (rc == 0)
		rc = begin(&t);
	if (rc == 0)
		rc = before = finish_others(e);
	/* There may be room for it behind this. */
	if (rc == -ENOSPC)
		rc = 0;
	if (rc == 0)
		rc = run(&t);
	if (rc == 0 && before < 0)
		rc = finish_others(e);
	*ret = result;
	mover_end(&t.mover);
	free(t.run);
	return rc;
}

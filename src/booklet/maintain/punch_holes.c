/* Runs of dead blocks are gathered, some thousand at a time, in front of where
 * the data ended when the work began.  For each such batch:
 *
 *   1. whoever may see those blocks is waited for: snapshots, which may have
 *      begun before they died, and views
 *   2. the log begins anew: from here no record names a byte of them, and that
 *      they are dead is durable
 *   3. one commit: their new heads; wal.merge keeps walks from standing in a
 *      run while its heads change
 *   4. sync: the record is durable, then the heads are in the file
 *   5. holes are punched between the heads
 *
 * A crash before 4 leaves the old blocks, whole; later, the record's redo puts
 * the new heads in their places, whatever has been punched.
 *
 * On a full disk there may be no room for the record of 3: then holes are
 * punched between the old heads, which makes room. */
#include "booklet/maintain/maintain.h"

#include "booklet/log/block.h"
#include "booklet/maintain/compact.h"
#include "base/mutants.h"
#include "booklet/core/reservations.h"
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

struct puncher {
	struct engine *engine;
	struct blt_trim_result *result;
	struct compaction_plan compaction_plan;
	uint64_t page;
	struct run *run;
	size_t n, room;
	uint64_t pieces; /* that they would be merged into */
	size_t looked;   /* blocks, since progress was told */
	bool full, cut;  /* there are more; the last run goes on behind it */
};

static uint64_t pieces_of(const struct puncher *t, uint64_t len)
{
	uint64_t most = format_dead_max(&t->engine->wal.fmt);

	return (len + most - 1) / most;
}

static uint64_t page_up(const struct puncher *t, uint64_t pos)
{
	return (pos + t->page - 1) / t->page * t->page;
}

/* Whether a hole fits between two positions. */
static bool has_page(const struct puncher *t, uint64_t from, uint64_t to)
{
	return page_up(t, from) + t->page <= to;
}

/* ---- what is dead ---- */

static bool mergeable(const struct puncher *t, const struct run *r)
{
	return pieces_of(t, r->len) < r->blocks &&
	       format_dead_fits(&t->engine->wal.fmt, r->len);
}

/* The last run is forgotten where nothing can be done about it. */
static void drop_useless(struct puncher *t)
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
	struct puncher *t = arg;
	struct run *r = t->n ? &t->run[t->n - 1] : NULL;
	bool follows = r && r->pos + r->len == b->pos;
	uint64_t more = 1;

	if (t->looked++ == LOOK)
		return 1;
	if (b->head.next != FORMAT_DEAD ||
	    reservations_any(t->engine, b->pos, b->pos + 1))
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

static int gather(struct puncher *t, struct compact_stroll *s, uint64_t from)
{
	int rc;

	t->n = 0;
	t->pieces = 0;
	t->full = t->cut = false;
	do {
		t->looked = 0;
		rc = compact_stroll(&t->compaction_plan, s);
		t->compaction_plan.done = s->pos - from;
		if (rc == 0)
			rc = compact_tell(&t->compaction_plan);
	} while (rc == 0 && s->pos < s->to && !t->full);
	if (rc == 0)
		drop_useless(t);
	return rc;
}

/* Where the next batch begins: with what is left of a run that goes on, such
 * that all pieces of it but the last are as long as can be. */
static uint64_t next_batch(const struct puncher *t, uint64_t behind)
{
	const struct format *f = &t->engine->wal.fmt;
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
static int reserve_heads(struct puncher *t, const struct run *r)
{
	struct wal *wal = &t->engine->wal;
	const uint32_t head = format_head_len(&wal->fmt);
	uint64_t pos = r->pos, end = r->pos + r->len;
	int rc = 0;

	while (rc == 0) {
		pos += format_dead_piece(&wal->fmt, end - pos);
		if (pos == end)
			break;
		rc = file_reserve(&wal->file, pos, head);
	}
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The runs to be merged, and room for their heads; *ret_n may be 0. */
static int plan_merge(struct puncher *t, struct log_gap **ret, size_t *ret_n)
{
	struct log_gap *merge = malloc((t->n + 1) * sizeof(*merge));
	size_t n = 0;
	int rc = merge ? 0 : -ENOMEM;

	for (size_t i = 0; i < t->n && rc == 0; i++) {
		const struct run *r = &t->run[i];

		if (!mergeable(t, r))
			continue;
		merge[n++] = (struct log_gap){ r->pos, r->len };
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
	struct log_gap *merge;
	size_t n;
};

/* For wal_publish. */
static int set_merge(void *arg)
{
	const struct merging *g = arg;

	if (compact_watched(g->engine))
		return -EAGAIN;
	g->engine->wal.merge = g->merge;
	g->engine->wal.n_merge = g->n;
	return 0;
}

static int commit_merge(struct merging *g)
{
	struct wal *wal = &g->engine->wal;
	int rc = wal_begin(wal);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < g->n && rc == 0; i++)
		rc = block_cover(wal, g->merge[i].pos, g->merge[i].len);
	if (rc == 0)
		rc = wal_publish(wal, 0, set_merge, g);
	if (rc < 0)
		wal_rollback(wal);
	wal_end(wal);
	return rc;
}

static void note_merged(struct puncher *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct run *r = &t->run[i];

		if (!mergeable(t, r))
			continue;
		r->merged = true;
		t->result->merged += r->blocks - pieces_of(t, r->len);
	}
}

int punch_resume(struct engine *e)
{
	struct wal *wal = &e->wal;
	struct log_gap *merge = wal->merge;
	int rc;

	if (!wal->n_merge)
		return 0;
	rc = wal_sync(wal);
	if (rc == 0)
		rc = wal_begin(wal);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&wal->lock);
	wal->merge = NULL;
	wal->n_merge = 0;
	pthread_rwlock_unlock(&wal->lock);
	wal_end(wal);
	free(merge);
	return 0;
}

static int merge(struct puncher *t)
{
	struct merging g = { .engine = t->engine };
	int rc = punch_resume(t->engine); /* of a merge that was not synced */

	if (rc == 0)
		rc = plan_merge(t, &g.merge, &g.n);
	if (rc < 0 || !g.n)
		return rc;
	while ((rc = commit_merge(&g)) == -EAGAIN) {
		rc = compact_wait_snapshots(&t->compaction_plan);
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		free(g.merge);
		return rc;
	}
	note_merged(t);
	return MUTANT(PUNCH_EARLY) ? 0 : punch_resume(t->engine);
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

static int punch_step(struct puncher *t, uint64_t pos, uint64_t len)
{
	struct file *f = &t->engine->wal.file;
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
	return rc < 0 ? rc : compact_tell(&t->compaction_plan);
}

static int punch(struct puncher *t, uint64_t from, uint64_t to)
{
	int rc = 0;

	from = page_up(t, from);
	to -= to % t->page;
	while (rc == 0 && from < to && !t->result->no_holes) {
		uint64_t n = min_u64(to - from, COMPACT_PUNCH);

		rc = punch_step(t, from, n);
		from += n;
	}
	return rc;
}

static int punch_run(struct puncher *t, const struct run *r)
{
	const struct format *f = &t->engine->wal.fmt;
	uint64_t pos = r->pos, end = r->pos + r->len, len = 0;
	int rc = 0;

	if (!r->blocks)
		return punch(t, pos, end);
	for (; pos < end && rc == 0; pos += len) {
		if (r->merged)
			len = format_dead_piece(f, end - pos);
		else
			rc = compact_block_len(&t->compaction_plan, pos, &len);
		if (rc == 0)
			rc = punch(t, pos + format_head_len(f), pos + len);
	}
	return rc;
}

static int punch_all(struct puncher *t)
{
	int rc = 0;

	for (size_t i = 0; i < t->n && rc == 0 && !t->result->no_holes; i++)
		rc = punch_run(t, &t->run[i]);
	return rc;
}

/* ---- the whole ---- */

static int do_batch(struct puncher *t)
{
	int rc = compact_wait_snapshots(&t->compaction_plan);

	/* Who has the place of a value learns that it is not good any more. */
	atomic_fetch_add(&t->engine->compactions, 1);
	if (rc == 0)
		rc = gap_vacate(&t->compaction_plan);
	if (rc < 0)
		return rc;
	rc = merge(t);
	/* Not where a merge is on its way: its record may be lost yet. */
	if (rc == -ENOSPC && !t->engine->wal.n_merge) {
		rc = punch_all(t);
		if (rc == 0)
			rc = merge(t);
	}
	if (rc == 0)
		rc = punch_all(t);
	if (rc == 0 && MUTANT(PUNCH_EARLY))
		rc = punch_resume(t->engine);
	return rc;
}

/* Where an index was in front of the first block once. */
static int do_front(struct puncher *t)
{
	const struct format *f = &t->engine->wal.fmt;

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

static int run(struct puncher *t)
{
	struct wal *wal = &t->engine->wal;
	struct compact_stroll s = { .see = gather_block, .arg = t };
	uint64_t from;
	int rc;

	pthread_rwlock_rdlock(&wal->lock);
	from = s.pos = block_first(wal);
	s.to = wal->end;
	pthread_rwlock_unlock(&wal->lock);
	t->compaction_plan.total = s.to > from ? s.to - from : 0;
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

static int begin(struct puncher *t)
{
	struct engine *e = t->engine;
	struct stat st;
	int rc = file_stat(&e->wal.file, &st);

	if (rc < 0)
		return rc;
	t->page = (uint64_t)st.st_blksize;
	if (t->page < 512 || t->page > PAGE_MOST)
		t->page = PAGE;
	if (e->punch_page)
		t->page = e->punch_page;
	t->room = e->punch_runs ? e->punch_runs : PIECES;
	t->run = malloc(t->room * sizeof(*t->run));
	return t->run ? 0 : -ENOMEM;
}

/* What was under way before. */
static int finish_others(struct engine *e)
{
	int rc = rehash_resume(e);

	return rc < 0 ? rc : gap_cover(e);
}

int punch_holes(struct engine *e, blt_progress_fn *progress, void *arg,
		struct blt_trim_result *ret)
{
	struct blt_trim_result result = { 0 };
	struct puncher t = { .engine = e, .result = &result };
	int rc = compact_begin(&t.compaction_plan, e, progress, arg),
	    before = 0;

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
	compact_end(&t.compaction_plan);
	free(t.run);
	return rc;
}

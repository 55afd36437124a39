#include "booklet/maintain/compact.h"

#include "booklet/core/batch.h"
#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Blocks passed over in one hold of the lock; blocks that change places in one
 * commit; blocks in a plan. */
#define STRIDE 256
#define COMMIT_BLOCKS 512
#define PLAN_BLOCKS ((size_t)1 << 18)

/* Copied bytes made durable at once: who syncs meanwhile waits for that. */
#define SYNC_PIECE ((uint64_t)16 << 20)

int compact_begin(struct compaction_plan *m, struct engine *e,
		  blt_progress_fn *progress, void *arg)
{
	*m = (struct compaction_plan){ .engine = e,
				       .progress = progress,
				       .arg = arg };
	m->buf = malloc(COMPACT_PIECE);
	return m->buf ? 0 : -ENOMEM;
}

void compact_end(struct compaction_plan *m)
{
	free(m->block);
	free(m->buf);
}

uint64_t compact_end_of(struct compaction_plan *m)
{
	struct wal *wal = &m->engine->wal;
	uint64_t end;

	pthread_rwlock_rdlock(&wal->lock);
	end = wal->end;
	pthread_rwlock_unlock(&wal->lock);
	return end;
}

/* ---- walking ---- */

struct stride {
	struct wal *wal;
	struct compact_stroll *s;
};

/* 1: stopped; 0: not at the end yet; -ESRCH: there. */
static int walk_stride(void *arg)
{
	const struct stride *st = arg;
	struct compact_stroll *s = st->s;

	for (int i = 0; i < STRIDE; i++) {
		struct block b;
		int rc;

		s->pos = block_skip_index(st->wal, s->pos);
		if (s->pos >= s->to) {
			s->pos = s->to;
			return -ESRCH;
		}
		rc = block_at(st->wal, s->pos, WAL_READER, &b);
		if (rc == 0)
			rc = s->see(s->arg, &b);
		if (rc)
			return rc;
		s->pos += b.len;
	}
	return 0;
}

int compact_stroll(struct compaction_plan *m, struct compact_stroll *s)
{
	struct stride st = { &m->engine->wal, s };
	int rc;

	do {
		pthread_rwlock_rdlock(&st.wal->lock);
		rc = file_try(walk_stride, &st);
		pthread_rwlock_unlock(&st.wal->lock);
	} while (rc == 0);
	return rc == -ESRCH || rc > 0 ? 0 : rc;
}

static int see_live(void *arg, const struct block *b)
{
	(void)arg;
	return b->head.next == FORMAT_DEAD;
}

static int see_dead(void *arg, const struct block *b)
{
	(void)arg;
	return b->head.next != FORMAT_DEAD;
}

int compact_skip(struct compaction_plan *m, uint64_t pos, uint64_t to,
		 bool live, uint64_t *ret)
{
	struct compact_stroll s = { .pos = pos,
				    .to = to,
				    .see = live ? see_live : see_dead };
	int rc = compact_stroll(m, &s);

	if (rc == 0)
		*ret = s.pos;
	return rc;
}

struct measure {
	struct wal *wal;
	uint64_t pos, len;
};

static int measure(void *arg)
{
	struct measure *f = arg;
	struct block b;
	int rc = block_at(f->wal, f->pos, WAL_READER, &b);

	if (rc == 0)
		f->len = b.len;
	return rc;
}

int compact_block_len(struct compaction_plan *m, uint64_t pos, uint64_t *ret)
{
	struct measure f = { .wal = &m->engine->wal, .pos = pos };
	int rc;

	pthread_rwlock_rdlock(&f.wal->lock);
	rc = file_try(measure, &f);
	pthread_rwlock_unlock(&f.wal->lock);
	if (rc == 0)
		*ret = f.len;
	return rc;
}

/* ---- the plan ---- */

struct planning {
	struct compaction_plan *m;
	uint64_t room;
};

/* Room in the list was made before. */
static int plan_block(void *arg, const struct block *b)
{
	struct planning *p = arg;
	struct compaction_plan *m = p->m;

	if (b->head.next == FORMAT_DEAD)
		return 0;
	if (m->n == m->room || b->len > p->room - m->sum)
		return 1;
	m->block[m->n++] = (struct compact_block){ b->pos, b->len };
	m->sum += b->len;
	return 0;
}

int compact_plan(struct compaction_plan *m, uint64_t pos, uint64_t to,
		 uint64_t room)
{
	struct planning p = { m, room };
	struct compact_stroll s = {
		.pos = pos, .to = to, .see = plan_block, .arg = &p
	};
	int rc;

	if (!m->block) {
		m->block = malloc(PLAN_BLOCKS * sizeof(*m->block));
		if (!m->block)
			return -ENOMEM;
		m->room = PLAN_BLOCKS;
	}
	m->n = 0;
	m->sum = 0;
	rc = compact_stroll(m, &s);
	m->end = s.pos;
	return rc;
}

/* ---- the copy ---- */

int compact_write(struct compaction_plan *m, size_t len, uint64_t pos)
{
	struct wal *wal = &m->engine->wal;
	int rc = file_write(&wal->file, m->buf, len, pos);

	/* The gap may be a hole in the file, for which the disk is full. */
	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT)
		wal_fail(wal, rc);
	return rc;
}

/* Copied bytes that a record only names are durable before it. */
int compact_sync(struct compaction_plan *m, uint64_t from, uint64_t to)
{
	struct wal *wal = &m->engine->wal;
	int rc = 0;

	if (MUTANT(COPY_UNSYNCED))
		return 0;
	pthread_mutex_lock(&wal->sync_lock);
	if (atomic_load(&wal->failed))
		rc = -EIO;
	else if ((rc = wal_sync_range(wal, from, to)) < 0)
		wal_fail(wal, rc);
	pthread_mutex_unlock(&wal->sync_lock);
	return rc;
}

/* Copies what is planned to where the gap begins, and makes it durable. */
static int copy_plan(struct compaction_plan *m)
{
	struct wal *wal = &m->engine->wal;
	uint64_t at = wal->gap.pos, synced = at, offset = 0;
	size_t have = 0, i = 0;
	int rc = 0;

	while (rc == 0 && (i < m->n || have)) {
		const struct compact_block *b = &m->block[i];
		size_t n = 0;

		if (i < m->n) {
			n = (size_t)min_u64(COMPACT_PIECE - have,
					    b->len - offset);
			rc = file_read(&wal->file, m->buf + have, n,
				       b->pos + offset);
			have += n;
			offset += n;
		}
		if (i < m->n && offset == b->len) {
			offset = 0;
			i++;
		}
		if (rc < 0 || (have < COMPACT_PIECE && i < m->n))
			continue;
		rc = compact_write(m, have, at);
		at += have;
		have = 0;
		if (rc == 0 && (at - synced >= SYNC_PIECE || i == m->n)) {
			rc = compact_sync(m, synced, at);
			synced = at;
		}
		if (rc == 0)
			rc = compact_tell(m);
	}
	return rc;
}

/* ---- the commits ---- */

/* Some blocks of the plan, and what is left of the gap behind them. */
struct leg {
	struct engine *engine;
	bool follows; /* the gap takes their old places in */
	size_t from, to;
	uint64_t target; /* of the first */
	struct log_gap gap;
};

/* For the batch, while no reader looks. */
static int leg_lands(void *arg)
{
	struct leg *l = arg;

	if (compact_watched(l->engine))
		return -EAGAIN;
	l->engine->wal.gap = l->gap;
	return 0;
}

static int commit_leg(struct compaction_plan *m, struct leg *l)
{
	struct wal *wal = &m->engine->wal;
	uint64_t to = l->target;
	struct batch b;
	int rc;

	batch_give_way(m->engine);
	rc = wal_begin_whole(wal);
	if (rc < 0)
		return rc;
	batch_begin_locked(&b, m->engine);
	b.also = leg_lands;
	b.also_arg = l;
	for (size_t i = l->from; i < l->to && rc == 0; i++) {
		rc = batch_move(&b, m->block[i].pos, to, l->follows);
		to += m->block[i].len;
	}
	rc = batch_end(&b, rc);
	if (rc == 0)
		atomic_fetch_add(&m->engine->compactions, 1);
	if (rc == 0)
		rc = wal_flush(wal);
	wal_end_whole(wal);
	return rc;
}

/* Where the next commit ends: what is left of the gap then must be such that a
 * recovery can cover it. */
static void end_leg(const struct compaction_plan *m, struct leg *l)
{
	const struct wal *wal = &m->engine->wal;
	uint64_t gap_end = wal->gap.pos + wal->gap.len, at = l->target;

	l->to = l->from;
	do {
		at += m->block[l->to++].len;
		if (l->follows)
			gap_end = l->to < m->n ? m->block[l->to].pos : m->end;
		l->gap = (struct log_gap){ at, gap_end - at };
	} while (l->to < m->n &&
		 (l->to - l->from < COMMIT_BLOCKS ||
		  (l->gap.len && !format_dead_fits(&wal->fmt, l->gap.len))));
}

static int commit_plan(struct compaction_plan *m, bool follows)
{
	struct wal *wal = &m->engine->wal;
	struct leg l = { .engine = m->engine,
			 .follows = follows,
			 .target = wal->gap.pos };
	int rc = 0;

	while (rc == 0 && l.from < m->n) {
		end_leg(m, &l);
		rc = commit_leg(m, &l);
		if (rc == -EAGAIN) {
			rc = compact_wait_snapshots(m);
			continue;
		}
		if (rc == 0 && atomic_load(&wal->full))
			rc = wal_sync(wal);
		l.from = l.to;
		l.target = l.gap.pos;
	}
	return rc;
}

int compact_slide(struct compaction_plan *m, bool follows)
{
	int rc = gap_vacate(m);

	if (rc == 0)
		rc = copy_plan(m);
	if (rc == 0)
		rc = commit_plan(m, follows);
	return rc;
}

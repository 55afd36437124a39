#include "booklet/maintain/mover.h"

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

int mover_begin(struct mover *m, struct engine *e, blt_progress_fn *progress,
		void *arg)
{
	*m = (struct mover){ .engine = e, .progress = progress, .arg = arg };
	m->buf = malloc(MOVER_PIECE);
	return m->buf ? 0 : -ENOMEM;
}

void mover_end(struct mover *m)
{
	free(m->block);
	free(m->buf);
}

uint64_t mover_end_of(struct mover *m)
{
	struct space *sp = &m->engine->space;
	uint64_t end;

	pthread_rwlock_rdlock(&sp->lock);
	end = sp->end;
	pthread_rwlock_unlock(&sp->lock);
	return end;
}

/* ---- walking ---- */

struct stride {
	struct space *sp;
	struct mover_stroll *s;
};

/* 1: stopped; 0: not at the end yet; -ESRCH: there. */
static int walk_stride(void *arg)
{
	const struct stride *st = arg;
	struct mover_stroll *s = st->s;

	for (int i = 0; i < STRIDE; i++) {
		struct block b;
		int rc;

		s->pos = block_skip_index(st->sp, s->pos);
		if (s->pos >= s->to) {
			s->pos = s->to;
			return -ESRCH;
		}
		rc = block_at(st->sp, s->pos, SPACE_READER, &b);
		if (rc == 0)
			rc = s->see(s->arg, &b);
		if (rc)
			return rc;
		s->pos += b.len;
	}
	return 0;
}

int mover_stroll(struct mover *m, struct mover_stroll *s)
{
	struct stride st = { &m->engine->space, s };
	int rc;

	do {
		pthread_rwlock_rdlock(&st.sp->lock);
		rc = file_try(walk_stride, &st);
		pthread_rwlock_unlock(&st.sp->lock);
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

int mover_skip(struct mover *m, uint64_t pos, uint64_t to, bool live,
	       uint64_t *ret)
{
	struct mover_stroll s = { .pos = pos,
				  .to = to,
				  .see = live ? see_live : see_dead };
	int rc = mover_stroll(m, &s);

	if (rc == 0)
		*ret = s.pos;
	return rc;
}

struct measure {
	struct space *sp;
	uint64_t pos, len;
};

static int measure(void *arg)
{
	struct measure *f = arg;
	struct block b;
	int rc = block_at(f->sp, f->pos, SPACE_READER, &b);

	if (rc == 0)
		f->len = b.len;
	return rc;
}

int mover_block_len(struct mover *m, uint64_t pos, uint64_t *ret)
{
	struct measure f = { .sp = &m->engine->space, .pos = pos };
	int rc;

	pthread_rwlock_rdlock(&f.sp->lock);
	rc = file_try(measure, &f);
	pthread_rwlock_unlock(&f.sp->lock);
	if (rc == 0)
		*ret = f.len;
	return rc;
}

/* ---- the plan ---- */

struct planning {
	struct mover *m;
	uint64_t room;
};

/* Room in the list was made before. */
static int plan_block(void *arg, const struct block *b)
{
	struct planning *p = arg;
	struct mover *m = p->m;

	if (b->head.next == FORMAT_DEAD)
		return 0;
	if (m->n == m->room || b->len > p->room - m->sum)
		return 1;
	m->block[m->n++] = (struct mover_block){ b->pos, b->len };
	m->sum += b->len;
	return 0;
}

int mover_plan(struct mover *m, uint64_t pos, uint64_t to, uint64_t room)
{
	struct planning p = { m, room };
	struct mover_stroll s = {
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
	rc = mover_stroll(m, &s);
	m->end = s.pos;
	return rc;
}

/* ---- the copy ---- */

int mover_write(struct mover *m, size_t len, uint64_t pos)
{
	struct space *sp = &m->engine->space;
	int rc = file_write(&sp->file, m->buf, len, pos);

	/* The zone may be a hole in the file, for which the disk is full. */
	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT)
		space_fail(sp, rc);
	return rc;
}

/* Copied bytes that a record only names are durable before it. */
int mover_sync(struct mover *m, uint64_t from, uint64_t to)
{
	struct space *sp = &m->engine->space;
	int rc = 0;

	if (MUTANT(COPY_UNSYNCED))
		return 0;
	pthread_mutex_lock(&sp->sync_lock);
	if (atomic_load(&sp->failed))
		rc = -EIO;
	else if ((rc = space_sync_range(sp, from, to)) < 0)
		space_fail(sp, rc);
	pthread_mutex_unlock(&sp->sync_lock);
	return rc;
}

/* Copies what is planned to where the zone begins, and makes it durable. */
static int copy_plan(struct mover *m)
{
	struct space *sp = &m->engine->space;
	uint64_t at = sp->zone.pos, synced = at, offset = 0;
	size_t have = 0, i = 0;
	int rc = 0;

	while (rc == 0 && (i < m->n || have)) {
		const struct mover_block *b = &m->block[i];
		size_t n = 0;

		if (i < m->n) {
			n = (size_t)min_u64(MOVER_PIECE - have,
					    b->len - offset);
			rc = file_read(&sp->file, m->buf + have, n,
				       b->pos + offset);
			have += n;
			offset += n;
		}
		if (i < m->n && offset == b->len) {
			offset = 0;
			i++;
		}
		if (rc < 0 || (have < MOVER_PIECE && i < m->n))
			continue;
		rc = mover_write(m, have, at);
		at += have;
		have = 0;
		if (rc == 0 && (at - synced >= SYNC_PIECE || i == m->n)) {
			rc = mover_sync(m, synced, at);
			synced = at;
		}
		if (rc == 0)
			rc = mover_tell(m);
	}
	return rc;
}

/* ---- the commits ---- */

/* Some blocks of the plan, and what is left of the zone behind them. */
struct leg {
	struct engine *engine;
	bool follows; /* the zone takes their old places in */
	size_t from, to;
	uint64_t target; /* of the first */
	struct log_zone zone;
};

/* For the batch, while no reader looks. */
static int leg_lands(void *arg)
{
	struct leg *l = arg;

	if (mover_watched(l->engine))
		return -EAGAIN;
	l->engine->space.zone = l->zone;
	return 0;
}

static int commit_leg(struct mover *m, struct leg *l)
{
	struct space *sp = &m->engine->space;
	uint64_t to = l->target;
	struct batch b;
	int rc;

	batch_give_way(m->engine);
	rc = space_begin_whole(sp);
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
		rc = space_flush(sp);
	space_end_whole(sp);
	return rc;
}

/* Where the next commit ends: what is left of the zone then must be such that a
 * recovery can cover it. */
static void end_leg(const struct mover *m, struct leg *l)
{
	const struct space *sp = &m->engine->space;
	uint64_t zone_end = sp->zone.pos + sp->zone.len, at = l->target;

	l->to = l->from;
	do {
		at += m->block[l->to++].len;
		if (l->follows)
			zone_end = l->to < m->n ? m->block[l->to].pos : m->end;
		l->zone = (struct log_zone){ at, zone_end - at };
	} while (l->to < m->n &&
		 (l->to - l->from < COMMIT_BLOCKS ||
		  (l->zone.len && !format_dead_fits(&sp->fmt, l->zone.len))));
}

static int commit_plan(struct mover *m, bool follows)
{
	struct space *sp = &m->engine->space;
	struct leg l = { .engine = m->engine,
			 .follows = follows,
			 .target = sp->zone.pos };
	int rc = 0;

	while (rc == 0 && l.from < m->n) {
		end_leg(m, &l);
		rc = commit_leg(m, &l);
		if (rc == -EAGAIN) {
			rc = mover_wait_scans(m);
			continue;
		}
		if (rc == 0 && atomic_load(&sp->full))
			rc = space_sync(sp);
		l.from = l.to;
		l.target = l.zone.pos;
	}
	return rc;
}

int mover_slide(struct mover *m, bool follows)
{
	int rc = zone_vacate(m);

	if (rc == 0)
		rc = copy_plan(m);
	if (rc == 0)
		rc = commit_plan(m, follows);
	return rc;
}

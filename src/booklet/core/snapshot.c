#include "booklet/core/snapshot.h"

#include <errno.h>

/* Blocks looked at under one hold of the lock: dead stretches may be long, and
 * a writer waits. */
#define STRIDE 256

void snapshot_start(struct snapshot *s, struct engine *engine, bool dead_too)
{
	struct wal *wal = &engine->wal;

	*s = (struct snapshot){ .engine = engine,
				.thread = pthread_self(),
				.dead_too = dead_too };
	pthread_rwlock_wrlock(&wal->lock);
	s->pos = block_first(wal);
	s->end = wal->end;
	s->next = engine->snapshots;
	engine->snapshots = s;
	pthread_rwlock_unlock(&wal->lock);
}

void snapshot_end(struct snapshot *s)
{
	struct wal *wal = &s->engine->wal;

	pthread_rwlock_wrlock(&wal->lock);
	for (struct snapshot **at = &s->engine->snapshots; *at;
	     at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	pthread_rwlock_unlock(&wal->lock);
	epoch_wake(&wal->epoch);
	chunk_put(s->pin);
	dirty_release(&s->kept);
}

static void pass_over(uint64_t *at, uint64_t pos, uint64_t end)
{
	if (*at >= pos && *at < end)
		*at = end;
}

void snapshot_pass_over(struct engine *engine, uint64_t pos, uint64_t end)
{
	for (struct snapshot *s = engine->snapshots; s; s = s->next)
		pass_over(&s->pos, pos, end);
	pass_over(&engine->walk_pos, pos, end);
}

/* The first change of a block ahead says what it was at the snapshot's start.
 */
static int remember(struct engine *engine, uint64_t pos, bool lived)
{
	uint64_t first;
	int rc = 0;

	for (struct snapshot *s = engine->snapshots; s && rc == 0; s = s->next)
		if (pos >= s->pos && pos < s->end &&
		    !dirty_get(&s->kept, pos, &first))
			rc = dirty_set(&s->kept, pos, lived, 1);
	return rc;
}

int snapshot_keep(struct engine *engine, uint64_t pos)
{
	return remember(engine, pos, true);
}

int snapshot_hide(struct engine *engine, uint64_t pos)
{
	return remember(engine, pos, false);
}

int snapshot_keep_time(struct engine *engine, uint64_t pos, int64_t time)
{
	uint64_t at = pos + FORMAT_AT_TIME, first;
	int rc = 0;

	for (struct snapshot *s = engine->snapshots; s && rc == 0; s = s->next)
		if (pos >= s->pos && pos < s->end &&
		    !dirty_get(&s->kept, at, &first))
			rc = dirty_set(&s->kept, at, (uint64_t)time,
				       FORMAT_TIME_LEN);
	return rc;
}

struct stride {
	struct snapshot *s;
	unsigned most; /* blocks to be met */
	uint64_t pos;  /* behind those that have been */
	unsigned n;
};

static bool wanted(const struct snapshot *s, struct block *b)
{
	uint64_t kept;

	if (dirty_get(&s->kept, b->pos, &kept)) {
		if (!kept)
			b->head.next = FORMAT_DEAD;
		else if (b->head.next == FORMAT_DEAD)
			b->head.next = FORMAT_LAST;
	}
	if (s->engine->wal.fmt.timestamps &&
	    dirty_get(&s->kept, b->pos + FORMAT_AT_TIME, &kept))
		b->head.timestamp = (int64_t)kept;
	return b->head.next != FORMAT_DEAD || s->dead_too;
}

/* Whether the block stands in the same memory as those before it: they are
 * pinned together. */
static bool same_place(const struct stride *w, const struct block *b)
{
	const struct chunk *tail = w->s->engine->wal.tail;

	return !w->n || !tail ||
	       (b->pos >= tail->base) == (w->s->ahead[0].pos >= tail->base);
}

/* 1: some blocks; 0: the end; -EAGAIN: not yet either.  An error comes when
 * what was met before it has been told. */
static int run_stride(void *arg)
{
	struct stride *w = arg;
	struct snapshot *s = w->s;
	struct wal *wal = &s->engine->wal;

	for (int i = 0; i < STRIDE && w->n < w->most; i++) {
		struct block *b = &s->ahead[w->n];
		int rc;

		/* A gap may have opened there since the last block. */
		w->pos = block_skip_index(wal, w->pos);
		if (w->pos >= s->end)
			break;
		rc = block_at(wal, w->pos, WAL_READER, b);
		if (rc < 0)
			return w->n ? 1 : rc;
		if (!same_place(w, b))
			break;
		block_fetch_ahead(b);
		w->pos = block_behind(wal, b);
		w->n += wanted(s, b);
	}
	if (w->n)
		return 1;
	return w->pos >= s->end ? 0 : -EAGAIN;
}

/* The dead ones that a check wants to see are seen as they are, one by one. */
static unsigned most_of(const struct snapshot *s)
{
	return s->dead_too ? 1 : SNAPSHOT_AHEAD;
}

/* Where the file was cut short, one by one up to there. */
static int meet(struct snapshot *s)
{
	struct stride w = { s, most_of(s), s->pos, 0 };
	int rc = file_try(run_stride, &w);

	if (rc == -EIO && w.most > 1) {
		w = (struct stride){ s, 1, s->pos, 0 };
		rc = file_try(run_stride, &w);
	}
	s->pos = w.pos;
	s->n_ahead = rc == 1 ? w.n : 0;
	return rc;
}

static int fetch_ahead(struct snapshot *s)
{
	struct wal *wal = &s->engine->wal;
	int rc;

	s->told = 0;
	do {
		pthread_rwlock_rdlock(&wal->lock);
		chunk_put(s->pin);
		s->pin = NULL;
		rc = meet(s);
		if (rc == 1)
			s->pin = wal_pin(wal, s->ahead[0].pos);
		pthread_rwlock_unlock(&wal->lock);
	} while (rc == -EAGAIN);
	return rc;
}

int snapshot_next(struct snapshot *s, struct block *ret)
{
	int rc = 1;

	if (s->told == s->n_ahead)
		rc = fetch_ahead(s);
	if (rc == 1)
		*ret = s->ahead[s->told++];
	return rc;
}

int snapshot_skip_region(struct snapshot *s)
{
	struct wal *wal = &s->engine->wal;
	uint64_t end;

	pthread_rwlock_rdlock(&wal->lock);
	end = block_region_end(wal, s->pos, s->end);
	/* What commits append behind the walk's end is none of its own. */
	s->pos = end > s->pos ? block_skip_index(wal, end) : s->end;
	pthread_rwlock_unlock(&wal->lock);
	return 0;
}

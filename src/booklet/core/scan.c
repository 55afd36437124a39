#include "booklet/core/scan.h"

#include <errno.h>

/* Blocks looked at under one hold of the lock: dead stretches may be long, and
 * a writer waits. */
#define STRIDE 256

void scan_start(struct scan *s, struct engine *engine, bool dead_too)
{
	struct space *sp = &engine->space;

	*s = (struct scan){ .engine = engine,
			    .thread = pthread_self(),
			    .dead_too = dead_too };
	pthread_rwlock_wrlock(&sp->lock);
	s->pos = block_first(sp);
	s->end = sp->end;
	s->next = engine->scans;
	engine->scans = s;
	pthread_rwlock_unlock(&sp->lock);
}

void scan_end(struct scan *s)
{
	struct space *sp = &s->engine->space;

	pthread_rwlock_wrlock(&sp->lock);
	for (struct scan **at = &s->engine->scans; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	pthread_rwlock_unlock(&sp->lock);
	epoch_wake(&sp->epoch);
	chunk_put(s->pin);
	changes_release(&s->kept);
}

static void pass_over(uint64_t *at, uint64_t pos, uint64_t end)
{
	if (*at >= pos && *at < end)
		*at = end;
}

void scan_pass_over(struct engine *engine, uint64_t pos, uint64_t end)
{
	for (struct scan *s = engine->scans; s; s = s->next)
		pass_over(&s->pos, pos, end);
	pass_over(&engine->walk_pos, pos, end);
}

/* The first change of a block ahead says what it was at the scan's start. */
static int remember(struct engine *engine, uint64_t pos, bool lived)
{
	uint64_t first;
	int rc = 0;

	for (struct scan *s = engine->scans; s && rc == 0; s = s->next)
		if (pos >= s->pos && pos < s->end &&
		    !changes_get(&s->kept, pos, &first))
			rc = changes_set(&s->kept, pos, lived, 1);
	return rc;
}

int scan_keep(struct engine *engine, uint64_t pos)
{
	return remember(engine, pos, true);
}

int scan_hide(struct engine *engine, uint64_t pos)
{
	return remember(engine, pos, false);
}

int scan_keep_time(struct engine *engine, uint64_t pos, int64_t time)
{
	uint64_t at = pos + FORMAT_AT_TIME, first;
	int rc = 0;

	for (struct scan *s = engine->scans; s && rc == 0; s = s->next)
		if (pos >= s->pos && pos < s->end &&
		    !changes_get(&s->kept, at, &first))
			rc = changes_set(&s->kept, at, (uint64_t)time,
					 FORMAT_TIME_LEN);
	return rc;
}

struct stride {
	struct scan *s;
	unsigned most; /* blocks to be met */
	uint64_t pos;  /* behind those that have been */
	unsigned n;
};

static bool wanted(const struct scan *s, struct block *b)
{
	uint64_t kept;

	if (changes_get(&s->kept, b->pos, &kept)) {
		if (!kept)
			b->head.next = FORMAT_DEAD;
		else if (b->head.next == FORMAT_DEAD)
			b->head.next = FORMAT_LAST;
	}
	if (s->engine->space.fmt.timestamps &&
	    changes_get(&s->kept, b->pos + FORMAT_AT_TIME, &kept))
		b->head.timestamp = (int64_t)kept;
	return b->head.next != FORMAT_DEAD || s->dead_too;
}

/* Whether the block stands in the same memory as those before it: they are
 * pinned together. */
static bool same_place(const struct stride *w, const struct block *b)
{
	const struct chunk *tail = w->s->engine->space.tail;

	return !w->n || !tail ||
	       (b->pos >= tail->base) == (w->s->ahead[0].pos >= tail->base);
}

/* 1: some blocks; 0: the end; -EAGAIN: not yet either.  An error comes when
 * what was met before it has been told. */
static int run_stride(void *arg)
{
	struct stride *w = arg;
	struct scan *s = w->s;
	struct space *sp = &s->engine->space;

	for (int i = 0; i < STRIDE && w->n < w->most; i++) {
		struct block *b = &s->ahead[w->n];
		int rc;

		/* A zone may have opened there since the last block. */
		w->pos = block_skip_index(sp, w->pos);
		if (w->pos >= s->end)
			break;
		rc = block_at(sp, w->pos, SPACE_READER, b);
		if (rc < 0)
			return w->n ? 1 : rc;
		if (!same_place(w, b))
			break;
		block_fetch_ahead(b);
		w->pos = block_behind(sp, b);
		w->n += wanted(s, b);
	}
	if (w->n)
		return 1;
	return w->pos >= s->end ? 0 : -EAGAIN;
}

/* The dead ones that a check wants to see are seen as they are, one by one. */
static unsigned most_of(const struct scan *s)
{
	return s->dead_too ? 1 : SCAN_AHEAD;
}

/* Where the file was cut short, one by one up to there. */
static int meet(struct scan *s)
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

static int fetch_ahead(struct scan *s)
{
	struct space *sp = &s->engine->space;
	int rc;

	s->told = 0;
	do {
		pthread_rwlock_rdlock(&sp->lock);
		chunk_put(s->pin);
		s->pin = NULL;
		rc = meet(s);
		if (rc == 1)
			s->pin = space_pin(sp, s->ahead[0].pos);
		pthread_rwlock_unlock(&sp->lock);
	} while (rc == -EAGAIN);
	return rc;
}

int scan_next(struct scan *s, struct block *ret)
{
	int rc = 1;

	if (s->told == s->n_ahead)
		rc = fetch_ahead(s);
	if (rc == 1)
		*ret = s->ahead[s->told++];
	return rc;
}

int scan_skip_region(struct scan *s)
{
	struct space *sp = &s->engine->space;
	uint64_t end;

	pthread_rwlock_rdlock(&sp->lock);
	end = block_region_end(sp, s->pos, s->end);
	/* What commits append behind the walk's end is none of its own. */
	s->pos = end > s->pos ? block_skip_index(sp, end) : s->end;
	pthread_rwlock_unlock(&sp->lock);
	return 0;
}

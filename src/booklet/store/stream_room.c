/* The region of a stream: reserved, made longer, left for a larger one.
 *
 * Where the value outgrows the region, that becomes longer, as long as nothing
 * that ever lived stands behind it; else the value moves to a larger one. */
#include "booklet/store/stream.h"

#include "booklet/core/snapshot.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>

/* A change of a head is put into its place together with what stands within a
 * page of it (writeback.c): so no region lies between two such changes. */
#define LEAST ((uint64_t)8192)

#define KEY_ROOM 65000u

/* From the region's beginning to the value. */
static uint64_t front(const struct format *f, size_t key_len)
{
	uint64_t room = min_u64(key_len + BATCH_KEY_SLACK, KEY_ROOM);

	return format_dead_min(f) + format_head_len(f) + room;
}

/* The rest is never too short for a dead block. */
static uint64_t capacity(const struct stream *s)
{
	return s->pin.pos + s->pin.len - s->value_at -
	       format_dead_min(&stream_space(s)->fmt);
}

/* ---- reservations ---- */

struct reserving {
	struct engine *engine;
	struct reservation *pin;
	struct reservation as;
};

/* For the batch, while no reader looks. */
static int add_reservation(void *arg)
{
	struct reserving *r = arg;

	*r->pin = r->as;
	reservations_add(r->engine, r->pin);
	return 0;
}

/* A walk that has come as far as what stood behind the region has nothing more
 * to find there: soon the stream's bytes do. */
static int lengthen_reservation(void *arg)
{
	struct reserving *r = arg;
	uint64_t start = r->pin->pos;

	snapshot_pass_over(r->engine, start + r->pin->len, start + r->as.len);
	r->pin->len = r->as.len;
	return 0;
}

static int reserve(struct engine *e, uint64_t len, struct reservation *ret)
{
	struct reserving r = { .engine = e, .pin = ret, .as = { .len = len } };
	struct batch b;
	int rc = batch_begin(&b, e);

	if (rc < 0)
		return rc;
	b.also = add_reservation;
	b.also_arg = &r;
	rc = wal_append_hole(&e->wal, len, true, &r.as.pos);
	return batch_end(&b, rc);
}

void stream_leave(struct stream *s)
{
	struct wal *wal = stream_space(s);

	pthread_mutex_lock(&wal->write);
	pthread_rwlock_wrlock(&wal->lock);
	reservations_remove(&s->store->engine, &s->pin);
	pthread_rwlock_unlock(&wal->lock);
	pthread_mutex_unlock(&wal->write);
}

/* A file that only ever grows makes for few moves, one among others for large
 * steps. */
static uint64_t more_than(const struct stream *s, uint64_t need, unsigned times)
{
	uint64_t front_len = s->value_at - s->pin.pos;

	return min_u64(front_len + times * need,
		       format_dead_max(&stream_space(s)->fmt));
}

/* -EAGAIN: something else stands behind it. */
static int lengthen_in(struct stream *s, uint64_t want, uint64_t *ret_len)
{
	struct engine *e = &s->store->engine;
	struct wal *wal = &e->wal;
	uint64_t start = s->pin.pos, end = start + s->pin.len;
	uint64_t at = wal->append, pos;
	uint64_t to = max_u64(start + want, at + LEAST);
	int rc;

	/* The place of an index to be is dead, too. */
	if (reservations_any(e, end, at) || atomic_load(&e->growing) ||
	    to - start > format_dead_max(&wal->fmt))
		return -EAGAIN;
	rc = block_unused(wal, end, at);
	if (rc <= 0)
		return rc < 0 ? rc : -EAGAIN;
	rc = wal_append_hole(wal, to - at, true, &pos);
	if (rc == 0)
		rc = block_resize_dead(wal, start, to - start);
	if (rc == 0)
		*ret_len = to - start;
	return rc;
}

/* Before the region's new part is written to: a walk of the log needs its
 * head.  Where that fails, the region is as long all the same. */
static int leave_log(struct stream *s)
{
	int rc = s->in_log ? wal_begin_log(stream_space(s)) : 0;

	if (rc == 0)
		s->in_log = false;
	return rc;
}

/* The region becomes one with a new one at the end.  The old head is below the
 * log's beginning before it changes, the new one before it is written over. */
static int lengthen(struct stream *s, uint64_t want)
{
	struct engine *e = &s->store->engine;
	struct reserving r = { .engine = e, .pin = &s->pin };
	struct batch b;
	int rc;

	/* Work on the whole file counts on reservations to stay as they are. */
	if (pthread_mutex_trylock(&e->whole) != 0)
		return -EAGAIN;
	rc = wal_begin_log(&e->wal);
	if (rc == 0)
		rc = batch_begin(&b, e);
	if (rc == 0) {
		b.also = lengthen_reservation;
		b.also_arg = &r;
		rc = batch_end(&b, lengthen_in(s, want, &r.as.len));
		s->in_log = rc == 0;
	}
	if (rc == 0)
		rc = leave_log(s);
	pthread_mutex_unlock(&e->whole);
	return rc;
}

static int copy_to(struct stream *s, uint64_t to)
{
	struct wal *wal = stream_space(s);
	uint8_t *buf = malloc(STREAM_PIECE);
	uint64_t n = 0;
	int rc = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; rc == 0 && at < s->len; at += n) {
		n = (uint64_t)booklet_stream_read(&s->face, buf, STREAM_PIECE,
						  at);
		rc = (int64_t)n <= 0 ? -EIO :
				       stream_write_raw(wal, buf, n, to + at);
	}
	free(buf);
	return rc;
}

static int move(struct stream *s, uint64_t want)
{
	struct engine *e = &s->store->engine;
	struct reservation old = s->pin, fresh;
	uint64_t value_at, compactions = atomic_load(&e->compactions);
	int rc = reserve(e, want, &fresh);

	if (rc < 0)
		return rc;
	value_at = fresh.pos + (s->value_at - old.pos);
	rc = copy_to(s, value_at);
	pthread_mutex_lock(&e->wal.write);
	pthread_rwlock_wrlock(&e->wal.lock);
	reservations_remove(e, &fresh);
	if (rc == 0) {
		reservations_remove(e, &s->pin);
		s->pin = fresh;
		reservations_add(e, &s->pin);
	}
	pthread_rwlock_unlock(&e->wal.lock);
	pthread_mutex_unlock(&e->wal.write);
	if (rc < 0)
		return rc;
	s->value_at = value_at;
	s->high = s->len;
	s->compactions = compactions;
	return 0;
}

int stream_have_room(struct stream *s, uint64_t len)
{
	uint64_t least = format_dead_min(&stream_space(s)->fmt);
	int rc;

	if (len > BLT_VALUE_MAX)
		return -EFBIG;
	rc = leave_log(s);
	if (rc < 0 || len <= capacity(s))
		return rc;
	rc = lengthen(s, more_than(s, len + least, 2));
	if (rc == -EAGAIN)
		rc = move(s, more_than(s, len + least, 4));
	if (rc == 0)
		store_committed(s->store);
	return rc;
}

int stream_make_room(struct stream *s, size_t key_len, uint64_t value_len)
{
	struct engine *e = &s->store->engine;
	const struct format *f = &e->wal.fmt;
	uint64_t at = front(f, key_len), rest = format_dead_min(f);
	uint64_t len = at + min_u64(value_len, BLT_VALUE_MAX) + rest;
	int rc;

	s->compactions = atomic_load(&e->compactions);
	len = min_u64(max_u64(len, LEAST), format_dead_max(f));
	rc = reserve(e, len, &s->pin);
	if (rc == 0)
		s->value_at = s->pin.pos + at;
	return rc;
}

/* A value that is written straight into its place.
 *
 * The place is a reservation: one dead block at the end of the data, a hole in
 * the file, whose bytes are the stream's (pins.h).
 *
 *   region                     block              value_at
 *   | head of a dead block ... | head | key       | value       | head ... |
 *   |<- pad                  ->|                                |<- rest ->|
 *
 * While it is written a walk sees a single dead block.  Key and value end at
 * value_at however long the key turns out to be, since the pad gives way.
 *
 *   1. head and key of the block, and the head of a dead one over the rest, are
 *      written, inside the dead block still
 *   2. everything is made durable, and the log begins behind the region: the
 *      length of the dead block is about to change, and a walk of the log needs
 *      it
 *   3. one commit: the dead block has the pad's length from now on, and the
 *      bucket's entry leads to the block behind it
 *   4. where nothing that ever lived stands behind the value, the file is cut
 *      there
 *
 * A crash before 3 is durable leaves the dead block, and the key's old value.
 *
 * Where the value outgrows the region, that becomes longer, as long as nothing
 * that ever lived stands behind it; else the value moves to a larger one. */
#include "store.h"

#include "mover.h"
#include "mutants.h"
#include "pins.h"
#include "scan.h"
#include "serial.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A change of a head is put into its place together with what stands within a
 * page of it (space_log.c): so no region lies between two such changes. */
#define LEAST ((uint64_t)8192)

/* What a longer key than the expected one may take. */
#define KEY_SLACK 256u
#define KEY_ROOM 65000u

#define PIECE ((size_t)256 << 10)

struct blt_stream {
	struct blt *store;
	struct pin pin;       /* the region */
	uint64_t compactions; /* when it was reserved */
	uint64_t value_at;
	uint64_t len;
	uint64_t high; /* behind it, the region's bytes are zeros */
	bool in_log;   /* the head in the middle of a longer region is */
};

static struct space *space_of(const struct blt_stream *s)
{
	return &s->store->engine.space;
}

/* Room on the disk is had as it is written.  Any other failure is the end of
 * writing, as everywhere. */
static int write_bytes(struct space *sp, const void *buf, size_t n, uint64_t at)
{
	int rc;

	if (atomic_load(&sp->failed))
		return -EIO;
	rc = file_write(&sp->file, buf, n, at);
	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT && rc != -EFBIG)
		space_fail(sp, rc);
	return rc;
}

/* From the region's beginning to the value. */
static uint64_t front(const struct format *f, size_t key_len)
{
	uint64_t room = min_u64(key_len + KEY_SLACK, KEY_ROOM);

	return format_dead_min(f) + format_head_len(f) + room;
}

/* The rest is never too short for a dead block. */
static uint64_t capacity(const struct blt_stream *s)
{
	return s->pin.pos + s->pin.len - s->value_at -
	       format_dead_min(&space_of(s)->fmt);
}

/* ---- reservations ---- */

struct reserving {
	struct engine *engine;
	struct pin *pin;
	struct pin as;
};

/* For the batch, while no reader looks. */
static int add_pin(void *arg)
{
	struct reserving *r = arg;

	*r->pin = r->as;
	pins_add(r->engine, r->pin);
	return 0;
}

/* A walk that has come as far as what stood behind the region has nothing more
 * to find there: soon the stream's bytes do. */
static int lengthen_pin(void *arg)
{
	struct reserving *r = arg;
	uint64_t start = r->pin->pos;

	scan_pass_over(r->engine, start + r->pin->len, start + r->as.len);
	r->pin->len = r->as.len;
	return 0;
}

static int reserve(struct engine *e, uint64_t len, struct pin *ret)
{
	struct reserving r = { .engine = e, .pin = ret, .as = { .len = len } };
	struct batch b;
	int rc = batch_begin(&b, e);

	if (rc < 0)
		return rc;
	b.also = add_pin;
	b.also_arg = &r;
	rc = space_append_hole(&e->space, len, true, &r.as.pos);
	return batch_end(&b, rc);
}

static void drop_pin(struct engine *e, struct pin *pin)
{
	struct space *sp = &e->space;

	pthread_mutex_lock(&sp->write);
	pthread_rwlock_wrlock(&sp->lock);
	pins_remove(e, pin);
	pthread_rwlock_unlock(&sp->lock);
	pthread_mutex_unlock(&sp->write);
}

/* A file that only ever grows makes for few moves, one among others for large
 * steps. */
static uint64_t more_than(const struct blt_stream *s, uint64_t need,
			  unsigned times)
{
	uint64_t front_len = s->value_at - s->pin.pos;

	return min_u64(front_len + times * need,
		       format_dead_max(&space_of(s)->fmt));
}

/* -EAGAIN: something else stands behind it. */
static int lengthen_in(struct blt_stream *s, uint64_t want, uint64_t *ret_len)
{
	struct engine *e = &s->store->engine;
	struct space *sp = &e->space;
	uint64_t start = s->pin.pos, end = start + s->pin.len;
	uint64_t at = sp->append, pos;
	uint64_t to = max_u64(start + want, at + LEAST);
	int rc;

	/* The place of an index to be is dead, too. */
	if (pins_any(e, end, at) || atomic_load(&e->growing) ||
	    to - start > format_dead_max(&sp->fmt))
		return -EAGAIN;
	rc = block_unused(sp, end, at);
	if (rc <= 0)
		return rc < 0 ? rc : -EAGAIN;
	rc = space_append_hole(sp, to - at, true, &pos);
	if (rc == 0)
		rc = block_resize_dead(sp, start, to - start);
	if (rc == 0)
		*ret_len = to - start;
	return rc;
}

/* Before the region's new part is written to: a walk of the log needs its
 * head.  Where that fails, the region is as long all the same. */
static int leave_log(struct blt_stream *s)
{
	int rc = s->in_log ? space_begin_log(space_of(s)) : 0;

	if (rc == 0)
		s->in_log = false;
	return rc;
}

/* The region becomes one with a new one at the end.  The old head is below the
 * log's beginning before it changes, the new one before it is written over. */
static int lengthen(struct blt_stream *s, uint64_t want)
{
	struct engine *e = &s->store->engine;
	struct reserving r = { .engine = e, .pin = &s->pin };
	struct batch b;
	int rc;

	/* Work on the whole file counts on reservations to stay as they are. */
	if (pthread_mutex_trylock(&e->whole) != 0)
		return -EAGAIN;
	rc = space_begin_log(&e->space);
	if (rc == 0)
		rc = batch_begin(&b, e);
	if (rc == 0) {
		b.also = lengthen_pin;
		b.also_arg = &r;
		rc = batch_end(&b, lengthen_in(s, want, &r.as.len));
		s->in_log = rc == 0;
	}
	if (rc == 0)
		rc = leave_log(s);
	pthread_mutex_unlock(&e->whole);
	return rc;
}

static int copy_to(struct blt_stream *s, uint64_t to)
{
	struct space *sp = space_of(s);
	uint8_t *buf = malloc(PIECE);
	uint64_t n = 0;
	int rc = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; rc == 0 && at < s->len; at += n) {
		n = (uint64_t)blt_stream_read(s, buf, PIECE, at);
		rc = (int64_t)n <= 0 ? -EIO : write_bytes(sp, buf, n, to + at);
	}
	free(buf);
	return rc;
}

static int move(struct blt_stream *s, uint64_t want)
{
	struct engine *e = &s->store->engine;
	struct pin old = s->pin, fresh;
	uint64_t value_at, compactions = atomic_load(&e->compactions);
	int rc = reserve(e, want, &fresh);

	if (rc < 0)
		return rc;
	value_at = fresh.pos + (s->value_at - old.pos);
	rc = copy_to(s, value_at);
	pthread_mutex_lock(&e->space.write);
	pthread_rwlock_wrlock(&e->space.lock);
	pins_remove(e, &fresh);
	if (rc == 0) {
		pins_remove(e, &s->pin);
		s->pin = fresh;
		pins_add(e, &s->pin);
	}
	pthread_rwlock_unlock(&e->space.lock);
	pthread_mutex_unlock(&e->space.write);
	if (rc < 0)
		return rc;
	s->value_at = value_at;
	s->high = s->len;
	s->compactions = compactions;
	return 0;
}

static int have_room(struct blt_stream *s, uint64_t len)
{
	uint64_t least = format_dead_min(&space_of(s)->fmt);
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

/* ---- open, write, read ---- */

int blt_stream_open(struct blt *store, size_t key_len, uint64_t room,
		    struct blt_stream **ret)
{
	struct engine *e = &store->engine;
	const struct format *f = &e->space.fmt;
	uint64_t least = format_dead_min(f), at = front(f, key_len);
	struct blt_stream *s;
	int rc;

	if (!e->space.file.writable)
		return -EROFS;
	if (f->fixed)
		return -ENOTSUP;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->store = store;
	s->compactions = atomic_load(&e->compactions);
	room = min_u64(room, BLT_VALUE_MAX);
	rc = reserve(
		e,
		min_u64(max_u64(at + room + least, LEAST), format_dead_max(f)),
		&s->pin);
	if (rc < 0) {
		free(s);
		return rc;
	}
	s->value_at = s->pin.pos + at;
	*ret = s;
	store_committed(store);
	return 0;
}

uint64_t blt_stream_len(const struct blt_stream *s)
{
	return s->len;
}

static int write_at(struct blt_stream *s, const void *buf, size_t n,
		    uint64_t offset)
{
	struct space *sp = space_of(s);

	/* Even of what fails something may have been written. */
	s->high = max_u64(s->high, offset + n);
	return write_bytes(sp, buf, n, s->value_at + offset);
}

/* Of what was cut off something may stand there. */
static int zero(struct blt_stream *s, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[65536];
	int rc = 0;

	to = min_u64(to, s->high);
	while (rc == 0 && from < to) {
		size_t n = (size_t)min_u64(sizeof(zeros), to - from);

		rc = write_at(s, zeros, n, from);
		from += n;
	}
	return rc;
}

int blt_stream_write(struct blt_stream *s, const void *buf, size_t n,
		     uint64_t offset)
{
	int rc;

	if (n == 0)
		return 0;
	if (offset > BLT_VALUE_MAX || n > BLT_VALUE_MAX - offset)
		return -EFBIG;
	rc = have_room(s, offset + n);
	if (rc == 0 && offset > s->len)
		rc = zero(s, s->len, offset);
	if (rc == 0)
		rc = write_at(s, buf, n, offset);
	if (rc == 0)
		s->len = max_u64(s->len, offset + n);
	return rc;
}

int blt_stream_resize(struct blt_stream *s, uint64_t len)
{
	int rc = have_room(s, len);

	if (rc == 0 && len > s->len)
		rc = zero(s, s->len, len);
	if (rc == 0)
		s->len = len;
	return rc;
}

int64_t blt_stream_read(struct blt_stream *s, void *buf, size_t n,
			uint64_t offset)
{
	struct space *sp = space_of(s);
	int rc;

	if (offset >= s->len)
		return 0;
	n = (size_t)min_u64(n, s->len - offset);
	pthread_rwlock_rdlock(&sp->lock);
	rc = file_read(&sp->file, buf, n, s->value_at + offset);
	pthread_rwlock_unlock(&sp->lock);
	return rc < 0 ? rc : (int64_t)n;
}

int blt_stream_sync(struct blt_stream *s)
{
	struct space *sp = space_of(s);
	int rc;

	if (atomic_load(&sp->failed))
		return -EIO;
	/* Whoever is told of a failure, it is everybody's. */
	rc = file_sync(&sp->file);
	return rc < 0 ? space_fail(sp, rc) : 0;
}

/* ---- the end ---- */

/* What nobody uses behind the value is given back, where that is easily done.
 */
static void cut(struct engine *e, uint64_t to, uint64_t compactions)
{
	if (pthread_mutex_trylock(&e->whole) != 0)
		return;
	/* Prune covers what has lived. */
	if (atomic_load(&e->compactions) == compactions)
		(void)mover_cut_unused(e, to);
	pthread_mutex_unlock(&e->whole);
}

static int read_source(void *arg, void *buf, size_t n, uint64_t offset)
{
	int64_t got = blt_stream_read(arg, buf, n, offset);

	return got == (int64_t)n ? 0 : -EIO;
}

/* 0, or -EINVAL: the value would not load. */
static int check(struct blt_stream *s)
{
	unsigned code = space_of(s)->fmt.value_serializer;
	struct serial_check *c = NULL;
	uint8_t *buf;
	int64_t n;
	int rc;

	if (serial_takes_all(code))
		return 0;
	rc = serial_check_new(code, &c);
	buf = rc == 0 ? malloc(PIECE) : NULL;
	if (rc == 0 && !buf)
		rc = -ENOMEM;
	for (uint64_t at = 0; rc == 0 && at < s->len; at += (uint64_t)n) {
		n = blt_stream_read(s, buf, PIECE, at);
		rc = n <= 0 ? -EIO : serial_check_feed(c, buf, (size_t)n);
	}
	if (rc == 0)
		rc = serial_check_end(c);
	serial_check_free(c);
	free(buf);
	return rc;
}

/* All of it inside the dead block still. */
static int write_frame(struct blt_stream *s, const struct batch_key *key,
		       uint64_t pos, int64_t timestamp)
{
	struct space *sp = space_of(s);
	struct block_head head = { .hash = key->hash,
				   .next = FORMAT_DEAD,
				   .key_len = (uint32_t)key->len,
				   .value_len = (uint32_t)s->len,
				   .timestamp = timestamp };
	uint64_t behind = s->value_at + s->len;
	uint8_t rest[FORMAT_HEAD_MAX], *frame;
	size_t n = format_head_len(&sp->fmt);
	int rc;

	frame = malloc(n + key->len);
	if (!frame)
		return -ENOMEM;
	format_head_encode(&sp->fmt, &head, frame);
	memcpy(frame + n, key->bytes, key->len);
	rc = write_bytes(sp, frame, n + key->len, pos);
	free(frame);
	format_dead_head(&sp->fmt, s->pin.pos + s->pin.len - behind, rest);
	if (rc == 0)
		rc = write_bytes(sp, rest, n, behind);
	s->high = max_u64(s->high, s->len + n);
	return rc;
}

static int put_in_place(struct blt_stream *s, const struct batch_key *key,
			uint64_t pos, int64_t timestamp)
{
	struct engine *e = &s->store->engine;
	struct batch b;
	int rc = batch_begin(&b, e);

	if (rc < 0)
		return rc;
	rc = batch_adopt(&b, key, pos, timestamp);
	if (rc == 0)
		rc = block_resize_dead(&e->space, s->pin.pos, pos - s->pin.pos);
	return batch_end(&b, rc);
}

/* Bytes that a record only names are durable before it. */
static int make_durable(struct blt_stream *s)
{
	struct space *sp = space_of(s);

	if (!MUTANT(STREAM_UNSYNCED))
		return space_begin_log(sp);
	return 0;
}

static int commit(struct blt_stream *s, const struct batch_key *key,
		  int64_t timestamp)
{
	struct engine *e = &s->store->engine;
	uint64_t pos = s->value_at - key->len - format_head_len(&e->space.fmt);
	int rc = write_frame(s, key, pos, timestamp);

	if (rc == 0)
		rc = make_durable(s);
	if (rc == 0)
		rc = put_in_place(s, key, pos, timestamp);
	if (rc < 0)
		return rc;
	drop_pin(e, &s->pin);
	cut(e, s->value_at + s->len, s->compactions);
	return 0;
}

/* As any other value: it is empty, or the key is longer than there was to be
 * expected. */
static int commit_copy(struct blt_stream *s, const void *key, size_t key_len,
		       int64_t timestamp)
{
	struct blt_source source = { .len = s->len,
				     .read = read_source,
				     .arg = s };
	int rc = blt_put_from(s->store, key, key_len, &source, timestamp);

	if (rc == 0)
		blt_stream_abort(s);
	return rc;
}

int blt_stream_commit(struct blt_stream *s, const void *key, size_t key_len,
		      int64_t timestamp)
{
	struct blt *store = s->store;
	const struct format *f = &store->engine.space.fmt;
	struct batch_key k;
	int rc = store_key(store, key, key_len, &k);

	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	if (rc < 0)
		return rc;
	if (s->len == 0 ||
	    s->value_at - s->pin.pos <
		    format_dead_min(f) + format_head_len(f) + key_len)
		return commit_copy(s, key, key_len, timestamp);
	rc = check(s);
	if (rc == 0)
		rc = commit(s, &k, timestamp);
	if (rc < 0)
		return rc;
	free(s);
	store_committed(store);
	return 0;
}

void blt_stream_abort(struct blt_stream *s)
{
	struct engine *e;

	if (!s)
		return;
	e = &s->store->engine;
	drop_pin(e, &s->pin);
	if (!atomic_load(&e->space.failed))
		cut(e, s->pin.pos, s->compactions);
	free(s);
}

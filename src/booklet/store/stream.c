/* A value that is written straight into its place.
 *
 * The place is a reservation: one dead block at the end of the data, a hole in
 * the file, whose bytes are the stream's (reservations.h).
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
 */
#include "booklet/store/stream.h"

#include "booklet/maintain/compact.h"
#include "base/mutants.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room on the disk is had as it is written.  Any other failure is the end of
 * writing, as everywhere. */
int stream_write_raw(struct wal *wal, const void *buf, size_t n, uint64_t at)
{
	int rc;

	if (atomic_load(&wal->failed))
		return -EIO;
	rc = file_write(&wal->file, buf, n, at);
	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT && rc != -EFBIG)
		wal_fail(wal, rc);
	return rc;
}

/* ---- open, write, read ---- */

int booklet_stream_open(struct blt *blt, size_t key_len, uint64_t room,
			struct blt_stream **ret)
{
	struct store *store = store_of(blt);
	struct engine *e = &store->engine;
	struct stream *s;
	int rc;

	if (!e->wal.file.writable)
		return -EROFS;
	if (e->wal.fmt.fixed)
		return -ENOTSUP;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->face.store = blt;
	s->store = store;
	rc = stream_make_room(s, key_len, room);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret = &s->face;
	store_committed(store);
	return 0;
}

uint64_t booklet_stream_len(const struct blt_stream *face)
{
	const struct stream *s = const_stream_of(face);

	return s->len;
}

static int write_at(struct stream *s, const void *buf, size_t n,
		    uint64_t offset)
{
	struct wal *wal = stream_space(s);

	/* Even of what fails something may have been written. */
	s->high = max_u64(s->high, offset + n);
	return stream_write_raw(wal, buf, n, s->value_at + offset);
}

/* Of what was cut off something may stand there. */
static int zero(struct stream *s, uint64_t from, uint64_t to)
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

int booklet_stream_write(struct blt_stream *face, const void *buf, size_t n,
			 uint64_t offset)
{
	struct stream *s = stream_of(face);
	int rc;

	if (n == 0)
		return 0;
	if (offset > BLT_VALUE_MAX || n > BLT_VALUE_MAX - offset)
		return -EFBIG;
	rc = stream_have_room(s, offset + n);
	if (rc == 0 && offset > s->len)
		rc = zero(s, s->len, offset);
	if (rc == 0)
		rc = write_at(s, buf, n, offset);
	if (rc == 0)
		s->len = max_u64(s->len, offset + n);
	return rc;
}

int booklet_stream_resize(struct blt_stream *face, uint64_t len)
{
	struct stream *s = stream_of(face);
	int rc = stream_have_room(s, len);

	if (rc == 0 && len > s->len)
		rc = zero(s, s->len, len);
	if (rc == 0)
		s->len = len;
	return rc;
}

int64_t booklet_stream_read(struct blt_stream *face, void *buf, size_t n,
			    uint64_t offset)
{
	struct stream *s = stream_of(face);
	struct wal *wal = stream_space(s);
	int rc;

	if (offset >= s->len)
		return 0;
	n = (size_t)min_u64(n, s->len - offset);
	pthread_rwlock_rdlock(&wal->lock);
	rc = file_read(&wal->file, buf, n, s->value_at + offset);
	pthread_rwlock_unlock(&wal->lock);
	return rc < 0 ? rc : (int64_t)n;
}

int booklet_stream_sync(struct blt_stream *face)
{
	struct stream *s = stream_of(face);
	struct wal *wal = stream_space(s);
	int rc;

	if (atomic_load(&wal->failed))
		return -EIO;
	/* Whoever is told of a failure, it is everybody's. */
	rc = file_sync(&wal->file);
	return rc < 0 ? wal_fail(wal, rc) : 0;
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
		(void)compact_cut_unused(e, to);
	pthread_mutex_unlock(&e->whole);
}

static int read_source(void *arg, void *buf, size_t n, uint64_t offset)
{
	int64_t got = booklet_stream_read(arg, buf, n, offset);

	return got == (int64_t)n ? 0 : -EIO;
}

/* 0, or -EINVAL: the value would not load. */
static int check(struct stream *s)
{
	unsigned code = stream_space(s)->fmt.value_serializer;
	struct serial_check *c = NULL;
	uint8_t *buf;
	int64_t n;
	int rc;

	if (serial_takes_all(code))
		return 0;
	rc = serial_check_new(code, &c);
	buf = rc == 0 ? malloc(STREAM_PIECE) : NULL;
	if (rc == 0 && !buf)
		rc = -ENOMEM;
	for (uint64_t at = 0; rc == 0 && at < s->len; at += (uint64_t)n) {
		n = booklet_stream_read(&s->face, buf, STREAM_PIECE, at);
		rc = n <= 0 ? -EIO : serial_check_feed(c, buf, (size_t)n);
	}
	if (rc == 0)
		rc = serial_check_end(c);
	serial_check_free(c);
	free(buf);
	return rc;
}

/* All of it inside the dead block still. */
static int write_frame(struct stream *s, const struct batch_key *key,
		       uint64_t pos, int64_t timestamp)
{
	struct wal *wal = stream_space(s);
	struct block_head head = { .hash = key->hash,
				   .next = FORMAT_DEAD,
				   .key_len = (uint32_t)key->len,
				   .value_len = (uint32_t)s->len,
				   .timestamp = timestamp };
	uint64_t behind = s->value_at + s->len;
	uint8_t rest[FORMAT_HEAD_MAX], *frame;
	size_t n = format_head_len(&wal->fmt);
	int rc;

	frame = malloc(n + key->len);
	if (!frame)
		return -ENOMEM;
	format_head_encode(&wal->fmt, &head, frame);
	memcpy(frame + n, key->bytes, key->len);
	rc = stream_write_raw(wal, frame, n + key->len, pos);
	free(frame);
	format_dead_head(&wal->fmt, s->pin.pos + s->pin.len - behind, rest);
	if (rc == 0)
		rc = stream_write_raw(wal, rest, n, behind);
	s->high = max_u64(s->high, s->len + n);
	return rc;
}

static int put_in_place(struct stream *s, const struct batch_key *key,
			uint64_t pos, int64_t timestamp)
{
	struct engine *e = &s->store->engine;
	struct batch b;
	int rc = batch_begin(&b, e);

	if (rc < 0)
		return rc;
	rc = batch_adopt(&b, key, pos, timestamp);
	if (rc == 0)
		rc = block_resize_dead(&e->wal, s->pin.pos, pos - s->pin.pos);
	if (rc == 0)
		wal_note_filler(&e->wal, s->pin.pos, pos - s->pin.pos);
	return batch_end(&b, rc);
}

/* Bytes that a record only names are durable before it. */
static int make_durable(struct stream *s)
{
	struct wal *wal = stream_space(s);

	if (!MUTANT(STREAM_UNSYNCED))
		return wal_begin_log(wal);
	return 0;
}

static int commit(struct stream *s, const struct batch_key *key,
		  int64_t timestamp)
{
	struct engine *e = &s->store->engine;
	uint64_t pos = s->value_at - key->len - format_head_len(&e->wal.fmt);
	int rc = write_frame(s, key, pos, timestamp);

	if (rc == 0)
		rc = make_durable(s);
	if (rc == 0)
		rc = put_in_place(s, key, pos, timestamp);
	if (rc < 0)
		return rc;
	stream_leave(s);
	cut(e, s->value_at + s->len, s->compactions);
	return 0;
}

/* As any other value: it is empty, or the key is longer than there was to be
 * expected. */
static int commit_copy(struct stream *s, const void *key, size_t key_len,
		       int64_t timestamp)
{
	struct blt_source source = { .len = s->len,
				     .read = read_source,
				     .arg = s };
	int rc = booklet_put_from(s->face.store, key, key_len, &source,
				  timestamp);

	if (rc == 0)
		booklet_stream_abort(&s->face);
	return rc;
}

int booklet_stream_commit(struct blt_stream *face, const void *key,
			  size_t key_len, int64_t timestamp)
{
	struct stream *s = stream_of(face);
	struct store *store = s->store;
	const struct format *f = &store->engine.wal.fmt;
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

void stream_give_back(struct stream *s)
{
	struct engine *e = &s->store->engine;

	stream_leave(s);
	if (!atomic_load(&e->wal.failed))
		cut(e, s->pin.pos, s->compactions);
}

void booklet_stream_abort(struct blt_stream *face)
{
	struct stream *s = stream_of(face);

	stream_give_back(s);
	free(s);
}

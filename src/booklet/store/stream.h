/* stream.h - inside a blt_stream, for the files that make one (stream.c,
 * stream_room.c), or what is like one (batch_stage.c).
 *
 * A stream is its caller's alone.  pin is the engine's, too: it changes with
 * the space's write and lock (exclusive) held.  Errors are those of the calls
 * in blt.h.
 */
#ifndef BLT_STREAM_H
#define BLT_STREAM_H

#include "booklet/core/reservations.h"
#include "booklet/store/store.h"

#define STREAM_PIECE ((size_t)256 << 10)

struct stream {
	struct blt_stream face;
	struct store *store;
	struct reservation pin; /* the region */
	uint64_t compactions;   /* when it was reserved */
	uint64_t value_at;
	uint64_t len;
	uint64_t high; /* behind it, the region's bytes are zeros */
	bool in_log;   /* the head in the middle of a longer region is */
};

static inline struct stream *stream_of(struct blt_stream *face)
{
	return (struct stream *)(void *)face;
}

static inline const struct stream *
const_stream_of(const struct blt_stream *face)
{
	return (const struct stream *)(const void *)face;
}

static inline struct wal *stream_space(const struct stream *s)
{
	return &s->store->engine.wal;
}

/* The region is left, and cut off where it stands at the end. */
void stream_give_back(struct stream *s);

/* Bytes at a position of the file. */
int stream_write_raw(struct wal *wal, const void *buf, size_t n, uint64_t at);

/* ---- stream_room.c ---- */

/* A region for a value of so many bytes, and a key of key_len or somewhat more;
 * s->store is set. */
int stream_make_room(struct stream *s, size_t key_len, uint64_t value_len);

/* Room for a value of len bytes: the region may move.  -EFBIG. */
int stream_have_room(struct stream *s, uint64_t len);

/* The region is a dead block like any other from now on. */
void stream_leave(struct stream *s);

#endif

/* Long values: chunks of PG_CHUNK bytes under a blob's number.  A chunk that is
 * missing, or shorter than it should be, reads as zeros where the blob is
 * longer: so is a hole. */
#include "postgres/pg_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW 16u /* chunks that travel together */

int64_t pg_blob_new(struct pg_store *store)
{
	const int64_t mask = ((int64_t)1 << PG_BLOB_BITS) - 1;

	return (int64_t)time(NULL) << PG_BLOB_BITS | (pg_random(store) & mask);
}

/* ---- reading ---- */

struct window {
	int64_t blob;
	int32_t from, to;
};

static void fill_window(void *arg, struct pg_args *args)
{
	const struct window *w = arg;

	pg_args_int8(args, w->blob);
	pg_args_int4(args, w->from);
	pg_args_int4(args, w->to);
}

/* Where chunk n's bytes go in what is read, [offset, offset + len). */
static int copy_chunk(const PGresult *res, int row, uint8_t *to, size_t len,
		      uint64_t offset)
{
	uint64_t at = (uint64_t)(uint32_t)pg_int4(res, row, 0) * PG_CHUNK;
	size_t n;
	const uint8_t *v = pg_bytes(res, row, 1, &n);
	uint64_t begin = max_u64(at, offset);
	uint64_t end = min_u64(at + n, offset + len);

	if (n > PG_CHUNK)
		return -EUCLEAN;
	if (begin < end)
		memcpy(to + (begin - offset), v + (begin - at),
		       (size_t)(end - begin));
	return 0;
}

/* The last chunk is there whenever the blob is: one that was swept has none. */
static int64_t read_window(struct pg_store *store, int64_t blob, uint8_t *to,
			   size_t n, uint64_t offset)
{
	struct window w = {
		.blob = blob,
		.from = (int32_t)(offset / PG_CHUNK),
		.to = (int32_t)((offset + n - 1) / PG_CHUNK) + 1,
	};
	PGresult *res;
	int rc = pg_ask(store, PG_CHUNKS, fill_window, &w, &res);

	if (rc < 0)
		return rc;
	if (PQntuples(res) != w.to - w.from)
		rc = -ESTALE;
	for (int row = 0; rc == 0 && row < PQntuples(res); row++)
		rc = copy_chunk(res, row, to, n, offset);
	PQclear(res);
	return rc < 0 ? rc : (int64_t)n;
}

int64_t pg_blob_read(struct pg_store *store, int64_t blob, uint64_t len,
		     void *to, size_t n, uint64_t offset)
{
	uint8_t *p = to;
	size_t done = 0;

	if (offset >= len)
		return 0;
	n = (size_t)min_u64(n, len - offset);
	while (done < n) {
		uint64_t at = offset + done;
		uint64_t end = (at / PG_CHUNK + WINDOW) * PG_CHUNK;
		size_t part = (size_t)min_u64(n - done, end - at);
		int64_t got = read_window(store, blob, p + done, part, at);

		if (got < 0)
			return got;
		done += part;
	}
	return (int64_t)n;
}

/* ---- writing ---- */

/* Chunks that are written in one transaction; without BEGIN, what is between
 * two Syncs is one. */
struct sending {
	int64_t blob;
	uint32_t first, n;
	const uint8_t *bytes; /* of them all */
	size_t len;
};

static int try_send(void *arg, struct pg_conn *c, int64_t until)
{
	const struct sending *s = arg;
	struct pg_turn t;

	pg_turn_begin(&t, c, until);
	for (uint32_t i = 0; i < s->n; i++) {
		struct pg_args *args = pg_turn_args(&t);
		size_t at = (size_t)i * PG_CHUNK;

		pg_args_int8(args, s->blob);
		pg_args_int4(args, (int32_t)(s->first + i));
		pg_args_bytes(args, s->bytes + at,
			      (size_t)min_u64(PG_CHUNK, s->len - at));
		pg_turn_add(&t, PG_CHUNK_PUT);
	}
	pg_turn_send(&t);
	for (uint32_t i = 0; i < s->n; i++)
		(void)pg_turn_done(&t, NULL);
	return pg_turn_end(&t);
}

static int send(struct pg_store *store, int64_t blob, uint32_t first,
		const uint8_t *bytes, size_t len)
{
	struct sending s = {
		.blob = blob,
		.first = first,
		.n = (uint32_t)((len + PG_CHUNK - 1) / PG_CHUNK),
		.bytes = bytes,
		.len = len,
	};

	return s.n ? pg_run(store, try_send, &s) : 0;
}

int pg_blob_put(struct pg_store *store, const struct blt_source *source,
		int64_t *ret)
{
	const uint64_t most = (uint64_t)WINDOW * PG_CHUNK;
	int64_t blob = pg_blob_new(store);
	uint8_t *buf = malloc(most);
	int rc = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; rc == 0 && at < source->len; at += most) {
		size_t n = (size_t)min_u64(most, source->len - at);

		rc = source->read(source->arg, buf, n, at);
		if (rc == 0)
			rc = send(store, blob, (uint32_t)(at / PG_CHUNK), buf,
				  n);
	}
	free(buf);
	if (rc == 0)
		*ret = blob;
	return rc;
}

/* ---- streams ---- */

/* A window of chunks is held, and written when another is wanted. */
struct stream {
	struct blt_stream face;
	struct pg_store *store;
	int64_t blob;
	uint64_t len;    /* of the value */
	uint64_t stored; /* so far there are chunks, without a gap */
	uint64_t at;     /* where the window begins */
	bool held, dirty;
	bool shrunk; /* there may be chunks behind its end */
	uint8_t buf[(size_t)WINDOW * PG_CHUNK];
};

#define WINDOW_BYTES ((uint64_t)WINDOW * PG_CHUNK)

static struct stream *stream_of(struct blt_stream *s)
{
	return (struct stream *)(void *)s;
}

int pg_stream_open(struct blt *blt, size_t key_len, uint64_t room,
		   struct blt_stream **ret)
{
	struct stream *s;

	(void)key_len;
	(void)room;
	if (!blt->writable)
		return -EROFS;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	memset(s, 0, offsetof(struct stream, buf));
	s->face.store = blt;
	s->store = pg_of(blt);
	s->blob = pg_blob_new(s->store);
	*ret = &s->face;
	return 0;
}

static int put_window(struct stream *s)
{
	size_t n;
	int rc;

	if (!s->dirty || s->at >= s->len)
		return 0;
	n = (size_t)min_u64(WINDOW_BYTES, s->len - s->at);
	rc = send(s->store, s->blob, (uint32_t)(s->at / PG_CHUNK), s->buf, n);
	if (rc == 0) {
		s->dirty = false;
		s->stored = max_u64(s->stored, s->at + n);
	}
	return rc;
}

/* The window with this place in it; every one in front of it has its chunks. */
static int hold(struct stream *s, uint64_t offset)
{
	uint64_t at = offset - offset % WINDOW_BYTES;
	uint64_t have = min_u64(s->stored, s->len);
	int64_t got = 0;
	int rc;

	if (s->held && s->at == at)
		return 0;
	rc = put_window(s);
	if (rc < 0)
		return rc;
	memset(s->buf, 0, sizeof(s->buf));
	if (at < have)
		got = pg_blob_read(s->store, s->blob, have, s->buf,
				   WINDOW_BYTES, at);
	s->held = got >= 0;
	s->at = at;
	s->dirty = false;
	return got < 0 ? (int)got : 0;
}

/* Chunks of zeros up to this place. */
static int fill_gap(struct stream *s, uint64_t to)
{
	int rc = 0;

	while (rc == 0 && s->stored < to - to % WINDOW_BYTES) {
		rc = hold(s, s->stored);
		if (rc < 0)
			break;
		s->dirty = true;
		s->len = max_u64(s->len, s->at + WINDOW_BYTES);
		rc = put_window(s);
	}
	return rc;
}

int pg_stream_write(struct blt_stream *face, const void *buf, size_t n,
		    uint64_t offset)
{
	struct stream *s = stream_of(face);
	const uint8_t *p = buf;
	int rc = 0;

	if (offset > PG_VALUE_MAX || n > PG_VALUE_MAX - offset)
		return -EFBIG;
	while (n && rc == 0) {
		size_t part = (size_t)min_u64(n, WINDOW_BYTES -
							 offset % WINDOW_BYTES);

		rc = fill_gap(s, offset);
		if (rc == 0)
			rc = hold(s, offset);
		if (rc < 0)
			break;
		memcpy(s->buf + (offset - s->at), p, part);
		s->dirty = true;
		s->len = max_u64(s->len, offset + part);
		offset += part;
		p += part;
		n -= part;
	}
	return rc;
}

int64_t pg_stream_read(struct blt_stream *face, void *buf, size_t n,
		       uint64_t offset)
{
	struct stream *s = stream_of(face);
	uint8_t *p = buf;
	size_t done = 0;
	int rc;

	if (offset >= s->len)
		return 0;
	n = (size_t)min_u64(n, s->len - offset);
	while (done < n) {
		uint64_t at = offset + done;
		size_t part = (size_t)min_u64(n - done,
					      WINDOW_BYTES - at % WINDOW_BYTES);

		rc = hold(s, at);
		if (rc < 0)
			return rc;
		memcpy(p + done, s->buf + (at - s->at), part);
		done += part;
	}
	return (int64_t)n;
}

int pg_stream_resize(struct blt_stream *face, uint64_t len)
{
	struct stream *s = stream_of(face);
	uint64_t old = s->len;
	int rc;

	if (len > PG_VALUE_MAX)
		return -EFBIG;
	if (len < old) {
		s->shrunk = true;
		/* what is behind the end reads as zeros when it is longer
		 * again */
		rc = len % WINDOW_BYTES ? hold(s, len) : 0;
		if (rc < 0)
			return rc;
		if (s->held && s->at + WINDOW_BYTES > len) {
			size_t from = len > s->at ? (size_t)(len - s->at) : 0;

			memset(s->buf + from, 0, sizeof(s->buf) - from);
			s->dirty = true;
		}
		s->stored = min_u64(s->stored, len - len % WINDOW_BYTES);
	} else if (len > old) {
		rc = fill_gap(s, len);
		if (rc == 0 && len % WINDOW_BYTES)
			rc = hold(s, len);
		if (rc < 0)
			return rc;
		s->dirty = s->dirty || len % WINDOW_BYTES;
	}
	s->len = len;
	return 0;
}

uint64_t pg_stream_len(const struct blt_stream *face)
{
	return ((const struct stream *)(const void *)face)->len;
}

int pg_stream_sync(struct blt_stream *face)
{
	return put_window(stream_of(face));
}

static int read_back(void *arg, void *buf, size_t n, uint64_t offset)
{
	int64_t got = pg_stream_read(arg, buf, n, offset);

	return got < 0 ? (int)got : (uint64_t)got < n ? -EIO : 0;
}

static void fill_cut(void *arg, struct pg_args *args)
{
	const struct stream *s = arg;

	pg_args_int8(args, s->blob);
	pg_args_int4(args, (int32_t)((s->len + PG_CHUNK - 1) / PG_CHUNK));
}

static int cut(struct stream *s)
{
	return s->shrunk ? pg_do(s->store, PG_CHUNK_CUT, fill_cut, s) : 0;
}

/* A prune takes the chunks of a stream that is open for too long. */
static int check_there(struct stream *s)
{
	int64_t age = (int64_t)time(NULL) - (s->blob >> PG_BLOB_BITS);
	PGresult *res;
	int rc;

	if (age < PG_ORPHAN_AGE / 2)
		return 0;
	rc = pg_ask(s->store, PG_CHUNK_SUM, pg_fill_number, &s->blob, &res);
	if (rc == 0 && (uint64_t)pg_int8(res, 0, 1) != s->len)
		rc = -EIO;
	PQclear(res);
	return rc;
}

int pg_stream_commit(struct blt_stream *face, const void *key, size_t key_len,
		     int64_t timestamp)
{
	struct stream *s = stream_of(face);
	const struct blt_source all = { s->len, read_back, face };
	struct backend_key k;
	int64_t at;
	int rc = pg_key(&s->store->face, key, key_len, &k);

	if (rc == 0)
		rc = backend_time(&s->store->face, timestamp, &at);
	if (rc == 0 && s->len <= PG_INLINE)
		rc = pg_put_from(&s->store->face, key, key_len, &all, at);
	else if (rc == 0 && (rc = put_window(s)) == 0 && (rc = cut(s)) == 0 &&
		 (rc = check_there(s)) == 0)
		rc = pg_put_blob(s->store, key, key_len, s->blob, s->len, at);
	if (rc == 0)
		free(s);
	return rc;
}

void pg_stream_abort(struct blt_stream *face)
{
	/* Its chunks are orphans. */
	free(stream_of(face));
}

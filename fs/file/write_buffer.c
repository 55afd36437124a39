/* Invariant: mem[0..len), the file's first len bytes, or the stream's are the
 * content; what lies behind is unspecified in memory and absent in the others,
 * so growing clears in memory and needs nothing there.
 */
#include "file/write_buffer.h"

#include "main/clock.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)

/* A stream costs some syncs: less than this goes into a temporary file. */
#define STREAM_LEAST ((uint64_t)1 << 20)

/* A hole that is longer takes no memory: in a stream, and in a temporary file,
 * it is one of the file. */
#define HOLE_LEAST ((uint64_t)8 << 20)

static void changed(struct write_buffer *s)
{
	s->dirty = true;
	s->mtime = clock_now_us();
}

/* ---- temporary files ---- */

/* Beside the store there is room for what will be put into it. */
static int open_temporary(const char *dir)
{
	int fd = unnamed_file(dir);

	return fd < 0 ? unnamed_file(unnamed_dir()) : fd;
}

static int write_all(int fd, const uint8_t *p, uint64_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)offset);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += done;
		n -= (uint64_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

static void drop_memory(struct write_buffer *s)
{
	atomic_fetch_sub(&s->pool->used, s->cap);
	free(s->mem);
	s->mem = NULL;
	s->cap = 0;
}

static bool streams(const struct write_buffer *s, uint64_t len)
{
	uint64_t least = s->pool->max / 2;

	return s->pool->store &&
	       len >= (least < STREAM_LEAST ? least : STREAM_LEAST);
}

/* What has come so far is the only hint at what will, but for a hole, which
 * reaches to len. */
static int spill_to_store(struct write_buffer *s, uint64_t len)
{
	uint64_t room = 4 * s->len > len ? 4 * s->len : len;
	struct blt_stream *stream;
	int rc = blt_stream_open(s->pool->store, s->key_len, room, &stream);

	if (rc < 0)
		return rc;
	rc = blt_stream_write(stream, s->mem, s->len, 0);
	if (rc < 0) {
		blt_stream_abort(stream);
		return rc;
	}
	drop_memory(s);
	s->stream = stream;
	return 0;
}

static int spill(struct write_buffer *s, uint64_t len)
{
	int fd, rc;

	if (streams(s, len) && spill_to_store(s, len) == 0)
		return 0;
	fd = open_temporary(s->pool->dir);
	if (fd < 0)
		return fd;
	rc = write_all(fd, s->mem, s->len, 0);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	drop_memory(s);
	s->fd = fd;
	return 0;
}

/* ---- room ---- */

/* Memory for len bytes, or the temporary file where the limits say so. */
static int reserve(struct write_buffer *s, uint64_t len)
{
	uint64_t cap = s->cap * 2 > 4096 ? s->cap * 2 : 4096;
	uint8_t *mem;

	if (s->fd >= 0 || s->stream || len <= s->cap)
		return 0;
	if (cap < len)
		cap = len;
	if (len > s->len + HOLE_LEAST)
		return spill(s, len);
	if (len > WRITE_BUFFER_MEMORY)
		return spill(s, s->len);
	if (atomic_fetch_add(&s->pool->used, cap - s->cap) + cap - s->cap >
	    s->pool->max)
		goto full;
	mem = realloc(s->mem, cap);
	if (!mem)
		goto full;
	s->mem = mem;
	s->cap = cap;
	return 0;

full:
	atomic_fetch_sub(&s->pool->used, cap - s->cap);
	return spill(s, s->len);
}

/* Makes the content reach to len at least. */
static int extend(struct write_buffer *s, uint64_t len)
{
	int rc;

	if (len > s->pool->value_max)
		return -EFBIG;
	if (len <= s->len)
		return 0;
	rc = reserve(s, len);
	if (rc < 0)
		return rc;
	if (s->stream) {
		rc = blt_stream_resize(s->stream, len);
		if (rc < 0)
			return rc;
	} else if (s->fd >= 0) {
		if (ftruncate(s->fd, (off_t)len) < 0)
			return -errno;
	} else {
		memset(s->mem + s->len, 0, len - s->len);
	}
	s->len = len;
	return 0;
}

/* ---- the interface ---- */

int write_buffer_new(struct write_buffer_pool *pool, struct write_buffer **ret)
{
	struct write_buffer *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->pool = pool;
	s->fd = -1;
	*ret = s;
	return 0;
}

void write_buffer_free(struct write_buffer *s)
{
	if (!s)
		return;
	drop_memory(s);
	blt_stream_abort(s->stream);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static int put_in_stream(struct write_buffer *s, const void *buf, size_t n,
			 uint64_t offset)
{
	int rc = blt_stream_write(s->stream, buf, n, offset);

	s->len = blt_stream_len(s->stream);
	return rc;
}

static int put_bytes(struct write_buffer *s, const void *buf, size_t n,
		     uint64_t offset)
{
	const uint64_t most = s->pool->value_max;
	uint64_t old = s->len;
	int rc;

	if (offset > most || n > most - offset)
		return -EFBIG;
	/* Without a hole nothing needs clearing first. */
	if (offset <= s->len) {
		rc = reserve(s, offset + n);
		if (rc == 0 && s->mem && s->len < offset + n)
			s->len = offset + n;
	} else {
		rc = extend(s, offset + n);
	}
	if (rc < 0)
		return rc;
	if (s->stream)
		return put_in_stream(s, buf, n, offset);
	if (s->fd < 0) {
		memcpy(s->mem + offset, buf, n);
		return 0;
	}
	rc = write_all(s->fd, buf, n, offset);
	if (rc < 0) {
		/* Part of it may stand behind the old end. */
		if (ftruncate(s->fd, (off_t)old) == 0)
			s->len = old;
		return rc;
	}
	if (s->len < offset + n)
		s->len = offset + n;
	return 0;
}

int write_buffer_write(struct write_buffer *s, const void *buf, size_t n,
		       uint64_t offset)
{
	int rc;

	if (n == 0)
		return 0;
	rc = put_bytes(s, buf, n, offset);
	if (rc < 0)
		return rc;
	s->written = true;
	changed(s);
	return 0;
}

int write_buffer_resize(struct write_buffer *s, uint64_t len)
{
	int rc = 0;

	if (len < s->len) {
		if (s->stream)
			rc = blt_stream_resize(s->stream, len);
		else if (s->fd >= 0 && ftruncate(s->fd, (off_t)len) < 0)
			rc = -errno;
		if (rc == 0)
			s->len = len;
	} else {
		rc = extend(s, len);
	}
	if (rc < 0)
		return rc;
	s->written = len > 0;
	changed(s);
	return 0;
}

/* Of what has been spilled. */
static int write_zeros(struct write_buffer *s, uint64_t offset, uint64_t n)
{
	static const uint8_t zeros[65536];
	int rc = 0;

	while (n > 0 && rc == 0) {
		uint64_t part = n < sizeof(zeros) ? n : sizeof(zeros);

		rc = s->stream ? put_in_stream(s, zeros, part, offset) :
				 write_all(s->fd, zeros, part, offset);
		offset += part;
		n -= part;
	}
	return rc;
}

int write_buffer_zero(struct write_buffer *s, uint64_t offset, uint64_t n)
{
	int rc = 0;

	if (offset >= s->len)
		return 0;
	if (n > s->len - offset)
		n = s->len - offset;
	if (s->mem)
		memset(s->mem + offset, 0, n);
	else if (s->stream ||
		 fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   (off_t)offset, (off_t)n) < 0)
		rc = write_zeros(s, offset, n);
	if (rc == 0)
		changed(s);
	return rc;
}

int64_t write_buffer_read(struct write_buffer *s, void *buf, size_t n,
			  uint64_t offset)
{
	size_t done = 0;

	if (offset >= s->len)
		return 0;
	if (n > s->len - offset)
		n = s->len - offset;
	if (s->stream)
		return blt_stream_read(s->stream, buf, n, offset);
	if (s->fd < 0) {
		memcpy(buf, s->mem + offset, n);
		return (int64_t)n;
	}
	while (done < n) {
		ssize_t got = pread(s->fd, (uint8_t *)buf + done, n - done,
				    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	return (int64_t)n;
}

int write_buffer_load(struct write_buffer *s, const void *buf, size_t n)
{
	int rc = n ? put_bytes(s, buf, n, s->len) : 0;

	s->written = s->len > 0;
	return rc;
}

int write_buffer_fill(struct write_buffer *s, const struct blt_view *view)
{
	uint8_t *buf = malloc(CHUNK);
	uint64_t at = 0;
	int rc = buf ? 0 : -ENOMEM;

	while (rc == 0 && at < view->len) {
		int64_t n = blt_view_copy(view, buf, CHUNK, at);

		if (n <= 0)
			rc = n < 0 ? (int)n : -EIO;
		else
			rc = write_buffer_load(s, buf, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(buf);
	return rc;
}

static int source_read(void *arg, void *buf, size_t n, uint64_t offset)
{
	int64_t got = write_buffer_read(arg, buf, n, offset);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EIO;
}

struct blt_source write_buffer_source(struct write_buffer *s)
{
	return (struct blt_source){
		.len = s->len,
		.read = source_read,
		.arg = s,
	};
}

int write_buffer_put(struct write_buffer *s, struct blt *store, const void *key,
		     size_t key_len, int64_t mtime)
{
	struct blt_source source = write_buffer_source(s);
	int rc;

	if (s->stream) {
		rc = blt_stream_commit(s->stream, key, key_len, mtime);
		if (rc == 0)
			s->stream = NULL;
		return rc;
	}
	if (s->mem || s->len == 0)
		return blt_put(store, key, key_len,
			       s->mem ? s->mem : (const uint8_t *)"", s->len,
			       mtime);
	return blt_put_from(store, key, key_len, &source, mtime);
}

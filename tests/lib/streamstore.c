#include "lib/streamstore.h"
#include "booklet/store/store.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char stream_path[128];

/* Nothing here is about power cuts. */
static int no_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

unsigned full_at;

static ssize_t write_or_full(void *arg, int fd, const void *buf, size_t n,
			     off_t pos)
{
	struct stat st;

	(void)arg;
	if (full_at && fstat(fd, &st) == 0 && pos >= st.st_size &&
	    --full_at == 0) {
		errno = ENOSPC;
		return -1;
	}
	return pwrite(fd, buf, n, pos);
}

bool no_reserves;

static int reserve(void *arg, int fd, int mode, off_t pos, off_t len)
{
	if (!no_reserves)
		return file_system_ops.fallocate(arg, fd, mode, pos, len);
	errno = EOPNOTSUPP;
	return -1;
}

struct blt *open_store(enum blt_mode mode,
		       const struct blt_create_options *create)
{
	struct blt_open_options o = { .mode = mode, .no_threads = true };
	struct file_ops ops = file_system_ops;
	struct blt_error err = { "" };
	struct blt *s;

	if (create)
		o.create = *create;
	ops.fdatasync = no_sync;
	ops.pwrite = write_or_full;
	ops.fallocate = reserve;
	ck_assert_msg(store_open(stream_path, &o, &ops, &s, &err) == 0, "%s",
		      err.text);
	return s;
}

struct blt *make(const struct blt_create_options *create)
{
	static const struct blt_create_options usual = { .n_buckets = 101 };

	snprintf(stream_path, sizeof(stream_path), "test-stream-%d.blt",
		 (int)getpid());
	return open_store(BLT_TRUNCATE, create ? create : &usual);
}

void done(struct blt *s)
{
	ck_assert_int_eq(blt_close(s), 0);
	unlink(stream_path);
}

static uint8_t byte_at(unsigned seed, uint64_t i)
{
	return (uint8_t)((i * (seed | 1) + seed) >> 3);
}

void fill(uint8_t *to, unsigned seed, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = byte_at(seed, from + i);
}

void write_some(struct blt_stream *st, unsigned seed, uint64_t from,
		uint64_t to)
{
	uint8_t buf[5000];

	while (from < to) {
		size_t n = (size_t)min_u64(sizeof(buf), to - from);

		fill(buf, seed, from, n);
		ck_assert_int_eq(blt_stream_write(st, buf, n, from), 0);
		from += n;
	}
}

void check_value(struct blt *s, const char *key, unsigned seed, uint64_t len)
{
	struct blt_view v;
	uint8_t *want;

	ck_assert_int_eq(blt_get(s, key, strlen(key), &v), 0);
	ck_assert_uint_eq(v.len, len);
	want = malloc(len + 1);
	ck_assert_ptr_nonnull(want);
	fill(want, seed, 0, len);
	ck_assert(memcmp(v.data, want, len) == 0);
	free(want);
	blt_view_release(&v);
}

struct blt_stream *begin(struct blt *s, const char *key, uint64_t room)
{
	struct blt_stream *st;

	ck_assert_int_eq(blt_stream_open(s, strlen(key), room, &st), 0);
	return st;
}

void commit(struct blt_stream *st, const char *key)
{
	ck_assert_int_eq(blt_stream_commit(st, key, strlen(key), 12345), 0);
}

uint64_t file_size_now(void)
{
	struct stat st;

	ck_assert_int_eq(stat(stream_path, &st), 0);
	return (uint64_t)st.st_size;
}

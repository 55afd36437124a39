/* A commit after which much waits for a sync, which then fails: the commit is
 * made, and says so; the failure is told by whoever asks for a sync. */
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN ((uint64_t)33 << 20) /* more than may wait */
#define KEY "key"
/* In front of a long value. */
#define PAD (33 + BATCH_KEY_SLACK)

static char path[64];

/* The disk is full from a position on, 0: nowhere; a sync gives an error, 0:
 * none. */
struct disk {
	uint64_t full_at;
	int sync_fails;
	uint64_t had; /* the file has disk space up to there */
};

static void get_space(struct disk *d, int fd, uint64_t from, uint64_t to)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	d->had = max_u64(d->had, (uint64_t)st.st_size);
	if (from <= d->had)
		d->had = max_u64(d->had, to);
}

static ssize_t write_some(void *arg, int fd, const void *buf, size_t len,
			  off_t pos)
{
	struct disk *d = arg;

	if (d->full_at && (uint64_t)pos > d->full_at) {
		errno = ENOSPC;
		return -1;
	}
	get_space(d, fd, (uint64_t)pos, (uint64_t)pos + len);
	return pwrite(fd, buf, len, pos);
}

static int reserve_some(void *arg, int fd, int mode, off_t pos, off_t len)
{
	(void)mode;
	get_space(arg, fd, (uint64_t)pos, (uint64_t)(pos + len));
	return 0;
}

/* What is reserved behind the end goes with it. */
static int cut_some(void *arg, int fd, off_t len)
{
	struct disk *d = arg;

	if (d->had > (uint64_t)len)
		d->had = (uint64_t)len;
	return ftruncate(fd, len);
}

static int sync_some(void *arg, int fd)
{
	const struct disk *d = arg;

	(void)fd;
	errno = d->sync_fails;
	return d->sync_fails ? -1 : 0;
}

static struct blt *open_on(struct disk *d)
{
	const struct blt_open_options o = { .mode = BLT_TRUNCATE,
					    .create = { .n_buckets = 11 },
					    .no_threads = true };
	struct file_ops ops = file_system_ops;
	struct blt_error err = { "" };
	struct blt *s;

	snprintf(path, sizeof(path), "test-full-%d.blt", (int)getpid());
	ops.pwrite = write_some;
	ops.fdatasync = sync_some;
	ops.fallocate = reserve_some;
	ops.ftruncate = cut_some;
	ops.arg = d;
	ck_assert_msg(store_open(path, &o, &ops, &s, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(blt_put(s, "a", 1, "b", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_sync(s), 0);
	return s;
}

static int read_long(void *arg, void *buf, size_t n, uint64_t offset)
{
	(void)arg;
	memset(buf, 'v', n);
	(void)offset;
	return 0;
}

static int put_long(struct blt *s)
{
	const struct blt_source source = { .len = LEN, .read = read_long };

	return blt_put_from(s, KEY, strlen(KEY), &source, BLT_NOW);
}

static void expect_long(struct blt *s)
{
	struct blt_view v;

	ck_assert_int_eq(blt_get(s, KEY, strlen(KEY), &v), 0);
	ck_assert_uint_eq(v.len, LEN);
	ck_assert_int_eq(v.data[LEN - 1], 'v');
	blt_view_release(&v);
}

static uint64_t size_of(struct blt *s)
{
	struct blt_info info;

	blt_get_info(s, &info);
	return info.file_size;
}

/* There is room for the value, and none for its record. */
START_TEST(a_full_disk_is_told_later)
{
	struct disk d = { 0 };
	struct blt *s = open_on(&d);

	d.full_at = size_of(s) + PAD + LEN + 20;
	ck_assert_int_eq(put_long(s), 0);
	expect_long(s);
	ck_assert_int_eq(blt_delete(s, "a", 1), 0);
	ck_assert_int_eq(blt_sync(s), -ENOSPC);
	expect_long(s);
	d.full_at = 0;
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(blt_open(path, NULL, &s, NULL), 0);
	expect_long(s);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

START_TEST(a_failed_sync_is_told_later)
{
	struct disk d = { 0 };
	struct blt *s = open_on(&d);

	d.sync_fails = EIO;
	ck_assert_int_eq(put_long(s), 0);
	expect_long(s);
	ck_assert_int_eq(blt_put(s, "a", 1, "c", 1, BLT_NOW), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	expect_long(s);
	ck_assert_int_eq(blt_close(s), -EIO);
	unlink(path);
}
END_TEST

/* What a write that met a full disk gave back is asked for again before more
 * is taken. */
START_TEST(space_is_reserved_again)
{
	struct disk d = { 0 };
	struct blt *s = open_on(&d);

	ck_assert_uint_gt(d.had, size_of(s));
	ck_assert_int_eq(blt_put(s, "b", 1, "1", 1, BLT_NOW), 0);
	d.full_at = 1;
	ck_assert_int_eq(blt_sync(s), -ENOSPC);
	ck_assert_uint_lt(d.had, size_of(s));
	d.full_at = 0;
	ck_assert_int_eq(blt_put(s, "c", 1, "2", 1, BLT_NOW), 0);
	ck_assert_uint_ge(d.had, size_of(s));
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("full");
	TCase *tc = tcase_create("full");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, a_full_disk_is_told_later);
	tcase_add_test(tc, a_failed_sync_is_told_later);
	tcase_add_test(tc, space_is_reserved_again);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

/* What trim makes of dead blocks: as few as the format allows, holes under
 * them, and nothing else. */
#include "booklet/core/snapshot.h"
#include "lib/sound.h"
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VALUE_MOST ((size_t)70000)

static char path[64];

/* ---- a store that needs no real disk ---- */

static int no_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

/* A filesystem without holes, or without room for them at first; room counts
 * the reservations that find some. */
struct disk {
	bool no_holes;
	unsigned room;
	unsigned holes;
};

static struct disk disk;

static int with_disk(void *arg, int fd, int mode, off_t pos, off_t len)
{
	struct disk *d = arg;

	if (mode & FALLOC_FL_PUNCH_HOLE) {
		if (d->no_holes) {
			errno = EOPNOTSUPP;
			return -1;
		}
		d->holes++;
		d->room = UINT32_MAX;
	} else if (!d->room) {
		errno = ENOSPC;
		return -1;
	} else {
		d->room--;
	}
	return fallocate(fd, mode, pos, len);
}

static struct blt *open_with(const struct blt_open_options *o)
{
	struct file_ops ops = file_system_ops;
	struct blt_error err = { "" };
	struct blt *s;

	ops.fdatasync = no_sync;
	ops.fallocate = with_disk;
	ops.arg = &disk;
	disk = (struct disk){ .room = UINT32_MAX };
	ck_assert_msg(store_open(path, o, &ops, &s, &err) == 0, "%s", err.text);
	return s;
}

static struct blt *make(const struct blt_create_options *how)
{
	struct blt_open_options o = { .mode = BLT_TRUNCATE,
				      .create = *how,
				      .no_threads = true };

	snprintf(path, sizeof(path), "test-trim-%d.blt", (int)getpid());
	o.create.n_buckets = 101;
	return open_with(&o);
}

static struct blt *open_again(struct blt *s)
{
	struct blt_open_options o = { .mode = BLT_WRITE, .no_threads = true };

	ck_assert_int_eq(blt_close(s), 0);
	return open_with(&o);
}

/* ---- what it holds ---- */

static const struct blt_create_options kinds[] = {
	{ .no_timestamps = true },
	{ .n_buckets = 0 },
	{ .value_len = 1 },
	/* Two neighbours are too long for one dead block. */
	{ .value_len = 70000 },
};

static size_t value_of(const struct blt_create_options *how, unsigned i,
		       uint8_t *to)
{
	size_t len = how->value_len ? how->value_len : 1 + i * 37 % 9000;

	memset(to, (int)(i % 251) + 1, len);
	return len;
}

static size_t key_of(unsigned i, char *to)
{
	return (size_t)sprintf(to, "key-%u", i);
}

static void put(struct blt *s, const struct blt_create_options *how, unsigned i)
{
	static uint8_t value[VALUE_MOST];
	size_t len = value_of(how, i, value);
	char key[32];

	ck_assert_int_eq(blt_put(s, key, key_of(i, key), value, len, 1000), 0);
}

static void drop(struct blt *s, unsigned i)
{
	char key[32];

	ck_assert_int_eq(blt_delete(s, key, key_of(i, key)), 0);
}

/* Runs of every length up to some, and single ones. */
static bool is_dead(unsigned i)
{
	return i % 11 == 3 || (i / 16) % 3 == 1;
}

static void fill(struct blt *s, const struct blt_create_options *how,
		 unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put(s, how, i);
	for (unsigned i = 0; i < n; i++)
		if (is_dead(i))
			drop(s, i);
}

static void expect(struct blt *s, const struct blt_create_options *how,
		   unsigned n)
{
	static uint8_t value[VALUE_MOST];

	for (unsigned i = 0; i < n; i++) {
		size_t len = value_of(how, i, value);
		struct blt_view v;
		char key[32];
		int rc = blt_get(s, key, key_of(i, key), &v);

		ck_assert_int_eq(rc, is_dead(i) ? -ENOENT : 0);
		if (rc < 0)
			continue;
		ck_assert_uint_eq(v.len, len);
		ck_assert(memcmp(v.data, value, len) == 0);
		blt_view_release(&v);
	}
}

/* ---- runs ---- */

/* Where dead blocks stand side by side in front of end, and how many. */
struct runs {
	struct {
		uint64_t pos, len, blocks;
	} run[400];
	size_t n;
};

static void find_runs(struct blt *s, uint64_t end, struct runs *ret)
{
	uint64_t at = 0;
	struct snapshot snapshot;
	struct block b;
	int rc;

	ret->n = 0;
	snapshot_start(&snapshot, &store_of(s)->engine, true);
	while ((rc = snapshot_next(&snapshot, &b)) > 0 && b.pos < end) {
		if (b.head.next != FORMAT_DEAD)
			continue;
		if (!ret->n || b.pos != at) {
			ck_assert_uint_lt(ret->n, ARRAY_SIZE(ret->run));
			ret->run[ret->n].pos = b.pos;
			ret->run[ret->n].len = 0;
			ret->run[ret->n++].blocks = 0;
		}
		ret->run[ret->n - 1].len += b.len;
		ret->run[ret->n - 1].blocks++;
		at = b.pos + b.len;
	}
	snapshot_end(&snapshot);
	ck_assert_int_ge(rc, 0);
}

static uint64_t end_of(struct blt *s)
{
	struct blt_info info;

	blt_get_info(s, &info);
	return info.file_size;
}

/* No dead blocks of theirs could do with fewer. */
static void expect_fewest(struct blt *s, const struct runs *before,
			  const struct runs *after)
{
	uint64_t most = format_dead_max(&store_of(s)->engine.wal.fmt);

	ck_assert_uint_eq(after->n, before->n);
	for (size_t i = 0; i < after->n; i++) {
		uint64_t len = before->run[i].len;

		ck_assert_uint_eq(after->run[i].pos, before->run[i].pos);
		ck_assert_uint_eq(after->run[i].len, len);
		ck_assert_uint_eq(after->run[i].blocks,
				  (len + most - 1) / most);
	}
}

static uint64_t blocks_in(const struct runs *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->run[i].blocks;
	return n;
}

/* ---- tests ---- */

static void merge_in_batches(const struct blt_create_options *how, size_t batch)
{
	static struct runs before, after;
	const unsigned n = how->value_len > 1 ? 100 : 500;
	struct blt_trim_result r;
	struct blt *s = make(how);
	uint64_t end;

	fill(s, how, n);
	s = open_again(s);
	end = end_of(s);
	find_runs(s, end, &before);
	ck_assert_uint_gt(blocks_in(&before), before.n);
	store_of(s)->engine.punch_page = 16;
	store_of(s)->engine.punch_runs = batch;
	ck_assert_int_eq(blt_trim(s, NULL, NULL, &r), 0);
	find_runs(s, end, &after);
	expect_fewest(s, &before, &after);
	ck_assert_uint_eq(r.merged, blocks_in(&before) - blocks_in(&after));
	ck_assert(r.no_holes || disk.holes);
	expect(s, how, n);
	s = open_again(s);
	check_sound(s);
	expect(s, how, n);
	/* Nothing is left to be merged but what the first one has written. */
	find_runs(s, end, &after);
	expect_fewest(s, &before, &after);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}

START_TEST(as_few_as_the_format_allows)
{
	static const size_t batches[] = { 0, 64, 7, 3, 2 };
	/* It takes more than a few to make fewer of them. */
	size_t n = kinds[_i].value_len > 1 ? 2 : ARRAY_SIZE(batches);

	for (size_t i = 0; i < n; i++)
		merge_in_batches(&kinds[_i], batches[i]);
}
END_TEST

/* A file that says at once how much room it takes. */
static struct blt *in_memory(void)
{
	static uint8_t bytes[4096];
	int fd = memfd_create("test-trim", MFD_CLOEXEC), from;
	struct blt *s = make(&kinds[1]);
	ssize_t n;

	ck_assert_int_eq(blt_close(s), 0);
	from = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(from, 0);
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		ck_assert_int_eq(write(fd, bytes, (size_t)n), n);
	close(from);
	unlink(path);
	ck_assert_int_eq(store_adopt(fd, true, &file_system_ops, &s, NULL), 0);
	return s;
}

START_TEST(disk_space_is_given_back)
{
	static uint8_t value[1 << 20];
	struct blt_trim_result r;
	struct blt *s = in_memory();
	char key[32];

	for (unsigned i = 0; i < 8; i++) {
		memset(value, (int)i + 1, sizeof(value));
		ck_assert_int_eq(blt_put(s, key, key_of(i, key), value,
					 sizeof(value), 1000),
				 0);
	}
	for (unsigned i = 0; i < 8; i++)
		if (i != 4)
			drop(s, i);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, &r), 0);
	ck_assert(r.no_holes || r.freed > 7 * sizeof(value) - 65536);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, &r), 0);
	ck_assert_uint_le(r.freed, 65536);
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(without_holes_it_merges)
{
	static struct runs before, after;
	const struct blt_create_options *how = &kinds[1];
	struct blt_trim_result r;
	struct blt *s = make(how);
	uint64_t end;

	fill(s, how, 300);
	s = open_again(s);
	end = end_of(s);
	find_runs(s, end, &before);
	disk.no_holes = true;
	ck_assert_int_eq(blt_trim(s, NULL, NULL, &r), 0);
	ck_assert(r.no_holes);
	ck_assert_uint_eq(r.freed, 0);
	find_runs(s, end, &after);
	expect_fewest(s, &before, &after);
	expect(s, how, 300);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

/* No record can be written before there is a hole. */
START_TEST(a_full_disk_gets_room)
{
	static struct runs before, after;
	const struct blt_create_options *how = &kinds[_i];
	struct blt *s = make(how);
	uint64_t end;

	fill(s, how, 200);
	s = open_again(s);
	end = end_of(s);
	find_runs(s, end, &before);
	store_of(s)->engine.punch_page = 16;
	disk.room = 0;
	ck_assert_int_eq(blt_trim(s, NULL, NULL, NULL), 0);
	ck_assert_uint_gt(disk.holes, 0);
	find_runs(s, end, &after);
	expect_fewest(s, &before, &after);
	expect(s, how, 200);
	s = open_again(s);
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

static int give_up(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	unsigned *left = arg;

	ck_assert_uint_le(done, total);
	ck_assert_uint_eq(keys, 0);
	return (*left)-- ? 0 : -ECANCELED;
}

START_TEST(it_stops_anywhere)
{
	const struct blt_create_options *how = &kinds[1];
	struct blt *s = make(how);
	int rc = -ECANCELED;

	fill(s, how, 200);
	for (unsigned n = 0; rc == -ECANCELED; n += 3) {
		unsigned left = n;

		store_of(s)->engine.punch_page = 16;
		store_of(s)->engine.punch_runs = 5;
		rc = blt_trim(s, give_up, &left, NULL);
		expect(s, how, 200);
		check_sound(s);
	}
	ck_assert_int_eq(rc, 0);
	s = open_again(s);
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

START_TEST(those_who_cannot_trim)
{
	const struct blt_create_options *how = &kinds[0];
	struct blt *s = make(how);
	struct blt_iter *it;

	fill(s, how, 50);
	ck_assert_int_eq(blt_iter_new(s, &it), 0);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, NULL), -EBUSY);
	blt_iter_free(it);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, NULL), 0);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(blt_open(path, NULL, &s, NULL), 0);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, NULL), -EROFS);
	expect(s, how, 50);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

/* ---- beside others ---- */

static void *trim_it(void *arg)
{
	ck_assert_int_eq(blt_trim(arg, NULL, NULL, NULL), 0);
	return NULL;
}

/* What a view shows and what an iterator has still to come to are waited for,
 * though their keys are gone. */
START_TEST(who_looks_is_waited_for)
{
	const struct blt_create_options *how = &kinds[1];
	static uint8_t value[VALUE_MOST];
	struct blt *s = make(how);
	struct blt_iter *it;
	struct blt_item item;
	struct blt_view v;
	pthread_t puncher;
	unsigned met = 0;
	char key[32];

	for (unsigned i = 0; i < 100; i++)
		put(s, how, i);
	ck_assert_int_eq(blt_sync(s), 0);
	store_of(s)->engine.punch_page = 16;
	ck_assert_int_eq(blt_get(s, key, key_of(20, key), &v), 0);
	ck_assert_int_eq(blt_iter_new(s, &it), 0);
	ck_assert_int_eq(blt_iter_next(it, &item), 1);
	for (unsigned i = 0; i < 100; i++)
		if (is_dead(i) || i == 20)
			drop(s, i);
	ck_assert_int_eq(pthread_create(&puncher, NULL, trim_it, s), 0);
	do {
		unsigned i;

		snprintf(key, sizeof(key), "%.*s", (int)item.key_len,
			 (const char *)item.key);
		ck_assert_int_eq(sscanf(key, "key-%u", &i), 1);
		ck_assert_uint_eq(item.value_len, value_of(how, i, value));
		ck_assert(memcmp(item.value, value, item.value_len) == 0);
		met++;
	} while (blt_iter_next(it, &item) > 0);
	blt_iter_free(it);
	ck_assert_uint_eq(met, 100);
	ck_assert_uint_eq(v.len, value_of(how, 20, value));
	ck_assert(memcmp(v.data, value, v.len) == 0);
	blt_view_release(&v);
	pthread_join(puncher, NULL);
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trim");
	TCase *tc = tcase_create("trim");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, as_few_as_the_format_allows, 0,
			    ARRAY_SIZE(kinds));
	tcase_add_test(tc, disk_space_is_given_back);
	tcase_add_test(tc, without_holes_it_merges);
	tcase_add_loop_test(tc, a_full_disk_gets_room, 0,
			    ARRAY_SIZE(kinds) - 1);
	tcase_add_test(tc, it_stops_anywhere);
	tcase_add_test(tc, those_who_cannot_trim);
	tcase_add_test(tc, who_looks_is_waited_for);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

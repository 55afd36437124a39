/* Many keys at once, where values stand, and walks over a part of the keys. */
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS 100

static char path[] = "/tmp/test-lookup-XXXXXX";
static struct blt *store;

static void open_store(uint32_t value_len)
{
	/* What grows does so when it is told to. */
	struct blt_open_options o = { .mode = BLT_TRUNCATE,
				      .no_threads = true,
				      .create = { .n_buckets = 7,
						  .value_len = value_len } };
	int fd;

	strcpy(path, "/tmp/test-lookup-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(blt_open(path, &o, &store, NULL), 0);
}

static void close_store(void)
{
	ck_assert_int_eq(blt_close(store), 0);
	unlink(path);
}

static size_t key_of(unsigned i, char key[32])
{
	return (size_t)sprintf(key, "%s/%03u", i % 3 ? "odd" : "third", i);
}

static void put_keys(const char *value)
{
	char key[32];

	for (unsigned i = 0; i < KEYS; i++)
		ck_assert_int_eq(blt_put(store, key, key_of(i, key), value,
					 strlen(value), 1000),
				 0);
}

START_TEST(test_many)
{
	static char key[KEYS + 2][32];
	struct blt_bytes q[KEYS + 2];
	struct blt_view v[KEYS + 2];
	int result[KEYS + 2];

	open_store(0);
	put_keys("value");
	ck_assert_int_eq(blt_slot_put(store, BLT_METADATA, "{}", 2), 0);
	ck_assert_int_eq(blt_sync(store), 0);
	for (unsigned i = 0; i < KEYS; i++)
		q[i] = (struct blt_bytes){ key[i], key_of(i, key[i]) };
	/* In memory still. */
	ck_assert_int_eq(
		blt_put(store, key[50], strlen(key[50]), "other", 5, 7), 0);
	q[KEYS] = (struct blt_bytes){ "none", 4 };
	q[KEYS + 1] = (struct blt_bytes){ "adb01ebc1ba3433eb043527", 23 };
	ck_assert_uint_eq(blt_get_many(store, q, KEYS + 2, v, result), KEYS);
	ck_assert_int_eq(result[KEYS], -ENOENT);
	ck_assert_int_eq(result[KEYS + 1], -ENOENT);
	for (unsigned i = 0; i < KEYS; i++) {
		ck_assert_int_eq(result[i], 0);
		ck_assert_uint_eq(v[i].len, 5);
		ck_assert(memcmp(v[i].data, i == 50 ? "other" : "value", 5) ==
			  0);
		ck_assert_int_eq(v[i].timestamp, i == 50 ? 7 : 1000);
		blt_view_release(&v[i]);
	}
	ck_assert_uint_eq(blt_get_many(store, q, 0, v, result), 0);
	close_store();
}
END_TEST

START_TEST(test_locate)
{
	struct blt_location l;
	uint64_t before;
	char buf[5];

	open_store(0);
	put_keys("value");
	before = blt_compactions(store);
	ck_assert_int_eq(blt_locate(store, "none", 4, &l), -ENOENT);
	ck_assert_int_eq(blt_locate(store, "odd/001", 7, &l), 0);
	ck_assert_uint_eq(l.len, 5);
	ck_assert_int_eq(l.timestamp, 1000);
	/* Its bytes stay, whatever becomes of the key. */
	ck_assert_int_eq(blt_delete(store, "odd/001", 7), 0);
	ck_assert_int_eq(blt_reindex(store, 501, NULL, NULL), 0);
	ck_assert_int_eq(
		pread(blt_fd(store), buf, sizeof(buf), (off_t)l.offset), 5);
	ck_assert(memcmp(buf, "value", 5) == 0);
	ck_assert_uint_eq(blt_compactions(store), before);
	close_store();
}
END_TEST

/* An index of 3 buckets is too short for a dead block: its neighbour moves. */
START_TEST(test_blocks_that_move)
{
	struct blt_location l;
	uint64_t before;
	char buf[8];

	open_store(8);
	put_keys("8 bytes.");
	ck_assert_int_eq(blt_reindex(store, 3, NULL, NULL), 0);
	before = blt_compactions(store);
	ck_assert_int_eq(blt_reindex(store, 501, NULL, NULL), 0);
	ck_assert_uint_gt(blt_compactions(store), before);
	for (unsigned i = 0; i < KEYS; i++) {
		char key[32];

		ck_assert_int_eq(blt_locate(store, key, key_of(i, key), &l), 0);
		ck_assert_int_eq(pread(blt_fd(store), buf, 8, (off_t)l.offset),
				 8);
		ck_assert(memcmp(buf, "8 bytes.", 8) == 0);
	}
	close_store();
}
END_TEST

static unsigned walk(const struct blt_iter_options *o)
{
	struct blt_item item;
	struct blt_iter *it;
	unsigned n = 0;

	ck_assert_int_eq(blt_iter_open(store, o, &it), 0);
	while (blt_iter_next(it, &item) > 0) {
		if (o && o->no_values)
			ck_assert_ptr_null(item.value);
		else
			ck_assert(memcmp(item.value, "value", 5) == 0);
		ck_assert_uint_eq(item.value_len, 5);
		if (o && o->prefix_len)
			ck_assert(memcmp(item.key, o->prefix, o->prefix_len) ==
				  0);
		n++;
	}
	blt_iter_free(it);
	return n;
}

START_TEST(test_part)
{
	struct blt_iter_options some = { .prefix = "odd/", .prefix_len = 4 };
	struct blt_iter_options keys = { .no_values = true };
	struct blt_iter_options none = { .prefix = "odd/001 and more",
					 .prefix_len = 16 };

	open_store(0);
	put_keys("value");
	ck_assert_uint_eq(walk(NULL), KEYS);
	ck_assert_uint_eq(walk(&keys), KEYS);
	ck_assert_uint_eq(walk(&some), 66);
	ck_assert_uint_eq(walk(&none), 0);
	close_store();
}
END_TEST

static int stop_at_once(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	unsigned *calls = arg;

	(void)keys;
	ck_assert_uint_le(done, total);
	return ++*calls == 1 ? -EINTR : 0;
}

START_TEST(test_stopped_growth)
{
	struct blt_check_result r;
	struct blt_info info;
	unsigned calls = 0;

	open_store(0);
	put_keys("value");
	store_of(store)->engine.growth.fill_step = 100;
	ck_assert_int_eq(blt_reindex(store, 1009, stop_at_once, &calls),
			 -EINTR);
	ck_assert_uint_eq(calls, 1);
	/* Whoever comes next finishes it. */
	ck_assert_int_eq(blt_check(store, NULL, NULL, NULL, &r), 0);
	ck_assert_uint_eq(r.faults, 0);
	blt_get_info(store, &info);
	ck_assert_uint_eq(info.n_buckets, 1009);
	ck_assert_int_eq(blt_reindex(store, 2003, stop_at_once, &calls), 0);
	ck_assert_uint_gt(calls, 2);
	ck_assert_uint_eq(walk(NULL), KEYS);
	close_store();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lookup");
	TCase *c = tcase_create("core");

	tcase_set_timeout(c, 0);
	tcase_add_test(c, test_many);
	tcase_add_test(c, test_locate);
	tcase_add_test(c, test_blocks_that_move);
	tcase_add_test(c, test_part);
	tcase_add_test(c, test_stopped_growth);
	suite_add_tcase(s, c);
	return run_suite(s);
}

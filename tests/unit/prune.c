/* What prune leaves where gaps are too small for a dead block. */
#include "blt.h"
#include "lib/sound.h"
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

/* Nothing here is about power cuts. */
static int no_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

static int no_sync_range(void *arg, void *at, size_t len, off_t pos)
{
	(void)arg;
	(void)at;
	(void)len;
	(void)pos;
	return 0;
}

static struct blt *open_with(const struct blt_open_options *o)
{
	struct file_ops ops = file_system_ops;
	struct blt_error err = { "" };
	struct blt *s;

	ops.fdatasync = no_sync;
	ops.sync_range = no_sync_range;
	ck_assert_msg(store_open(path, o, &ops, &s, &err) == 0, "%s", err.text);
	return s;
}

static const struct blt_create_options kinds[] = {
	{ .no_timestamps = true },
	{ .n_buckets = 0 },
	{ .value_len = 1 },
	/* Where one dead block is not long enough to be two. */
	{ .value_len = 70000 },
};

static struct blt *make(struct blt_create_options how, uint32_t n_buckets)
{
	struct blt_open_options o = { .mode = BLT_TRUNCATE,
				      .create = how,
				      .no_threads = true };

	snprintf(path, sizeof(path), "test-prune-%d.blt", (int)getpid());
	o.create.n_buckets = n_buckets;
	return open_with(&o);
}

/* The value of key i, of which there are versions. */
static size_t value_of(const struct blt_create_options *how, unsigned i,
		       unsigned version, uint8_t *to)
{
	size_t len = how->value_len ? how->value_len : 1 + i;

	memset(to, (int)(16 * version + i), len);
	return len;
}

static void put(struct blt *s, const struct blt_create_options *how, unsigned i,
		unsigned version)
{
	static uint8_t value[70000];
	size_t len = value_of(how, i, version, value);
	char key[16];
	size_t n = (size_t)sprintf(key, "key-%u", i);

	ck_assert_int_eq(blt_put(s, key, n, value, len, 1000), 0);
}

static void expect(struct blt *s, const struct blt_create_options *how,
		   unsigned i, unsigned version)
{
	static uint8_t value[70000];
	size_t len = value_of(how, i, version, value);
	struct blt_view v;
	char key[16];
	size_t n = (size_t)sprintf(key, "key-%u", i);

	ck_assert_msg(blt_get(s, key, n, &v) == 0, "%s is lost", key);
	ck_assert_uint_eq(v.len, len);
	ck_assert(memcmp(v.data, value, len) == 0);
	blt_view_release(&v);
}

/* Nothing is left but the header, the index and what lives. */
static void check_size(struct blt *s)
{
	struct blt_census c;
	struct blt_info info;

	ck_assert_int_eq(blt_count(s, &c), 0);
	blt_get_info(s, &info);
	ck_assert_uint_eq(c.dead_bytes, 0);
	ck_assert_uint_eq(info.file_size,
			  200 + 6ull * info.n_buckets + c.live_bytes);
}

/* Beside it, a walk meets every key once. */
static int walk(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct blt_census c;
	struct blt_info info;

	(void)keys;
	ck_assert_uint_le(done, total);
	ck_assert_int_eq(blt_count(arg, &c), 0);
	blt_get_info(arg, &info);
	ck_assert_uint_eq(c.keys, info.n_keys);
	return 0;
}

static void prune(struct blt *s, uint64_t chunk)
{
	struct blt_prune_options o = { .progress = walk, .arg = s };

	store_of(s)->engine.prune_chunk = chunk;
	ck_assert_int_eq(blt_prune(s, &o, NULL), 0);
	check_sound(s);
}

static struct blt *open_again(struct blt *s)
{
	struct blt_open_options o = { .mode = BLT_WRITE, .no_threads = true };

	ck_assert_int_eq(blt_close(s), 0);
	return open_with(&o);
}

static void end(struct blt *s)
{
	s = open_again(s);
	check_sound(s);
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}

/* An index of n buckets leaves fewer bytes in front of the first block than the
 * least dead block has; some keys in front of the next index, some behind,
 * every nth overwritten, which makes blocks in front of it dead. */
static void front(const struct blt_create_options *how, uint32_t n_buckets,
		  unsigned before, unsigned every)
{
	const uint32_t next = how->value_len > 1 ? 12007 : n_buckets + 1;
	const unsigned n = before + 2;
	struct blt *s = make(*how, n_buckets);

	for (unsigned i = 0; i < before; i++)
		put(s, how, i, 0);
	ck_assert_int_eq(blt_reindex(s, next, NULL, NULL), 0);
	for (unsigned i = before; i < n; i++)
		put(s, how, i, 0);
	for (unsigned i = 0; every && i < n; i += every)
		put(s, how, i, 1);
	prune(s, UINT64_C(64) << before);
	check_size(s);
	s = open_again(s);
	for (unsigned i = 0; i < n; i++)
		expect(s, how, i, every && i % every == 0);
	/* The same place twice. */
	ck_assert_int_eq(blt_reindex(s, n_buckets, NULL, NULL), 0);
	prune(s, 64);
	check_size(s);
	for (unsigned i = 0; i < n; i++)
		expect(s, how, i, every && i % every == 0);
	end(s);
}

START_TEST(a_small_index_was_in_front)
{
	const struct blt_create_options *how = &kinds[_i];
	const unsigned step = how->value_len > 1 ? 3 : 1;

	for (uint32_t n_buckets = 1; n_buckets < 6; n_buckets += step)
		for (unsigned before = 0; before < 6; before += step)
			for (unsigned every = 0; every < 4; every += step)
				front(how, n_buckets, before, every);
}
END_TEST

/* An index that stands alone, too small to be a dead block, and is left. */
START_TEST(growth_goes_on_behind)
{
	const struct blt_create_options *how = &kinds[_i];
	const unsigned n = how->value_len > 1 ? 5 : 15;
	struct blt *s = make(*how, 3);

	for (unsigned i = 0; i < n; i++)
		put(s, how, i, 0);
	for (uint32_t n_buckets = 1; n_buckets < 8; n_buckets++) {
		for (unsigned i = n_buckets % 2; i < n; i += 2)
			put(s, how, i, n_buckets);
		ck_assert_int_eq(blt_reindex(s, n_buckets, NULL, NULL), 0);
		prune(s, UINT64_C(64) << n_buckets);
		check_size(s);
	}
	for (unsigned i = 0; i < n; i++)
		expect(s, how, i, i % 2 ? 7 : 6);
	end(s);
}
END_TEST

/* A block with no key and no value is shorter than the least dead block that
 * booklet writes. */
START_TEST(a_block_is_shorter_than_a_dead_one)
{
	static const uint8_t value[70000];
	const struct blt_create_options *how = &kinds[_i];
	struct blt_census c;
	struct blt *s = make(*how, 11);

	for (unsigned i = 0; i < 6; i++) {
		ck_assert_int_eq(blt_put(s, "", 0, value, how->value_len, 1000),
				 0);
		put(s, how, i, 0);
	}
	ck_assert_int_eq(blt_delete(s, "", 0), 0);
	for (unsigned i = 0; i < 3; i++)
		prune(s, UINT64_C(64) << 4 * i);
	for (unsigned i = 0; i < 6; i++)
		expect(s, how, i, 0);
	ck_assert_int_eq(blt_count(s, &c), 0);
	ck_assert_uint_eq(c.keys, 6);
	end(s);
}
END_TEST

/* No sum of legal dead blocks has the length of the gap, nor comes to have it:
 * it stays. */
START_TEST(long_keys_behind_a_gap)
{
	static const uint8_t value[70000];
	static char key[65535];
	const struct blt_create_options *how = &kinds[3];
	struct blt *s = make(*how, 3);

	memset(key, 'x', sizeof(key));
	put(s, how, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		key[0] = (char)('a' + i);
		ck_assert_int_eq(blt_put(s, key, sizeof(key), value,
					 sizeof(value), 1000),
				 0);
	}
	ck_assert_int_eq(blt_reindex(s, 12007, NULL, NULL), 0);
	for (unsigned i = 0; i < 4; i += 2) {
		key[0] = (char)('a' + i);
		ck_assert_int_eq(blt_delete(s, key, sizeof(key)), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		prune(s, UINT64_C(4096) << 5 * i);
	expect(s, how, 0, 0);
	for (unsigned i = 1; i < 4; i += 2) {
		struct blt_view v;

		key[0] = (char)('a' + i);
		ck_assert_int_eq(blt_get(s, key, sizeof(key), &v), 0);
		blt_view_release(&v);
	}
	end(s);
}
END_TEST

/* The index goes to the end when some of what stood in front of it had been
 * packed by way of scratch space: which is then in front of it. */
START_TEST(scratch_space_comes_to_be_in_the_way)
{
	const struct blt_create_options *how = &kinds[_i];
	const unsigned n = 8;

	for (uint64_t chunk = 256; chunk <= 1 << 16; chunk *= 4) {
		struct blt *s = make(*how, 101);

		for (unsigned i = 0; i < n; i++)
			put(s, how, i, 0);
		ck_assert_int_eq(blt_reindex(s, 101, NULL, NULL), 0);
		prune(s, chunk);
		/* Now the index stands behind them, with all in front alive. */
		put(s, how, 0, 1);
		for (unsigned i = n; i < 2 * n; i++)
			put(s, how, i, 0);
		prune(s, chunk);
		check_size(s);
		for (unsigned i = 0; i < 2 * n; i++)
			expect(s, how, i, i == 0);
		end(s);
	}
}
END_TEST

/* The first time: a pair. */
static int put_beside(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct blt *s = arg;
	struct blt_view v;

	(void)done;
	(void)total;
	(void)keys;
	if (blt_get(s, "key-9", 5, &v) == 0)
		blt_view_release(&v);
	else
		put(s, &kinds[1], 9, 1);
	return 0;
}

START_TEST(what_is_committed_meanwhile_is_packed_too)
{
	const struct blt_create_options *how = &kinds[1];
	struct blt *s = make(*how, 101);
	struct blt_prune_options o = { .progress = put_beside, .arg = s };
	struct blt_prune_result r;

	for (unsigned version = 0; version < 100; version++) {
		for (unsigned i = 0; i < 9; i++)
			put(s, how, i, version);
	}
	ck_assert_int_eq(blt_prune(s, &o, &r), 0);
	ck_assert_uint_gt(r.size_before, r.size_after);
	check_size(s);
	for (unsigned i = 0; i < 9; i++)
		expect(s, how, i, 99);
	expect(s, how, 9, 1);
	end(s);
}
END_TEST

static struct blt_stream *stream;

static int stream_beside(void *arg, uint64_t done, uint64_t total,
			 uint64_t keys)
{
	(void)done;
	(void)total;
	(void)keys;
	return stream ? 0 : blt_stream_open(arg, 5, 4096, &stream);
}

/* The index is to go by way of the end, and the region of a stream that was
 * opened meanwhile, which stays, is right behind it. */
START_TEST(a_stream_is_in_the_way_of_the_index)
{
	const struct blt_create_options *how = &kinds[_i];

	for (uint32_t n_buckets = 1; n_buckets <= 12; n_buckets++) {
		for (unsigned n = 1; n <= 4; n++) {
			struct blt *s = make(*how, n_buckets);
			struct blt_prune_options o = {
				.progress = stream_beside,
				.arg = s,
			};

			stream = NULL;
			for (unsigned i = 0; i < 5; i++)
				put(s, how, i, 0);
			ck_assert_int_eq(
				blt_reindex(s, n_buckets + n, NULL, NULL), 0);
			for (unsigned i = 0; i < n; i++)
				put(s, how, i, 1);
			store_of(s)->engine.prune_chunk = 64;
			ck_assert_int_eq(blt_prune(s, &o, NULL), 0);
			ck_assert_ptr_nonnull(stream);
			blt_stream_abort(stream);
			prune(s, 64);
			for (unsigned i = 0; i < 5; i++)
				expect(s, how, i, i < n);
			end(s);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune");
	TCase *tc = tcase_create("prune");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, a_small_index_was_in_front, 0,
			    ARRAY_SIZE(kinds));
	tcase_add_loop_test(tc, growth_goes_on_behind, 0, ARRAY_SIZE(kinds));
	tcase_add_loop_test(tc, a_block_is_shorter_than_a_dead_one, 0,
			    ARRAY_SIZE(kinds));
	tcase_add_loop_test(tc, scratch_space_comes_to_be_in_the_way, 0,
			    ARRAY_SIZE(kinds));
	/* the first two kinds: others have no streams */
	tcase_add_loop_test(tc, a_stream_is_in_the_way_of_the_index, 0, 2);
	tcase_add_test(tc, long_keys_behind_a_gap);
	tcase_add_test(tc, what_is_committed_meanwhile_is_packed_too);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

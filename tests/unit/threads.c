/* Readers, walks and a directory tree beside writers and growth.  What each
 * thread sees must be whole: a value says which key it belongs to.  Run under
 * the thread sanitizer too. */
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS 3000
#define STABLE 1000 /* keys below this are overwritten, never deleted */

struct shared {
	struct blt *store;
	atomic_bool stop;
	unsigned writes; /* of each writer */
	atomic_uint reads, walks;
};

static size_t key_of(unsigned i, char key[32])
{
	return (size_t)sprintf(key, "dir%u/key%u", i % 17, i);
}

/* Long enough at times to be written past the tail's chunk. */
static size_t value_of(unsigned i, unsigned version, char *value)
{
	size_t len = 20 + (i * 31 + version * 17) % 400;
	size_t n = (size_t)sprintf(value, "%u:", i);

	memset(value + n, 'a' + (int)(version % 26), len);
	return n + len;
}

static void check_value(unsigned i, const uint8_t *value, size_t len)
{
	char start[32];
	size_t n = (size_t)sprintf(start, "%u:", i);

	ck_assert_uint_ge(len, n + 20);
	ck_assert(memcmp(value, start, n) == 0);
	for (size_t at = n; at < len; at++)
		ck_assert_int_eq(value[at], value[n]);
}

static void put(struct blt *store, unsigned i, unsigned version)
{
	char key[32], value[512];
	size_t key_len = key_of(i, key), len = value_of(i, version, value);

	ck_assert_int_eq(blt_put(store, key, key_len, value, len, BLT_NOW), 0);
}

static void check_key(struct blt *store, unsigned i)
{
	struct blt_view v;
	char key[32];

	ck_assert_int_eq(blt_get(store, key, key_of(i, key), &v), 0);
	check_value(i, v.data, v.len);
	blt_view_release(&v);
}

static void *read_keys(void *arg)
{
	struct shared *s = arg;
	unsigned seed = (unsigned)(uintptr_t)&seed;

	while (!atomic_load(&s->stop)) {
		unsigned i = (unsigned)rand_r(&seed) % KEYS;
		struct blt_view v;
		char key[32];
		size_t len = key_of(i, key);
		int rc = blt_get(s->store, key, len, &v);

		if (rc == 0) {
			check_value(i, v.data, v.len);
			blt_view_release(&v);
		} else {
			ck_assert_int_eq(rc, -ENOENT);
			ck_assert_uint_ge(i, STABLE);
		}
		atomic_fetch_add(&s->reads, 1);
	}
	return NULL;
}

static unsigned number_of(const struct blt_item *item)
{
	const uint8_t *end = item->key + item->key_len;
	const uint8_t *at = memchr(item->key, 'y', item->key_len);
	unsigned i = 0;

	ck_assert_ptr_nonnull(at);
	while (++at < end)
		i = i * 10 + (*at - (unsigned)'0');
	return i;
}

static void *walk(void *arg)
{
	struct shared *s = arg;
	unsigned char *met = calloc(KEYS, 1);

	while (!atomic_load(&s->stop)) {
		struct blt_iter *it;
		struct blt_item item;
		int rc;

		memset(met, 0, KEYS);
		ck_assert_int_eq(blt_iter_new(s->store, &it), 0);
		while ((rc = blt_iter_next(it, &item)) > 0) {
			unsigned i = number_of(&item);

			ck_assert_uint_lt(i, KEYS);
			ck_assert_uint_eq(met[i]++, 0);
			check_value(i, item.value, item.value_len);
		}
		ck_assert_int_eq(rc, 0);
		blt_iter_free(it);
		for (unsigned i = 0; i < STABLE; i++)
			ck_assert_msg(met[i] == 1, "key %u not met", i);
		atomic_fetch_add(&s->walks, 1);
	}
	free(met);
	return NULL;
}

static void *sync_often(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->stop))
		ck_assert_int_eq(blt_sync(s->store), 0);
	return NULL;
}

static void *prune_often(void *arg)
{
	struct shared *s = arg;

	do
		ck_assert_int_eq(blt_prune(s->store, NULL, NULL), 0);
	while (!atomic_load(&s->stop));
	return NULL;
}

static void *trim_often(void *arg)
{
	struct shared *s = arg;

	do
		ck_assert_int_eq(blt_trim(s->store, NULL, NULL, NULL), 0);
	while (!atomic_load(&s->stop));
	return NULL;
}

static int count_name(void *arg, const struct dirindex_entry *entry)
{
	(void)entry;
	(*(unsigned *)arg)++;
	return 0;
}

static void *list(void *arg)
{
	struct shared *s = arg;
	struct dirindex *dirindex;

	ck_assert_int_eq(store_dirindex(store_of(s->store), false, &dirindex),
			 0);
	ck_assert_int_eq(dirindex_wait(dirindex), 0);
	while (!atomic_load(&s->stop)) {
		unsigned n = 0;

		ck_assert_int_eq(
			dirindex_list(dirindex, "dir3/", 5, 0, count_name, &n),
			0);
		ck_assert_uint_ge(n, STABLE / 17);
		ck_assert_uint_le(n, KEYS / 17 + 1);
	}
	return NULL;
}

static void *write_keys(void *arg)
{
	struct shared *s = arg;
	unsigned seed = 5;

	for (unsigned n = 0; n < s->writes; n++) {
		unsigned i = (unsigned)rand_r(&seed) % KEYS;
		char key[32];
		int rc;

		if (i >= STABLE && n % 3 == 0) {
			rc = blt_delete(s->store, key, key_of(i, key));
			ck_assert(rc == 0 || rc == -ENOENT);
		} else {
			put(s->store, i, n);
		}
		/* Growth to odd sizes and back, beside all the rest. */
		if (n % 2000 == 1999) {
			rc = blt_reindex(s->store, 100 + n % 777, NULL, NULL);
			ck_assert(rc == 0 || rc == -EBUSY);
		}
	}
	return NULL;
}

START_TEST(test_all_at_once)
{
	/* Prune and trim wait for walks: then there is none. */
	static void *(*const besides[3][5])(void *) = {
		{ read_keys, read_keys, walk, sync_often, list },
		{ read_keys, read_keys, prune_often, sync_often, list },
		{ read_keys, read_keys, trim_often, sync_often, list },
	};
	void *(*const *beside)(void *) = besides[_i];
	const size_t n = 5;
	struct blt_open_options o = { .mode = BLT_TRUNCATE,
				      .create = { .n_buckets = 301 } };
	struct shared s = { .writes = _i ? 3000 : 12000 };
	pthread_t thread[8], writer[2];
	struct blt_census census;
	char path[64];

	snprintf(path, sizeof(path), "test-threads-%d.blt", (int)getpid());
	ck_assert_int_eq(blt_open(path, &o, &s.store, NULL), 0);
	store_of(s.store)->engine.prune_chunk = 20000; /* many steps */
	store_of(s.store)->engine.punch_runs = 40;
	store_of(s.store)->engine.punch_page = 64;
	for (unsigned i = 0; i < STABLE; i++)
		put(s.store, i, 0);
	for (size_t i = 0; i < n; i++)
		pthread_create(&thread[i], NULL, beside[i], &s);
	for (int i = 0; i < 2; i++)
		pthread_create(&writer[i], NULL, write_keys, &s);
	for (int i = 0; i < 2; i++)
		pthread_join(writer[i], NULL);
	atomic_store(&s.stop, true);
	for (size_t i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_gt(atomic_load(&s.reads), 0);
	ck_assert_int_eq(blt_count(s.store, &census), 0);
	ck_assert_uint_ge(census.keys, STABLE);
	ck_assert_int_eq(blt_prune(s.store, NULL, NULL), 0);
	for (unsigned i = 0; i < STABLE; i++)
		check_key(s.store, i);
	ck_assert_int_eq(blt_close(s.store), 0);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("threads");
	TCase *c = tcase_create("core");

	tcase_set_timeout(c, 0);
	tcase_add_loop_test(c, test_all_at_once, 0, 3);
	suite_add_tcase(s, c);
	return run_suite(s);
}

/* Callers of sync who come together share one fdatasync: while the first one's
 * runs, all others have flushed and wait, and the second covers them all. */
#include "booklet/store/store.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CALLERS 8

struct shared {
	struct blt *store;
	atomic_uint number;  /* of the next caller */
	atomic_uint flushed; /* callers that have */
	atomic_uint syncs;
	atomic_bool counts;
};

/* The first that counts lasts until everybody has flushed. */
static void count(struct shared *s)
{
	if (!atomic_load(&s->counts))
		return;
	if (atomic_fetch_add(&s->syncs, 1) == 0)
		while (atomic_load(&s->flushed) < CALLERS)
			usleep(1000);
}

static int slow_sync(void *arg, int fd)
{
	count(arg);
	return fdatasync(fd);
}

static int slow_sync_range(void *arg, void *at, size_t len, off_t pos)
{
	count(arg);
	return file_system_ops.sync_range(NULL, at, len, pos);
}

static void *put_and_sync(void *arg)
{
	struct shared *s = arg;
	char key[16];
	size_t len =
		(size_t)sprintf(key, "key%u", atomic_fetch_add(&s->number, 1));

	ck_assert_int_eq(blt_put(s->store, key, len, "value", 5, BLT_NOW), 0);
	ck_assert_int_eq(blt_flush(s->store), 0);
	atomic_fetch_add(&s->flushed, 1);
	ck_assert_int_eq(blt_sync(s->store), 0);
	return NULL;
}

static void open_store(struct shared *s, char *path)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	struct file_ops ops = file_system_ops;
	struct blt_error err;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	unlink(path);
	ops.arg = s;
	ops.fdatasync = slow_sync;
	ops.sync_range = slow_sync_range;
	ck_assert_int_eq(store_open(path, &how, &ops, &s->store, &err), 0);
	/* unclean, so that no later sync is for that */
	ck_assert_int_eq(blt_put(s->store, "k", 1, "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_sync(s->store), 0);
}

START_TEST(callers_share_a_sync)
{
	char path[] = "/tmp/test-group.XXXXXX";
	struct shared s = { .store = NULL };
	pthread_t thread[CALLERS];

	open_store(&s, path);
	atomic_store(&s.counts, true);
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, put_and_sync, &s), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(thread[i], NULL);
	/* one, where all had flushed before the first began */
	ck_assert_uint_ge(atomic_load(&s.syncs), 1);
	ck_assert_uint_le(atomic_load(&s.syncs), 2);
	atomic_store(&s.counts, false);
	ck_assert_int_eq(blt_close(s.store), 0);
	unlink(path);
}
END_TEST

/* ---- who commits while another syncs ---- */

#define LATE ((size_t)100000) /* some pages */

struct beside {
	struct blt *store;
	atomic_bool holds; /* the next sync of a range */
	atomic_bool held, let_go, listeners, wrote;
	off_t from; /* of the last one */
	size_t len;
};

static ssize_t seen_pwrite(void *arg, int fd, const void *buf, size_t len,
			   off_t pos)
{
	struct beside *b = arg;

	if (atomic_load(&b->listeners))
		atomic_store(&b->wrote, true);
	return file_system_ops.pwrite(NULL, fd, buf, len, pos);
}

static int held_sync_range(void *arg, void *at, size_t len, off_t pos)
{
	struct beside *b = arg;

	b->from = pos;
	b->len = len;
	if (atomic_exchange(&b->holds, false)) {
		atomic_store(&b->held, true);
		while (!atomic_load(&b->let_go))
			usleep(1000);
	}
	return file_system_ops.sync_range(NULL, at, len, pos);
}

static void *sync_one(void *arg)
{
	struct beside *b = arg;

	ck_assert_int_eq(blt_put(b->store, "one", 3, "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_sync(b->store), 0);
	return NULL;
}

static void *sync_two(void *arg)
{
	struct beside *b = arg;

	ck_assert_int_eq(blt_put(b->store, "two", 3, "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_flush(b->store), 0);
	ck_assert_int_eq(blt_sync(b->store), 0);
	return NULL;
}

static void wait_until(atomic_bool *is)
{
	while (!atomic_load(is))
		usleep(1000);
}

/* One is in the middle of its sync, two has flushed and waits for it: what is
 * put now stands in memory when two's sync begins, and is no part of it.  The
 * next sync must not take it for durable. */
START_TEST(what_came_late_is_synced_later)
{
	struct beside b = { .store = NULL };
	struct shared s = { .store = NULL };
	char path[] = "/tmp/test-group.XXXXXX";
	struct blt_open_options how = { .mode = BLT_WRITE };
	struct file_ops ops = file_system_ops;
	uint8_t *value = calloc(1, LATE);
	struct blt_location where;
	pthread_t one, two;

	ck_assert_ptr_nonnull(value);
	open_store(&s, path);
	ck_assert_int_eq(blt_close(s.store), 0);
	ops.arg = &b;
	ops.pwrite = seen_pwrite;
	ops.sync_range = held_sync_range;
	ck_assert_int_eq(store_open(path, &how, &ops, &b.store, NULL), 0);
	ck_assert_int_eq(blt_put(b.store, "k", 1, "w", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_sync(b.store), 0);

	atomic_store(&b.holds, true);
	ck_assert_int_eq(pthread_create(&one, NULL, sync_one, &b), 0);
	wait_until(&b.held);
	atomic_store(&b.listeners, true);
	ck_assert_int_eq(pthread_create(&two, NULL, sync_two, &b), 0);
	wait_until(&b.wrote);
	/* Waits for the end of two's flush. */
	ck_assert_int_eq(blt_put(b.store, "late", 4, value, LATE, BLT_NOW), 0);
	atomic_store(&b.let_go, true);
	pthread_join(one, NULL);
	pthread_join(two, NULL);

	ck_assert_int_eq(blt_sync(b.store), 0);
	ck_assert_int_eq(blt_locate(b.store, "late", 4, &where), 0);
	ck_assert_uint_le((uint64_t)b.from, where.offset);
	ck_assert_uint_ge((uint64_t)b.from + b.len, where.offset + where.len);
	ck_assert_int_eq(blt_close(b.store), 0);
	unlink(path);
	free(value);
}
END_TEST

/* ---- the group by itself ---- */

#define TIMES 2000

struct work {
	struct group_commit group;
	atomic_uint wanted, done, runs;
	atomic_bool runs_now;
};

static int do_all(void *arg)
{
	struct work *w = arg;
	unsigned wanted = atomic_load(&w->wanted);

	ck_assert(!atomic_exchange(&w->runs_now, true));
	atomic_fetch_add(&w->runs, 1);
	atomic_store(&w->done, wanted);
	atomic_store(&w->runs_now, false);
	return 7;
}

static void *want_often(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < TIMES; i++) {
		unsigned wanted = atomic_fetch_add(&w->wanted, 1) + 1;

		ck_assert_int_eq(group_commit_call(&w->group, do_all, w), 7);
		ck_assert_uint_ge(atomic_load(&w->done), wanted);
	}
	return NULL;
}

/* What is done for a caller has begun after the call, one at a time. */
START_TEST(each_call_is_served)
{
	struct work w = { .wanted = 0 };
	pthread_t thread[CALLERS];

	group_commit_init(&w.group);
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, want_often, &w), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(atomic_load(&w.done), CALLERS * TIMES);
	ck_assert_uint_le(atomic_load(&w.runs), CALLERS * TIMES);
	group_commit_release(&w.group);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("group");
	TCase *tc = tcase_create("sync");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, callers_share_a_sync);
	tcase_add_test(tc, what_came_late_is_synced_later);
	tcase_add_test(tc, each_call_is_served);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

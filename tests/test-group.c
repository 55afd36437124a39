/* Callers of sync who come together share one fdatasync: while the first one's
 * runs, all others have flushed and wait, and the second covers them all. */
#include "store.h"

#include <check.h>
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
	/* hot, so that no later sync is for that */
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

int main(void)
{
	Suite *suite = suite_create("group");
	TCase *tc = tcase_create("sync");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, callers_share_a_sync);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

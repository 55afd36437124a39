/* An LMDB environment that others open, change, cut off or replace. */
#include "lmdbenv.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

struct opener {
	pthread_barrier_t *at;
	struct blt *store;
	int rc;
};

static void *open_at_once(void *arg)
{
	const struct blt_open_options opts = { .mode = BLT_CREATE,
					       .engine = "lmdb" };
	struct opener *o = arg;
	struct blt_error err;

	pthread_barrier_wait(o->at);
	o->rc = blt_open(lmdbenv_path, &opts, &o->store, &err);
	return NULL;
}

/* The second open would take away the first one's locks when it closes. */
START_TEST(test_opened_once)
{
	char lock[300];

	snprintf(lock, sizeof(lock), "%s-lock", lmdbenv_path);
	for (int i = 0; i < 60; i++) {
		pthread_barrier_t at;
		struct opener o[2] = { { .at = &at }, { .at = &at } };
		pthread_t other;
		size_t won;

		ck_assert_int_eq(pthread_barrier_init(&at, NULL, 2), 0);
		ck_assert_int_eq(
			pthread_create(&other, NULL, open_at_once, &o[1]), 0);
		open_at_once(&o[0]);
		ck_assert_int_eq(pthread_join(other, NULL), 0);
		won = o[0].rc == 0 ? 0 : 1;
		ck_assert_int_eq(o[won].rc, 0);
		/* -EBUSY; or what was half made is no environment */
		ck_assert_int_lt(o[!won].rc, 0);
		ck_assert_int_eq(blt_close(o[won].store), 0);
		ck_assert_int_eq(unlink(lmdbenv_path), 0);
		ck_assert_int_eq(unlink(lock), 0);
		pthread_barrier_destroy(&at);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_opened_once);
}

int main(void)
{
	return lmdbenv_run("lmdb-others", add);
}

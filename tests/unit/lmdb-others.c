/* An LMDB environment that others open, change, cut off or replace. */
#include "lib/lmdbenv.h"
#include "lib/texts.h"
#include "lmdb/lmdb_times.h"
#include "lib/checked.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
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

/* ---- facts beside a prune ---- */

enum { ASK_INFO, ASK_MODIFIED, ASK_STATVFS, ASK_END };

struct asker {
	struct blt *store;
	int what; /* ASK_... */
	pthread_t thread;
	atomic_int tid;
	bool asked;
};

static struct asker *asker; /* NULL: renames are only renames */

static void *ask(void *arg)
{
	struct asker *a = arg;
	struct blt_info info = { .file_size = 1 };
	struct statvfs vfs = { .f_bsize = 1 };

	atomic_store(&a->tid, gettid());
	switch (a->what) {
	case ASK_INFO:
		blt_get_info(a->store, &info);
		ck_assert_uint_gt(info.file_size, 0);
		ck_assert_int_gt(info.modified, 0);
		break;
	case ASK_MODIFIED:
		ck_assert_int_gt(blt_modified(a->store), 0);
		break;
	default:
		ck_assert_int_eq(blt_statvfs(a->store, &vfs), 0);
		ck_assert_uint_gt(vfs.f_bsize, 0);
	}
	return NULL;
}

/* Running; or it sleeps, or has ended. */
static bool runs(int tid)
{
	char path[64], state = '?';
	FILE *f;

	sprintf(path, "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(f);
	return state == 'R';
}

/* In place of the C library's: prune has the environment closed here, and its
 * descriptor with it.  Goes on when the asker waits, or has its answer. */
int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	      unsigned flags)
{
	if (asker && !asker->asked) {
		asker->asked = true;
		ck_assert_int_eq(
			pthread_create(&asker->thread, NULL, ask, asker), 0);
		while (!atomic_load(&asker->tid) || runs(asker->tid))
			sched_yield();
	}
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

START_TEST(test_facts_beside_prune)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	put(s, "k", "v");
	for (int i = 0; i < ASK_END; i++) {
		struct asker a = { .store = s, .what = i };

		asker = &a;
		ck_assert_int_eq(blt_prune(s, NULL, NULL), 0);
		asker = NULL;
		ck_assert(a.asked);
		ck_assert_int_eq(pthread_join(a.thread, NULL), 0);
	}
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* LMDB would fail for good. */
START_TEST(test_too_long)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_source source = { .read = no_bytes };
	struct blt_batch *b;
	struct blt_info info;

	blt_get_info(s, &info);
	source.len = info.value_max + 1;
	ck_assert_int_eq(blt_check_value(s, NULL, source.len), -EFBIG);
	ck_assert_int_eq(blt_put_from(s, "k", 1, &source, BLT_NOW), -EFBIG);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "k", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EFBIG);
	ck_assert_int_eq(put_rc(s, "k"), 0);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* ---- times ---- */

#define OLD 111
#define NEW 222

struct late {
	struct lmdb_times *times;
	uint64_t key, version;
	bool put; /* while the version is made, another thread puts */
};

static uint64_t make_version(const void *arg, int64_t *ret_changed)
{
	const struct lmdb_view after = { 11, 0 };
	const struct late *l = arg;

	*ret_changed = 5000;
	if (l->put)
		lmdb_times_set(l->times, l->key, NEW, 1000, after);
	return l->version;
}

/* A reader who stands on what was before a put comes behind it. */
START_TEST(test_late_reader)
{
	const struct lmdb_view before = { 10, 0 }, after = { 11, 0 },
			       others = { 12, 1 };
	struct late l = { lmdb_times_new(1), 7, OLD, true };

	ck_assert_ptr_nonnull(l.times);
	ck_assert_int_eq(
		lmdb_times_look(l.times, l.key, before, make_version, &l),
		1000);
	l.put = false;
	ck_assert_int_eq(
		lmdb_times_look(l.times, l.key, before, make_version, &l),
		1000);
	l.version = NEW;
	ck_assert_int_eq(
		lmdb_times_look(l.times, l.key, after, make_version, &l), 1000);
	ck_assert_int_eq(
		lmdb_times_look(l.times, l.key, others, make_version, &l),
		1000);
	l.version = OLD;
	ck_assert_int_eq(lmdb_times_look(l.times, l.key,
					 (struct lmdb_view){ 13, 2 },
					 make_version, &l),
			 5000);
	lmdb_times_free(l.times);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_opened_once);
	tcase_add_test(tc, test_facts_beside_prune);
	tcase_add_test(tc, test_too_long);
	tcase_add_test(tc, test_late_reader);
}

int main(void)
{
	return lmdbenv_run("lmdb-others", add);
}

/* Jobs: what they come to, which run beside which, and how they end early. */
#include "job/job.h"
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

static struct blt *store;
static struct jobs *jobs;
static char dir[] = "/tmp/test-job.XXXXXX";
static char path[64];

/* What the hooks were told. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned changed;
	unsigned any; /* changed, of no key in particular */
	unsigned ended;
	bool hold; /* changed waits until this is false */
	bool held;
	enum job_kind order[256];
} told = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .moved = PTHREAD_COND_INITIALIZER };

static void on_changed(void *arg, const void *key, size_t len)
{
	(void)arg;
	ck_assert_int_eq(key != NULL, len > 0);
	pthread_mutex_lock(&told.lock);
	if (len)
		told.changed++;
	else
		told.any++;
	told.held = true;
	pthread_cond_broadcast(&told.moved);
	while (told.hold)
		pthread_cond_wait(&told.moved, &told.lock);
	pthread_mutex_unlock(&told.lock);
}

static void on_ended(void *arg, const struct job_info *info)
{
	(void)arg;
	pthread_mutex_lock(&told.lock);
	told.order[told.ended++ % 256] = info->kind;
	pthread_cond_broadcast(&told.moved);
	pthread_mutex_unlock(&told.lock);
}

static void hold(bool on)
{
	pthread_mutex_lock(&told.lock);
	told.hold = on;
	pthread_cond_broadcast(&told.moved);
	pthread_mutex_unlock(&told.lock);
}

static void wait_held(void)
{
	pthread_mutex_lock(&told.lock);
	while (!told.held)
		pthread_cond_wait(&told.moved, &told.lock);
	pthread_mutex_unlock(&told.lock);
}

static void setup(void)
{
	const struct jobs_hooks hooks = { NULL, on_changed, on_ended };
	const struct blt_open_options how = { .mode = BLT_CREATE };
	struct blt_error err;
	char key[32];

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/kv.blt", dir);
	ck_assert_int_eq(blt_open(path, &how, &store, &err), 0);
	for (int i = 0; i < 1500; i++) {
		int n = snprintf(key, sizeof(key), "key %d", i);

		ck_assert_int_eq(
			blt_put(store, key, (size_t)n, "value", 5, BLT_NOW), 0);
	}
	told.changed = told.any = told.ended = 0;
	told.hold = told.held = false;
	ck_assert_int_eq(jobs_new(store, &hooks, &jobs), 0);
}

static void teardown(void)
{
	jobs_free(jobs);
	ck_assert_int_eq(blt_close(store), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

static uint64_t start(enum job_kind kind)
{
	const struct job_request req = { .kind = kind };
	uint64_t id;

	ck_assert_int_eq(jobs_start(jobs, &req, &id), 0);
	return id;
}

/* Waits for its end, told by the hook. */
static struct job_info end_of(uint64_t id)
{
	struct job_info info;

	for (;;) {
		ck_assert_int_eq(jobs_get(jobs, id, &info), 0);
		if (job_has_ended(&info))
			return info;
		usleep(1000);
	}
}

START_TEST(test_kinds)
{
	struct job_info info;
	char copy[80];
	struct job_request req = { .kind = JOB_COPY, .path = copy };
	uint64_t id;

	info = end_of(start(JOB_COUNT));
	ck_assert_int_eq(info.state, JOB_DONE);
	ck_assert_uint_eq(info.items, 1500);
	ck_assert_uint_eq(info.census.keys, 1500);

	info = end_of(start(JOB_REINDEX));
	ck_assert_int_eq(info.state, JOB_DONE);
	ck_assert_str_eq(info.text, "144013 buckets");

	snprintf(copy, sizeof(copy), "%s/copy.blt", dir);
	ck_assert_int_eq(jobs_start(jobs, &req, &id), 0);
	info = end_of(id);
	ck_assert_int_eq(info.state, JOB_DONE);
	ck_assert_uint_eq(info.items, 1500);
	ck_assert_int_ge(info.ended, info.started);
	ck_assert_int_ge(info.started, info.queued);

	ck_assert_int_eq(jobs_start(jobs, &req, &id), 0);
	info = end_of(id);
	ck_assert_int_eq(info.state, JOB_FAILED);
	ck_assert_int_eq(info.err, -EEXIST);
	ck_assert_ptr_nonnull(strstr(info.text, "exists"));
	ck_assert_int_eq(unlink(copy), 0);

	info = end_of(start(JOB_CLEAR));
	ck_assert_int_eq(info.state, JOB_DONE);
	ck_assert_uint_eq(told.changed, 1500);
	ck_assert_uint_eq(told.ended, 5);
	ck_assert_str_eq(job_fact_name(info.kind, 0), "deleted");
	ck_assert_uint_eq(info.fact[0], 1500);
	ck_assert_ptr_null(job_fact_name(info.kind, 1));
	ck_assert_ptr_null(job_fact_name(JOB__COUNT, 0));
	ck_assert_ptr_null(job_fact_name(JOB_PRUNE, JOB_FACTS));
}
END_TEST

START_TEST(test_trim)
{
	struct job_info info = end_of(start(JOB_CLEAR));

	info = end_of(start(JOB_TRIM));
	ck_assert_int_eq(info.state, JOB_DONE);
	/* all that lay side by side is one now */
	ck_assert_uint_gt(info.fact[0], 0);
	ck_assert_str_eq(job_fact_name(JOB_TRIM, 1), "freed_bytes");
}
END_TEST

START_TEST(test_prune)
{
	struct job_request req = { .kind = JOB_PRUNE, .older_than = INT64_MAX };
	void *keep = NULL;
	struct job_info info;
	struct blt_view v;
	uint64_t id;

	info = end_of(start(JOB_PRUNE));
	ck_assert_int_eq(info.state, JOB_DONE);
	ck_assert_uint_eq(info.fact[0], 0);
	ck_assert_uint_eq(info.fact[2], info.fact[3]);

	ck_assert_int_eq(job_keys_add(&keep, &req.bytes_len, "key 7", 5), 0);
	ck_assert_int_eq(job_keys_add(&keep, &req.bytes_len, "", 0), 0);
	ck_assert_int_eq(job_keys_add(&keep, &req.bytes_len, "key 77", 6), 0);
	req.bytes = keep;
	req.bytes_len--;
	ck_assert_int_eq(jobs_start(jobs, &req, &id), -EINVAL);
	req.bytes_len++;
	req.older_than = 0;
	ck_assert_int_eq(jobs_start(jobs, &req, &id), -EINVAL);
	req.older_than = INT64_MAX;
	ck_assert_int_eq(jobs_start(jobs, &req, &id), 0);
	info = end_of(id);
	free(keep);
	ck_assert_int_eq(info.state, JOB_DONE);
	ck_assert_uint_eq(info.fact[0], 1498);
	ck_assert_uint_lt(info.fact[3], info.fact[2]);
	ck_assert_ptr_eq(strstr(info.text, "1498 keys dropped"), info.text);
	ck_assert_int_eq(blt_get(store, "key 77", 6, &v), 0);
	blt_view_release(&v);
	ck_assert_int_eq(blt_get(store, "key 78", 6, &v), -ENOENT);
	ck_assert_uint_eq(told.any, 1);
}
END_TEST

/* Jobs that run alone wait for those in front, and the others for them. */
START_TEST(test_order)
{
	static const enum job_kind want[] = { JOB_CLEAR, JOB_COUNT, JOB_REINDEX,
					      JOB_COUNT };
	struct job_info info;
	uint64_t clear, last = 0;

	hold(true);
	clear = start(JOB_CLEAR);
	wait_held();
	for (int i = 1; i < 4; i++)
		last = start(want[i]);
	for (uint64_t id = clear + 1; id <= last; id++) {
		ck_assert_int_eq(jobs_get(jobs, id, &info), 0);
		ck_assert_int_eq(info.state, JOB_QUEUED);
	}
	hold(false);
	info = end_of(last);
	ck_assert_uint_eq(info.items, 0); /* it has waited for clear */
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(told.order[i], want[i]);
}
END_TEST

START_TEST(test_cancel)
{
	struct job_info info;
	uint64_t clear, waiting;

	hold(true);
	clear = start(JOB_CLEAR);
	wait_held();
	waiting = start(JOB_REINDEX);
	ck_assert_int_eq(jobs_cancel(jobs, waiting), 0);
	info = end_of(waiting);
	ck_assert_int_eq(info.state, JOB_CANCELLED);
	ck_assert_int_eq(info.started, 0);
	ck_assert_int_eq(jobs_cancel(jobs, clear), 0);
	hold(false);
	info = end_of(clear);
	ck_assert_int_eq(info.state, JOB_CANCELLED);
	/* what was begun was finished, and no more was begun */
	ck_assert_uint_eq(told.changed, 1000);
	ck_assert_int_eq(jobs_cancel(jobs, clear), 0);
	ck_assert_int_eq(jobs_cancel(jobs, 77), -ESRCH);
}
END_TEST

/* The end of the program: what runs is cancelled, what waits never runs. */
START_TEST(test_stop)
{
	hold(true);
	start(JOB_CLEAR);
	wait_held();
	for (int i = 0; i < 10; i++)
		start(JOB_COUNT);
	jobs_stop(jobs);
	hold(false);
}
END_TEST

START_TEST(test_history)
{
	const struct job_request bad = { .kind = JOB__COUNT };
	const struct job_request no_path = { .kind = JOB_COPY };
	struct job_info info = { 0 };
	uint64_t id = 0, n = 0;
	size_t key_len;
	char *line;

	for (int i = 0; i < JOBS_KEPT + 20; i++)
		end_of(id = start(JOB_COUNT));
	ck_assert_uint_eq(id, JOBS_KEPT + 20);
	while (jobs_next(jobs, info.id, &info) == 0)
		n++;
	ck_assert_uint_eq(n, JOBS_KEPT + 1);
	ck_assert_int_eq(jobs_get(jobs, 1, &info), -ESRCH);
	ck_assert_int_eq(jobs_get(jobs, id + 1, &info), -ESRCH);
	ck_assert_int_eq(jobs_error(jobs, id, 0, &line, &key_len), -ENODATA);
	ck_assert_int_eq(jobs_error(jobs, 1, 0, &line, &key_len), -ESRCH);
	ck_assert_int_eq(jobs_start(jobs, &bad, &id), -EINVAL);
	ck_assert_int_eq(jobs_start(jobs, &no_path, &id), -EINVAL);
}
END_TEST

START_TEST(test_many)
{
	const struct job_request req = { .kind = JOB_COUNT };
	uint64_t id;

	hold(true);
	start(JOB_CLEAR);
	wait_held();
	for (int i = 1; i < JOBS_WAITING; i++)
		start(JOB_COUNT);
	ck_assert_int_eq(jobs_start(jobs, &req, &id), -EAGAIN);
	hold(false);
	end_of(JOBS_WAITING);
	id = start(JOB_COUNT);
	end_of(id);
}
END_TEST

START_TEST(test_read_only)
{
	const struct job_request clear = { .kind = JOB_CLEAR };
	const struct blt_open_options how = { .mode = BLT_READ };
	struct blt_error err;
	uint64_t id;

	jobs_free(jobs);
	ck_assert_int_eq(blt_close(store), 0);
	ck_assert_int_eq(blt_open(path, &how, &store, &err), 0);
	ck_assert_int_eq(jobs_new(store, NULL, &jobs), 0);
	ck_assert_int_eq(jobs_start(jobs, &clear, &id), -EROFS);
	ck_assert_int_eq(end_of(start(JOB_COUNT)).state, JOB_DONE);
	jobs_free(NULL);
	jobs_stop(NULL);
}
END_TEST

/* A file that somebody cut short is an error of the job's, in its thread too.
 */
START_TEST(test_cut_short)
{
	const struct blt_open_options how = { .mode = BLT_TRUNCATE };
	struct blt_error err;
	struct blt_info info;
	struct job_info job;

	ck_assert_int_eq(blt_sync(store), 0);
	blt_get_info(store, &info);
	ck_assert_int_eq(truncate(path, (off_t)info.data_offset), 0);
	job = end_of(start(JOB_COUNT));
	ck_assert_int_eq(job.state, JOB_FAILED);
	ck_assert_int_eq(job.err, -EIO);

	jobs_free(jobs);
	(void)blt_close(store);
	ck_assert_int_eq(blt_open(path, &how, &store, &err), 0);
	ck_assert_int_eq(jobs_new(store, NULL, &jobs), 0);
}
END_TEST

static atomic_bool full;

static ssize_t write_unless_full(void *arg, int fd, const void *buf, size_t len,
				 off_t pos)
{
	(void)arg;
	errno = ENOSPC;
	return atomic_load(&full) ? -1 : pwrite(fd, buf, len, pos);
}

/* One that fails says why, beside what it has done. */
START_TEST(test_full_disk)
{
	const struct blt_open_options how = { .mode = BLT_WRITE };
	struct file_ops ops = file_system_ops;
	struct blt_error err;
	struct job_info job;

	jobs_free(jobs);
	ck_assert_int_eq(blt_close(store), 0);
	ops.pwrite = write_unless_full;
	ck_assert_int_eq(store_open(path, &how, &ops, &store, &err), 0);
	ck_assert_int_eq(blt_put(store, "key", 3, "value", 5, BLT_NOW), 0);
	ck_assert_int_eq(blt_sync(store), 0);
	ck_assert_int_eq(jobs_new(store, NULL, &jobs), 0);
	atomic_store(&full, true);
	job = end_of(start(JOB_CLEAR));
	atomic_store(&full, false);
	ck_assert_int_eq(job.state, JOB_FAILED);
	ck_assert_int_eq(job.err, -ENOSPC);
	ck_assert_msg(strstr(job.text, strerror(ENOSPC)), "%s", job.text);
}
END_TEST

#ifdef HAVE_LMDB
/* How far it is, where a key stands at no place of a file. */
START_TEST(test_clear_of_lmdb)
{
	const struct blt_open_options how = { .mode = BLT_CREATE,
					      .engine = "lmdb" };
	struct blt_error err;
	struct job_info job;
	char lock[80];

	jobs_free(jobs);
	ck_assert_int_eq(blt_close(store), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(blt_open(path, &how, &store, &err), 0);
	for (char i = 'a'; i <= 'z'; i++)
		ck_assert_int_eq(blt_put(store, &i, 1, "value", 5, BLT_NOW), 0);
	ck_assert_int_eq(jobs_new(store, NULL, &jobs), 0);
	job = end_of(start(JOB_CLEAR));
	ck_assert_int_eq(job.state, JOB_DONE);
	ck_assert_uint_eq(job.fact[0], 26);
	ck_assert_uint_eq(job.done, 26 * 6);
	ck_assert_uint_ge(job.total, job.done);
	snprintf(lock, sizeof(lock), "%s-lock", path);
	ck_assert_int_eq(unlink(lock), 0);
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("job");
	TCase *tc = tcase_create("job");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_kinds);
	tcase_add_test(tc, test_prune);
	tcase_add_test(tc, test_trim);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_stop);
	tcase_add_test(tc, test_history);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_read_only);
	tcase_add_test(tc, test_cut_short);
	tcase_add_test(tc, test_full_disk);
#ifdef HAVE_LMDB
	tcase_add_test(tc, test_clear_of_lmdb);
#endif
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

/* Maps with real processes: tests/map-worker.c does what an item's key asks
 * for, good and bad. */
#include "blt.h"
#include "map.h"
#include "pool.h"
#include "util.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_PLAIN 200

static char dir[64];
static char path[80];
static struct blt *store;

static struct {
	struct map_result result;
	struct blt_error err;
	int rc;
	unsigned n_errors;
	char error[64][600]; /* "key: reason" */
	unsigned n_wrote, n_open;
} seen;

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
	struct blt_open_options how = { .mode = BLT_CREATE };

	strcpy(dir, "/tmp/test-maprun-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.blt", dir);
	ck_assert_int_eq(blt_open(path, &how, &store, NULL), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(blt_close(store), 0);
	store = NULL;
	/* Every process that there was is gone, and was waited for. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	remove_dir();
}

static void put(const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW),
		0);
}

static void put_plain(void)
{
	char key[32], value[32];

	for (int i = 0; i < N_PLAIN; i++) {
		snprintf(key, sizeof(key), "plain/%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		put(key, value);
	}
}

static bool has(const char *key, const char *value)
{
	struct blt_view v;
	bool same;

	if (blt_get(store, key, strlen(key), &v) < 0)
		return false;
	same = v.len == strlen(value) && !memcmp(v.data, value, v.len);
	blt_view_release(&v);
	return same;
}

static void note_error(void *arg, const void *key, size_t len, const char *why)
{
	(void)arg;
	ck_assert_uint_lt(seen.n_errors, ARRAY_SIZE(seen.error));
	snprintf(seen.error[seen.n_errors++], sizeof(seen.error[0]), "%.*s: %s",
		 (int)len, (const char *)key, why);
}

static void note_before(void *arg)
{
	(void)arg;
	seen.n_open++;
}

static void note_wrote(void *arg, const void *key, size_t len)
{
	(void)arg;
	(void)key;
	(void)len;
	ck_assert_uint_eq(seen.n_open, 1);
	seen.n_wrote++;
}

static void note_after(void *arg)
{
	(void)arg;
	seen.n_open--;
}

static bool failed_with(const char *key, const char *why)
{
	for (unsigned i = 0; i < seen.n_errors; i++)
		if (!strncmp(seen.error[i], key, strlen(key)) &&
		    strstr(seen.error[i], why))
			return true;
	return false;
}

static const char *test_worker(void)
{
	const char *program = getenv("MAP_WORKER");

	ck_assert_msg(program && getenv("BLT_MAP_WORKER"),
		      "MAP_WORKER and BLT_MAP_WORKER must name the programs");
	return program;
}

/* Runs the test's worker, or what argv says. */
static void run(struct map_options o, struct map_hooks hooks, const char *how)
{
	char *program = strdup(test_worker()), *mode = strdup(how ? how : "");
	char *argv[] = { program, dir, how ? mode : NULL, NULL };

	if (!o.argv) {
		o.kind = MAP_FRAMED;
		o.argv = argv;
	}
	if (!o.workers)
		o.workers = 2;
	if (!o.max_errors)
		o.max_errors = MAP_ERRORS_ANY;
	memset(&seen, 0, sizeof(seen));
	hooks.error = note_error;
	hooks.before_commit = note_before;
	hooks.wrote = note_wrote;
	hooks.after_commit = note_after;
	seen.rc = map_run(store, &o, &hooks, &seen.result, &seen.err);
	ck_assert_uint_eq(seen.n_open, 0);
	ck_assert_uint_eq(seen.n_errors, seen.result.errors);
	ck_assert_uint_eq(seen.n_wrote, o.to ? 0 : seen.result.written);
	free(program);
	free(mode);
}

static void run_plainly(void)
{
	run((struct map_options){ 0 }, (struct map_hooks){ 0 }, NULL);
}

static void counts(uint64_t processed, uint64_t written, uint64_t skipped,
		   uint64_t errors)
{
	ck_assert_msg(seen.rc == 0, "%d: %s", seen.rc, seen.err.text);
	ck_assert_uint_eq(seen.result.processed, processed);
	ck_assert_uint_eq(seen.result.written, written);
	ck_assert_uint_eq(seen.result.skipped, skipped);
	ck_assert_uint_eq(seen.result.errors, errors);
}

/* ---- what is right ---- */

START_TEST(test_plain)
{
	put_plain();
	/* by place, and by value */
	run((struct map_options){ .workers = 3 }, (struct map_hooks){ 0 },
	    _i ? "value" : NULL);
	counts(N_PLAIN, N_PLAIN, 0, 0);
	for (int i = 0; i < N_PLAIN; i++) {
		char key[32], value[32];

		snprintf(key, sizeof(key), "plain/%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		ck_assert(has(key, value));
	}
}
END_TEST

START_TEST(test_many_and_none)
{
	put("many", "x");
	put("skip", "y");
	put("dir/", "");
	run_plainly();
	counts(2, 3, 1, 0);
	ck_assert(has("many", "x") && has("many.0", "x") && has("many.2", "x"));
	/* three more keys are input now, and one of them gives three again */
	run_plainly();
	counts(5, 12, 1, 0);
}
END_TEST

START_TEST(test_large)
{
	size_t len = 3u << 20;
	char *value = malloc(len);
	struct blt_view v;

	ck_assert_ptr_nonnull(value);
	for (size_t i = 0; i < len; i++)
		value[i] = (char)(i * 7 + (i >> 9));
	ck_assert_int_eq(blt_put(store, "big", 3, value, len, BLT_NOW), 0);
	run((struct map_options){ 0 }, (struct map_hooks){ 0 },
	    _i ? "value" : NULL);
	counts(1, 1, 0, 0);
	ck_assert_int_eq(blt_get(store, "big", 3, &v), 0);
	ck_assert_uint_eq(v.len, len);
	ck_assert_mem_eq(v.data, value, len);
	blt_view_release(&v);
	free(value);
}
END_TEST

START_TEST(test_no_descriptors)
{
	/* one that is not close-on-exec, as careless programs have them */
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_ge(fd, 0);
	put("files", "");
	run_plainly();
	counts(1, 1, 0, 0);
	ck_assert(has("files", "0"));
	close(fd);
}
END_TEST

START_TEST(test_without_standard_streams)
{
	int saved[3];

	put_plain();
	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 20);
		ck_assert_int_ge(saved[i], 0);
		close(i);
	}
	run_plainly();
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	counts(N_PLAIN, N_PLAIN, 0, 0);
}
END_TEST

/* ---- what is wrong ---- */

static const struct {
	const char *key, *why;
} misdeeds[] = {
	{ "crash", "died of signal 9" },
	{ "exit", "ended with status 3" },
	{ "garbage", "no frame of the protocol" },
	{ "half", "ended within a frame" },
	{ "other", "out of turn" },
	{ "child", "died of signal 9" },
};

START_TEST(test_misdeeds)
{
	put_plain();
	put(misdeeds[_i].key, "x");
	put("fail", "x");
	put("once", "y");
	run_plainly();
	counts(N_PLAIN + 3, N_PLAIN + 1, 0, 2);
	ck_assert_msg(failed_with(misdeeds[_i].key, misdeeds[_i].why), "%s %s",
		      seen.error[0], seen.error[1]);
	ck_assert(failed_with("fail", "as asked"));
	ck_assert(has(misdeeds[_i].key, "x") && has("once", "y"));
}
END_TEST

START_TEST(test_all_at_once)
{
	for (size_t i = 0; i < ARRAY_SIZE(misdeeds); i++)
		for (int k = 0; k < 3; k++) {
			char key[32];

			snprintf(key, sizeof(key), "%s%d", misdeeds[i].key, k);
			put(key, "x");
			snprintf(key, sizeof(key), "once%zu.%d", i, k);
			put(key, "x");
		}
	put_plain();
	run((struct map_options){ .workers = 3 }, (struct map_hooks){ 0 },
	    NULL);
	counts(N_PLAIN + 36, N_PLAIN + 18, 0, 18);
}
END_TEST

START_TEST(test_hang)
{
	put("hang", "x");
	put("plain", "y");
	run((struct map_options){ .timeout_ms = 3000 }, (struct map_hooks){ 0 },
	    NULL);
	counts(2, 1, 0, 1);
	ck_assert(failed_with("hang", "longer than 3 seconds"));
}
END_TEST

START_TEST(test_flood)
{
	for (int i = 0; i < 5; i++) {
		char key[16];

		snprintf(key, sizeof(key), "flood%d", i);
		put(key, "x");
	}
	run_plainly();
	counts(5, 5, 0, 0);
}
END_TEST

START_TEST(test_no_hello)
{
	put("x", "x");
	run((struct map_options){ 0 }, (struct map_hooks){ 0 }, "nohello");
	ck_assert_int_eq(seen.rc, -ECHILD);
	ck_assert_ptr_nonnull(strstr(seen.err.text, "status 5"));
	ck_assert_uint_eq(seen.result.processed, 0);
}
END_TEST

/* The sanitizers' malloc does not return for so much. */
#if defined(__has_feature)
#define SANITIZED \
	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void not_finished(void *arg, struct pool_task *task, const char *why)
{
	(void)arg;
	pool_task_free(task);
	ck_abort_msg("finished: %s", why);
}

/* A task for which there is no memory is the pool's still: valgrind looks. */
START_TEST(test_no_memory)
{
	struct pool_task *task = calloc(1, sizeof(*task));
	char *program = strdup(test_worker()), by_value[] = "value";
	char *argv[] = { program, dir, by_value, NULL }, *env[] = { NULL };
	const struct pool_how how = {
		.program = program,
		.argv = argv,
		.env = env,
		.store_fd = blt_fd(store),
		.workers = 1,
		.wake_fd = -1,
		.finished = not_finished,
	};
	struct pool *pool;
	int rc;

	if (SANITIZED) {
		free(task);
		free(program);
		return;
	}
	ck_assert_int_eq(pool_new(&how, &pool), 0);
	while ((rc = pool_start(pool)) == 0)
		;
	ck_assert_int_eq(rc, 1);
	ck_assert_ptr_nonnull(task);
	task->len = UINT64_C(1) << 60;
	pool_put(pool, task);
	ck_assert_int_eq(pool_step(pool, 1000), -ENOMEM);
	pool_free(pool);
	free(program);
}
END_TEST

START_TEST(test_missing_program)
{
	char nosuch[] = "/nosuch/program";
	char *argv[] = { nosuch, NULL };
	const enum map_kind kinds[] = { MAP_COMMAND, MAP_FRAMED, MAP_SHARED,
					MAP_BUILTIN };

	put("x", "x");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		run((struct map_options){ .kind = kinds[i], .argv = argv },
		    (struct map_hooks){ 0 }, NULL);
		ck_assert_int_eq(seen.rc, -ENOEXEC);
		ck_assert_ptr_nonnull(strstr(seen.err.text, nosuch));
	}
}
END_TEST

START_TEST(test_max_errors)
{
	char key[16];

	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "fail%d", i);
		put(key, "x");
	}
	run((struct map_options){ .max_errors = 3, .workers = 1 },
	    (struct map_hooks){ 0 }, NULL);
	ck_assert_int_eq(seen.rc, -ECANCELED);
	ck_assert_uint_gt(seen.result.errors, 3);
	ck_assert_uint_eq(seen.result.written, 0);
}
END_TEST

/* ---- what changes meanwhile ---- */

/* Once all is on its way, keys change under the map. */
static int meddle(void *arg, const struct map_progress *p)
{
	bool *done = arg;

	if (p->so_far->processed || *done || p->total < 2)
		return 0;
	*done = true;
	put("changed", "mine");
	ck_assert_int_eq(blt_delete(store, "deleted", 7), 0);
	return 0;
}

static void meddled_run(bool if_unchanged)
{
	bool done = false;
	char upper[] = "upper";
	char *argv[] = { upper, NULL };

	put("changed", "old");
	put("deleted", "old");
	put("kept", "old");
	run((struct map_options){ .kind = MAP_BUILTIN,
				  .argv = argv,
				  .if_unchanged = if_unchanged },
	    (struct map_hooks){ .progress = meddle, .arg = &done }, NULL);
	ck_assert(done);
	ck_assert(has("kept", "OLD"));
}

START_TEST(test_if_unchanged)
{
	meddled_run(true);
	counts(3, 1, 2, 0);
	ck_assert(has("changed", "mine"));
	ck_assert_int_eq(
		blt_stat_key(store, "deleted", 7, &(struct blt_stat){ 0 }),
		-ENOENT);
}
END_TEST

START_TEST(test_last_writer_wins)
{
	meddled_run(false);
	counts(3, 3, 0, 0);
	ck_assert(has("changed", "OLD") && has("deleted", "OLD"));
}
END_TEST

static int cancel_early(void *arg, const struct map_progress *p)
{
	if (p->so_far->processed || p->done)
		map_cancel(arg);
	return 0;
}

START_TEST(test_cancel)
{
	struct map_cancel c;

	ck_assert_int_eq(map_cancel_init(&c), 0);
	put_plain();
	put("hang", "x");
	run((struct map_options){ 0 },
	    (struct map_hooks){
		    .progress = cancel_early, .arg = &c, .cancel = &c },
	    NULL);
	ck_assert_int_eq(seen.rc, -ECANCELED);
	ck_assert_uint_le(seen.result.processed, N_PLAIN);
	map_cancel_release(&c);
}
END_TEST

/* ---- beside others ---- */

static void *cancel_later(void *arg)
{
	struct map_cancel *c = arg;

	/* not before the map has begun to hang */
	while (!has("plain/0", "again"))
		usleep(1000);
	map_cancel(c);
	return NULL;
}

static void say_done(void *arg)
{
	(void)arg;
	put("plain/0", "again");
}

static int when_most_is_done(void *arg, const struct map_progress *p)
{
	if (p->done >= N_PLAIN)
		say_done(arg);
	return 0;
}

/* From another thread, while nothing else would wake the map. */
START_TEST(test_cancel_from_thread)
{
	struct map_cancel c;
	pthread_t thread;

	ck_assert_int_eq(map_cancel_init(&c), 0);
	put_plain();
	put("hang", "x");
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_later, &c), 0);
	run((struct map_options){ 0 },
	    (struct map_hooks){ .progress = when_most_is_done, .cancel = &c },
	    NULL);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(seen.rc, -ECANCELED);
	ck_assert_uint_eq(seen.result.processed, N_PLAIN);
	map_cancel_release(&c);
}
END_TEST

static void *write_on(void *arg)
{
	atomic_int *stop = arg;
	char key[32];

	for (int i = 0; !atomic_load(stop); i++) {
		snprintf(key, sizeof(key), "own/%d", i % 500);
		if (blt_put(store, key, strlen(key), "x", 1, BLT_NOW) < 0)
			return arg;
		usleep(200);
	}
	return NULL;
}

START_TEST(test_beside_a_writer)
{
	atomic_int stop = 0;
	pthread_t thread;
	void *bad;

	put_plain();
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &stop), 0);
	for (int i = 0; i < 3; i++) {
		run((struct map_options){ .prefix = "plain/" },
		    (struct map_hooks){ 0 }, NULL);
		counts(N_PLAIN, N_PLAIN, 0, 0);
	}
	atomic_store(&stop, 1);
	ck_assert_int_eq(pthread_join(thread, &bad), 0);
	ck_assert_ptr_null(bad);
}
END_TEST

/* ---- outputs ---- */

START_TEST(test_outputs)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	struct map_options o = { .to = path };
	char to[80], none[80];
	struct blt *other;

	put_plain();
	run(o, (struct map_hooks){ 0 }, NULL);
	ck_assert_int_eq(seen.rc, -EINVAL);
	snprintf(none, sizeof(none), "%s/none.blt", dir);
	o.to = none;
	run(o, (struct map_hooks){ 0 }, NULL);
	ck_assert_int_eq(seen.rc, -ENOENT);
	snprintf(to, sizeof(to), "%s/to.blt", dir);
	ck_assert_int_eq(blt_open(to, &how, &other, NULL), 0);
	o.to = to;
	run(o, (struct map_hooks){ 0 }, NULL);
	ck_assert_int_eq(seen.rc, -EWOULDBLOCK);
	ck_assert_int_eq(blt_close(other), 0);
	run(o, (struct map_hooks){ 0 }, NULL);
	counts(N_PLAIN, N_PLAIN, 0, 0);
	o.to = none;
	o.to_create = true;
	run(o, (struct map_hooks){ 0 }, NULL);
	counts(N_PLAIN, N_PLAIN, 0, 0);
}
END_TEST

START_TEST(test_read_only)
{
	put_plain();
	ck_assert_int_eq(blt_close(store), 0);
	ck_assert_int_eq(blt_open(path, NULL, &store, NULL), 0);
	run_plainly();
	ck_assert_int_eq(seen.rc, -EROFS);
	ck_assert_uint_eq(seen.result.processed, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("maprun");
	TCase *tc = tcase_create("maprun");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_plain, 0, 2);
	tcase_add_test(tc, test_many_and_none);
	tcase_add_loop_test(tc, test_large, 0, 2);
	tcase_add_test(tc, test_no_descriptors);
	tcase_add_test(tc, test_without_standard_streams);
	tcase_add_loop_test(tc, test_misdeeds, 0, (int)ARRAY_SIZE(misdeeds));
	tcase_add_test(tc, test_all_at_once);
	tcase_add_test(tc, test_hang);
	tcase_add_test(tc, test_flood);
	tcase_add_test(tc, test_no_hello);
	tcase_add_test(tc, test_missing_program);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_max_errors);
	tcase_add_test(tc, test_if_unchanged);
	tcase_add_test(tc, test_last_writer_wins);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_cancel_from_thread);
	tcase_add_test(tc, test_beside_a_writer);
	tcase_add_test(tc, test_outputs);
	tcase_add_test(tc, test_read_only);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

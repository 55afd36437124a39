/* Maps with real processes that fail, in all ways that they can: what they are
 * made for comes out beside it. */
#include "lib/maprunner.h"
#include "map/pool.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	char *argv[] = { program, run_dir, by_value, NULL }, *env[] = { NULL };
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

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_misdeeds, 0, (int)ARRAY_SIZE(misdeeds));
	tcase_add_test(tc, test_all_at_once);
	tcase_add_test(tc, test_hang);
	tcase_add_test(tc, test_flood);
	tcase_add_test(tc, test_no_hello);
	tcase_add_test(tc, test_missing_program);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_max_errors);
}

int main(void)
{
	return maprunner_run("maprun-wrong", add);
}

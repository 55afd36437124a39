#include "lib/maprunner.h"
#include "lib/suite.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

char run_dir[64], run_path[80];
struct blt *store;
struct seen seen;

void put(const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW),
		0);
}

void put_plain(void)
{
	char key[32], value[32];

	for (int i = 0; i < N_PLAIN; i++) {
		snprintf(key, sizeof(key), "plain/%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		put(key, value);
	}
}

bool has(const char *key, const char *value)
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

bool failed_with(const char *key, const char *why)
{
	for (unsigned i = 0; i < seen.n_errors; i++)
		if (!strncmp(seen.error[i], key, strlen(key)) &&
		    strstr(seen.error[i], why))
			return true;
	return false;
}

const char *test_worker(void)
{
	const char *program = getenv("MAP_WORKER");

	ck_assert_msg(program && getenv("BLT_MAP_WORKER"),
		      "MAP_WORKER and BLT_MAP_WORKER must name the programs");
	return program;
}

void run(struct map_options o, struct map_hooks hooks, const char *how)
{
	char *program = strdup(test_worker()), *mode = strdup(how ? how : "");
	char *argv[] = { program, run_dir, how ? mode : NULL, NULL };

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

void run_plainly(void)
{
	run((struct map_options){ 0 }, (struct map_hooks){ 0 }, NULL);
}

void counts(uint64_t processed, uint64_t written, uint64_t skipped,
	    uint64_t errors)
{
	ck_assert_msg(seen.rc == 0, "%d: %s", seen.rc, seen.err.text);
	ck_assert_uint_eq(seen.result.processed, processed);
	ck_assert_uint_eq(seen.result.written, written);
	ck_assert_uint_eq(seen.result.skipped, skipped);
	ck_assert_uint_eq(seen.result.errors, errors);
}

/* ---- the suite ---- */

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", run_dir);
	ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
	struct blt_open_options how = { .mode = BLT_CREATE };

	strcpy(run_dir, "/tmp/test-maprun-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(run_dir));
	snprintf(run_path, sizeof(run_path), "%s/s.blt", run_dir);
	ck_assert_int_eq(blt_open(run_path, &how, &store, NULL), 0);
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

int maprunner_run(const char *name, void (*add)(TCase *tc))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	add(tc);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

/* Maps with real processes: what is right, what changes meanwhile, what others
 * do beside them, and where outputs go. */
#include "lib/maprunner.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int note_progress(void *arg, const struct map_progress *p)
{
	ck_assert_uint_le(p->done, p->total);
	*(struct map_progress *)arg = *p;
	return 0;
}

/* Keys that are not wanted are no work. */
START_TEST(test_progress_counts_items)
{
	struct map_progress last = { .done = 0 };

	put_plain();
	put("few/1", "x");
	put("few/2", "y");
	run((struct map_options){ .prefix = "few/", .workers = 1 },
	    (struct map_hooks){ .progress = note_progress, .arg = &last },
	    NULL);
	counts(2, 2, 0, 0);
	ck_assert_uint_eq(last.done, 2);
	ck_assert_uint_eq(last.total, 2);
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
	struct map_options o = { .to = run_path };
	char to[80], none[80];
	struct blt *other;

	put_plain();
	run(o, (struct map_hooks){ 0 }, NULL);
	ck_assert_int_eq(seen.rc, -EINVAL);
	snprintf(none, sizeof(none), "%s/none.blt", run_dir);
	o.to = none;
	run(o, (struct map_hooks){ 0 }, NULL);
	ck_assert_int_eq(seen.rc, -ENOENT);
	snprintf(to, sizeof(to), "%s/to.blt", run_dir);
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
	ck_assert_int_eq(blt_open(run_path, NULL, &store, NULL), 0);
	run_plainly();
	ck_assert_int_eq(seen.rc, -EROFS);
	ck_assert_uint_eq(seen.result.processed, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_plain, 0, 2);
	tcase_add_test(tc, test_many_and_none);
	tcase_add_loop_test(tc, test_large, 0, 2);
	tcase_add_test(tc, test_progress_counts_items);
	tcase_add_test(tc, test_no_descriptors);
	tcase_add_test(tc, test_without_standard_streams);
	tcase_add_test(tc, test_if_unchanged);
	tcase_add_test(tc, test_last_writer_wins);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_cancel_from_thread);
	tcase_add_test(tc, test_beside_a_writer);
	tcase_add_test(tc, test_outputs);
	tcase_add_test(tc, test_read_only);
}

int main(void)
{
	return maprunner_run("maprun", add);
}

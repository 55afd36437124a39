/* The power is cut at any call: the store opens, and holds a state that it had,
 * no older than the last that was promised. */
#include "crash/crashwork.h"
#include "lib/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGES_PER_WORKLOAD 24
#define CHECKED_ONE_IN 50
#define CHECKED_MOST 400

static char dir[] = "/tmp/test-crash-XXXXXX";

/* Images for the independent checker, as files. */
struct sample {
	unsigned long closed;
	unsigned files;
};

static void keep_sample(void *arg, const uint8_t *image, size_t len)
{
	struct sample *s = arg;
	char path[64];
	FILE *f;

	if (s->closed++ % CHECKED_ONE_IN || s->files == CHECKED_MOST)
		return;
	snprintf(path, sizeof(path), "%s/%04u.blt", dir, s->files++);
	f = fopen(path, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(image, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static void check_sample(const struct sample *s)
{
	const char *python = getenv("PYTHON"), *src = getenv("srcdir");
	char command[512];
	int rc;

	if (!s->files)
		return;
	snprintf(command, sizeof(command),
		 "%s %s/tests/lib/checker.py %s/*.blt",
		 python ? python : "python3", src ? src : ".", dir);
	rc = system(command);
	ck_assert_msg(rc == 0, "the checker finds faults in %u files",
		      s->files);
}

static unsigned long wanted(void)
{
	const char *text = getenv("CRASH_IMAGES");

	return text ? strtoul(text, NULL, 10) : 3000;
}

static uint64_t first_seed(void)
{
	const char *text = getenv("CRASH_SEED");

	return text ? strtoull(text, NULL, 10) : 1;
}

START_TEST(nothing_promised_is_lost)
{
	struct sample sample = { 0 };
	struct crash_totals t = { .closed = keep_sample, .arg = &sample };
	unsigned long want = wanted();

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (uint64_t seed = first_seed(); t.images < want; seed++)
		ck_assert_msg(crashwork_run(seed, IMAGES_PER_WORKLOAD, &t) == 0,
			      "CRASH_SEED=%llu: %s", (unsigned long long)seed,
			      crash_says);
	check_sample(&sample);
	printf("%lu images (%lu distinct), %lu of them cut after another cut; "
	       "%lu kills; %lu recoveries; %lu workloads; %u files checked\n",
	       t.images, t.distinct, t.nested, t.kills, t.recoveries,
	       t.workloads, sample.files);
	printf("kept: nothing %lu, everything %lu, prefixes %lu, sectors %lu, "
	       "pages %lu, calls %lu\n",
	       t.how[CUT_NONE], t.how[CUT_ALL], t.how[CUT_PREFIX],
	       t.how[CUT_SECTORS], t.how[CUT_PAGES], t.how[CUT_SUBSET]);
	printf("distinct ones within:");
	for (unsigned i = 0; i < PHASES; i++)
		printf("%s %s %lu", i ? "," : "", crash_phase_names[i],
		       t.phase[i]);
	printf("\n");
}
END_TEST

/* Found in long runs: a cut between a growth's pad and its checkpoint. */
START_TEST(what_was_lost_once)
{
	static const uint64_t seeds[] = { 4913 };
	struct crash_totals t = { 0 };

	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
		ck_assert_msg(
			crashwork_run(seeds[i], IMAGES_PER_WORKLOAD, &t) == 0,
			"%s", crash_says);
}
END_TEST

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (strstr(dir, "XXXXXX") == NULL && system(command) != 0)
		fprintf(stderr, "cannot remove %s\n", dir);
	strcpy(dir, "/tmp/test-crash-XXXXXX");
}

int main(void)
{
	Suite *suite = suite_create("crash");
	TCase *tc = tcase_create("crash");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, nothing_promised_is_lost);
	tcase_add_test(tc, what_was_lost_once);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	remove_dir();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Each deliberate fault of the commit protocol is caught by the crash tests:
 * one that is not shows a hole in them. */
#ifndef BLT_MUTANTS /* the engine's sources are built with it as well */
#define BLT_MUTANTS 1
#endif
#include "crash/crashwork.h"
#include "base/mutants.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <stdio.h>
#include <stdlib.h>

#define IMAGES_PER_WORKLOAD 24
#define WORKLOADS_MOST 3000

enum mutant mutant_on;

static const char *const names[MUTANTS] = {
	[MUTANT_POINTERS_FIRST] = "pointers before the record is durable",
	[MUTANT_SYNC_DOES_NOTHING] = "a sync without fdatasync",
	[MUTANT_HOT_UNSYNCED] = "a log before its slot is durable",
	[MUTANT_CHECKPOINT_UNSYNCED] = "a slot before the changes are durable",
	[MUTANT_SUM_UNCHECKED] = "records without a checksum",
	[MUTANT_NEXT_UNMASKED] = "next pointers under the checksum",
	[MUTANT_TIME_UNMASKED] = "timestamps under the checksum",
	[MUTANT_CHANGES_NOT_REDONE] = "changes that are not done again",
	[MUTANT_LOG_NOT_REWRITTEN] = "a replay of a log that is not durable",
	[MUTANT_RECOVERED_UNSYNCED] = "a new log before the replay is durable",
	[MUTANT_LOG_KEPT] = "a replay that keeps the salt and the tail",
	[MUTANT_CLEAN_UNSYNCED] = "a plain header before the rest is durable",
	[MUTANT_PLACE_IN_LOG] = "an index in a place that the log covers",
	[MUTANT_LANDED_IN_LOG] = "a new index lands without a checkpoint",
	[MUTANT_REUSE_UNCHECKPOINTED] =
		"space in use again before a checkpoint",
	[MUTANT_COPY_UNSYNCED] = "moved blocks before their bytes are durable",
	[MUTANT_ZONE_NOT_COVERED] = "a replay that leaves prune's gap open",
	[MUTANT_STREAM_UNSYNCED] =
		"a streamed value's record before its bytes are durable",
	[MUTANT_LAID_UNSYNCED] =
		"a batch before the values laid for it are durable",
	[MUTANT_REKEY_IN_LOG] = "a key rewritten whose block is in the log",
	[MUTANT_REKEY_EARLY] = "a key rewritten before its record is durable",
	[MUTANT_CUT_EARLY] = "the end cut off before the slot is durable",
	[MUTANT_PUNCH_EARLY] = "holes before the merge is durable",
};

START_TEST(mutant_is_caught)
{
	struct crash_totals t = { 0 };
	uint64_t seed = 1;

	mutant_on = (enum mutant)_i;
	while (seed <= WORKLOADS_MOST &&
	       crashwork_run(seed, IMAGES_PER_WORKLOAD, &t) == 0)
		seed++;
	ck_assert_msg(seed <= WORKLOADS_MOST, "not caught: %s", names[_i]);
	printf("%s: caught in image %lu, workload %llu: %s\n", names[_i],
	       t.images, (unsigned long long)seed, crash_says);
	fflush(stdout);
}
END_TEST

START_TEST(without_one_nothing_is_found)
{
	struct crash_totals t = { 0 };

	mutant_on = MUTANT_NONE;
	for (uint64_t seed = 1; seed <= 10; seed++)
		ck_assert_msg(crashwork_run(seed, IMAGES_PER_WORKLOAD, &t) == 0,
			      "%s", crash_says);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mutants");
	TCase *tc = tcase_create("mutants");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, mutant_is_caught, MUTANT_NONE + 1, MUTANTS);
	tcase_add_test(tc, without_one_nothing_is_found);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

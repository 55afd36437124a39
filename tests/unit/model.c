/* Random operations on stores of every kind, against the model.
 *
 * MODEL_ROUNDS: closings of each store, and MODEL_SCALE: seeds.  Or the long
 * run: MODEL_OPERATIONS=10000000 makes so many in all, over seeds from
 * MODEL_SEED (1) on, with values of up to 64 MiB, and says how many a second.
 * It takes a gigabyte of memory and of disk. */
#include "lib/model.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct model_options kinds[] = {
	{ .n_keys = 40, .max_value = 3000000, .create = { .n_buckets = 7 } },
	{ .n_keys = 300, .max_value = 5000, .create = { .n_buckets = 101 } },
	{ .n_keys = 300,
	  .max_value = 5000,
	  .create = { .n_buckets = 400, .no_timestamps = true } },
	{ .n_keys = 100, .create = { .n_buckets = 11, .value_len = 1 } },
	{ .n_keys = 300, .create = { .n_buckets = 301, .value_len = 1000 } },
	{ .n_keys = 13000, .max_value = 100 },
	{ .n_keys = 100000, .max_value = 100 },
	{ .n_keys = 1, .max_value = 100, .create = { .n_buckets = 1 } },
	{ .n_keys = 12,
	  .max_value = 5000,
	  .huge_value = (size_t)64 << 20,
	  .create = { .n_buckets = 3 } },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))
#define ROUNDS 6
#define STEPS_MOST 20000u /* between two closings */
#define OPERATIONS_SOON 30000u
#define HUGE_SOON ((size_t)6 << 20)

static unsigned long asked(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 10) : otherwise;
}

static unsigned steps_of(const struct model_options *o)
{
	unsigned steps = 500 + 2 * o->n_keys;

	return steps < STEPS_MOST ? steps : STEPS_MOST;
}

/* Returns the number of operations. */
static unsigned long run(const struct model_options *o, unsigned seed,
			 unsigned rounds)
{
	struct model *m;
	char path[64];

	snprintf(path, sizeof(path), "test-model-%d.blt", (int)getpid());
	m = model_new(o, seed, path);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < steps_of(o); i++)
			model_step(m);
		model_compare(m);
		model_reopen(m);
		model_compare(m);
	}
	model_free(m);
	return (unsigned long)rounds * steps_of(o);
}

START_TEST(test_kind)
{
	struct model_options o = kinds[_i];
	unsigned seeds = (unsigned)asked("MODEL_SCALE", 1);
	unsigned rounds = (unsigned)asked("MODEL_ROUNDS", ROUNDS);

	/* Not in a file that a slow machine has to read again and again. */
	if (o.huge_value)
		o.huge_value = HUGE_SOON;
	if (rounds > OPERATIONS_SOON / steps_of(&o))
		rounds = OPERATIONS_SOON / steps_of(&o);
	for (unsigned seed = 1; seed <= seeds; seed++)
		run(&o, seed, rounds);
}
END_TEST

/* Keys and values that load under each of booklet's serializers. */
START_TEST(test_serializer)
{
	const struct model_options o = {
		.n_keys = 60,
		.max_value = 3000,
		.create = { .n_buckets = 11,
			    .key_serializer = (unsigned)_i,
			    .value_serializer = (unsigned)_i },
	};

	run(&o, (unsigned)_i, 1);
}
END_TEST

START_TEST(test_long)
{
	unsigned long want = asked("MODEL_OPERATIONS", 0), done = 0;
	unsigned seed = (unsigned)asked("MODEL_SEED", 1);
	time_t since = time(NULL), took;

	for (; done < want; seed++) {
		for (size_t i = 0; i < KINDS && done < want; i++)
			done += run(&kinds[i], seed, ROUNDS);
		took = time(NULL) - since;
		printf("seed %u: %lu operations so far, %lu a second\n", seed,
		       done, done / (unsigned long)(took ? took : 1));
		fflush(stdout);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("model");
	TCase *c = tcase_create("kinds");

	tcase_set_timeout(c, 0);
	if (asked("MODEL_OPERATIONS", 0)) {
		tcase_add_test(c, test_long);
	} else {
		tcase_add_loop_test(c, test_kind, 0, KINDS);
		tcase_add_loop_test(c, test_serializer, 1, 33);
	}
	suite_add_tcase(s, c);
	return run_suite(s);
}

/* Random operations on stores of every kind, against the model. */
#include "model.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
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
};

/* MODEL_SCALE: seeds; MODEL_ROUNDS: closings of each store. */
static unsigned asked(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned)atoi(s) : otherwise;
}

START_TEST(test_kind)
{
	char path[64];
	struct model *m;
	unsigned keys = kinds[_i].n_keys;
	unsigned seeds = asked("MODEL_SCALE", 1);
	unsigned rounds = asked("MODEL_ROUNDS", 6);

	snprintf(path, sizeof(path), "test-model-%d-%d.blt", _i, (int)getpid());
	for (unsigned seed = 1; seed <= seeds; seed++) {
		m = model_new(&kinds[_i], seed, path);
		for (unsigned round = 0; round < rounds; round++) {
			for (unsigned i = 0; i < 500 + 2 * keys; i++)
				model_step(m);
			model_compare(m);
			model_reopen(m);
			model_compare(m);
		}
		model_free(m);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("model");
	TCase *c = tcase_create("kinds");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 0);
	tcase_add_loop_test(c, test_kind, 0, sizeof(kinds) / sizeof(kinds[0]));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* suite.h - for unit tests: the end of main.  CK_VERBOSITY says how much of it
 * is to be seen. */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include "lib/checked.h"

#include <stdlib.h>

/* Runs the suite; what main returns. */
static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

/* rounds.h - how long a unit test's random part goes on.
 *
 * TEST_FEW=1, where each instruction costs fifty, makes it a quarter of that,
 * but four rounds: make check-valgrind sets it. */
#ifndef TESTS_ROUNDS_H
#define TESTS_ROUNDS_H

#include <stdlib.h>

static inline unsigned rounds_of(unsigned all)
{
	unsigned few = all / 4 < 4 ? 4 : all / 4;

	return getenv("TEST_FEW") && few < all ? few : all;
}

#endif

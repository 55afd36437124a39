/* rounds.h - how long a unit test's random part goes on.
 *
 * TEST_FEW=1 makes it a quarter of that, but four rounds: for where each
 * instruction costs fifty (make check-valgrind), and where all has been tried
 * already with another compiler. */
#ifndef TESTS_ROUNDS_H
#define TESTS_ROUNDS_H

#include <stdlib.h>

static inline unsigned rounds_of(unsigned all)
{
	unsigned few = all / 4 < 4 ? 4 : all / 4;

	return getenv("TEST_FEW") && few < all ? few : all;
}

/* Of things that are all tried in turn, each so many-th. */
static inline unsigned rounds_stride(void)
{
	return getenv("TEST_FEW") ? 4 : 1;
}

#endif

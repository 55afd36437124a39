/* nscrawl.h - for unit tests: everything that a namespace shows agrees with
 * itself and with the store.
 *
 * Every entry of every directory is asked for in each way that there is, and
 * every key has one path, which leads back to it.  What is wrong fails the
 * test.
 */
#ifndef TESTS_NSCRAWL_H
#define TESTS_NSCRAWL_H

#include "blt.h"

/* Returns how many files there are.  flat: as the namespace was asked for, or
 * as its keys make it. */
uint64_t nscrawl(struct blt *store, struct blt_ns *ns, bool flat);

#endif

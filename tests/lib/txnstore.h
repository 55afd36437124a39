/* txnstore.h - for unit tests of transactions: stores of each engine in turn.
 *
 *   static void add(TCase *tc)
 *   {
 *           tcase_add_test(tc, test_some);
 *   }
 *
 *   int main(void)
 *   {
 *           return txnstore_run("name", add);
 *   }
 *
 * What fails fails the test.
 */
#ifndef TESTS_TXNSTORE_H
#define TESTS_TXNSTORE_H

#include "blt.h"

#include "lib/checked.h"

/* That of the test that runs. */
extern const char *engine;

/* What main returns. */
int txnstore_run(const char *name, void (*add)(TCase *tc));

/* An empty store of the engine. */
struct blt *open_new(const char *path);

/* And removes it. */
void close_store(struct blt *store);

struct blt *begin(struct blt *store);

struct blt_ns *open_ns(struct blt *store, bool flat);

#endif

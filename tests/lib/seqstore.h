/* seqstore.h - for unit tests of sequences: a store with one in it, of each
 * engine in turn.
 *
 *   static void add(TCase *tc)
 *   {
 *           tcase_add_test(tc, test_some);
 *   }
 *
 *   int main(void)
 *   {
 *           return seqstore_run("name", add, NULL);
 *   }
 *
 * A test finds what is declared here open, the sequence empty; whatever is open
 * in its place at its end is closed, and the files go.
 */
#ifndef TESTS_SEQSTORE_H
#define TESTS_SEQSTORE_H

#include "blt_seq.h"

#include "lib/checked.h"

#define PREFIX "frames/"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

extern char seqstore_path[64];
extern struct blt *store;
extern struct blt_ns *ns;
extern struct blt_seq *seq;

/* An item of one value, "x". */
extern const struct blt_seq_item one;

/* Runs the tests that add adds with each engine, and those of booklets_alone,
 * if any; what main returns. */
int seqstore_run(const char *name, void (*add)(TCase *tc),
		 void (*booklets_alone)(TCase *tc));

/* The store and its namespace, not the sequence; serializer: of the values. */
void seqstore_open(enum blt_mode mode, const char *serializer);

/* All three. */
void seqstore_close(void);

void seqstore_open_seq(void);

/* LMDB waits for the disk at each change. */
bool seqstore_is_slow(void);

uint64_t seqstore_len(void);

#endif

/* crashseq.h - random changes of one sequence, for crashwork: the states that
 * each of them leads to, and what a store holds.
 *
 *   op = crashseq_draw(seed, &now)
 *   for (i = 0; i < op.parts; i++)
 *           crashseq_apply(&op, i, &state)   the next state that may be met
 *   crashseq_run(store, &op)                 in batches of a few keys
 *
 * Pure but for run and read, which return -errno.
 */
#ifndef TEST_CRASHSEQ_H
#define TEST_CRASHSEQ_H

#include "blt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRASHSEQ_ITEMS 40
#define CRASHSEQ_TORN 0 /* an item that nobody has made */

/* An item is a number, never 0; an odd one is a record of two fields. */
struct crash_seq {
	uint32_t there;
	uint32_t n;
	uint32_t item[CRASHSEQ_ITEMS];
};

struct crashseq_op {
	enum crashseq_kind {
		CRASHSEQ_CREATE,
		CRASHSEQ_INSERT,
		CRASHSEQ_EXTEND, /* several batches, of whole items */
		CRASHSEQ_DELETE,
		CRASHSEQ_MOVE,
		CRASHSEQ_SET,
		CRASHSEQ_CROWD, /* an item by hand, right behind another, and
				 * one between them: some are renamed first */
	} kind;
	uint32_t at, to, n;
	uint32_t item[6];
	unsigned parts;
	bool flush; /* behind each batch, so that it ends in the file, too */
};

struct crashseq_op crashseq_draw(uint64_t seed, const struct crash_seq *now);
void crashseq_apply(const struct crashseq_op *op, unsigned part,
		    struct crash_seq *s);
int crashseq_run(struct blt *store, const struct crashseq_op *op);

int crashseq_read(struct blt *store, struct crash_seq *ret);

/* How many keys it has, and whether a key is one of them. */
uint64_t crashseq_keys(const struct crash_seq *s);
bool crashseq_is_key(const void *key, size_t len);

#endif

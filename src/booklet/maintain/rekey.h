/* rekey.h - a rename that leaves the value where it is.
 *
 *   rc = rekey(engine, &from, &to);
 *   if (rc == 0)
 *           ... batch_rename ...
 *
 * A long value has a dead block in front, its pad: of a stream what is left of
 * the region, otherwise one that batch_put appends.  The pad becomes shorter or
 * longer by what the keys differ, and head and key of the block are written
 * anew, with the pointers that lead there.
 *
 * Threads: the caller holds no lock.  Beside work on the whole file, and while
 * somebody walks over the blocks, it is not done.
 */
#ifndef BLT_REKEY_H
#define BLT_REKEY_H

#include "booklet/core/batch.h"

/* 1: done, and durable; 0: nothing has changed, the value is to be copied; or
 * an error. */
int rekey(struct engine *e, const struct batch_key *from,
	  const struct batch_key *to);

/* What takes long of it, beforehand: makes durable what has been written, if
 * the key's value is one that could stay where it is. */
int rekey_prepare(struct engine *e, const struct batch_key *from);

#endif

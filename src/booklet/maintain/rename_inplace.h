/* rename_inplace.h - a rename that leaves the value where it is.
 *
 *   rc = rename_inplace(engine, &from, &to);
 *   if (rc == 0)
 *           ... batch_rename ...
 *
 * A long value has a dead block in front, its filler: of a stream what is left
 * of the region, otherwise one that batch_put appends.  The filler becomes
 * shorter or longer by what the keys differ, and head and key of the block are
 * written anew, with the pointers that lead there.
 *
 * Threads: the caller holds no lock.  Beside work on the whole file, and while
 * somebody walks over the blocks, it is not done.
 */
#ifndef BLT_RENAME_INPLACE_H
#define BLT_RENAME_INPLACE_H

#include "booklet/core/batch.h"

/* 1: done, and durable; 0: nothing has changed, the value is to be copied; or
 * an error. */
int rename_inplace(struct engine *e, const struct batch_key *from,
		   const struct batch_key *to);

/* What takes long of it, beforehand: makes durable what has been written, if
 * the key's value is one that could stay where it is. */
int rename_inplace_prepare(struct engine *e, const struct batch_key *from);

#endif

/* rehash.h - a fresh index of another size, beside readers and writers.
 *
 * In steps, each of which holds the locks for moments only:
 *
 *   the place     dead blocks are committed over the place of the new index, at
 *                 the end of the data; a checkpoint takes them out of the log
 *   fill          empty entries are written over their keys and values, and
 *                 synced, piece by piece
 *   declare       one commit: wal.next; their heads become entries too
 *   move          some buckets a commit; index.h looks a key up in whichever
 *                 index has it
 *   land          when all are moved: checkpoint; one commit names the new
 *                 index in the header and covers the place of an old one that
 *                 had been appended too with dead blocks (the bytes of an
 *                 original one, at 200, stay in front of the data); checkpoint
 *
 * The end state is that of booklet's own reindex.  A move that stops before it
 * is declared leaves dead blocks; one that stops later goes on with the next
 * call, in the next process if need be.
 *
 * Threads: the caller holds engine.whole and no other lock.
 */
#ifndef BLT_REHASH_H
#define BLT_REHASH_H

#include "booklet/core/engine.h"

/* Begins a move to an index of n_buckets; none may be under way.  -ENOSPC
 * (nothing is changed), -EBUSY (a snapshot stands where blocks would have to
 * move), or what the disk gave. */
int rehash_begin(struct engine *engine, uint32_t n_buckets);

/* 1: there is more to do; 0: nothing is under way any more; -ENOSPC: the disk
 * is full, try again later; or what the disk gave. */
int rehash_step(struct engine *engine);

/* Bytes done of a move that is under way, and of how many. */
uint64_t rehash_done(const struct engine *engine, uint64_t *ret_total);

/* All steps of what is under way, if anything. */
int rehash_resume(struct engine *engine);

/* What is under way, then a whole move. */
int rehash(struct engine *engine, uint32_t n_buckets);

#endif

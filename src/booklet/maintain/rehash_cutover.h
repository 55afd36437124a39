/* rehash_cutover.h - the places of an index that comes and of one that goes.
 *
 *   rehash_vacate(e)        before a move: what stands behind the old index
 *                            makes way, where its place alone is no sum of
 *                            legal dead blocks
 *   rehash_reserve(e, n)    dead blocks over the place of the new one
 *   rehash_fill(e)          some of its bytes; 1: there are more
 *   rehash_declare(e)       it is the index that is being built
 *   rehash_old_place(e, &)  at the end: what is to be covered
 *
 * Threads: the caller holds engine.whole and, but for rehash_old_place, which
 * wants wal.write, no other lock.
 */
#ifndef BLT_REHASH_CUTOVER_H
#define BLT_REHASH_CUTOVER_H

#include "booklet/core/engine.h"

/* What becomes of the place of the old index: len bytes from pos are to be
 * covered with dead blocks at the end. */
struct vacated {
	uint64_t pos;
	uint64_t len;
};

int rehash_vacate(struct engine *e);
int rehash_reserve(struct engine *e, uint32_t n_buckets);
int rehash_fill(struct engine *e);
int rehash_declare(struct engine *e);
int rehash_old_place(struct engine *e, struct vacated *ret);

#endif

/* reindex_place.h - the places of an index that comes and of one that goes.
 *
 *   reindex_vacate(e)        before a move: what stands behind the old index
 *                            makes way, where its place alone is no sum of
 *                            legal dead blocks
 *   reindex_reserve(e, n)    dead blocks over the place of the new one
 *   reindex_fill(e)          some of its bytes; 1: there are more
 *   reindex_declare(e)       it is the index that is being built
 *   reindex_old_place(e, &)  at the end: what is to be covered
 *
 * Threads: the caller holds engine.whole and, but for reindex_old_place, which
 * wants space.write, no other lock.
 */
#ifndef BLT_REINDEX_PLACE_H
#define BLT_REINDEX_PLACE_H

#include "booklet/core/engine.h"

/* What becomes of the place of the old index: len bytes from pos are to be
 * covered with dead blocks at the end. */
struct vacated {
	uint64_t pos;
	uint64_t len;
};

int reindex_vacate(struct engine *e);
int reindex_reserve(struct engine *e, uint32_t n_buckets);
int reindex_fill(struct engine *e);
int reindex_declare(struct engine *e);
int reindex_old_place(struct engine *e, struct vacated *ret);

#endif

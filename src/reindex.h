/* reindex.h - a fresh index of another size.
 *
 * The new index is appended; the buckets of the old one are moved over a few
 * at a time (index.h looks a key up in whichever has it), then the header
 * names the new one.  The place of an old index that had been appended too is
 * covered with dead blocks; the bytes of an original one, at 200, stay in
 * front of the data.  The end state is that of booklet's own reindex.
 */
#ifndef BLT_REINDEX_H
#define BLT_REINDEX_H

#include "engine.h"

/* 0, -ENOSPC (nothing is changed), -EBUSY (a scan stands where blocks would
 * have to move), or what the disk gave. */
int reindex(struct engine *engine, uint32_t n_buckets);

/* Goes on with what space.next says is under way, if anything: a writer died in
 * it, or the disk was full.  -EROFS, -ENOSPC. */
int reindex_resume(struct engine *engine);

#endif

/* punch_holes.h - disk space under dead blocks is given back; nothing moves.
 *
 * Neighbouring dead blocks become as few as the format allows, and holes are
 * punched under what is between their heads.  Snapshots and views are waited
 * for as prune waits for them.
 *
 * Threads: the caller holds engine.whole and no other lock.
 */
#ifndef BLT_PUNCH_HOLES_H
#define BLT_PUNCH_HOLES_H

#include "blt.h"
#include "booklet/core/engine.h"

/* 0; -EBUSY: the caller's own thread holds a snapshot; -ENOSPC: holes were
 * punched, but there was no room for a record, or for what else had been under
 * way; what progress gave; -EUCLEAN.  *ret is always set. */
int punch_holes(struct engine *e, blt_progress_fn *progress, void *arg,
		struct blt_trim_result *ret);

/* Puts heads into the file that a trim could not put there: no block that is
 * about to be merged may be touched before. */
int punch_resume(struct engine *e);

#endif

/* compaction.h - live blocks slide down over dead ones, in place and beside
 * readers and writers.
 *
 * compaction.c has the order of the work, compact.c a step of it.  At any
 * moment the store is whole; what a step writes over is declared in the log as
 * a gap that holds no blocks (doc/durability.md), and a snapshot passes over
 * it.
 *
 * Blocks that are committed after the start are not moved: whoever wants the
 * file cut behind them too calls again, for what stands behind the packed ones.
 * Snapshots that are running are waited for before blocks change their places,
 * and views before what they show is written over; neither ever waits for
 * prune.
 *
 * Threads: the caller holds engine.whole and no other lock.
 */
#ifndef BLT_COMPACTION_H
#define BLT_COMPACTION_H

#include "blt.h"
#include "booklet/core/engine.h"

/* *at is 0, or what an earlier call left there under the same hold of
 * engine.whole: where its packed blocks end, behind which the work is to begin.
 * 0; -EBUSY: the caller's own thread holds a snapshot;
 * -ENOSPC, with what was done kept; what progress gave; -EUCLEAN. *ret is
 * always set; so is *at, to 0 where nothing can follow. */
int compaction(struct engine *e, const struct blt_prune_options *opts,
	       uint64_t *at, struct blt_prune_result *ret);

/* Covers what a prune that was cut short has left open, so that the file can
 * be plain. */
int compaction_resume(struct engine *e);

#endif

/* scan.h - a walk over the blocks, beside writers.
 *
 * A scan shows the store as it was at its start.  It meets the blocks that were
 * there then, in their order.  A block that a later commit kills before the
 * scan has come to it is met all the same, and with the timestamp that it had:
 * so each entry that lived at the start, a hidden one too, is met exactly once,
 * and together they are what one commit had left.
 *
 *   struct scan s;
 *   scan_start(&s, engine);
 *   while ((rc = scan_next(&s, &block)) > 0)
 *           ...
 *   scan_end(&s);
 *
 * Memory: 16 bytes or so for each block in front of the scan that is
 * overwritten, deleted or given another time while it runs.
 *
 * Threads: one scan belongs to one thread at a time; scans run beside each
 * other and beside writers.
 */
#ifndef BLT_SCAN_H
#define BLT_SCAN_H

#include "booklet/log/block.h"
#include "booklet/core/engine.h"

/* Blocks fetched under one hold of the lock. */
#define SCAN_AHEAD 16

struct scan {
	struct engine *engine;
	pthread_t thread;  /* that began it */
	struct scan *next; /* under space.lock, as all below */
	uint64_t pos;
	uint64_t end;
	struct changes kept; /* blocks ahead that have died: pos -> 1; that
			      * have come to life: pos -> 0; those whose time
			      * has changed: where that stands -> what it was
			      */
	struct chunk *pin;   /* holds the block that was met last */
	bool dead_too;

	/* Of its own thread alone: met under the lock, not told yet. */
	unsigned n_ahead, told;
	struct block ahead[SCAN_AHEAD];
};

/* dead_too: dead blocks are met as well, with head.next FORMAT_DEAD.  What has
 * died during the scan always comes with FORMAT_LAST. */
void scan_start(struct scan *s, struct engine *engine, bool dead_too);

/* 1 and a block, whose key and value are good until the next call (touching
 * them needs file_try, where somebody may cut the file short); 0: the end. */
int scan_next(struct scan *s, struct block *ret);

/* Behind -EUCLEAN of scan_next, whose position s->pos is: goes on in the next
 * data region, if there is one.  Returns 0. */
int scan_skip_region(struct scan *s);

void scan_end(struct scan *s);

/* With space.write held, and space.lock exclusively: dead blocks from pos on
 * are no blocks any more, up to end; what stands there goes on at end. */
void scan_pass_over(struct engine *engine, uint64_t pos, uint64_t end);

/* Told by the writer, under space.lock: the block at pos dies now. */
int scan_keep(struct engine *engine, uint64_t pos);

/* The same: the block at pos lives from now on. */
int scan_hide(struct engine *engine, uint64_t pos);

/* The same: the block's timestamp, so far this one, changes now. */
int scan_keep_time(struct engine *engine, uint64_t pos, int64_t time);

#endif

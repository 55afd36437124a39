/* snapshot.h - a walk over the blocks, beside writers.
 *
 * A snapshot shows the store as it was at its start.  It meets the blocks that
 * were there then, in their order.  A block that a later commit kills before
 * the snapshot has come to it is met all the same, and with the timestamp that
 * it had: so each entry that lived at the start, a hidden one too, is met
 * exactly once, and together they are what one commit had left.
 *
 *   struct snapshot s;
 *   snapshot_start(&s, engine);
 *   while ((rc = snapshot_next(&s, &block)) > 0)
 *           ...
 *   snapshot_end(&s);
 *
 * Memory: 16 bytes or so for each block in front of the snapshot that is
 * overwritten, deleted or given another time while it runs.
 *
 * Threads: one snapshot belongs to one thread at a time; snapshots run beside
 * each other and beside writers.
 */
#ifndef BLT_SNAPSHOT_H
#define BLT_SNAPSHOT_H

#include "booklet/log/block.h"
#include "booklet/core/engine.h"

/* Blocks fetched under one hold of the lock. */
#define SNAPSHOT_AHEAD 16

struct snapshot {
	struct engine *engine;
	pthread_t thread;      /* that began it */
	struct snapshot *next; /* under wal.lock, as all below */
	uint64_t pos;
	uint64_t end;
	struct dirty_table
		kept;      /* blocks ahead that have died: pos -> 1; that
			    * have come to life: pos -> 0; those whose time
			    * has changed: where that stands -> what it was
			    */
	struct chunk *pin; /* holds the block that was met last */
	bool dead_too;

	/* Of its own thread alone: met under the lock, not told yet. */
	unsigned n_ahead, told;
	struct block ahead[SNAPSHOT_AHEAD];
};

/* dead_too: dead blocks are met as well, with head.next FORMAT_DEAD.  What has
 * died during the snapshot always comes with FORMAT_LAST. */
void snapshot_start(struct snapshot *s, struct engine *engine, bool dead_too);

/* 1 and a block, whose key and value are good until the next call (touching
 * them needs file_try, where somebody may cut the file short); 0: the end. */
int snapshot_next(struct snapshot *s, struct block *ret);

/* Behind -EUCLEAN of snapshot_next, whose position s->pos is: goes on in the
 * next data region, if there is one.  Returns 0. */
int snapshot_skip_region(struct snapshot *s);

void snapshot_end(struct snapshot *s);

/* With wal.write held, and wal.lock exclusively: dead blocks from pos on
 * are no blocks any more, up to end; what stands there goes on at end. */
void snapshot_pass_over(struct engine *engine, uint64_t pos, uint64_t end);

/* Told by the writer, under wal.lock: the block at pos dies now. */
int snapshot_keep(struct engine *engine, uint64_t pos);

/* The same: the block at pos lives from now on. */
int snapshot_hide(struct engine *engine, uint64_t pos);

/* The same: the block's timestamp, so far this one, changes now. */
int snapshot_keep_time(struct engine *engine, uint64_t pos, int64_t time);

#endif

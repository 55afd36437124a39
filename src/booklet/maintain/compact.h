/* compact.h - the gap, and a step of prune: blocks go into it.
 *
 * A gap is a stretch of the file that holds nothing: walks pass over it, and
 * a recovery covers it with dead blocks.  It is opened over dead blocks, blocks
 * are moved into its front, and what is left of it is closed again.
 *
 *   compact_begin(&m, engine, progress, arg)
 *   gap_open(&m, pos, len)
 *   compact_plan(&m, from, to, room)    which blocks
 *   compact_slide(&m, fixed)            copy, sync, commit
 *   gap_cover(engine)
 *   compact_end(&m)
 *
 * No lock is held between calls; while blocks change places none for longer
 * than some hundred of them take.  Errors leave the store whole, the gap as
 * it is.
 */
#ifndef BLT_COMPACT_H
#define BLT_COMPACT_H

#include "blt.h"
#include "booklet/core/engine.h"
#include "booklet/format/keyhash.h"
#include "booklet/log/block.h"

/* Bytes punched by one call: who writes to the file waits for it. */
#define COMPACT_PUNCH ((uint64_t)16 << 20)

/* Bytes written in one call, and of buf. */
#define COMPACT_PIECE ((size_t)256 << 10)

/* A live block and the bytes of it. */
struct compact_block {
	uint64_t pos, len;
};

struct compaction_plan {
	struct engine *engine;
	blt_progress_fn *progress; /* may be NULL */
	void *arg;
	uint64_t done, total, keys; /* for progress */
	/* The plan. */
	struct compact_block *block;
	size_t n, room;
	uint64_t sum; /* of their lengths */
	uint64_t end; /* where the next block to be planned stands: between
		       * the last of these and that all are dead */
	uint8_t *buf;
};

int compact_begin(struct compaction_plan *m, struct engine *e,
		  blt_progress_fn *progress, void *arg);
void compact_end(struct compaction_plan *m);

/* Where the data ends now. */
uint64_t compact_end_of(struct compaction_plan *m);

/* Tells how far it is; negative: stop.  Syncs what others have committed
 * meanwhile, where that is much: they leave it to whoever works on the whole.
 */
int compact_tell(struct compaction_plan *m);

/* Passes over the live (or dead) blocks from pos on; *ret is where the first
 * other one stands, at most to. */
int compact_skip(struct compaction_plan *m, uint64_t pos, uint64_t to,
		 bool live, uint64_t *ret);

/* Calls see for the blocks from pos on, under wal.lock and in file_try, until
 * it returns other than 0 or to is reached; pos is then where it stopped.
 * Returns 0, or what see returned where that is negative. */
struct compact_stroll {
	uint64_t pos, to;
	int (*see)(void *arg, const struct block *b);
	void *arg;
};
int compact_stroll(struct compaction_plan *m, struct compact_stroll *s);

/* The length of the block at pos. */
int compact_block_len(struct compaction_plan *m, uint64_t pos, uint64_t *ret);

/* Gathers live blocks from the one at pos on, together at most room bytes and
 * in front of to. */
int compact_plan(struct compaction_plan *m, uint64_t pos, uint64_t to,
		 uint64_t room);

/* Moves what is planned to the front of the gap, which then begins behind
 * it.  follows: the blocks stand right behind the gap, which then takes their
 * old place in. */
int compact_slide(struct compaction_plan *m, bool follows);

/* The bytes, all of dead blocks, become the gap.  Where they begin in front of
 * the first data, it begins there from then on. */
int gap_open(struct compaction_plan *m, uint64_t pos, uint64_t len);

/* Dead blocks again, if there is a gap.  Its length must be a sum of legal
 * ones. */
int gap_cover(struct engine *e);

/* Waits until nobody looks at what has been vacated; then begins the log anew:
 * the gap may be written. */
int gap_vacate(struct compaction_plan *m);

/* Writes bytes of buf into the gap. */
int compact_write(struct compaction_plan *m, size_t len, uint64_t pos);

/* Makes these bytes durable, which were written into the gap. */
int compact_sync(struct compaction_plan *m, uint64_t from, uint64_t to);

/* Under wal.lock: whether a walk stands in blocks that are not to move. */
bool compact_watched(struct engine *e);

/* Waits for that to end; -EBUSY: it is the caller's own. */
int compact_wait_snapshots(struct compaction_plan *m);

/* The file ends at to, where nothing that lives stands behind it: 1, or 0 where
 * something does. */
int compact_cut(struct compaction_plan *m, uint64_t to);

/* The same where nothing behind to ever lived, so that nobody looks at it, and
 * without trying again.  engine.whole is held, and no lock of the wal. */
int compact_cut_unused(struct engine *e, uint64_t to);

/* The parts of a prune: what is too old
 * (compaction_age.c), packing (compaction_pack.c), and the order of it all
 * (compaction.c).
 */

struct compaction {
	struct engine *engine;
	const struct blt_prune_options *opts;
	struct blt_prune_result *result;
	struct keyhash *keep; /* sorted */
	struct compaction_plan compaction_plan;
	uint64_t chunk;                /* bytes moved by one step */
	uint64_t scratch, scratch_len; /* dead blocks of our own */
	uint64_t packed; /* the end of it, where the file is to be cut; 0 */
};

/* Deletes what is too old, as a user would. */
int compaction_age(struct compaction *p);

/* The first hole at or behind pos: [*ret_d, *ret_s). */
int compaction_find_gap(struct compaction *p, uint64_t pos, uint64_t to,
			uint64_t *ret_d, uint64_t *ret_s);

/* Packs [*d, to), whose first live block stands at s; *d becomes the end of
 * what is packed. */
int compaction_pack(struct compaction *p, uint64_t *d, uint64_t s, uint64_t to);

/* The same from the first gap at or behind pos on. */
int compaction_pack_from(struct compaction *p, uint64_t pos, uint64_t to,
			 uint64_t *ret_d);

#endif

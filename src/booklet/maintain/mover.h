/* mover.h - the zone, and a step of prune: blocks go into it.
 *
 * A zone is a stretch of the file that holds nothing: walks pass over it, and
 * a recovery covers it with dead blocks.  It is opened over dead blocks, blocks
 * are moved into its front, and what is left of it is closed again.
 *
 *   mover_begin(&m, engine, progress, arg)
 *   zone_open(&m, pos, len)
 *   mover_plan(&m, from, to, room)    which blocks
 *   mover_slide(&m, fixed)            copy, sync, commit
 *   zone_cover(engine)
 *   mover_end(&m)
 *
 * No lock is held between calls; while blocks change places none for longer
 * than some hundred of them take.  Errors leave the store whole, the zone as
 * it is.
 */
#ifndef BLT_MOVER_H
#define BLT_MOVER_H

#include "booklet/log/block.h"
#include "blt.h"
#include "booklet/core/engine.h"

/* Bytes punched by one call: who writes to the file waits for it. */
#define MOVER_PUNCH ((uint64_t)16 << 20)

/* Bytes written in one call, and of buf. */
#define MOVER_PIECE ((size_t)256 << 10)

/* A live block and the bytes of it. */
struct mover_block {
	uint64_t pos, len;
};

struct mover {
	struct engine *engine;
	blt_progress_fn *progress; /* may be NULL */
	void *arg;
	uint64_t done, total, keys; /* for progress */
	/* The plan. */
	struct mover_block *block;
	size_t n, room;
	uint64_t sum; /* of their lengths */
	uint64_t end; /* where the next block to be planned stands: between
		       * the last of these and that all are dead */
	uint8_t *buf;
};

int mover_begin(struct mover *m, struct engine *e, blt_progress_fn *progress,
		void *arg);
void mover_end(struct mover *m);

/* Where the data ends now. */
uint64_t mover_end_of(struct mover *m);

/* Tells how far it is; negative: stop.  Syncs what others have committed
 * meanwhile, where that is much: they leave it to whoever works on the whole.
 */
int mover_tell(struct mover *m);

/* Passes over the live (or dead) blocks from pos on; *ret is where the first
 * other one stands, at most to. */
int mover_skip(struct mover *m, uint64_t pos, uint64_t to, bool live,
	       uint64_t *ret);

/* Calls see for the blocks from pos on, under space.lock and in file_try, until
 * it returns other than 0 or to is reached; pos is then where it stopped.
 * Returns 0, or what see returned where that is negative. */
struct mover_stroll {
	uint64_t pos, to;
	int (*see)(void *arg, const struct block *b);
	void *arg;
};
int mover_stroll(struct mover *m, struct mover_stroll *s);

/* The length of the block at pos. */
int mover_block_len(struct mover *m, uint64_t pos, uint64_t *ret);

/* Gathers live blocks from the one at pos on, together at most room bytes and
 * in front of to. */
int mover_plan(struct mover *m, uint64_t pos, uint64_t to, uint64_t room);

/* Moves what is planned to the front of the zone, which then begins behind
 * it.  follows: the blocks stand right behind the zone, which then takes their
 * old place in. */
int mover_slide(struct mover *m, bool follows);

/* The bytes, all of dead blocks, become the zone.  Where they begin in front of
 * the first data, it begins there from then on. */
int zone_open(struct mover *m, uint64_t pos, uint64_t len);

/* Dead blocks again, if there is a zone.  Its length must be a sum of legal
 * ones. */
int zone_cover(struct engine *e);

/* Waits until nobody looks at what has been vacated; then begins the log anew:
 * the zone may be written. */
int zone_vacate(struct mover *m);

/* Writes bytes of buf into the zone. */
int mover_write(struct mover *m, size_t len, uint64_t pos);

/* Makes these bytes durable, which were written into the zone. */
int mover_sync(struct mover *m, uint64_t from, uint64_t to);

/* Under space.lock: whether a walk stands in blocks that are not to move. */
bool mover_watched(struct engine *e);

/* Waits for that to end; -EBUSY: it is the caller's own. */
int mover_wait_scans(struct mover *m);

/* The file ends at to, where nothing that lives stands behind it: 1, or 0 where
 * something does. */
int mover_cut(struct mover *m, uint64_t to);

/* The same where nothing behind to ever lived, so that nobody looks at it, and
 * without trying again.  engine.whole is held, and no lock of the space. */
int mover_cut_unused(struct engine *e, uint64_t to);

#endif

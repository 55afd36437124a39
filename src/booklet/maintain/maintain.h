/* maintain.h - work on the whole file: compaction, punching holes, rehash,
 * renames that leave the value in place, copies.  compact.h has the steps of a
 * compaction; verify.h and salvage.h are headers of their own.
 */
#ifndef BLT_MAINTAIN_H
#define BLT_MAINTAIN_H

#include "blt.h"
#include "booklet/core/batch.h"
#include "booklet/core/engine.h"

/* Live blocks slide down over dead ones, in place and beside
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

/* Disk space under dead blocks is given back; nothing moves.
 *
 * Neighbouring dead blocks become as few as the format allows, and holes are
 * punched under what is between their heads.  Snapshots and views are waited
 * for as prune waits for them.
 *
 * Threads: the caller holds engine.whole and no other lock.
 */

/* 0; -EBUSY: the caller's own thread holds a snapshot; -ENOSPC: holes were
 * punched, but there was no room for a record, or for what else had been under
 * way; what progress gave; -EUCLEAN.  *ret is always set. */
int punch_holes(struct engine *e, blt_progress_fn *progress, void *arg,
		struct blt_trim_result *ret);

/* Puts heads into the file that a trim could not put there: no block that is
 * about to be merged may be touched before. */
int punch_resume(struct engine *e);

/* A fresh index of another size, beside readers and writers.
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

/* The places of an index that comes and of one that goes.
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

/* A rename that leaves the value where it is.
 *
 *   rc = rename_inplace(engine, &from, &to);
 *   if (rc == 0)
 *           ... batch_rename ...
 *
 * A long value has a dead block in front, its filler: of a stream what is left
 * of the region, otherwise one that batch_put appends.  The filler becomes
 * shorter or longer by what the keys differ, and head and key of the block are
 * written anew, with the pointers that lead there.
 *
 * Threads: the caller holds no lock.  Beside work on the whole file, and while
 * somebody walks over the blocks, it is not done.
 */

/* 1: done, and durable; 0: nothing has changed, the value is to be copied; or
 * an error. */
int rename_inplace(struct engine *e, const struct batch_key *from,
		   const struct batch_key *to);

/* What takes long of it, beforehand: makes durable what has been written, if
 * the key's value is one that could stay where it is. */
int rename_inplace_prepare(struct engine *e, const struct batch_key *from);

/* The live blocks of a store, written back to back into a new file.
 *
 * The copy is the store as it was when the copy began (snapshot.h), beside
 * writers. It has the standard layout: header, index, data.  Each block goes to
 * the head of its chain, so the data is written once, from front to back, and
 * the index, gathered in memory, after it.
 *
 * Memory: 6 bytes a bucket, and what the snapshot keeps.
 * Errors: err gets a sentence that names the file at fault, or the key.
 */

struct copy_how {
	const struct format *fmt;  /* of the copy, as format_make left it */
	const char *path;          /* what the copy is called in messages */
	int64_t now;               /* the time of keys that come without one */
	blt_progress_fn *progress; /* or NULL */
	void *arg;
};

/* Fills an empty file and makes it durable. */
int copy_into(struct engine *from, struct file *to, const struct copy_how *how,
	      struct blt_error *err);

#endif

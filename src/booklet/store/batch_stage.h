/* batch_stage.h - long values of a batch, in their places before it begins.
 *
 * To copy what a batch takes from sources while the write lock is held would
 * keep all other writers waiting for as long.  So where that is much, it is
 * staged first: the blocks stand one behind the other inside regions as streams
 * have them (stream.c), dead blocks to everybody, and are durable; the batch
 * then only makes them live.
 *
 *   rc = batch_stage_ahead(store, first, &st);   sets op->staged_at; no lock is
 *                                                held
 *   rc = batch_begin(...);
 *   ...                                          batch_stage_adopt for each
 *   if (rc == 0)
 *           rc = batch_stage_split(st, &b);      regions become their blocks
 *   rc = batch_end(&b, rc);
 *   batch_stage_end(st, rc == 0);                st may be NULL
 *
 * What is staged and not adopted stays dead.  Errors: -errno; those of a
 * stream, and -EINVAL for a value that would not load.  A struct batch_stage is
 * its caller's alone.
 */
#ifndef BLT_BATCH_STAGE_H
#define BLT_BATCH_STAGE_H

#include "booklet/store/store.h"

struct staged;

/* *ret is NULL where there is nothing that is worth it. */
int batch_stage_ahead(struct store *store, struct backend_op *first,
		      struct staged **ret);
/* For an operation that has staged_at: as batch_put. */
int batch_stage_adopt(struct batch *b, const struct backend_op *op);
int batch_stage_split(struct staged *staged, struct batch *b);
void batch_stage_end(struct staged *staged, bool committed);

#endif

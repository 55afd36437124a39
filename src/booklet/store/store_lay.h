/* store_lay.h - long values of a batch, in their places before it begins.
 *
 * To copy what a batch takes from sources while the write lock is held would
 * keep all other writers waiting for as long.  So where that is much, it is
 * laid first: the blocks stand one behind the other inside regions as streams
 * have them (stream.c), dead blocks to everybody, and are durable; the batch
 * then only makes them live.
 *
 *   rc = lay_ahead(store, first, &laid);      sets op->laid_at; no lock is held
 *   rc = batch_begin(...);
 *   ...                                       lay_adopt for such an operation
 *   if (rc == 0)
 *           rc = lay_split(laid, &b);         the regions become their blocks
 *   rc = batch_end(&b, rc);
 *   lay_end(laid, rc == 0);                   laid may be NULL
 *
 * What is laid and not adopted stays dead.  Errors: -errno; those of a stream,
 * and -EINVAL for a value that would not load.  A laid is its caller's alone.
 */
#ifndef BLT_STORE_LAY_H
#define BLT_STORE_LAY_H

#include "booklet/store/store.h"

struct laid;

/* *ret is NULL where there is nothing that is worth it. */
int lay_ahead(struct store *store, struct backend_op *first, struct laid **ret);
/* For an operation that has laid_at: as batch_put. */
int lay_adopt(struct batch *b, const struct backend_op *op);
int lay_split(struct laid *laid, struct batch *b);
void lay_end(struct laid *laid, bool committed);

#endif

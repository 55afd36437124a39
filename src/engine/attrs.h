/* attrs.h - the attributes of a store's keys: where they are kept, and what
 * changes with the keys.
 *
 * The functions of blt.h are in attrs.c and attrs_keys.c; these are what the
 * face (backend*.c) tells them.
 *
 *   rc = attrs_new(&store->attrs);   after the engine's open
 *   attrs_committed(store, first);   after each successful commit
 *   rc = attrs_write(store, true);   before the table is read
 *   attrs_free(store->attrs);
 *
 * The table is read from the store when it is first asked for, stays in memory,
 * and is written as a whole.  Writes are limited to ATTRS_BYTES_A_SECOND, so
 * that many changes of a long table do not each cost a table; attrs_write with
 * always has no limit.
 *
 * Locks: writing, then lock; under lock a store is read, and under writing it
 * is written.  Never taken by an engine.  Any thread, but for attrs_new and
 * attrs_free.
 */
#ifndef BLT_ATTRS_H
#define BLT_ATTRS_H

#include "engine/backend.h"

#include <stdbool.h>
#include <stddef.h>

#define ATTRS_BYTES_A_SECOND (1 << 20)

struct attrs;

int attrs_new(struct attrs **ret);
void attrs_free(struct attrs *a); /* NULL is fine; writes nothing */

/* What the operations of a batch that is committed mean for the records. */
void attrs_committed(struct blt *store, const struct backend_op *first);
/* Of one that is committed with blt_batch_exchange_attrs. */
void attrs_exchanged(struct blt *store, const struct blt_bytes *one,
		     const struct blt_bytes *two);
void attrs_deleted(struct blt *store, const void *key, size_t len);

/* Writes what has changed: always, or only as far as the limit allows. */
int attrs_write(struct blt *store, bool always);

/* Hands what was written to the kernel, if it is not there yet. */
int attrs_flush(struct blt *store);

/* The table's place was written by somebody else: it is read again. */
void attrs_forget(struct blt *store);

/* After a prune: drops the records of keys that are gone.  Records of
 * directories stay, and so do those set since the store was opened: their key
 * may be about to come. */
int attrs_sweep(struct blt *store);

#endif

/* hash_order.h - the live blocks of a store in the order of their keys' hashes.
 *
 * Blocks change places: an overwrite appends, growth and compaction move.  The
 * order of the hashes is the same whatever happens, so a walk that was
 * interrupted goes on behind a key, even one that is no longer there.
 *
 *   rc = hash_order_new(engine, n_keys, &after, &o);
 *   while ((rc = hash_order_next(o, &block)) > 0)
 *           ...
 *   hash_order_free(o);
 *
 * It costs a walk over the block heads before the first block, and 16 bytes of
 * memory a key.  For more than HASH_ORDER_KEYS keys the hashes are taken in
 * slices, each with a walk of its own, so memory stays bounded.  Within a slice
 * the store is shown as it was when the slice's walk began (snapshot.h), but
 * for timestamps, which are those of the moment.
 *
 * Nothing is moved or cut off while it lives, as for any snapshot.  One belongs
 * to one thread at a time.
 */
#ifndef BLT_HASH_ORDER_H
#define BLT_HASH_ORDER_H

#include "booklet/core/snapshot.h"

#define HASH_ORDER_KEYS (16u << 20)

struct hash_order;

/* after NULL: from the first. n_keys: a hint.  slice_keys: keys in a slice, 0:
 * HASH_ORDER_KEYS. */
int hash_order_new(struct engine *engine, uint64_t n_keys,
		   const struct keyhash *after, uint32_t slice_keys,
		   struct hash_order **ret);
void hash_order_free(struct hash_order *o); /* NULL is fine */

/* 1 and a block, as snapshot_next gives it; 0: the end. */
int hash_order_next(struct hash_order *o, struct block *ret);

/* Whether the block that was met last is still in memory alone. */
bool hash_order_pinned(const struct hash_order *o);

#endif

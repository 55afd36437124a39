/* lmdb_btree.h - the names of a directory by their positions.
 *
 * LMDB has its keys sorted, but cannot say which is the n-th: so the names of a
 * directory that is asked for one are held in memory (counted_btree.h), which
 * is read once, some names at a time.  What this process changes is told to it;
 * what another one has changed is seen by the number of LMDB's last
 * transaction, and all is read anew when it is needed next.
 *
 *   in each transaction that writes:
 *     lmdb_btrees_begin(store, txn);
 *     lmdb_btrees_note(store, key, len);    for each key that it changes
 *     lmdb_btrees_look(store, txn);         in front of the commit
 *     lmdb_btrees_apply(store);             behind it, where it went well
 *
 * Up to 24 bytes a name, and about 32 more for one of over 7 bytes.
 *
 * Locks: build before the store's write before its lock before lock.  Errors as
 * in lmdb_store.h.
 */
#ifndef BLT_LMDB_BTREE_H
#define BLT_LMDB_BTREE_H

#include "lmdb/lmdb_store.h"

struct lmdb_btrees *lmdb_btrees_new(void); /* NULL: out of memory */
void lmdb_btrees_free(struct lmdb_btrees *orders);

/* The environment becomes another one, whose transactions are numbered anew.
 * With the store's write held. */
void lmdb_btrees_forget(struct lmdb_btrees *orders);

/* All four with the store's write and lock (shared) held. */
void lmdb_btrees_begin(struct lmdb_store *store, MDB_txn *txn);
void lmdb_btrees_note(struct lmdb_store *store, const void *key, size_t len);
void lmdb_btrees_look(struct lmdb_store *store, MDB_txn *txn);
void lmdb_btrees_apply(struct lmdb_store *store);

/* Rows of struct backend_dirs. */
int lmdb_btree_count(struct blt *blt, const void *prefix, size_t len,
		     uint64_t *ret);
int lmdb_btree_at(struct blt *blt, const void *prefix, size_t len, uint64_t at,
		  uint64_t n, backend_order_fn *fn, void *arg);
int lmdb_btree_find(struct blt *blt, const void *prefix, size_t len,
		    const void *comp, size_t comp_len, uint64_t *ret);

#endif

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

#include "base/counted_btree.h"
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

/* What lmdb_btree.c (reading directories, questions),
 * lmdb_btree_list.c (the orders that there are) and lmdb_btree_change.c (what
 * transactions change) share.
 *
 * All orders are of one state of the environment.  The list of them changes
 * only with the store's write and lock both held, so whoever holds write may
 * look at it without lock.  Threads otherwise as in lmdb_btree.h.
 */

/* An entry's reference: whether it is a directory, and where the name stands
 * where that is too long for the entry, else REF_SHORT. */
#define REF_DIR (UINT64_C(1) << 63)
#define REF_SHORT 1u

struct lmdb_order {
	struct counted_btree names;
	bool complete;
	size_t len;
	uint8_t prefix[];
};

/* A name of an order that a transaction has changed a key of. */
struct touched {
	struct lmdb_order *order;
	size_t at, len; /* in bytes: its key, or its prefix */
	bool is_dir;
	bool there; /* once it has been looked for */
};

struct lmdb_btrees {
	pthread_mutex_t build;  /* held by who reads a directory */
	pthread_rwlock_t lock;  /* protects all down to the next blank line */
	uint64_t txn;           /* whose state they are of */
	struct lmdb_order **at; /* sorted by prefix */
	size_t n, room;

	/* of the transaction that is being made; under the store's write */
	uint64_t writing;
	bool lost; /* not all that it changes is known */
	struct touched *touched;
	size_t n_touched, touched_room;
	uint8_t *bytes;
	size_t len, bytes_room;
};

/* ---- lmdb_btree_list.c ---- */

/* All with lock held: shared, or where they change something, alone. */

struct lmdb_order *lmdb_btree_of(const struct lmdb_btrees *orders,
				 const void *prefix, size_t len);
struct lmdb_order *lmdb_btree_add(struct lmdb_btrees *orders,
				  const void *prefix, size_t len);
void lmdb_btree_drop(struct lmdb_btrees *orders, struct lmdb_order *o);
void lmdb_btrees_drop(struct lmdb_btrees *orders); /* all */

/* What is known is of this transaction's state from now on. */
void lmdb_btrees_follow(struct lmdb_btrees *orders, uint64_t txn);

/* Makes it so that a name is in the order, or is not. */
int lmdb_btree_tell(struct lmdb_order *o, const uint8_t *name, size_t len,
		    bool is_dir, bool there);

#endif

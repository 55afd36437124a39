/* txn_keyset.h - what a transaction remembers of keys, by their hashes.
 *
 *   struct txn_keyset m = { 0 };
 *   struct txn_keyset_entry *is;
 *
 *   is = txn_keyset_get(&m, &hash);            NULL: nothing
 *   rc = txn_keyset_make(&m, &hash, &is);      makes it where it is missing
 *   is->flags |= ...;
 *   txn_keyset_clear(&m);
 *
 * Zeros are an empty table.  24 bytes a key, up to twice that.  Nothing is
 * taken out one by one.  A pointer is good until the next txn_keyset_make.
 *
 * Threads: the caller locks.  -ENOMEM leaves the table as it was.
 */
#ifndef BLT_TXN_KEYSET_H
#define BLT_TXN_KEYSET_H

#include "booklet/format/keyhash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct txn_keyset_entry {
	struct keyhash hash;
	bool used;
	uint16_t flags; /* these two are the caller's, zeros at first */
	uint64_t count;
};

struct txn_keyset {
	struct txn_keyset_entry *mark;
	size_t n, size; /* size: 0 or a power of two */
};

struct txn_keyset_entry *txn_keyset_get(const struct txn_keyset *m,
					const struct keyhash *hash);
int txn_keyset_make(struct txn_keyset *m, const struct keyhash *hash,
		    struct txn_keyset_entry **ret);
void txn_keyset_clear(struct txn_keyset *m);

#endif

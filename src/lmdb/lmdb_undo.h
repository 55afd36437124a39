/* lmdb_undo.h - keys as they were before this process changed them: for walks
 * (lmdb_walk.c), which show the store as it was when they began.
 *
 *   if (!undo_has(&b, key, len))
 *           rc = undo_put(&b, key, len, &value);       NULL: it was not there
 *   ...
 *   was = undo_take(&b, key, len);                     NULL: nothing is known
 *   free(was);
 *
 * Ownership: what is put is copied; what is taken is out of the table, and the
 * caller's.  Errors: -ENOMEM.  Threads: a table belongs to one at a time.
 */
#ifndef BLT_LMDB_UNDO_H
#define BLT_LMDB_UNDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct undo_key {
	struct undo_key *next;
	bool there;
	uint64_t token; /* of the value, whose bytes may have been left out */
	size_t key_len, value_len;
	uint8_t bytes[]; /* the key, then the value */
};

/* All zeros: an empty one. */
struct undo {
	struct undo_key **chain;
	size_t size, n;
	size_t at; /* chains in front of it are empty for undo_any */
};

bool undo_has(const struct undo *b, const void *key, size_t len);
/* value NULL, value_len: so long, but nobody wants its bytes. */
int undo_put(struct undo *b, const void *key, size_t len, bool there,
	     const void *value, size_t value_len, uint64_t token);
struct undo_key *undo_take(struct undo *b, const void *key, size_t len);
/* Any one that was there; NULL: none is left.  Nothing is put any more. */
struct undo_key *undo_any(struct undo *b);
void undo_clear(struct undo *b);

#endif

/* lmdb_before.h - keys as they were before this process changed them: for walks
 * (lmdb_walk.c), which show the store as it was when they began.
 *
 *   if (!before_has(&b, key, len))
 *           rc = before_put(&b, key, len, &value);       NULL: it was not there
 *   ...
 *   was = before_take(&b, key, len);                     NULL: nothing is known
 *   free(was);
 *
 * Ownership: what is put is copied; what is taken is out of the table, and the
 * caller's.  Errors: -ENOMEM.  Threads: a table belongs to one at a time.
 */
#ifndef BLT_LMDB_BEFORE_H
#define BLT_LMDB_BEFORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct before_key {
	struct before_key *next;
	bool there;
	uint64_t token; /* of the value, whose bytes may have been left out */
	size_t key_len, value_len;
	uint8_t bytes[]; /* the key, then the value */
};

/* All zeros: an empty one. */
struct before {
	struct before_key **chain;
	size_t size, n;
	size_t at; /* chains in front of it are empty for before_any */
};

bool before_has(const struct before *b, const void *key, size_t len);
/* value NULL, value_len: so long, but nobody wants its bytes. */
int before_put(struct before *b, const void *key, size_t len, bool there,
	       const void *value, size_t value_len, uint64_t token);
struct before_key *before_take(struct before *b, const void *key, size_t len);
/* Any one that was there; NULL: none is left.  Nothing is put any more. */
struct before_key *before_any(struct before *b);
void before_clear(struct before *b);

#endif

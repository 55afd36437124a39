/* marks.h - what is to be remembered of keys, by their hashes.
 *
 *   struct marks m = { 0 };
 *   struct mark *is = marks_get(&m, &hash);       NULL: nothing
 *   rc = marks_make(&m, &hash, &is);              makes it where it is missing
 *   is->flags |= ...;
 *   marks_clear(&m);
 *
 * Zeros are an empty table.  24 bytes a key, up to twice that.  Nothing is
 * taken out one by one.  A pointer is good until the next marks_make.
 *
 * Threads: the caller locks.  -ENOMEM leaves the table as it was.
 */
#ifndef BLT_MARKS_H
#define BLT_MARKS_H

#include "booklet/format/keyhash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mark {
	struct keyhash hash;
	bool used;
	uint16_t flags; /* these two are the caller's, zeros at first */
	uint64_t count;
};

struct marks {
	struct mark *mark;
	size_t n, size; /* size: 0 or a power of two */
};

struct mark *marks_get(const struct marks *m, const struct keyhash *hash);
int marks_make(struct marks *m, const struct keyhash *hash, struct mark **ret);
void marks_clear(struct marks *m);

#endif

/* lmdb_marks.h - names of an environment's directories by the cookies of their
 * hashes.
 *
 * A cookie does not say which name it is of.  Remembered are those of the last
 * 65536 or so names that were listed, one a place; and, so that a listing can
 * go on behind a name that has gone, those of the last 1024 at which one
 * paused.
 *
 * Ownership: names are copied.  Any thread.
 */
#ifndef BLT_LMDB_MARKS_H
#define BLT_LMDB_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lmdb_marks;

struct lmdb_marks *lmdb_marks_new(void); /* NULL: no memory */
void lmdb_marks_free(struct lmdb_marks *marks);

/* dir: a hash of the directory.  Without memory it is not remembered. */
void lmdb_marks_set(struct lmdb_marks *marks, uint32_t dir, uint64_t cookie,
		    const uint8_t *name, size_t len);
/* A listing ends here, for now. */
void lmdb_marks_end(struct lmdb_marks *marks, uint32_t dir, uint64_t cookie,
		    const uint8_t *name, size_t len);
/* name has room for the longest there is. */
bool lmdb_marks_find(struct lmdb_marks *marks, uint32_t dir, uint64_t cookie,
		     uint8_t *name, size_t *ret_len);

#endif

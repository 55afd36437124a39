/* stage.h - the bytes of a file that is being written.
 *
 *   struct stage *s;
 *
 *   stage_new(&pool, &s);
 *   stage_write(s, buf, n, offset);      any pattern
 *   stage_put(s, store, key, ...);
 *   stage_free(s);
 *
 * Bytes are held in memory.  Beyond the limits (STAGE_MEMORY of one file,
 * pool->max of all) they go straight into their place in the store, so that a
 * large value is written once; where that cannot be (values of a fixed length,
 * values that are coded, a file that is small) into an unlinked temporary file
 * that only this process can open.  What was never written reads as zeros.
 *
 * A stage belongs to one thread at a time (its inode's lock); pools are for any
 * thread.  Lengths end at BLT_VALUE_MAX: -EFBIG.
 */
#ifndef FS_STAGE_H
#define FS_STAGE_H

#include "blt.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAGE_MEMORY (UINT64_C(64) << 20)

struct stage_pool {
	uint64_t max;      /* bytes in memory, all stages together */
	const char *dir;   /* where temporary files go first; borrowed */
	struct blt *store; /* takes large values straight; NULL: none does */
	_Atomic uint64_t used;
};

struct stage {
	struct stage_pool *pool;
	uint8_t *mem; /* NULL once spilled, or put from a stream */
	uint64_t cap;
	uint64_t len;
	int fd;                    /* -1 until spilled there */
	struct blt_stream *stream; /* NULL until spilled there */
	size_t key_len;            /* of the key to be expected */
	bool dirty;                /* differs from what is stored */
	bool written;              /* had bytes since it was made or cut to 0 */
	int64_t mtime;             /* while dirty: microseconds */
};

int stage_new(struct stage_pool *pool, struct stage **ret);
void stage_free(struct stage *s); /* NULL is fine */

/* These make the stage dirty, with the time now. */
int stage_write(struct stage *s, const void *buf, size_t n, uint64_t offset);
int stage_resize(struct stage *s, uint64_t len);
int stage_zero(struct stage *s, uint64_t offset, uint64_t n); /* within len */

/* Bytes read, 0 at the end, or -errno. */
int64_t stage_read(struct stage *s, void *buf, size_t n, uint64_t offset);

/* Adds at the end of a stage, which stays clean. */
int stage_load(struct stage *s, const void *buf, size_t n);
/* Fills an empty one with a value. */
int stage_fill(struct stage *s, const struct blt_view *view);

/* Makes the content the value of key.  It is the stage's still, but for one
 * that went straight into the store (s->stream was set, and is NULL then): that
 * stage is only to be freed. */
int stage_put(struct stage *s, struct blt *store, const void *key,
	      size_t key_len, int64_t mtime);

/* Borrows the stage. */
struct blt_source stage_source(struct stage *s);

#endif

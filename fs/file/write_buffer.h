/* write_buffer.h - the bytes of a file that is being written.
 *
 *   struct write_buffer *s;
 *
 *   write_buffer_new(&pool, &s);
 *   write_buffer_write(s, buf, n, offset);      any pattern
 *   write_buffer_put(s, store, key, ...);
 *   write_buffer_free(s);
 *
 * Bytes are held in memory.  Beyond the limits (WRITE_BUFFER_MEMORY of one
 * file, pool->max of all) they go straight into their place in the store, so
 * that a large value is written once; where that cannot be (values of a fixed
 * length, values that are coded, a file that is small) into an unlinked
 * temporary file that only this process can open.  What was never written reads
 * as zeros.
 *
 * A buffer belongs to one thread at a time (its inode's lock); pools are for
 * any thread.  Lengths end at pool->value_max: -EFBIG.
 */
#ifndef FS_WRITE_BUFFER_H
#define FS_WRITE_BUFFER_H

#include "blt.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WRITE_BUFFER_MEMORY (UINT64_C(64) << 20)

struct write_buffer_pool {
	uint64_t max;       /* bytes in memory, all buffers together */
	uint64_t value_max; /* bytes of one */
	const char *dir;    /* where temporary files go first; borrowed */
	struct blt *store;  /* takes large values straight; NULL: none does */
	_Atomic uint64_t used;
};

struct write_buffer {
	struct write_buffer_pool *pool;
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

int write_buffer_new(struct write_buffer_pool *pool, struct write_buffer **ret);
void write_buffer_free(struct write_buffer *s); /* NULL is fine */

/* These make the buffer dirty, with the time now. */
int write_buffer_write(struct write_buffer *s, const void *buf, size_t n,
		       uint64_t offset);
int write_buffer_resize(struct write_buffer *s, uint64_t len);
int write_buffer_zero(struct write_buffer *s, uint64_t offset,
		      uint64_t n); /* within len */

/* Bytes read, 0 at the end, or -errno. */
int64_t write_buffer_read(struct write_buffer *s, void *buf, size_t n,
			  uint64_t offset);

/* Adds at the end of a buffer, which stays clean. */
int write_buffer_load(struct write_buffer *s, const void *buf, size_t n);
/* Fills an empty one with a value. */
int write_buffer_fill(struct write_buffer *s, const struct blt_view *view);

/* Makes the content the value of key.  It is the buffer's still, but for one
 * that went straight into the store (s->stream was set, and is NULL then): that
 * buffer is only to be freed. */
int write_buffer_put(struct write_buffer *s, struct blt *store, const void *key,
		     size_t key_len, int64_t mtime);

/* Borrows the buffer. */
struct blt_source write_buffer_source(struct write_buffer *s);

#endif

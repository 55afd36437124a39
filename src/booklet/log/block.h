/* block.h - data blocks: where they stand, one by position, and the walk.
 *
 * Every length and position comes from a file that may be damaged or hostile:
 * a block is handed out only if all of it stands inside one data region.
 *
 * Threads: the caller holds the wal's lock shared, or its write lock, and
 * stands in file_try where the bytes may be in the mapping.  A block's key and
 * value pointers are good while that holds; in the file's mapping, for as long
 * as the file is open.
 */
#ifndef BLT_BLOCK_H
#define BLT_BLOCK_H

#include "booklet/log/wal.h"

struct block {
	uint64_t pos;
	uint64_t len;           /* head, key and value */
	const uint8_t *start;   /* of its head */
	struct block_head head; /* next and timestamp as who sees them */
	const uint8_t *key;
	const uint8_t *value;
};

/* The block at pos.  -EUCLEAN where none can stand. */
int block_at(const struct wal *wal, uint64_t pos, enum wal_who who,
	     struct block *ret);

/* The same from the file's bytes alone, where neither regions nor changes are
 * known yet. */
int block_raw(const struct wal *wal, uint64_t pos, uint64_t limit,
	      struct block *ret);

/* The end of the data region that pos stands in, at most limit; 0 where pos is
 * in none. */
uint64_t block_region_end(const struct wal *wal, uint64_t pos, uint64_t limit);

/* The first position of data at or behind pos: pos itself, or the end of the
 * index, of the gap or of the run of dead blocks (wal.merge) that begins
 * there. */
uint64_t block_skip_index(const struct wal *wal, uint64_t pos);

static inline uint64_t block_first(const struct wal *wal)
{
	return block_skip_index(wal, wal->fmt.data_offset);
}

static inline uint64_t block_behind(const struct wal *wal,
				    const struct block *b)
{
	return block_skip_index(wal, b->pos + b->len);
}

/* How far in front of a walk the file's bytes are asked for, and for how many
 * of them at most at a block. */
#define BLOCK_FETCH_FROM 2048
#define BLOCK_FETCH_MOST 512

/* For a walk from block to block: where the next one stands is known only when
 * the head of this one has come, so that a walk over small blocks would wait
 * for each.  To ask for bytes that are not there does no harm. */
static inline void block_fetch_ahead(const struct block *b)
{
	uint64_t len = b->len < BLOCK_FETCH_MOST ? b->len : BLOCK_FETCH_MOST;

	for (uint64_t i = 0; i < len; i += 64)
		__builtin_prefetch(b->start + BLOCK_FETCH_FROM + i);
}

/* The position of a value in the file. */
static inline uint64_t block_value_pos(const struct block *b)
{
	return b->pos + b->len - b->head.value_len;
}

/* Adds to the commit that is being built that len bytes at pos become dead
 * blocks; len must be a sum of legal ones (format_dead_fits).  No change to
 * these bytes may be on its way still: it would overlap. */
int block_cover(struct wal *wal, uint64_t pos, uint64_t len);

/* Adds to the commit that is being built that the dead block at pos, of a file
 * with values of any length, has len bytes from now on.  What then stands
 * behind it must be whole blocks up to its old end, or to its new one. */
int block_resize_dead(struct wal *wal, uint64_t pos, uint64_t len);

/* Whether [pos, to), where blocks begin and end, is all dead ones that never
 * lived; only a few are looked at.  1, 0, or an error.  For the writer. */
int block_unused(const struct wal *wal, uint64_t pos, uint64_t to);

#endif

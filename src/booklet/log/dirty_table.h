/* dirty_table.h - a set of in-place changes to the file: position -> new bytes.
 *
 * Holds what a commit changes in bytes that are in the file already: bucket
 * entries and next pointers (6 bytes), timestamps (7), header fields.  A later
 * change to a position replaces the earlier one; two changes never overlap.
 *
 *   struct dirty_table c = DIRTY_TABLE_INIT;
 *   dirty_set(&c, pos, value, len);
 *   dirty_get(&c, pos, &value);
 *   dirty_release(&c);
 *
 * Threads: none of its own; many may read while nobody writes.
 */
#ifndef BLT_DIRTY_TABLE_H
#define BLT_DIRTY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGE_POS_MOST ((UINT64_C(1) << 48) - 1)

/* Small, since there may be many of them, and each is looked for. */
struct change {
	uint64_t pos : 48;
	uint64_t len : 16; /* bytes, at most 8 */
	uint64_t value;    /* little-endian in the file */
};

struct dirty_table {
	struct change *item; /* in the order of their first setting */
	size_t n, room;
	uint32_t *slot; /* hash table of indexes + 1; 0: free */
	unsigned slot_bits;
	bool odd; /* not all are CHANGE_USUAL bytes long */
};

/* The length of a pointer. */
#define CHANGE_USUAL 6u

#define DIRTY_TABLE_INIT \
	{                \
		0        \
	}

void dirty_release(struct dirty_table *c);

/* Forgets all, keeps the memory. */
void dirty_clear(struct dirty_table *c);

/* -ENOMEM leaves the set as it was. */
int dirty_set(struct dirty_table *c, uint64_t pos, uint64_t value,
	      uint32_t len);

/* Makes room so that n more positions cannot fail. */
int dirty_reserve(struct dirty_table *c, size_t n);

/* Forgets those that begin in len bytes from pos on.  -ENOMEM. */
int dirty_drop(struct dirty_table *c, uint64_t pos, uint64_t len);

bool dirty_find(const struct dirty_table *c, uint64_t pos, uint64_t *ret);

static inline bool dirty_get(const struct dirty_table *c, uint64_t pos,
			     uint64_t *ret)
{
	return c->n && dirty_find(c, pos, ret);
}

/* The same for what is not of the usual length. */
static inline bool dirty_get_odd(const struct dirty_table *c, uint64_t pos,
				 uint64_t *ret)
{
	return c->odd && dirty_find(c, pos, ret);
}

/* Where dirty_get will look. */
void dirty_prefetch(const struct dirty_table *c, uint64_t pos);

/* The items by position, or NULL for want of memory (or of items); given back
 * with dirty_put_sorted. */
struct change *dirty_sorted(const struct dirty_table *c);
void dirty_put_sorted(const struct dirty_table *c, struct change *sorted);

#endif

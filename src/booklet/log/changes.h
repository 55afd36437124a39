/* changes.h - a set of in-place changes to the file: position -> new bytes.
 *
 * Holds what a commit changes in bytes that are in the file already: bucket
 * entries and next pointers (6 bytes), timestamps (7), header fields.  A later
 * change to a position replaces the earlier one; two changes never overlap.
 *
 *   struct changes c = CHANGES_INIT;
 *   changes_set(&c, pos, value, len);
 *   changes_get(&c, pos, &value);
 *   changes_release(&c);
 *
 * Threads: none of its own; many may read while nobody writes.
 */
#ifndef BLT_CHANGES_H
#define BLT_CHANGES_H

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

struct changes {
	struct change *item; /* in the order of their first setting */
	size_t n, room;
	uint32_t *slot; /* hash table of indexes + 1; 0: free */
	unsigned slot_bits;
	bool odd; /* not all are CHANGE_USUAL bytes long */
};

/* The length of a pointer. */
#define CHANGE_USUAL 6u

#define CHANGES_INIT \
	{            \
		0    \
	}

void changes_release(struct changes *c);

/* Forgets all, keeps the memory. */
void changes_clear(struct changes *c);

/* -ENOMEM leaves the set as it was. */
int changes_set(struct changes *c, uint64_t pos, uint64_t value, uint32_t len);

/* Makes room so that n more positions cannot fail. */
int changes_reserve(struct changes *c, size_t n);

/* Forgets those that begin in len bytes from pos on.  -ENOMEM. */
int changes_drop(struct changes *c, uint64_t pos, uint64_t len);

bool changes_find(const struct changes *c, uint64_t pos, uint64_t *ret);

static inline bool changes_get(const struct changes *c, uint64_t pos,
			       uint64_t *ret)
{
	return c->n && changes_find(c, pos, ret);
}

/* The same for what is not of the usual length. */
static inline bool changes_get_odd(const struct changes *c, uint64_t pos,
				   uint64_t *ret)
{
	return c->odd && changes_find(c, pos, ret);
}

/* Where changes_get will look. */
void changes_prefetch(const struct changes *c, uint64_t pos);

/* The items by position, or NULL for want of memory (or of items); given back
 * with changes_put_sorted. */
struct change *changes_sorted(const struct changes *c);
void changes_put_sorted(const struct changes *c, struct change *sorted);

#endif

#include "booklet/log/dirty_table.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BITS 6u

/* From so many changes on, new memory costs less than keeping the old. */
#define RENEW_LEAST ((size_t)1 << 15)

static size_t home_of(const struct dirty_table *c, uint64_t pos)
{
	return (size_t)(pos * UINT64_C(0x9e3779b97f4a7c15) >>
			(64 - c->slot_bits));
}

static size_t slots(const struct dirty_table *c)
{
	return c->slot ? (size_t)1 << c->slot_bits : 0;
}

void dirty_release(struct dirty_table *c)
{
	scratch_put(c->item, c->room * sizeof(*c->item));
	scratch_put(c->slot, slots(c) * sizeof(*c->slot));
	*c = (struct dirty_table)DIRTY_TABLE_INIT;
}

/* The slot that holds pos, or the free one where it would go. */
static size_t slot_of(const struct dirty_table *c, uint64_t pos)
{
	size_t mask = slots(c) - 1, at = home_of(c, pos);

	while (c->slot[at] && c->item[c->slot[at] - 1].pos != pos)
		at = (at + 1) & mask;
	return at;
}

void dirty_prefetch(const struct dirty_table *c, uint64_t pos)
{
	if (c->n)
		__builtin_prefetch(&c->slot[home_of(c, pos)]);
}

static int grow_slots(struct dirty_table *c, unsigned bits)
{
	size_t len = sizeof(*c->slot) << bits;
	uint32_t *slot = scratch_zeroed(len);

	if (!slot)
		return -ENOMEM;
	scratch_put(c->slot, slots(c) * sizeof(*slot));
	c->slot = slot;
	c->slot_bits = bits;
	for (size_t i = 0; i < c->n; i++)
		c->slot[slot_of(c, c->item[i].pos)] = (uint32_t)(i + 1);
	return 0;
}

static int make_room(struct dirty_table *c, size_t want)
{
	unsigned bits = c->slot ? c->slot_bits : FIRST_BITS;

	if (want > UINT32_MAX / 2)
		return -ENOMEM;
	if (want > c->room) {
		size_t room = want > 2 * c->room ? want : 2 * c->room;
		struct change *item = scratch_resize(
			c->item, c->room * sizeof(*item), room * sizeof(*item));

		if (!item)
			return -ENOMEM;
		c->item = item;
		c->room = room;
	}
	while ((size_t)1 << bits < 2 * want)
		bits++;
	if (c->slot && bits == c->slot_bits)
		return 0;
	return grow_slots(c, bits);
}

/* Fresh memory for as many: none of it is touched yet. */
static void renew(struct dirty_table *c)
{
	size_t room = c->room;

	dirty_release(c);
	(void)make_room(c, room);
}

void dirty_clear(struct dirty_table *c)
{
	/* Small sets in a table that was large once are the usual case: then
	 * emptying slot by slot is cheaper than the whole table. */
	if (c->n >= RENEW_LEAST && c->n > slots(c) / 8) {
		renew(c);
		return;
	}
	if (c->n > slots(c) / 8) {
		memset(c->slot, 0, slots(c) * sizeof(*c->slot));
	} else {
		/* From the last set to the first, so that no probe passes over
		 * a slot that has been emptied already. */
		for (size_t i = c->n; i-- > 0;)
			c->slot[slot_of(c, c->item[i].pos)] = 0;
	}
	c->n = 0;
	c->odd = false;
}

int dirty_reserve(struct dirty_table *c, size_t n)
{
	size_t want = c->n + n;

	return want <= c->room && 2 * want <= slots(c) ? 0 : make_room(c, want);
}

int dirty_set(struct dirty_table *c, uint64_t pos, uint64_t value, uint32_t len)
{
	size_t at;
	int rc = dirty_reserve(c, 1);

	if (rc < 0)
		return rc;
	at = slot_of(c, pos);
	if (c->slot[at]) {
		c->item[c->slot[at] - 1].value = value;
		return 0;
	}
	c->item[c->n++] = (struct change){ .pos = pos & CHANGE_POS_MOST,
					   .len = (uint16_t)len,
					   .value = value };
	c->odd |= len != CHANGE_USUAL;
	c->slot[at] = (uint32_t)c->n;
	return 0;
}

bool dirty_find(const struct dirty_table *c, uint64_t pos, uint64_t *ret)
{
	uint32_t i = c->slot[slot_of(c, pos)];

	if (i)
		*ret = c->item[i - 1].value;
	return i != 0;
}

static int by_pos(const void *a, const void *b)
{
	uint64_t x = ((const struct change *)a)->pos;
	uint64_t y = ((const struct change *)b)->pos;

	return x < y ? -1 : x > y;
}

/* ---- by position ---- */

/* From so many on, counting beats comparing. */
#define RADIX_LEAST 256u
#define RADIX_BITS 11u
#define RADIX (1u << RADIX_BITS)

static size_t digit_of(const struct change *c, unsigned shift)
{
	return (size_t)(c->pos >> shift) & (RADIX - 1);
}

/* One digit of the positions: from has them in order of the lower ones. */
static void sort_digit(const struct change *from, size_t n, unsigned shift,
		       struct change *to)
{
	size_t at[RADIX] = { 0 }, next = 0;

	for (size_t i = 0; i < n; i++)
		at[digit_of(&from[i], shift)]++;
	for (size_t d = 0; d < RADIX; d++) {
		size_t count = at[d];

		at[d] = next;
		next += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[digit_of(&from[i], shift)]++] = from[i];
}

static unsigned bits_of_positions(const struct change *item, size_t n)
{
	uint64_t all = 1;

	for (size_t i = 0; i < n; i++)
		all |= item[i].pos;
	return 64 - (unsigned)__builtin_clzll(all);
}

/* *item is sorted, or its memory is given back for that of the sorted ones. */
static void sort_by_counting(struct change **item, size_t n)
{
	struct change *other = scratch_get(n * sizeof(*other));
	unsigned bits = bits_of_positions(*item, n);

	if (!other) {
		qsort(*item, n, sizeof(**item), by_pos);
		return;
	}
	for (unsigned shift = 0; shift < bits; shift += RADIX_BITS) {
		struct change *from = *item;

		sort_digit(from, n, shift, other);
		*item = other;
		other = from;
	}
	scratch_put(other, n * sizeof(*other));
}

struct change *dirty_sorted(const struct dirty_table *c)
{
	struct change *item = NULL;

	if (c->n)
		item = scratch_get(c->n * sizeof(*item));
	if (!item)
		return NULL;
	memcpy(item, c->item, c->n * sizeof(*item));
	if (c->n < RADIX_LEAST)
		qsort(item, c->n, sizeof(*item), by_pos);
	else
		sort_by_counting(&item, c->n);
	return item;
}

void dirty_put_sorted(const struct dirty_table *c, struct change *sorted)
{
	scratch_put(sorted, c->n * sizeof(*sorted));
}

int dirty_drop(struct dirty_table *c, uint64_t pos, uint64_t len)
{
	struct dirty_table kept = DIRTY_TABLE_INIT;
	int rc = 0;

	for (size_t i = 0; i < c->n && rc == 0; i++)
		if (c->item[i].pos - pos >= len)
			rc = dirty_set(&kept, c->item[i].pos, c->item[i].value,
				       c->item[i].len);
	if (rc < 0) {
		dirty_release(&kept);
		return rc;
	}
	dirty_release(c);
	*c = kept;
	return 0;
}

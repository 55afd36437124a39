/* pins.h - dead blocks that belong to somebody: the reservations of streams.
 *
 * Whoever moves, merges, covers or cuts off dead blocks leaves these alone.
 *
 *   pins_add(engine, &pin)        with space.lock held exclusively
 *   ...                           its bytes behind the head are the owner's
 *   pins_remove(engine, &pin)
 *
 * Ownership: the pin is its owner's memory and must stay there until
 * pins_remove.
 *
 * Threads: the list is under space.lock.  Its head changes with space.write
 * held too, so a writer may look without the lock.
 */
#ifndef BLT_PINS_H
#define BLT_PINS_H

#include "booklet/core/engine.h"

struct pin {
	uint64_t pos, len; /* of the dead block */
	struct pin *next;
};

void pins_add(struct engine *e, struct pin *pin);
void pins_remove(struct engine *e, struct pin *pin);

/* Whether one of them reaches into [pos, to). */
bool pins_any(const struct engine *e, uint64_t pos, uint64_t to);

/* The first that reaches into [pos, to): where it begins and ends, or to and
 * to.  Takes space.lock shared. */
void pins_first(struct engine *e, uint64_t pos, uint64_t to, uint64_t *ret_pos,
		uint64_t *ret_end);

#endif

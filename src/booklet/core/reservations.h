/* reservations.h - dead blocks that belong to somebody: the rooms of streams.
 *
 * Whoever moves, merges, covers or cuts off dead blocks leaves these alone.
 *
 *   reservations_add(engine, &r)     with wal.lock held exclusively
 *   ...                              the bytes behind its head are its owner's
 *   reservations_remove(engine, &r)
 *
 * Ownership: the reservation is its owner's memory and must stay there until
 * reservations_remove.
 *
 * Threads: the list is under wal.lock.  Its head changes with wal.write held
 * too, so a writer may look without the lock.
 */
#ifndef BLT_RESERVATIONS_H
#define BLT_RESERVATIONS_H

#include "booklet/core/engine.h"

struct reservation {
	uint64_t pos, len; /* of the dead block */
	struct reservation *next;
};

void reservations_add(struct engine *e, struct reservation *pin);
void reservations_remove(struct engine *e, struct reservation *pin);

/* Whether one of them reaches into [pos, to). */
bool reservations_any(const struct engine *e, uint64_t pos, uint64_t to);

/* The bytes of all; under wal.lock. */
uint64_t reservations_bytes(const struct engine *e);

/* The first that reaches into [pos, to): where it begins and ends, or to and
 * to.  Takes wal.lock shared. */
void reservations_first(struct engine *e, uint64_t pos, uint64_t to,
			uint64_t *ret_pos, uint64_t *ret_end);

#endif

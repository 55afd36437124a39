/* epoch.h - who still looks at bytes of the file that no pointer leads to.
 *
 * Whoever keeps a pointer into the file without a lock enters, and leaves when
 * done; whoever wants to write over bytes that have been vacated first begins
 * a new epoch and then waits until all who entered before have left.
 *
 *   void *ticket = epoch_enter(&e);      epoch_begin(&e);
 *   ...                                  while (!epoch_wait(&e, 100))
 *   epoch_leave(ticket);                         ...
 *
 * Threads: epoch_enter under a lock that epoch_begin's caller holds exclusively
 * (space.lock), so that nobody enters while the epoch changes.  epoch_leave in
 * any thread, with no lock.  One thread at a time begins and waits, with no
 * lock held that anyone who has entered may be waiting for.
 */
#ifndef BLT_EPOCH_H
#define BLT_EPOCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define EPOCH_SLOTS 32

struct epoch;

/* Threads count in slots of their own, so that they do not wait for each
 * other's cache lines: those of the present epoch and of the one before. */
struct epoch_slot {
	atomic_uint n[2];
	struct epoch *epoch;
	char fill[64 - 2 * sizeof(atomic_uint) - sizeof(struct epoch *)];
};

struct epoch {
	struct epoch_slot slot[EPOCH_SLOTS];
	unsigned now;        /* 0 or 1; changes under the exclusive lock */
	atomic_uint waiters; /* in epoch_wait and epoch_wait_for */
	pthread_mutex_t lock;
	pthread_cond_t left;
};

void epoch_init(struct epoch *e);
void epoch_release(struct epoch *e);

/* The ticket's lowest bit is set, so that it can be told from a pointer to
 * something that malloc gave. */
void *epoch_enter(struct epoch *e);
void epoch_leave(void *ticket);
bool epoch_is_ticket(const void *p);

/* All before must have left: epoch_wait has said so. */
void epoch_begin(struct epoch *e);

/* Waits at most so long; whether all of the epoch before have left. */
bool epoch_wait(struct epoch *e, int ms);

/* The same for anything else that epoch_wake is called for. */
bool epoch_wait_for(struct epoch *e, int ms, bool (*done)(void *arg),
		    void *arg);
void epoch_wake(struct epoch *e);

#endif

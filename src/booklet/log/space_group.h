/* space_group.h - callers who want the same done, and share one doing of it.
 *
 *   rc = space_group_call(&g, fn, arg);
 *
 * runs fn(arg) once, begun after the call, for all who called before it began;
 * each gets what it returned.  One thread at a time runs it, for itself and the
 * rest.
 *
 * Whoever comes back at once, as threads do that sync after every change, had
 * better be waited for: else the callers fall apart into two groups, one of
 * which always waits for the other.  So where the last time had several
 * callers, the next one waits for as many, for a moment that is short beside
 * what fn takes.
 *
 * Threads: any.  No lock is held while fn runs; it may take all but those that
 * are held by callers.
 */
#ifndef BLT_SPACE_GROUP_H
#define BLT_SPACE_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct space_group_waiter;

struct space_group {
	pthread_mutex_t lock; /* of all of it; a leaf */
	pthread_cond_t enough;
	bool led;       /* somebody runs fn, or is about to */
	bool gathering; /* and waits for enough */
	struct space_group_waiter *first, **last; /* for the next time */
	unsigned n;                               /* of them */
	unsigned expected;                        /* callers */
	int64_t took_us;                          /* the last time */
};

void space_group_init(struct space_group *g);
void space_group_release(struct space_group *g);
int space_group_call(struct space_group *g, int (*fn)(void *arg), void *arg);

#endif

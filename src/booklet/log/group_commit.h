/* group_commit.h - callers who want the same done, and share one doing of it.
 *
 *   rc = group_commit_call(&g, fn, arg);
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
#ifndef BLT_GROUP_COMMIT_H
#define BLT_GROUP_COMMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct group_commit_waiter;

struct group_commit {
	pthread_mutex_t lock; /* of all of it; a leaf */
	pthread_cond_t enough;
	bool led;       /* somebody runs fn, or is about to */
	bool gathering; /* and waits for enough */
	struct group_commit_waiter *first, **last; /* for the next time */
	unsigned n;                                /* of them */
	unsigned expected;                         /* callers */
	int64_t took_us;                           /* the last time */
};

void group_commit_init(struct group_commit *g);
void group_commit_release(struct group_commit *g);
int group_commit_call(struct group_commit *g, int (*fn)(void *arg), void *arg);

#endif

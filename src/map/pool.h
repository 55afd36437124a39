/* pool.h - worker processes, and tasks for them.
 *
 *   pool_new(&how, &pool);
 *   while ((rc = pool_start(pool)) == 0)     can the function be run?
 *           ...
 *   while (there is work || !pool_idle(pool)) {
 *           while (pool_wants(pool))
 *                   pool_put(pool, task);
 *           rc = pool_step(pool, 1000);     how.finished() gets them back
 *   }
 *   pool_stop(pool);                  lets the workers end by themselves
 *   pool_free(pool);                  nothing of them is left
 *
 * A worker gets its tasks in order, some of them ahead.  One that dies, breaks
 * the protocol or takes longer than the timeout is killed with all of its
 * process group; the task that it was at is tried once more, by another worker,
 * and then fails; what it had been given ahead goes to others.  Where a worker
 * may keep answers (WIRE_ANSWERS_LATE) it cannot be told which task that was,
 * so all that it had are tried again, one at a time.
 *
 * Ownership: a task belongs to the pool from pool_put on, until finished.
 * Errors: -errno; pool_why says what of the function.  Threads: a pool belongs
 * to one at a time; no thread and no signal handler is its own.
 */
#ifndef BLT_POOL_H
#define BLT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool_result {
	struct pool_result *next;
	bool same; /* no key of its own: the one that the map makes */
	size_t key_len, value_len;
	uint8_t bytes[]; /* the key, then the value */
};

struct pool_task {
	/* Set by who makes it. */
	void *key; /* malloc'd */
	size_t key_len;
	void *value; /* malloc'd; NULL: stands in the file at pos */
	uint64_t pos, len;
	bool by_key;  /* a worker that has the store open may read it, as long
		       * as pos stands for the value there */
	int64_t time; /* or WIRE_NO_TIME */
	uint64_t seq; /* for who makes it */

	/* What came of it. */
	struct pool_result *results;

	/* The pool's. */
	struct pool_result **last;
	uint64_t result_bytes;
	uint64_t id;
	unsigned tries;
	bool alone; /* goes to a worker that has no other */
	struct pool_task *next;
};

void pool_task_free(struct pool_task *task); /* NULL is fine */

struct pool_how {
	const char *program; /* bltfs-map-worker */
	char *const *argv;   /* its arguments, argv[0] first; borrowed, as all
			      * here, for the pool's life */
	char *const *env;
	const char *dir; /* where workers run; NULL: where this process does */
	int store_fd;    /* what WIRE_PLACE means; -1: none */
	unsigned workers;
	int timeout_ms; /* for one task; 0: none */
	int wake_fd;    /* ends a step when it can be read; -1: none */
	/* A worker has been killed, or has died; NULL: nobody cares. */
	void (*lost)(void *arg);
	/* Takes the task over; why NULL: it is done, else one line. */
	void (*finished)(void *arg, struct pool_task *task, const char *why);
	void *arg;
};

struct pool;

int pool_new(const struct pool_how *how, struct pool **ret);
/* One step towards a first worker that is ready: 1: it is; 0: not yet. */
int pool_start(struct pool *pool);
bool pool_wants(const struct pool *pool);
void pool_put(struct pool *pool, struct pool_task *task);
/* Hands out what can be, and waits up to that long for something to happen. */
int pool_step(struct pool *pool, int timeout_ms);
/* No task is in it. */
bool pool_idle(const struct pool *pool);
/* Waits, for a while, for all workers to end by themselves. */
void pool_stop(struct pool *pool);
void pool_free(struct pool *pool); /* NULL is fine */

/* Behind an error: what is wrong with the function; "" where nothing is. */
const char *pool_why(const struct pool *pool);

#endif

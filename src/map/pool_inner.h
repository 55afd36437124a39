/* pool_inner.h - what the files of the pool share.
 *
 * A task is at one of three places: waiting, in a worker's row, or given back.
 * The first of a row is the one at work; results and ends that a worker sends
 * must be that one's.  So a crash, a timeout or nonsense is always the first
 * one's fault; the others of the row go back to the waiting ones, in front.
 * Where the worker answers late the first may have been done: all go back, each
 * to be alone with a worker, where the rule holds.
 *
 * pool.c has the step, pool_queue.c moves tasks, pool_reply.c takes what
 * workers say, pool_worker.c has the processes.
 */
#ifndef BLT_POOL_INNER_H
#define BLT_POOL_INNER_H

#include "base/os.h"
#include "map/pool.h"
#include "map/wire.h"

#include <poll.h>
#include <sys/types.h>

#define POOL_AHEAD_MAX 256 /* tasks in one worker's row */

struct pool {
	struct pool_how how;
	struct pool_worker *worker;
	struct pollfd *poll;
	struct pool_task *first, **last; /* waiting */
	unsigned n_waiting, n_out;       /* n_out: in workers' rows */
	uint64_t bytes;                  /* of values in memory */
	uint64_t next_id;
	unsigned barren;
	int64_t looked; /* when the dead were looked for last */
	bool fatal;
	char why[768];
};

/* ---- pool_queue.c ---- */

/* Hands a task over to its owner; why NULL: it is done. */
void pool_give_back(struct pool *p, struct pool_task *task, const char *why);
/* Takes the first of a worker's row. */
struct pool_task *pool_pop(struct pool *p, struct pool_worker *w);
void pool_drop_results(struct pool_task *task);
/* It is to be the next one that is handed out. */
void pool_wait_first(struct pool *p, struct pool_task *task);
/* No task will ever work, for the reason in text; returns err. */
int pool_fail(struct pool *p, int err, const char *text);
int pool_start_worker(struct pool *p, struct pool_worker *w);
/* A worker is gone, or is to go; why NULL: as its status says.  Negative: none
 * lives long enough to take a task. */
int pool_lose(struct pool *p, struct pool_worker *w, const char *why);
/* Gives waiting tasks to workers, and starts those that are needed. */
int pool_hand_out(struct pool *p);

/* ---- pool_reply.c ---- */

/* Takes what a worker has said, reading at most so many times, so that nobody
 * keeps us from the others. */
int pool_reply(struct pool *p, struct pool_worker *w, int reads);

/* One process of a pool: its start, its descriptors, its end.
 *
 * Used by pool.c alone.  All descriptors are close-on-exec; the process sees
 * its socket as 0 and 1, a pipe as 2, the store as 3, and leads a process group
 * of its own.
 */

enum pool_state {
	POOL_NONE,     /* no process */
	POOL_STARTING, /* has not said hello */
	POOL_READY,
};

struct pool_worker {
	enum pool_state state;
	pid_t pid;
	int fd;      /* our end of the socket */
	int err;     /* its standard error, or -1 */
	bool places; /* of its hello, as these */
	bool keys;
	bool late;
	unsigned wants; /* items at once, where that is more than it works off
			 * in a moment */
	struct wire_in in;
	struct wire_out out;
	struct pool_task *first, **last; /* it has them, in this order */
	unsigned n_tasks;
	int64_t since;   /* the first one is at work, or, before the hello, its
			  * start */
	int64_t average; /* microseconds a task */
	struct child_tail tail;
};

int pool_worker_start(struct pool_worker *w, const struct pool_how *how);

/* Reads what stands on its standard error, into the tail. */
void pool_worker_listen(struct pool_worker *w);

/* Whether its process has ended by itself; it stays to be reaped. */
bool pool_worker_ended(const struct pool_worker *w);

/* Kills its process group, reaps it and forgets all but its tasks; the status
 * as waitpid has it, -1 where it is not known. */
int pool_worker_kill(struct pool_worker *w);

#endif

/* pool_worker.h - one process of a pool: its start, its descriptors, its end.
 *
 * Used by pool.c alone.  All descriptors are close-on-exec; the process sees
 * its socket as 0 and 1, a pipe as 2, the store as 3, and leads a process group
 * of its own.
 */
#ifndef BLT_POOL_WORKER_H
#define BLT_POOL_WORKER_H

#include "base/child.h"
#include "map/pool.h"
#include "map/wire.h"

#include <sys/types.h>

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

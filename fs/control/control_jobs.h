/* control_jobs.h - a mount's jobs: how they are shown, and what is done about
 * what they change.
 *
 * Internal to control*.c.
 */
#ifndef FS_CONTROL_JOBS_H
#define FS_CONTROL_JOBS_H

#include "main/bltfs.h"
#include "job/job.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define CONTROL_ARGS 32

/* Long arguments on their way in, or an answer on its way out; id 0: a free
 * place. */
struct control_args {
	uint64_t id;
	uint8_t *bytes; /* malloc'd */
	size_t len;
	size_t at; /* so much of an answer has been fetched */
};

struct control {
	struct bltfs *fs;
	struct jobs *jobs;
	atomic_bool stopping; /* the mount ends */
	/* lock; of on_changed: started, has done its work, is to be joined */
	bool late, told;
	pthread_t teller;
	pthread_cond_t moved; /* told was set */
	int64_t mounted;      /* when */
	pthread_mutex_t lock;
	char *reply; /* lock; to the last line that was written */
	/* lock; what the last count found, and when: 0: none yet */
	struct blt_census census;
	int64_t counted;
	struct control_args args[CONTROL_ARGS]; /* lock */
	uint64_t last_args;                     /* lock */
	struct control_handle *open;            /* lock; a list */
	unsigned slow; /* lock; moved: commands that run elsewhere */
};

/* Adds to those of that number; 0: new ones, whose number is then in *id.
 * -ENOENT: they are not there any more. */
int control_args_add(struct control *c, uint64_t *id, const void *bytes,
		     size_t len);
/* Takes them out; the bytes are the caller's.  id 0: none. */
int control_args_take(struct control *c, uint64_t id, struct control_args *ret);
/* The next bytes of an answer that was added so: their number.  *id is 0 when
 * these were the last. */
int control_args_fetch(struct control *c, uint64_t *id, void *buf, size_t room);
void control_args_drop_all(struct control *c);

/* "key value" lines, for jobs/N/status. */
void control_print_job(const struct job_info *info, FILE *to);

/* Lines about the store and the mount, for stats. */
int control_print_stats(struct bltfs *fs, FILE *to);

#endif

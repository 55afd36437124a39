/* control_jobs.h - a mount's jobs: how they are shown, and what is done about
 * what they change.
 *
 * Internal to control*.c.
 */
#ifndef FS_CONTROL_JOBS_H
#define FS_CONTROL_JOBS_H

#include "bltfs.h"
#include "job.h"

#include <stdio.h>

struct control {
	struct bltfs *fs;
	struct jobs *jobs;
	pthread_mutex_t lock;
	char *reply; /* lock; to the last line that was written */
	/* lock; what the last count found, and when: 0: none yet */
	struct blt_census census;
	int64_t counted;
};

/* "key value" lines, for jobs/N/status. */
void control_print_job(const struct job_info *info, FILE *to);

/* Lines about the store and the mount, for stats. */
int control_print_stats(struct bltfs *fs, FILE *to);

#endif

/* job_inner.h - one job, as job.c moves it on and job_kinds.c does its work.
 *
 * jobs->lock protects everything but what the structs say.  It is a leaf: no
 * call of the store and no hook is made with it held.
 */
#ifndef BLT_JOB_INNER_H
#define BLT_JOB_INNER_H

#include "job.h"
#include "map.h"

#include <pthread.h>
#include <stdatomic.h>

struct job {
	struct jobs *jobs;      /* fixed */
	struct job_request req; /* fixed; its strings are owned */
	struct job *next;
	struct job_info info;
	char **errors;
	size_t n_errors;
	atomic_bool cancel;
	struct map_cancel wake; /* a map looks here */
	bool can_wake;          /* wake was made */
	bool joinable;
	pthread_t thread;
};

struct jobs {
	struct blt *store;
	struct jobs_hooks hooks;
	pthread_mutex_t lock;
	pthread_cond_t moved; /* a job has ended, or is to */
	struct job *first;
	uint64_t last_id;
	unsigned unfinished;
	bool stop;
};

struct job_kind_row {
	const char *name;
	bool alone;  /* runs beside no other job */
	bool writes; /* the store */
	/* 0 or -errno; -ECANCELED where it was stopped. */
	int (*run)(struct job *job);
	/* Refuses what can be told to be wrong at once; NULL: nothing. */
	int (*check)(const struct job_request *req);
	const char *fact[JOB_FACTS];
};

extern const struct job_kind_row job_kinds[JOB__COUNT];

#endif

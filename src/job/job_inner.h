/* job_inner.h - one job, as job.c moves it on and job_kinds.c, with a file for
 * each kind that is long (job_clear.c, job_map.c, job_prune.c), does its work.
 *
 * jobs->lock protects everything but what the structs say.  It is a leaf: no
 * call of the store and no hook is made with it held.
 */
#ifndef BLT_JOB_INNER_H
#define BLT_JOB_INNER_H

#include "job/job.h"
#include "map/map.h"

#include <pthread.h>
#include <stdatomic.h>

struct job {
	struct jobs *jobs;      /* fixed */
	struct job_request req; /* fixed; its strings are owned */
	struct job *next;
	struct job_info info;
	struct job_error {
		char *line; /* "KEY: why" */
		size_t key_len;
	} * errors;
	size_t n_errors, errors_room;
	atomic_bool cancel;
	struct map_cancel wake; /* a map looks here */
	bool can_wake;          /* wake was made */
	int64_t resumed;        /* in the background: since its last rest */
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

/* Rows of it, with a file of their own. */
int job_clear(struct job *job);
int job_map(struct job *job);
int job_prune(struct job *job);

/* Where a job has failed with rc because the store is damaged: its result says
 * where, as blt check does. */
void job_tell_damage(struct job *job, int rc);
int job_check_prune(const struct job_request *req);

/* ---- job_kinds.c: what the work tells, while it runs ---- */

/* A blt_progress_fn, arg a struct job: -ECANCELED where it is to stop. */
int job_follow(void *arg, uint64_t done, uint64_t total, uint64_t keys);
/* This key has changed; NULL: any may have. */
void job_changed(struct job *job, const void *key, size_t len);
/* What came of it, or what it failed for. */
void job_result(struct job *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void job_facts(struct job *job, const uint64_t fact[JOB_FACTS]);

/* Whether others may change the store, too, each change being a transaction:
 * LMDB. */
bool job_is_shared(struct job *job);

#endif

/* job.h - long work on an open store, in the background: started, followed,
 * cancelled, listed.
 *
 *   struct jobs *jobs;
 *   struct job_request req = { .kind = JOB_REINDEX };
 *   uint64_t id;
 *
 *   jobs_new(store, &hooks, &jobs);
 *   jobs_start(jobs, &req, &id);       queued at least
 *   jobs_get(jobs, id, &info);         how far it is
 *   jobs_cancel(jobs, id);
 *   jobs_free(jobs);                   before the store is closed
 *
 * What a kind does is a row of a table in job_kinds.c.  Each unfinished job has
 * a thread, which waits until the jobs before it that it cannot run beside have
 * ended: prune, trim, reindex and clear run alone; the others beside each
 * other.  Jobs start in the order in which they were asked for.
 *
 * Ownership: requests are copied.  Finished jobs are kept until there are
 * JOBS_KEPT newer ones.
 * Errors: calls return negative errnos (-ESRCH: no such job); what a job came
 * to is in its info.
 * Threads: any, but for jobs_free, which is the last call.
 */
#ifndef BLT_JOB_H
#define BLT_JOB_H

#include "blt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOBS_KEPT 100   /* finished ones */
#define JOBS_WAITING 64 /* unfinished ones */
#define JOB_ERRORS_KEPT 1000
#define JOB_FACTS 4
#define JOB_MAP_BYTES 3 /* the fact of a map: bytes of its values */

enum job_kind {
	JOB_CLEAR,
	JOB_COPY,
	JOB_COUNT,
	JOB_MAP,
	JOB_PRUNE,
	JOB_REINDEX,
	JOB_TRIM,
	JOB__COUNT,
};

enum job_state {
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_DONE,
	JOB_FAILED,
	JOB_CANCELLED,
	JOB__STATES,
};

/* What is wanted; fields that a kind does not use are zeros. */
struct job_request {
	enum job_kind kind;
	uint32_t n_buckets; /* reindex; 0: the next size */
	/* copy: */
	const char *path;
	bool replace;
	struct blt_create_options create;
	bool background; /* gives way: to requests, half of its time; to other
			  * jobs, by ending; and only the last one of these
			  * is kept */
	int64_t older_than; /* prune; 0: nothing is too old */
	/* map: the options, as map_pack makes them; prune: keys that are not
	 * too old, as job_keys_add makes them */
	const void *bytes;
	size_t bytes_len;
	bool flat; /* a map: as if its options said so */
};

struct job_info {
	uint64_t id;
	enum job_kind kind;
	enum job_state state;
	int err;                        /* failed: the negative errno */
	uint64_t items;                 /* keys so far */
	uint64_t done, total;           /* bytes, of a map keys; 0: not known */
	uint64_t errors;                /* items that failed */
	int64_t queued, started, ended; /* microseconds; 0: not yet */
	double rate;     /* bytes a second, or items where bytes are not
			  * counted */
	int64_t left_us; /* an estimate; -1: none */
	uint64_t fact[JOB_FACTS]; /* numbers that are the kind's, ended */
	struct blt_census census; /* count, done */
	char text[512];           /* what came of it, or what it failed for */
};

/* The keys that a job changes (NULL: any of them), and its end; called from its
 * thread with no lock held.  Any may be NULL. */
struct jobs_hooks {
	void *arg;
	void (*changed)(void *arg, const void *key, size_t len);
	void (*ended)(void *arg, const struct job_info *info);
	/* Whether there were requests since it was asked last. */
	bool (*busy)(void *arg);
};

struct jobs;

int jobs_new(struct blt *store, const struct jobs_hooks *hooks,
	     struct jobs **ret);
/* Asks all to stop; they are waited for by jobs_free. */
void jobs_stop(struct jobs *jobs); /* NULL is fine */
void jobs_free(struct jobs *jobs); /* NULL is fine */

/* -EAGAIN: too many wait already; -EROFS: the store is open for reading;
 * -EINVAL. */
int jobs_start(struct jobs *jobs, const struct job_request *req,
	       uint64_t *ret_id);

/* The job of that id, or the first of a higher one. */
int jobs_get(struct jobs *jobs, uint64_t id, struct job_info *ret);
int jobs_next(struct jobs *jobs, uint64_t after, struct job_info *ret);

/* It ends as soon as it can, if it has not ended by then. */
int jobs_cancel(struct jobs *jobs, uint64_t id);

/* Lines on the items that failed, from the n-th on; malloc'd.  0, or -ENODATA
 * behind the last; the key is the first *ret_key_len bytes of it. */
int jobs_error(struct jobs *jobs, uint64_t id, uint64_t n, char **ret,
	       size_t *ret_key_len);

const char *job_kind_name(enum job_kind kind);
const char *job_state_name(enum job_state state);

/* What fact[n] of that kind is; NULL: nothing. */
const char *job_fact_name(enum job_kind kind, unsigned n);

/* Puts a key behind the others of a request.  *bytes is malloc'd, NULL at
 * first. */
int job_keys_add(void **bytes, size_t *len, const void *key, size_t key_len);

static inline bool job_has_ended(const struct job_info *info)
{
	return info->state >= JOB_DONE;
}

#endif

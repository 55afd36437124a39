/* job_kinds.c - what the jobs do: the table, what all of them tell, and those
 * that are one call of the store. */
#include "job/job_inner.h"

#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- what the work tells, while it runs ---- */

/* No locks are held, but that for work on the whole file.  A thread of low
 * priority would be the wrong way: it would hold locks while it waits for a
 * processor. */
static void give_way(struct job *job)
{
	static const struct timespec moment = { .tv_nsec = 2000000 };
	struct jobs *jobs = job->jobs;
	int64_t until = 2 * steady_us() - job->resumed;
	bool others;

	while (jobs->hooks.busy && steady_us() < until &&
	       jobs->hooks.busy(jobs->hooks.arg) && !atomic_load(&job->cancel))
		nanosleep(&moment, NULL);
	pthread_mutex_lock(&jobs->lock);
	others = jobs->unfinished > 1;
	pthread_mutex_unlock(&jobs->lock);
	if (others)
		atomic_store(&job->cancel, true);
	job->resumed = steady_us();
}

int job_follow(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct job *job = arg;

	pthread_mutex_lock(&job->jobs->lock);
	job->info.done = done;
	job->info.total = total;
	job->info.items = keys;
	pthread_mutex_unlock(&job->jobs->lock);
	if (job->req.background)
		give_way(job);
	return atomic_load(&job->cancel) ? -ECANCELED : 0;
}

void job_changed(struct job *job, const void *key, size_t len)
{
	const struct jobs_hooks *h = &job->jobs->hooks;

	if (h->changed)
		h->changed(h->arg, key, len);
}

void job_result(struct job *job, const char *fmt, ...)
{
	char text[sizeof(job->info.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&job->jobs->lock);
	memcpy(job->info.text, text, sizeof(text));
	pthread_mutex_unlock(&job->jobs->lock);
}

void job_facts(struct job *job, const uint64_t fact[JOB_FACTS])
{
	pthread_mutex_lock(&job->jobs->lock);
	memcpy(job->info.fact, fact, sizeof(job->info.fact));
	pthread_mutex_unlock(&job->jobs->lock);
}

bool job_is_shared(struct job *job)
{
	struct blt_info info;

	blt_get_info(job->jobs->store, &info);
	return info.shared;
}

/* ---- the kinds ---- */

/* Whether the store's engine has no such work, which is then told. */
static bool is_beyond(struct job *job, int rc, const char *done)
{
	struct blt_info info;

	blt_get_info(job->jobs->store, &info);
	if (rc != -ENOTSUP || !info.shared)
		return false;
	job_result(job,
		   "a store of the engine %s is not %s; blt copy makes a "
		   "compact one of it",
		   info.engine, done);
	return true;
}

static int tell_fault(void *arg, const struct blt_fault *fault)
{
	job_result(arg, "at %" PRIu64 ": %s%s", fault->position, fault->text,
		   fault->kind == BLT_FAULT_BLOCK ? "; the store is unchanged" :
						    "");
	return -ECANCELED;
}

void job_tell_damage(struct job *job, int rc)
{
	struct blt_check_result result;

	if (rc == -EUCLEAN)
		(void)blt_check(job->jobs->store, NULL, tell_fault, job,
				&result);
}

static int run_reindex(struct job *job)
{
	int rc = blt_reindex(job->jobs->store, job->req.n_buckets, job_follow,
			     job);
	struct blt_info info;

	(void)is_beyond(job, rc, "reindexed");
	job_tell_damage(job, rc);
	if (rc < 0)
		return rc;
	blt_get_info(job->jobs->store, &info);
	job_result(job, "%" PRIu32 " buckets", info.n_buckets);
	return 0;
}

static int run_copy(struct job *job)
{
	const struct job_request *req = &job->req;
	struct blt_error err = { "" };
	int rc = blt_copy(job->jobs->store, req->path, &req->create,
			  req->replace, job_follow, job, &err);

	if (rc < 0)
		job_result(job, "%s", err.text);
	else
		job_result(job, "%" PRIu64 " keys to %s", job->info.items,
			   req->path);
	return rc;
}

static int check_copy(const struct job_request *req)
{
	return req->path && *req->path ? 0 : -EINVAL;
}

static int run_count(struct job *job)
{
	struct blt_census census;
	int rc = blt_count(job->jobs->store, &census);

	if (rc < 0)
		return rc;
	job_follow(job, census.live_bytes, census.live_bytes, census.keys);
	job_facts(job, (const uint64_t[JOB_FACTS]){
			       census.live_bytes, census.dead_bytes,
			       census.value_bytes, census.dead_blocks });
	pthread_mutex_lock(&job->jobs->lock);
	job->info.census = census;
	pthread_mutex_unlock(&job->jobs->lock);
	job_result(job,
		   "%" PRIu64 " keys, %" PRIu64 " live bytes, %" PRIu64
		   " dead bytes",
		   census.keys, census.live_bytes, census.dead_bytes);
	return 0;
}

static int run_trim(struct job *job)
{
	struct blt_trim_result r;
	int rc = blt_trim(job->jobs->store, job_follow, job, &r);

	job_facts(job, (const uint64_t[JOB_FACTS]){ r.merged, r.freed });
	(void)is_beyond(job, rc, "trimmed");
	job_tell_damage(job, rc);
	if (rc == 0 && r.no_holes)
		job_result(job,
			   "the filesystem has no holes in files: nothing was "
			   "given back");
	else if (rc == 0)
		job_result(job, "%" PRIu64 " bytes of disk given back",
			   r.freed);
	return rc;
}

const struct job_kind_row job_kinds[JOB__COUNT] = {
	[JOB_CLEAR] = { "clear", true, true, job_clear, NULL, { "deleted" } },
	[JOB_COPY] = { "copy", false, false, run_copy, check_copy, { NULL } },
	[JOB_COUNT] = { "count",
			false,
			false,
			run_count,
			NULL,
			{ "live_bytes", "dead_bytes", "value_bytes",
			  "dead_blocks" } },
	[JOB_MAP] = { "map",
		      false,
		      false,
		      job_map,
		      NULL,
		      { "processed", "written", "skipped", "value_bytes" } },
	[JOB_PRUNE] = { "prune",
			true,
			true,
			job_prune,
			job_check_prune,
			{ "dropped", "moved_bytes", "size_before",
			  "size_after" } },
	[JOB_REINDEX] = { "reindex", true, true, run_reindex, NULL, { NULL } },
	[JOB_TRIM] = { "trim",
		       true,
		       true,
		       run_trim,
		       NULL,
		       { "merged_blocks", "freed_bytes" } },
};

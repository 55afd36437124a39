/* A job goes from queued to running to one of the three ends, never back.  Its
 * thread alone moves it on, but for the cancelling of one that still waits.
 * The list holds all jobs in the order of their ids; what a job may run beside
 * is decided by the unfinished ones in front of it.
 */
#include "job/job_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[JOB__STATES] = {
	[JOB_QUEUED] = "queued",       [JOB_RUNNING] = "running",
	[JOB_DONE] = "done",           [JOB_FAILED] = "failed",
	[JOB_CANCELLED] = "cancelled",
};

const char *job_kind_name(enum job_kind kind)
{
	return (unsigned)kind < JOB__COUNT ? job_kinds[kind].name : "?";
}

const char *job_state_name(enum job_state state)
{
	return (unsigned)state < JOB__STATES ? states[state] : "?";
}

const char *job_fact_name(enum job_kind kind, unsigned n)
{
	if ((unsigned)kind >= JOB__COUNT || n >= JOB_FACTS)
		return NULL;
	return job_kinds[kind].fact[n];
}

/* ---- one job's thread ---- */

/* lock is held.  Whether an unfinished job in front excludes this one. */
static bool must_wait(const struct job *job)
{
	for (const struct job *j = job->jobs->first; j != job; j = j->next) {
		if (!job_has_ended(&j->info) &&
		    (job_kinds[j->req.kind].alone ||
		     job_kinds[job->req.kind].alone))
			return true;
	}
	return false;
}

static void work(struct job *job)
{
	struct jobs *jobs = job->jobs;
	int rc = -ECANCELED;

	pthread_mutex_lock(&jobs->lock);
	while (must_wait(job) && !atomic_load(&job->cancel))
		pthread_cond_wait(&jobs->moved, &jobs->lock);
	if (!atomic_load(&job->cancel)) {
		job->info.state = JOB_RUNNING;
		job->info.started = now_us();
		job->resumed = steady_us();
		pthread_mutex_unlock(&jobs->lock);
		rc = job_kinds[job->req.kind].run(job);
		pthread_mutex_lock(&jobs->lock);
	}
	job->info.err = rc;
	if (rc < 0 && job->info.text[0] == '\0')
		snprintf(job->info.text, sizeof(job->info.text), "%s",
			 strerror(-rc));
	job->info.ended = now_us();
	pthread_mutex_unlock(&jobs->lock);
}

/* The hook comes before the state, so that who sees a job's end sees what it
 * did. */
static void *run(void *arg)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;
	struct job_info info;

	work(job);
	pthread_mutex_lock(&jobs->lock);
	info = job->info;
	pthread_mutex_unlock(&jobs->lock);
	info.state = info.err == 0          ? JOB_DONE :
		     info.err == -ECANCELED ? JOB_CANCELLED :
					      JOB_FAILED;
	if (jobs->hooks.ended)
		jobs->hooks.ended(jobs->hooks.arg, &info);
	pthread_mutex_lock(&jobs->lock);
	job->info.state = info.state;
	jobs->unfinished--;
	pthread_cond_broadcast(&jobs->moved);
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* ---- the list; lock is held ---- */

static struct job *find(struct jobs *jobs, uint64_t id)
{
	struct job *job = jobs->first;

	while (job && job->info.id < id)
		job = job->next;
	return job;
}

static void job_free(struct job *job)
{
	if (job->joinable)
		pthread_join(job->thread, NULL);
	for (size_t i = 0; i < job->n_errors; i++)
		free(job->errors[i].line);
	free(job->errors);
	if (job->can_wake)
		map_cancel_release(&job->wake);
	free((void *)(uintptr_t)job->req.path);
	free((void *)(uintptr_t)job->req.bytes);
	free(job);
}

/* The oldest finished ones go, and all of the background; a thread that has
 * ended is not waited for. */
static void forget_old(struct jobs *jobs)
{
	struct job **p = &jobs->first;
	unsigned finished = 0;

	for (const struct job *j = jobs->first; j; j = j->next)
		finished += job_has_ended(&j->info);
	while (*p) {
		struct job *job = *p;

		if (job_has_ended(&job->info) &&
		    (finished > JOBS_KEPT || job->req.background)) {
			*p = job->next;
			job_free(job);
			finished--;
		} else {
			p = &job->next;
		}
	}
}

static void ask_to_stop(struct job *job)
{
	atomic_store(&job->cancel, true);
	map_cancel(&job->wake);
}

/* ---- the interface ---- */

int jobs_new(struct blt *store, const struct jobs_hooks *hooks,
	     struct jobs **ret)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	jobs->store = store;
	if (hooks)
		jobs->hooks = *hooks;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->moved, NULL);
	*ret = jobs;
	return 0;
}

void jobs_stop(struct jobs *jobs)
{
	if (!jobs)
		return;
	pthread_mutex_lock(&jobs->lock);
	jobs->stop = true;
	for (struct job *j = jobs->first; j; j = j->next)
		ask_to_stop(j);
	pthread_cond_broadcast(&jobs->moved);
	pthread_mutex_unlock(&jobs->lock);
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	jobs_stop(jobs);
	pthread_mutex_lock(&jobs->lock);
	while (jobs->unfinished > 0)
		pthread_cond_wait(&jobs->moved, &jobs->lock);
	pthread_mutex_unlock(&jobs->lock);
	for (struct job *j = jobs->first, *next; j; j = next) {
		next = j->next;
		job_free(j);
	}
	pthread_cond_destroy(&jobs->moved);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

static int copy_request(const struct job_request *from, struct job_request *to)
{
	void *bytes = NULL;

	*to = *from;
	to->path = from->path ? strdup(from->path) : NULL;
	if (from->bytes_len) {
		bytes = malloc(from->bytes_len);
		if (bytes)
			memcpy(bytes, from->bytes, from->bytes_len);
	}
	to->bytes = bytes;
	return (from->path && !to->path) || (from->bytes_len && !bytes) ?
		       -ENOMEM :
		       0;
}

static int check_request(struct jobs *jobs, const struct job_request *req)
{
	const struct job_kind_row *row;
	struct blt_info info;

	if ((unsigned)req->kind >= JOB__COUNT)
		return -EINVAL;
	row = &job_kinds[req->kind];
	blt_get_info(jobs->store, &info);
	if (row->writes && !info.writable)
		return -EROFS;
	return row->check ? row->check(req) : 0;
}

static int start_thread(struct job *job)
{
	int rc = thread_start(&job->thread, run, job);

	job->joinable = rc == 0;
	return rc;
}

/* lock is held. */
static int add(struct jobs *jobs, struct job *job)
{
	struct job **end = &jobs->first;
	int rc;

	if (jobs->stop)
		return -ESHUTDOWN;
	if (jobs->unfinished >= JOBS_WAITING)
		return -EAGAIN;
	forget_old(jobs);
	while (*end)
		end = &(*end)->next;
	*end = job;
	job->info.id = jobs->last_id + 1;
	rc = start_thread(job);
	if (rc < 0) {
		*end = NULL;
		return rc;
	}
	jobs->last_id++;
	jobs->unfinished++;
	return 0;
}

int jobs_start(struct jobs *jobs, const struct job_request *req,
	       uint64_t *ret_id)
{
	struct job *job;
	int rc = check_request(jobs, req);

	if (rc < 0)
		return rc;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->jobs = jobs;
	job->info.kind = req->kind;
	job->info.queued = now_us();
	rc = copy_request(req, &job->req);
	if (rc == 0)
		rc = map_cancel_init(&job->wake);
	job->can_wake = rc == 0;
	pthread_mutex_lock(&jobs->lock);
	if (rc == 0)
		rc = add(jobs, job);
	if (rc == 0)
		*ret_id = job->info.id;
	pthread_mutex_unlock(&jobs->lock);
	if (rc < 0)
		job_free(job);
	return rc;
}

static void estimate(struct job_info *i)
{
	uint64_t units = i->done ? i->done : i->items;
	int64_t until = i->ended ? i->ended : now_us();
	double seconds = (double)(until - i->started) / 1e6;

	i->left_us = -1;
	if (!i->started || seconds <= 0)
		return;
	i->rate = (double)units / seconds;
	if (!i->ended && i->rate > 0 && i->total > i->done && i->done)
		i->left_us =
			(int64_t)((double)(i->total - i->done) / i->rate * 1e6);
}

/* Finds the first job from id on; exact: it must be that one. */
static int look(struct jobs *jobs, uint64_t id, bool exact,
		struct job_info *ret)
{
	const struct job *job;

	pthread_mutex_lock(&jobs->lock);
	job = find(jobs, id);
	if (job && exact && job->info.id != id)
		job = NULL;
	if (job)
		*ret = job->info;
	pthread_mutex_unlock(&jobs->lock);
	if (!job)
		return -ESRCH;
	if (!job_has_ended(ret))
		ret->ended = 0;
	estimate(ret);
	return 0;
}

int jobs_get(struct jobs *jobs, uint64_t id, struct job_info *ret)
{
	return look(jobs, id, true, ret);
}

int jobs_next(struct jobs *jobs, uint64_t after, struct job_info *ret)
{
	return look(jobs, after + 1, false, ret);
}

int jobs_cancel(struct jobs *jobs, uint64_t id)
{
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	job = find(jobs, id);
	if (job && job->info.id == id) {
		ask_to_stop(job);
		pthread_cond_broadcast(&jobs->moved);
	} else {
		job = NULL;
	}
	pthread_mutex_unlock(&jobs->lock);
	return job ? 0 : -ESRCH;
}

int jobs_error(struct jobs *jobs, uint64_t id, uint64_t n, char **ret,
	       size_t *ret_key_len)
{
	const struct job *job;
	int rc = -ESRCH;

	pthread_mutex_lock(&jobs->lock);
	job = find(jobs, id);
	if (job && job->info.id == id) {
		rc = -ENODATA;
		if (n < job->n_errors) {
			*ret = strdup(job->errors[n].line);
			*ret_key_len = job->errors[n].key_len;
			rc = *ret ? 0 : -ENOMEM;
		}
	}
	pthread_mutex_unlock(&jobs->lock);
	return rc;
}

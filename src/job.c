/* A job goes from queued to running to one of the three ends, never back.  Its
 * thread alone moves it on, but for the cancelling of one that still waits.
 * The list holds all jobs in the order of their ids; what a job may run beside
 * is decided by the unfinished ones in front of it.
 *
 * jobs->lock protects everything but what the struct says.  It is a leaf: no
 * call of the store and no hook is made with it held.
 */
#include "job.h"

#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct jobs *jobs;      /* fixed */
	struct job_request req; /* fixed; its strings are owned */
	struct job *next;
	struct job_info info;
	char **errors;
	size_t n_errors;
	atomic_bool cancel;
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

/* ---- what the work tells, while it runs ---- */

static int follow(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct job *job = arg;

	pthread_mutex_lock(&job->jobs->lock);
	job->info.done = done;
	job->info.total = total;
	job->info.items = keys;
	pthread_mutex_unlock(&job->jobs->lock);
	return atomic_load(&job->cancel) ? -ECANCELED : 0;
}

static void changed(struct job *job, const void *key, size_t len)
{
	const struct jobs_hooks *h = &job->jobs->hooks;

	if (h->changed)
		h->changed(h->arg, key, len);
}

__attribute__((format(printf, 2, 3))) static void result(struct job *job,
							 const char *fmt, ...)
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

/* ---- the kinds ---- */

static int run_reindex(struct job *job)
{
	int rc = blt_reindex(job->jobs->store, job->req.n_buckets, follow, job);
	struct blt_info info;

	if (rc < 0)
		return rc;
	blt_get_info(job->jobs->store, &info);
	result(job, "%" PRIu32 " buckets", info.n_buckets);
	return 0;
}

static int run_copy(struct job *job)
{
	const struct job_request *req = &job->req;
	struct blt_error err = { "" };
	int rc = blt_copy(job->jobs->store, req->path, &req->create,
			  req->replace, follow, job, &err);

	if (rc < 0)
		result(job, "%s", err.text);
	else
		result(job, "%" PRIu64 " keys to %s", job->info.items,
		       req->path);
	return rc;
}

static int run_count(struct job *job)
{
	struct blt_census census;
	int rc = blt_count(job->jobs->store, &census);

	if (rc < 0)
		return rc;
	follow(job, census.live_bytes, census.live_bytes, census.keys);
	pthread_mutex_lock(&job->jobs->lock);
	job->info.census = census;
	pthread_mutex_unlock(&job->jobs->lock);
	result(job,
	       "%" PRIu64 " keys, %" PRIu64 " live bytes, %" PRIu64
	       " dead bytes",
	       census.keys, census.live_bytes, census.dead_bytes);
	return 0;
}

/* ---- clear: what is there at the start goes, some keys at a time ---- */

#define CLEAR_KEYS 1000

struct key {
	uint8_t *bytes;
	size_t len;
};

struct clearing {
	struct job *job;
	struct key keys[CLEAR_KEYS];
	size_t n;
	uint64_t deleted, bytes, total;
};

static int delete_one(struct blt *store, const struct key *key)
{
	int rc = blt_delete(store, key->bytes, key->len);

	return rc == -ENOENT ? 0 : rc; /* gone meanwhile */
}

static int delete_gathered(struct clearing *c)
{
	struct blt *store = c->job->jobs->store;
	int rc = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (rc == 0)
			rc = delete_one(store, &c->keys[i]);
		if (rc == 0) {
			changed(c->job, c->keys[i].bytes, c->keys[i].len);
			c->deleted++;
		}
		free(c->keys[i].bytes);
	}
	c->n = 0;
	if (rc == 0)
		rc = blt_flush(store);
	if (rc == 0)
		rc = follow(c->job, c->bytes, c->total, c->deleted);
	return rc;
}

static int gather(struct clearing *c, const struct blt_item *item)
{
	struct key *key = &c->keys[c->n];

	key->bytes = malloc(item->key_len + 1);
	if (!key->bytes)
		return -ENOMEM;
	memcpy(key->bytes, item->key, item->key_len);
	key->len = item->key_len;
	c->bytes = item->value_offset + item->value_len;
	c->n++;
	return 0;
}

static int run_clear(struct job *job)
{
	struct clearing *c = calloc(1, sizeof(*c));
	struct blt *store = job->jobs->store;
	struct blt_iter *it = NULL;
	struct blt_item item;
	struct blt_info info;
	int rc = -ENOMEM, rc2;

	if (!c)
		return rc;
	c->job = job;
	blt_get_info(store, &info);
	c->total = info.file_size;
	rc = blt_iter_new(store, &it);
	while (rc == 0 && (rc = blt_iter_next(it, &item)) > 0) {
		rc = gather(c, &item);
		if (rc == 0 && c->n == CLEAR_KEYS)
			rc = delete_gathered(c);
	}
	if (rc == 0) {
		rc = delete_gathered(c);
	} else {
		while (c->n > 0)
			free(c->keys[--c->n].bytes);
	}
	blt_iter_free(it);
	result(job, "%" PRIu64 " keys deleted", c->deleted);
	rc2 = blt_sync(store);
	free(c);
	return rc < 0 ? rc : rc2;
}

static const struct kind {
	const char *name;
	bool alone;  /* runs beside no other job */
	bool writes; /* the store */
	int (*run)(struct job *job);
} kinds[JOB__COUNT] = {
	[JOB_CLEAR] = { "clear", true, true, run_clear },
	[JOB_COPY] = { "copy", false, false, run_copy },
	[JOB_COUNT] = { "count", false, false, run_count },
	[JOB_REINDEX] = { "reindex", true, true, run_reindex },
};

static const char *const states[JOB__STATES] = {
	[JOB_QUEUED] = "queued",       [JOB_RUNNING] = "running",
	[JOB_DONE] = "done",           [JOB_FAILED] = "failed",
	[JOB_CANCELLED] = "cancelled",
};

const char *job_kind_name(enum job_kind kind)
{
	return (unsigned)kind < JOB__COUNT ? kinds[kind].name : "?";
}

const char *job_state_name(enum job_state state)
{
	return (unsigned)state < JOB__STATES ? states[state] : "?";
}

/* ---- one job's thread ---- */

/* lock is held.  Whether an unfinished job in front excludes this one. */
static bool must_wait(const struct job *job)
{
	for (const struct job *j = job->jobs->first; j != job; j = j->next) {
		if (!job_has_ended(&j->info) &&
		    (kinds[j->req.kind].alone || kinds[job->req.kind].alone))
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
		pthread_mutex_unlock(&jobs->lock);
		rc = kinds[job->req.kind].run(job);
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
		free(job->errors[i]);
	free(job->errors);
	free((char *)(uintptr_t)job->req.path);
	free(job);
}

/* The oldest finished ones go; a thread that has ended is not waited for. */
static void forget_old(struct jobs *jobs)
{
	struct job **p = &jobs->first;
	unsigned finished = 0;

	for (const struct job *j = jobs->first; j; j = j->next)
		finished += job_has_ended(&j->info);
	while (*p && finished > JOBS_KEPT) {
		struct job *job = *p;

		if (job_has_ended(&job->info)) {
			*p = job->next;
			job_free(job);
			finished--;
		} else {
			p = &job->next;
		}
	}
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
		atomic_store(&j->cancel, true);
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
	*to = *from;
	if (!from->path)
		return 0;
	to->path = strdup(from->path);
	return to->path ? 0 : -ENOMEM;
}

static int check_request(struct jobs *jobs, const struct job_request *req)
{
	struct blt_info info;

	if ((unsigned)req->kind >= JOB__COUNT ||
	    (req->kind == JOB_COPY && (!req->path || !*req->path)))
		return -EINVAL;
	blt_get_info(jobs->store, &info);
	return kinds[req->kind].writes && !info.writable ? -EROFS : 0;
}

/* Signals are for the threads that wait for them. */
static int start_thread(struct job *job)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&job->thread, NULL, run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
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
		atomic_store(&job->cancel, true);
		pthread_cond_broadcast(&jobs->moved);
	} else {
		job = NULL;
	}
	pthread_mutex_unlock(&jobs->lock);
	return job ? 0 : -ESRCH;
}

int jobs_error(struct jobs *jobs, uint64_t id, uint64_t n, char **ret)
{
	const struct job *job;
	int rc = -ESRCH;

	pthread_mutex_lock(&jobs->lock);
	job = find(jobs, id);
	if (job && job->info.id == id) {
		rc = -ENODATA;
		if (n < job->n_errors) {
			*ret = strdup(job->errors[n]);
			rc = *ret ? 0 : -ENOMEM;
		}
	}
	pthread_mutex_unlock(&jobs->lock);
	return rc;
}

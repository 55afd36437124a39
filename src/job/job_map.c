/* job_map.c - a map as a job: its options from the request, its errors kept. */
#include "job/job_inner.h"

#include "map/map_inner.h"
#include "base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int map_progress(void *arg, const struct map_progress *p)
{
	struct job *job = arg;

	pthread_mutex_lock(&job->jobs->lock);
	job->info.done = p->done;
	job->info.total = p->total;
	job->info.items = p->so_far->processed;
	job->info.fact[JOB_MAP_BYTES] = p->bytes;
	pthread_mutex_unlock(&job->jobs->lock);
	return atomic_load(&job->cancel) ? -ECANCELED : 0;
}

/* "KEY: why" */
static char *error_line(struct blt *store, const void *key, size_t len,
			const char *why, size_t *ret_key_len)
{
	char *text = malloc(MAP_TEXT_ROOM), *line = NULL;
	struct blt_info info;
	int n;

	if (!text)
		return NULL;
	blt_get_info(store, &info);
	n = map_text(info.key_serializer, key, len, text);
	n = n < 0 ? 0 : n;
	*ret_key_len = (size_t)n;
	if (asprintf(&line, "%.*s: %s", n, text, why) < 0)
		line = NULL;
	free(text);
	return line;
}

/* Without memory for the line it counts still. */
static void map_error(void *arg, const void *key, size_t len, const char *why)
{
	struct job *job = arg;
	struct job_error e;

	e.line = error_line(job->jobs->store, key, len, why, &e.key_len);
	pthread_mutex_lock(&job->jobs->lock);
	job->info.errors++;
	if (e.line && job->n_errors < JOB_ERRORS_KEPT &&
	    ARRAY_ROOM(job->errors, job->errors_room, job->n_errors + 1) == 0) {
		job->errors[job->n_errors++] = e;
		e.line = NULL;
	}
	pthread_mutex_unlock(&job->jobs->lock);
	free(e.line);
}

static void map_wrote(void *arg, const void *key, size_t len)
{
	job_changed(arg, key, len);
}

int job_map(struct job *job)
{
	const struct map_hooks hooks = {
		.arg = job,
		.progress = map_progress,
		.error = map_error,
		.wrote = map_wrote,
		.cancel = &job->wake,
	};
	struct blt_error err = { "" };
	struct map_result r = { 0 };
	char text[MAP_RESULT_ROOM];
	struct map_options how;
	int rc = map_unpack(job->req.bytes, job->req.bytes_len, &how);

	if (rc < 0)
		return rc;
	how.flat = how.flat || job->req.flat;
	rc = map_run(job->jobs->store, &how, &hooks, &r, &err);
	if (rc == 0 && how.forget) {
		job_result(job, "job %s is forgotten", how.job);
		map_options_free(&how);
		return 0;
	}
	map_options_free(&how);
	job_facts(job, (const uint64_t[JOB_FACTS]){
			       r.processed, r.written, r.skipped,
			       job->info.fact[JOB_MAP_BYTES] });
	/* It stopped before its end, and nobody cancelled it. */
	if (rc == -ECANCELED && !atomic_load(&job->cancel))
		rc = -EAGAIN;
	if (rc < 0 && rc != -ECANCELED && err.text[0])
		job_result(job, "%s", err.text);
	else
		job_result(job, "%s", map_result_text(&r, text));
	return rc;
}

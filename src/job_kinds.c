/* job_kinds.c - what the jobs do. */
#include "job_inner.h"

#include "map_text.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- map ---- */

static int map_progress(void *arg, const struct map_progress *p)
{
	struct job *job = arg;

	pthread_mutex_lock(&job->jobs->lock);
	job->info.done = p->done;
	job->info.total = p->total;
	job->info.items = p->so_far->processed;
	pthread_mutex_unlock(&job->jobs->lock);
	return atomic_load(&job->cancel) ? -ECANCELED : 0;
}

/* "KEY: why" */
static char *error_line(struct blt *store, const void *key, size_t len,
			const char *why)
{
	char *text = malloc(MAP_TEXT_ROOM), *line = NULL;
	struct blt_info info;
	int n;

	if (!text)
		return NULL;
	blt_get_info(store, &info);
	n = map_text(info.key_serializer, key, len, text);
	if (asprintf(&line, "%.*s: %s", n < 0 ? 0 : n, text, why) < 0)
		line = NULL;
	free(text);
	return line;
}

/* Without memory for the line it counts still. */
static void map_error(void *arg, const void *key, size_t len, const char *why)
{
	struct job *job = arg;
	char *line = error_line(job->jobs->store, key, len, why), **more;

	pthread_mutex_lock(&job->jobs->lock);
	job->info.errors++;
	if (line && job->n_errors < JOB_ERRORS_KEPT) {
		more = realloc(job->errors,
			       (job->n_errors + 1) * sizeof(*more));
		if (more) {
			job->errors = more;
			more[job->n_errors++] = line;
			line = NULL;
		}
	}
	pthread_mutex_unlock(&job->jobs->lock);
	free(line);
}

static void map_wrote(void *arg, const void *key, size_t len)
{
	changed(arg, key, len);
}

static int run_map(struct job *job)
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
	struct map_options how;
	int rc = map_unpack(job->req.bytes, job->req.bytes_len, &how);

	if (rc < 0)
		return rc;
	rc = map_run(job->jobs->store, &how, &hooks, &r, &err);
	map_options_free(&how);
	/* too many errors are no wish of anybody */
	if (rc == -ECANCELED && !atomic_load(&job->cancel))
		rc = -EIO;
	if (rc < 0 && rc != -ECANCELED && err.text[0])
		result(job, "%s", err.text);
	else
		result(job,
		       "%" PRIu64 " processed, %" PRIu64 " written, %" PRIu64
		       " skipped, %" PRIu64 " errors, %.1f seconds",
		       r.processed, r.written, r.skipped, r.errors, r.seconds);
	return rc;
}

const struct job_kind_row job_kinds[JOB__COUNT] = {
	[JOB_CLEAR] = { "clear", true, true, run_clear },
	[JOB_COPY] = { "copy", false, false, run_copy },
	[JOB_COUNT] = { "count", false, false, run_count },
	[JOB_MAP] = { "map", false, false, run_map },
	[JOB_REINDEX] = { "reindex", true, true, run_reindex },
};

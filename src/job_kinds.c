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

static void facts(struct job *job, const uint64_t fact[JOB_FACTS])
{
	pthread_mutex_lock(&job->jobs->lock);
	memcpy(job->info.fact, fact, sizeof(job->info.fact));
	pthread_mutex_unlock(&job->jobs->lock);
}

/* Whether others may change it, too, each change being a transaction: LMDB. */
static bool is_shared(struct job *job)
{
	struct blt_info info;

	blt_get_info(job->jobs->store, &info);
	return info.shared;
}

/* Whether the store's engine has no such work, which is then told. */
static bool is_beyond(struct job *job, int rc, const char *done)
{
	struct blt_info info;

	blt_get_info(job->jobs->store, &info);
	if (rc != -ENOTSUP || !info.shared)
		return false;
	result(job,
	       "a store of the engine %s is not %s; blt copy makes a "
	       "compact one of it",
	       info.engine, done);
	return true;
}

/* ---- the kinds ---- */

static int run_reindex(struct job *job)
{
	int rc = blt_reindex(job->jobs->store, job->req.n_buckets, follow, job);
	struct blt_info info;

	(void)is_beyond(job, rc, "reindexed");
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
	follow(job, census.live_bytes, census.live_bytes, census.keys);
	facts(job, (const uint64_t[JOB_FACTS]){
			   census.live_bytes, census.dead_bytes,
			   census.value_bytes, census.dead_blocks });
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
	uint64_t deleted[JOB_FACTS];
	uint64_t bytes; /* behind the walk; of what is in no file yet, or in
			 * none of ours, its own */
	uint64_t total;
};

static int delete_one(struct blt *store, const struct key *key)
{
	int rc = blt_delete(store, key->bytes, key->len);

	return rc == -ENOENT ? 0 : rc; /* gone meanwhile */
}

/* In one transaction, where each key would be one. */
static int delete_together(struct clearing *c)
{
	struct blt_batch *b;
	int rc = blt_batch_new(c->job->jobs->store, &b);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < c->n; i++)
		rc = blt_batch_delete(b, c->keys[i].bytes, c->keys[i].len);
	if (rc == 0)
		return blt_batch_commit(b);
	blt_batch_abort(b);
	return rc;
}

static int delete_gathered(struct clearing *c)
{
	struct blt *store = c->job->jobs->store;
	/* one that is gone meanwhile ends a batch */
	bool done = c->n && is_shared(c->job) && delete_together(c) == 0;
	int rc = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (rc == 0 && !done)
			rc = delete_one(store, &c->keys[i]);
		if (rc == 0) {
			changed(c->job, c->keys[i].bytes, c->keys[i].len);
			c->deleted[0]++;
		}
		free(c->keys[i].bytes);
	}
	c->n = 0;
	if (rc == 0)
		rc = blt_flush(store);
	if (rc == 0)
		rc = follow(c->job, c->bytes, c->total, c->deleted[0]);
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
	c->bytes = item->in_file ? item->value_offset + item->value_len :
				   c->bytes + item->key_len + item->value_len;
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
	int rc = -ENOMEM, synced;
	bool fails;

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
	synced = blt_sync(store);
	rc = rc < 0 ? rc : synced;
	fails = rc < 0 && rc != -ECANCELED;
	result(job, "%" PRIu64 " keys deleted%s%s", c->deleted[0],
	       fails ? "; " : "", fails ? strerror(-rc) : "");
	facts(job, c->deleted);
	free(c);
	return rc;
}

/* ---- prune and trim ---- */

#define KEY_HEAD 4 /* its length, in front of each key */

int job_keys_add(void **bytes, size_t *len, const void *key, size_t key_len)
{
	uint8_t *more = realloc(*bytes, *len + KEY_HEAD + key_len);

	if (!more)
		return -ENOMEM;
	put_le(more + *len, key_len, KEY_HEAD);
	if (key_len)
		memcpy(more + *len + KEY_HEAD, key, key_len);
	*bytes = more;
	*len += KEY_HEAD + key_len;
	return 0;
}

/* The next key behind *at: 1; 0 at the end; -EINVAL. */
static int next_key(const struct job_request *req, size_t *at,
		    struct blt_bytes *ret)
{
	const uint8_t *from = req->bytes;
	size_t left = req->bytes_len - *at;
	uint64_t len;

	if (left == 0)
		return 0;
	if (left < KEY_HEAD)
		return -EINVAL;
	len = get_le(from + *at, KEY_HEAD);
	if (len > left - KEY_HEAD)
		return -EINVAL;
	*ret = (struct blt_bytes){ from + *at + KEY_HEAD, (size_t)len };
	*at += KEY_HEAD + (size_t)len;
	return 1;
}

static int check_prune(const struct job_request *req)
{
	struct blt_bytes key;
	size_t at = 0;
	int rc;

	if (req->older_than < 0 || (req->bytes_len && !req->older_than))
		return -EINVAL;
	while ((rc = next_key(req, &at, &key)) > 0)
		;
	return rc;
}

/* The keys stand in the request; the list is malloc'd. */
static int kept_keys(const struct job_request *req, struct blt_bytes **ret,
		     size_t *ret_n)
{
	struct blt_bytes *keys, key;
	size_t at = 0, n = 0;

	while (next_key(req, &at, &key) > 0)
		n++;
	keys = calloc(n + 1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (at = 0, n = 0; next_key(req, &at, &key) > 0; n++)
		keys[n] = key;
	*ret = keys;
	*ret_n = n;
	return 0;
}

/* Whether others stand in the way, who may share the store (LMDB's users). */
static bool is_others(struct job *job, int rc)
{
	if (!is_shared(job) || (rc != -EBUSY && rc != -EAGAIN))
		return false;
	result(job,
	       rc == -EBUSY ?
		       "another process has the environment open (mdb_stat -r "
		       "lists those that read it), and a prune puts another "
		       "file in its place: close it there first; nothing is "
		       "changed" :
		       "another process has changed the environment while it "
		       "was copied; run it again; nothing is changed");
	return true;
}

static void tell_pruned(struct job *job, int rc,
			const struct blt_prune_result *r)
{
	const uint64_t fact[JOB_FACTS] = { r->dropped, r->moved, r->size_before,
					   r->size_after };
	uint64_t freed = r->size_before > r->size_after ?
				 r->size_before - r->size_after :
				 0;
	char dropped[64] = "";

	facts(job, fact);
	if (is_others(job, rc))
		return;
	if (rc == -ENOTSUP) {
		result(job, "the store keeps no timestamps, so no key is older "
			    "than another");
		return;
	}
	if (job->req.older_than)
		snprintf(dropped, sizeof(dropped),
			 "%" PRIu64 " key%s dropped; ", r->dropped,
			 r->dropped == 1 ? "" : "s");
	if (rc == 0)
		result(job, "%s%" PRIu64 " bytes given back, %" PRIu64 " left",
		       dropped, freed, r->size_after);
	else
		result(job, "%s%s%s", dropped, strerror(-rc),
		       is_shared(job) ? "; nothing is changed" :
					"; the next prune goes on");
}

static int run_prune(struct job *job)
{
	struct blt_prune_options o = { .older_than = job->req.older_than,
				       .progress = follow,
				       .arg = job };
	struct blt_prune_result r = { 0 };
	struct blt_bytes *keys = NULL;
	int rc = kept_keys(&job->req, &keys, &o.n_keep);

	o.keep = keys;
	if (rc == 0)
		rc = blt_prune(job->jobs->store, &o, &r);
	if (r.dropped)
		changed(job, NULL, 0);
	tell_pruned(job, rc, &r);
	free(keys);
	return rc;
}

static int run_trim(struct job *job)
{
	struct blt_trim_result r;
	int rc = blt_trim(job->jobs->store, follow, job, &r);

	facts(job, (const uint64_t[JOB_FACTS]){ r.merged, r.freed });
	(void)is_beyond(job, rc, "trimmed");
	if (rc == 0 && r.no_holes)
		result(job, "the filesystem has no holes in files: nothing was "
			    "given back");
	else if (rc == 0)
		result(job, "%" PRIu64 " bytes of disk given back", r.freed);
	return rc;
}

/* ---- map ---- */

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
	char text[MAP_RESULT_ROOM];
	struct map_options how;
	int rc = map_unpack(job->req.bytes, job->req.bytes_len, &how);

	if (rc < 0)
		return rc;
	rc = map_run(job->jobs->store, &how, &hooks, &r, &err);
	map_options_free(&how);
	facts(job,
	      (const uint64_t[JOB_FACTS]){ r.processed, r.written, r.skipped,
					   job->info.fact[JOB_MAP_BYTES] });
	/* too many errors are no wish of anybody */
	if (rc == -ECANCELED && !atomic_load(&job->cancel))
		rc = -EIO;
	if (rc < 0 && rc != -ECANCELED && err.text[0])
		result(job, "%s", err.text);
	else
		result(job, "%s", map_result_text(&r, text));
	return rc;
}

const struct job_kind_row job_kinds[JOB__COUNT] = {
	[JOB_CLEAR] = { "clear", true, true, run_clear, NULL, { "deleted" } },
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
		      run_map,
		      NULL,
		      { "processed", "written", "skipped", "value_bytes" } },
	[JOB_PRUNE] = { "prune",
			true,
			true,
			run_prune,
			check_prune,
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

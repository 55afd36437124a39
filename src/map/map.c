#include "map/map.h"

#include "map/map_inner.h"
#include "map/pool.h"
#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STEP_MS 250
#define ABOVE_WORKERS 10
#define FEED_MAX 1000 /* keys looked at between two looks at the workers */

struct map {
	struct blt *store;
	const struct map_options *options;
	const struct map_hooks *hooks;
	struct map_function function;
	struct map_input input;
	struct map_output output;
	struct map_order order;      /* of a job */
	struct map_options of_retry; /* options, with the keys of a retry */
	struct pool *pool;
	int fd;         /* the store's file, for the workers */
	bool fed;       /* the input is at its end */
	uint64_t given; /* items that went to the pool */
	uint64_t back;  /* and came back */
	uint64_t bytes; /* of their values */
	int failed;     /* what a callback of the pool could not return */
	struct map_result *result;
	struct blt_error *err;
};

/* ---- cancelling ---- */

int map_cancel_init(struct map_cancel *c)
{
	atomic_init(&c->asked, 0);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->wake < 0 ? -errno : 0;
}

void map_cancel_release(struct map_cancel *c)
{
	close(c->wake);
	c->wake = -1;
}

void map_cancel(struct map_cancel *c)
{
	const uint64_t one = 1;
	int before = errno;
	ssize_t n;

	atomic_store(&c->asked, 1);
	/* It cannot fail but where it has been written already. */
	n = write(c->wake, &one, sizeof(one));
	(void)n;
	errno = before;
}

/* How many items there will be: while keys are left, as many of them are taken
 * to be wanted as of those before. */
static uint64_t expected(const struct map *m)
{
	const struct map_input *in = &m->input;
	uint64_t left = in->total > in->seen ? in->total - in->seen : 0;

	if (m->fed)
		return m->given;
	if (!in->seen)
		return left;
	return m->given +
	       (uint64_t)((double)left * (double)m->given / (double)in->seen);
}

/* Whether the map is to stop, and what with. */
static int look_around(struct map *m)
{
	struct map_cancel *c = m->hooks->cancel;
	struct map_progress p = {
		.done = m->back,
		.total = expected(m),
		.bytes = m->bytes,
		.so_far = m->result,
	};
	int rc = 0;

	if (m->hooks->progress)
		rc = m->hooks->progress(m->hooks->arg, &p);
	if (rc == 0 && c && atomic_load(&c->asked))
		rc = -ECANCELED;
	if (rc < 0)
		return store_fail(m->err, rc,
				  "cancelled; what was written "
				  "until then stays");
	if (m->result->errors > m->options->max_errors)
		return store_fail(m->err, -ECANCELED,
				  "stopped after %llu errors; what was written "
				  "until then stays",
				  (unsigned long long)m->result->errors);
	return m->failed;
}

/* ---- starting ---- */

static void put_out(struct map *m, struct pool_task *task, const char *why)
{
	int rc = 0;

	if (m->failed) {
		pool_task_free(task); /* nothing more is settled */
	} else if (why) {
		rc = map_output_error(&m->output, task->key, task->key_len,
				      why);
		pool_task_free(task);
	} else {
		rc = map_output_add(&m->output, task);
	}
	if (rc < 0 && !m->failed)
		m->failed = rc;
}

/* For a job, when all items in front of it have ended. */
static void put_in_order(struct map *m, struct pool_task *task, const char *why)
{
	struct map_ended next;

	if (map_order_end(&m->order, task, why) < 0 && !m->failed)
		m->failed = store_fail(m->err, -ENOMEM, "out of memory");
	while (map_order_next(&m->order, &next)) {
		put_out(m, next.task, next.why);
		free(next.why);
	}
}

/* What came of a task; the pool's callback. */
static void take_back(void *arg, struct pool_task *task, const char *why)
{
	struct map *m = arg;

	m->back++;
	m->bytes += task->len;
	if (m->order.ring)
		put_in_order(m, task, why);
	else
		put_out(m, task, why);
}

/* A worker that was killed as it read the store holds something there. */
static void clear_dead(void *arg)
{
	struct map *m = arg;

	if (m->store->backend->clear_dead)
		m->store->backend->clear_dead(m->store);
}

/* The store's file once more: a duplicate of its descriptor would share the
 * lock on it. */
static int open_again(struct map *m)
{
	char path[64];
	int fd;

	/* A store that is no file: its values are sent. */
	if (blt_fd(m->store) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", blt_fd(m->store));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	/* Not where a worker's own descriptors go. */
	m->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_WORKERS);
	if (fd >= 0)
		close(fd);
	if (m->fd >= 0)
		return 0;
	return store_fail(m->err, -errno, "%s: cannot be opened again: %s",
			  blt_path(m->store), strerror(errno));
}

static unsigned n_workers(const struct map_options *o)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->workers)
		return o->workers;
	return n < 1 ? 1 : (unsigned)min_u64((uint64_t)n, MAP_WORKERS_MAX);
}

static int fail_pool(struct map *m, int rc)
{
	const char *why = pool_why(m->pool);

	return store_fail(m->err, rc, "%s", *why ? why : strerror(-rc));
}

/* A first worker tells whether there is a function at all. */
static int start_pool(struct map *m)
{
	struct map_cancel *c = m->hooks->cancel;
	struct pool_how how = {
		.store_fd = m->fd,
		.dir = m->options->dir,
		.workers = n_workers(m->options),
		.timeout_ms = m->options->timeout_ms,
		.wake_fd = c ? c->wake : -1,
		.lost = clear_dead,
		.finished = take_back,
		.arg = m,
	};
	int rc = 0;

	if (how.dir && access(how.dir, X_OK) < 0)
		return store_fail(m->err, -errno,
				  "%s: the function is to run there: %s",
				  how.dir, strerror(errno));
	rc = map_function_make(&m->function, m->store, m->options);
	how.program = m->function.program;
	how.argv = m->function.argv;
	how.env = m->function.env;
	if (rc == 0)
		rc = pool_new(&how, &m->pool);
	if (rc < 0)
		return store_fail(m->err, rc, "out of memory");
	while ((rc = pool_start(m->pool)) == 0) {
		rc = look_around(m);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? fail_pool(m, rc) : 0;
}

static int start_job(struct map *m)
{
	const struct ledger_row *row = ledger_row(m->output.ledger);
	bool retry = m->options->retry_failed;
	int rc = map_order_init(&m->order);

	m->of_retry = *m->options;
	m->of_retry.keys = NULL;
	m->of_retry.n_keys = 0;
	if (rc == 0 && retry)
		rc = map_job_failed(row, &m->of_retry);
	if (rc < 0)
		return store_fail(m->err, rc, "out of memory");
	/* A job that is done takes no new keys. */
	m->fed = !retry && row->state == LEDGER_DONE;
	return map_input_open(&m->input, m->store,
			      retry ? &m->of_retry : m->options,
			      retry ? NULL : row, m->err);
}

static int start(struct map *m)
{
	int rc = open_again(m);

	if (rc == 0)
		rc = start_pool(m);
	if (rc == 0)
		rc = map_output_open(&m->output, m->store, &m->input,
				     m->options, m->hooks, m->result, m->err);
	if (rc == 0 && m->options->job)
		return start_job(m);
	if (rc == 0)
		rc = map_input_open(&m->input, m->store, m->options, NULL,
				    m->err);
	return rc;
}

/* ---- running ---- */

static bool wants(const struct map *m)
{
	return pool_wants(m->pool) &&
	       (!m->order.ring || map_order_wants(&m->order));
}

/* A key that was asked for and is not there is an item that failed. */
static int put_missing(struct map *m, const struct map_key *key)
{
	struct pool_task *task = calloc(1, sizeof(*task));

	if (task)
		task->key = malloc(key->len + 1);
	if (!task || !task->key) {
		free(task);
		return store_fail(m->err, -ENOMEM, "out of memory");
	}
	memcpy(task->key, key->bytes, key->len);
	task->key_len = key->len;
	if (m->order.ring) {
		task->seq = map_order_give(&m->order);
		put_in_order(m, task, "no such key");
	} else {
		put_out(m, task, "no such key");
	}
	return m->failed;
}

static int feed(struct map *m)
{
	const struct map_key *missing = NULL;
	struct pool_task *task;
	int rc = 1;

	for (int i = 0; i < FEED_MAX && wants(m); i++) {
		rc = map_input_next(&m->input, &task, &missing);
		if (rc == -ENOENT) {
			rc = put_missing(m, missing);
			if (rc < 0)
				return rc;
			rc = 1;
			continue;
		}
		if (rc <= 0)
			break;
		if (!task)
			continue;
		m->given++;
		if (m->order.ring)
			task->seq = map_order_give(&m->order);
		pool_put(m->pool, task);
	}
	m->fed = rc == 0;
	if (rc >= 0)
		return 0;
	return store_fail(m->err, rc, "%s: cannot be read: %s",
			  blt_path(m->store), strerror(-rc));
}

/* The workers are waited for where there is nothing else to do. */
static int step(struct map *m)
{
	bool more = !m->fed && wants(m);
	int rc = 0;

	if (!pool_idle(m->pool))
		rc = pool_step(m->pool, more ? 0 : STEP_MS);
	if (rc < 0)
		return fail_pool(m, rc);
	/* A result that failed may be in the batch in part. */
	return !m->failed && map_output_due(&m->output, steady_us()) ?
		       map_output_commit(&m->output) :
		       0;
}

static int run(struct map *m)
{
	int rc = 0;

	while (rc == 0 && !(m->fed && pool_idle(m->pool))) {
		rc = look_around(m);
		if (rc == 0 && !m->fed)
			rc = feed(m);
		if (rc == 0)
			rc = step(m);
	}
	/* What is done is kept, even where the rest is not to be. */
	if (rc == 0 || rc == -ECANCELED || rc == -EINTR) {
		int r = m->failed == -ECANCELED ? 0 : m->failed;

		if (m->output.ledger)
			ledger_finish(m->output.ledger,
				      rc == 0 && m->failed == 0);
		if (r == 0)
			r = map_output_commit(&m->output);
		rc = rc < 0 ? rc : r;
	}
	if (rc == 0)
		rc = look_around(m);
	if (rc == 0)
		pool_stop(m->pool);
	return rc;
}

const char *map_result_text(const struct map_result *r,
			    char to[MAP_RESULT_ROOM])
{
	snprintf(to, MAP_RESULT_ROOM,
		 "%" PRIu64 " processed, %" PRIu64 " written, %" PRIu64
		 " skipped, %" PRIu64 " errors, %.3f seconds",
		 r->processed, r->written, r->skipped, r->errors, r->seconds);
	return to;
}

static int run_all(struct blt *store, const struct map_options *options,
		   const struct map_hooks *hooks, struct map_result *ret,
		   struct blt_error *err)
{
	struct map m = { .store = store,
			 .options = options,
			 .hooks = hooks,
			 .fd = -1,
			 .result = ret,
			 .err = err };
	int64_t began = steady_us();
	int rc, r;

	*ret = (struct map_result){ 0 };
	rc = start(&m);
	if (rc == 0) {
		ret->began = true;
		rc = run(&m);
	}
	/* The workers first: they read where the input keeps things in place.
	 */
	pool_free(m.pool);
	clear_dead(&m);
	if (rc < 0)
		m.output.err = NULL; /* it says what came first */
	r = map_output_close(&m.output);
	map_input_close(&m.input);
	map_order_release(&m.order);
	map_job_free_failed(&m.of_retry);
	map_function_free(&m.function);
	if (m.fd >= 0)
		close(m.fd);
	ret->seconds = (double)(steady_us() - began) / 1e6;
	return rc < 0 ? rc : r;
}

static void add_up(struct map_result *sum, const struct map_result *r)
{
	sum->processed += r->processed;
	sum->written += r->written;
	sum->skipped += r->skipped;
	sum->errors += r->errors;
	sum->seconds += r->seconds;
	sum->began = sum->began || r->began;
}

/* One shard after the other. */
static int retry_shards(struct blt *store, const struct map_options *options,
			const struct map_hooks *hooks, struct map_result *ret,
			struct blt_error *err)
{
	struct map_options o = *options;
	struct map_result r;
	unsigned n = 0;
	int rc = map_job_shards(store, options, &n, err);

	for (o.shards = n, o.shard = 1; rc == 0 && o.shard <= n; o.shard++) {
		rc = run_all(store, &o, hooks, &r, err);
		add_up(ret, &r);
	}
	return rc;
}

int map_run(struct blt *store, const struct map_options *options,
	    const struct map_hooks *hooks, struct map_result *ret,
	    struct blt_error *err)
{
	static const struct map_hooks none;
	int rc = map_check(options, err);

	*ret = (struct map_result){ 0 };
	if (!hooks)
		hooks = &none;
	if (rc < 0)
		return rc;
	if (options->forget)
		return map_job_forget(store, options, err);
	if (options->retry_failed && !options->shards)
		return retry_shards(store, options, hooks, ret, err);
	return run_all(store, options, hooks, ret, err);
}

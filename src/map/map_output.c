#include "map/map_inner.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH_BYTES (1u << 20)
#define BATCH_ITEMS 1000
#define BATCH_US 500000

struct map_pending {
	struct pool_task *task;
	bool held; /* its key was as it had been read */
	struct map_pending *next;
};

/* ---- opening ---- */

static int itself(const char *to, struct blt_error *err)
{
	return store_fail(err, -EINVAL,
			  "%s: is the store that is read; to write to it, name "
			  "no other",
			  to);
}

static int refuse_itself(struct blt *in, const char *to, struct blt_error *err)
{
	struct stat a, b;

	if (stat(to, &a) < 0 || fstat(blt_fd(in), &b) < 0 ||
	    a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return 0;
	return itself(to, err);
}

/* A store that is no file is known by what is in it. */
static bool is_same(struct blt *in, struct blt *to)
{
	struct blt_info a, b;

	if (blt_fd(in) >= 0 || blt_fd(to) >= 0)
		return false;
	blt_get_info(in, &a);
	blt_get_info(to, &b);
	return memcmp(a.uuid, b.uuid, sizeof(a.uuid)) == 0;
}

static int open_other(struct map_output *out)
{
	const struct map_options *o = out->options;
	struct blt_open_options how = {
		.mode = o->to_create ? BLT_CREATE : BLT_WRITE,
		.lock_timeout_ms = o->lock_timeout_ms,
		.create = o->create,
	};
	int rc = refuse_itself(out->in, o->to, out->err);

	if (rc == 0)
		rc = blt_open(o->to, &how, &out->store, out->err);
	if (rc == -ENOENT && !o->to_create)
		return store_fail(
			out->err, rc,
			"%s: there is no such store; it is made where "
			"that is asked for (blt map --create)",
			o->to);
	/* the caller closes it */
	if (rc == 0 && is_same(out->in, out->store))
		rc = itself(o->to, out->err);
	return rc;
}

int map_output_open_store(struct map_output *out)
{
	struct blt_info info;

	blt_get_info(out->in, &info);
	if (out->options->to)
		return open_other(out);
	if (!info.writable)
		return store_fail(out->err, -EROFS,
				  "%s: is open for reading only; name another "
				  "store to write to",
				  blt_path(out->in));
	out->store = out->in;
	return 0;
}

int map_output_open(struct map_output *out, struct blt *in,
		    const struct map_input *input,
		    const struct map_options *options,
		    const struct map_hooks *hooks, struct map_result *result,
		    struct blt_error *err)
{
	struct blt_info info;
	int rc = 0;

	*out = (struct map_output){ .in = in,
				    .input = input,
				    .options = options,
				    .hooks = hooks,
				    .result = result,
				    .err = err };
	out->last = &out->first;
	blt_get_info(in, &info);
	out->serializer = info.key_serializer;
	out->text = malloc(MAP_TEXT_ROOM);
	out->made = malloc(BLT_KEY_MAX + 1);
	if (!out->text || !out->made)
		return store_fail(err, -ENOMEM, "out of memory");
	if (!hooks->result)
		rc = map_output_open_store(out);
	if (rc == 0 && options->job)
		rc = map_job_open(out);
	return rc;
}

/* ---- items that end without a result ---- */

int map_output_error(struct map_output *out, const void *key, size_t len,
		     const char *why)
{
	int rc = map_job_settle(out, key, len, LEDGER_FAILED);

	if (rc < 0)
		return rc;
	out->result->processed++;
	out->result->errors++;
	if (out->hooks->error)
		out->hooks->error(out->hooks->arg, key, len, why);
	return 0;
}

static int fail_task(struct map_output *out, struct pool_task *task,
		     const char *why)
{
	int rc = map_output_error(out, task->key, task->key_len, why);

	pool_task_free(task);
	return rc;
}

static int skip(struct map_output *out, struct pool_task *task)
{
	int rc = map_job_settle(out, task->key, task->key_len, LEDGER_SKIPPED);

	if (rc == 0) {
		out->result->processed++;
		out->result->skipped++;
	}
	pool_task_free(task);
	return rc;
}

/* ---- adding ---- */

/* The key of a result, good until the next call. */
static int key_of(struct map_output *out, const struct pool_task *task,
		  const struct pool_result *r, struct map_key *ret)
{
	int n;

	*ret = (struct map_key){ r->bytes, r->key_len };
	if (!r->same)
		return 0;
	*ret = (struct map_key){ task->key, task->key_len };
	if (!out->options->key_template)
		return 0;
	n = map_text(out->serializer, task->key, task->key_len, out->text);
	if (n >= 0)
		n = map_template(out->options->key_template, out->text,
				 out->made, BLT_KEY_MAX + 1);
	if (n > (int)BLT_KEY_MAX)
		n = -ENAMETOOLONG;
	if (n >= 0)
		*ret = (struct map_key){ out->made, (size_t)n };
	return n < 0 ? n : 0;
}

static const char *bad_key(int rc)
{
	return rc == -ENAMETOOLONG ? "its new key is longer than 65535 bytes" :
				     "its new key would not load in Python "
				     "under the store's serializer";
}

/* What is written under such a key would be an item after an interruption
 * (ledger.h, rule 6). */
static bool is_another_item(const struct map_output *out,
			    const struct pool_task *task,
			    const struct map_key *key)
{
	return out->ledger && out->store == out->in &&
	       compare_bytes(key->bytes, key->len, task->key, task->key_len) &&
	       map_input_takes(out->input, out->options, key->bytes, key->len);
}

/* NULL: all its results can be written. */
static const char *refuse(struct map_output *out, const struct pool_task *task)
{
	struct map_key key;
	int rc;

	for (const struct pool_result *r = task->results; r; r = r->next) {
		rc = key_of(out, task, r, &key);
		if (rc == 0 && out->store)
			rc = blt_check_key(out->store, key.bytes, key.len);
		if (rc < 0)
			return bad_key(rc);
		if (is_another_item(out, task, &key))
			return "its result has the key of another item of the "
			       "job; write to another store (--to), or take "
			       "fewer keys (--prefix, --keys)";
		if (!out->store)
			continue;
		rc = blt_check_value(out->store, r->bytes + r->key_len,
				     r->value_len);
		if (rc < 0)
			return "its new value would not load in Python under "
			       "the store's serializer, or has another length "
			       "than all values have";
	}
	return NULL;
}

/* In another store nothing can be tied to the commit: this is just before. */
static int as_read(struct map_output *out, const struct pool_task *task)
{
	struct blt_view v;
	bool same;
	int rc = blt_get(out->in, task->key, task->key_len, &v);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	same = v.offset == task->pos;
	blt_view_release(&v);
	return same;
}

static int put_all(struct map_output *out, struct map_pending *p)
{
	const struct pool_task *task = p->task;
	struct map_key key;
	int rc = 0;

	if (out->options->if_unchanged && out->store == out->in)
		rc = blt_batch_only_if(out->batch, task->key, task->key_len,
				       task->pos, &p->held);
	for (const struct pool_result *r = task->results; r && rc == 0;
	     r = r->next) {
		rc = key_of(out, task, r, &key);
		if (rc == 0)
			rc = blt_batch_put(out->batch, key.bytes, key.len,
					   r->bytes + r->key_len, r->value_len,
					   BLT_NOW);
		out->bytes += key.len + r->value_len;
	}
	return rc;
}

static int fail_write(struct map_output *out, int rc)
{
	return store_fail(out->err, rc, "%s: cannot be written: %s",
			  blt_path(out->store), strerror(-rc));
}

static int append(struct map_output *out, struct pool_task *task)
{
	struct map_pending *p = calloc(1, sizeof(*p));
	int rc = p ? 0 : -ENOMEM;

	if (rc == 0 && !out->batch) {
		rc = blt_batch_new(out->store, &out->batch);
		out->since = steady_us();
	}
	if (rc < 0) {
		free(p);
		pool_task_free(task);
		return fail_write(out, rc);
	}
	p->task = task;
	p->held = true;
	*out->last = p;
	out->last = &p->next;
	out->n++;
	rc = put_all(out, p);
	if (rc < 0)
		return fail_write(out, rc);
	/* Only the commit, which the row is part of, finds out whether it is
	 * held: in the row it counts as written in either case. */
	return map_job_settle(out, task->key, task->key_len, LEDGER_WRITTEN);
}

/* To who asked for them, at once. */
static int hand_over(struct map_output *out, struct pool_task *task)
{
	struct map_key key;
	int rc = 0;

	out->result->processed++;
	for (const struct pool_result *r = task->results; r && rc >= 0;
	     r = r->next) {
		rc = key_of(out, task, r, &key);
		if (rc == 0)
			rc = out->hooks->result(out->hooks->arg, key.bytes,
						key.len, r->bytes + r->key_len,
						r->value_len);
		out->result->written += rc >= 0;
	}
	pool_task_free(task);
	if (rc < 0)
		store_fail(out->err, rc, "results cannot be handed on: %s",
			   strerror(-rc));
	return rc < 0 ? rc : 0;
}

int map_output_add(struct map_output *out, struct pool_task *task)
{
	const char *why;
	int rc = 1;

	if (!task->results)
		return skip(out, task);
	why = refuse(out, task);
	if (why)
		return fail_task(out, task, why);
	if (!out->store)
		return hand_over(out, task);
	if (out->options->if_unchanged && out->store != out->in)
		rc = as_read(out, task);
	if (rc > 0)
		return append(out, task);
	if (rc == 0)
		return skip(out, task);
	pool_task_free(task);
	return store_fail(out->err, rc, "%s: cannot be read: %s",
			  blt_path(out->in), strerror(-rc));
}

/* ---- committing ---- */

bool map_output_due(const struct map_output *out, int64_t now)
{
	return (out->n && (out->bytes >= BATCH_BYTES || out->n >= BATCH_ITEMS ||
			   now - out->since >= BATCH_US)) ||
	       (out->ledger && ledger_due(out->ledger, now));
}

static void drop_pending(struct map_output *out)
{
	while (out->first) {
		struct map_pending *p = out->first;

		out->first = p->next;
		pool_task_free(p->task);
		free(p);
	}
	out->last = &out->first;
	out->bytes = 0;
	out->n = 0;
}

static void tell_written(struct map_output *out, const struct map_pending *p)
{
	struct map_key key;

	for (const struct pool_result *r = p->task->results; r; r = r->next) {
		out->result->written++;
		if (out->store == out->in && out->hooks->wrote &&
		    key_of(out, p->task, r, &key) == 0)
			out->hooks->wrote(out->hooks->arg, key.bytes, key.len);
	}
}

static void count_pending(struct map_output *out)
{
	for (struct map_pending *p = out->first; p; p = p->next) {
		out->result->processed++;
		if (p->held)
			tell_written(out, p);
		else
			out->result->skipped++;
	}
}

/* The row goes along with the results that it settles. */
static int add_ledger(struct map_output *out)
{
	int rc = 0;

	if (!out->batch)
		rc = blt_batch_new(out->store, &out->batch);
	return rc < 0 ? rc : ledger_add(out->ledger, out->batch);
}

static int commit(struct map_output *out)
{
	bool tell = out->store == out->in;
	int rc = 0;

	if (out->ledger)
		rc = add_ledger(out);
	if (rc < 0)
		return ledger_failed(out->ledger, rc, out->err);
	if (tell && out->hooks->before_commit)
		out->hooks->before_commit(out->hooks->arg);
	rc = blt_batch_commit(out->batch);
	out->batch = NULL;
	if (rc == 0 && out->ledger)
		ledger_committed(out->ledger);
	if (rc == 0)
		count_pending(out);
	if (tell && out->hooks->after_commit)
		out->hooks->after_commit(out->hooks->arg);
	drop_pending(out);
	if (rc == -ESTALE && out->ledger)
		return ledger_failed(out->ledger, rc, out->err);
	return rc < 0 ? fail_write(out, rc) : 0;
}

/* The row in memory is past what a failed commit dropped: no later commit may
 * store it. */
int map_output_commit(struct map_output *out)
{
	bool moved = out->ledger && ledger_moved(out->ledger);
	bool beat = out->ledger && ledger_due(out->ledger, steady_us());
	int rc;

	if (out->broken || (!out->batch && !moved && !beat))
		return 0;
	rc = commit(out);
	out->broken = rc < 0;
	return rc;
}

int map_output_close(struct map_output *out)
{
	int rc = 0;

	blt_batch_abort(out->batch);
	drop_pending(out);
	ledger_close(out->ledger);
	if (out->store && out->store != out->in) {
		rc = blt_close(out->store);
		if (rc < 0)
			store_fail(out->err, rc, "%s: cannot be finished: %s",
				   out->options->to, strerror(-rc));
	} else if (out->store) {
		rc = blt_flush(out->store);
		if (rc < 0)
			fail_write(out, rc);
	}
	free(out->text);
	free(out->made);
	*out = (struct map_output){ 0 };
	return rc;
}

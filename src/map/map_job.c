/* map_job.c - a map that has a name: its ledger, what failed of it. */
#include "map/map_inner.h"

#include "engine/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int map_job_open(struct map_output *out)
{
	const struct map_options *o = out->options;
	uint8_t identity[BLT_HASH_LEN];
	char function[LEDGER_TEXT];
	struct ledger_how how = {
		.job = o->job,
		.shard = o->shards ? o->shard : 1,
		.shards = o->shards ? o->shards : 1,
		.identity = identity,
		.function = function,
		.restart = o->restart,
		.retry = o->retry_failed,
		.wait_ms = o->lock_timeout_ms,
	};
	int rc = map_identity(o, out->in, identity, function, sizeof(function));

	if (rc < 0)
		return store_fail(out->err, rc, "out of memory");
	return ledger_open(&out->ledger, out->store, &how, out->err);
}

/* ---- items ---- */

int map_job_settle(struct map_output *out, const void *key, size_t len,
		   enum ledger_what what)
{
	int rc = out->ledger ? ledger_settle(out->ledger, key, len, what) : 0;

	if (rc == -EDQUOT)
		return store_fail(out->err, -ECANCELED,
				  "job %s: stopped, for the ledger keeps no "
				  "more keys that failed; once they can "
				  "succeed, blt map --retry-failed %s, then go "
				  "on",
				  out->options->job, out->options->job);
	return rc < 0 ? store_fail(out->err, rc, "out of memory") : 0;
}

/* What failed before is a list of keys. */
int map_job_failed(const struct ledger_row *row, struct map_options *ret)
{
	struct map_key *keys = calloc(row->n_failed + 1, sizeof(*keys));

	ret->keys = keys;
	ret->n_keys = 0;
	ret->keys_only = true;
	for (size_t i = 0; keys && i < row->n_failed; i++) {
		void *copy = malloc(row->failed[i].len + 1);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, row->failed[i].bytes, row->failed[i].len);
		keys[i] = (struct map_key){ copy, row->failed[i].len };
		ret->n_keys++;
	}
	return keys ? 0 : -ENOMEM;
}

void map_job_free_failed(struct map_options *o)
{
	for (size_t i = 0; i < o->n_keys; i++)
		free((void *)(uintptr_t)o->keys[i].bytes);
	free((void *)(uintptr_t)o->keys);
}

/* ---- jobs, without a map ---- */

/* The store that has the job. */
static int open_alone(struct map_output *out, struct blt *in,
		      const struct map_options *o, struct blt_error *err)
{
	*out = (struct map_output){ .in = in, .options = o, .err = err };
	out->last = &out->first;
	return map_output_open_store(out);
}

int map_job_shards(struct blt *in, const struct map_options *options,
		   unsigned *ret, struct blt_error *err)
{
	struct map_output out;
	int rc = open_alone(&out, in, options, err), r;

	if (rc < 0)
		return rc;
	rc = ledger_shards(out.store, options->job, ret);
	if (rc < 0)
		ledger_fail(out.store, options->job, rc, err);
	r = map_output_close(&out);
	return rc < 0 ? rc : r;
}

int map_job_forget(struct blt *in, const struct map_options *options,
		   struct blt_error *err)
{
	struct map_output out;
	int rc = open_alone(&out, in, options, err), r;

	if (rc < 0)
		return rc;
	rc = ledger_forget(out.store, options->job, options->lock_timeout_ms,
			   err);
	r = map_output_close(&out);
	return rc < 0 ? rc : r;
}

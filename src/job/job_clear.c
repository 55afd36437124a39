/* job_clear.c - what is there at the start goes, some keys at a time. */
#include "job/job_inner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
	bool done = c->n && job_is_shared(c->job) && delete_together(c) == 0;
	int rc = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (rc == 0 && !done)
			rc = delete_one(store, &c->keys[i]);
		if (rc == 0) {
			job_changed(c->job, c->keys[i].bytes, c->keys[i].len);
			c->deleted[0]++;
		}
		free(c->keys[i].bytes);
	}
	c->n = 0;
	if (rc == 0)
		rc = blt_flush(store);
	if (rc == 0)
		rc = job_follow(c->job, c->bytes, c->total, c->deleted[0]);
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

int job_clear(struct job *job)
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
	job_result(job, "%" PRIu64 " keys deleted%s%s", c->deleted[0],
		   fails ? "; " : "", fails ? strerror(-rc) : "");
	job_facts(job, c->deleted);
	free(c);
	return rc;
}

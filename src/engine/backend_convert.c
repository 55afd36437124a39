/* A copy of a store in another engine: key by key, in batches, into a file that
 * gets its name when it is whole. */
#include "engine/backend.h"
#include "booklet/format/format.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A batch; a longer value goes by itself, piece by piece. */
#define BATCH_KEYS 1000u
#define BATCH_BYTES ((size_t)1 << 20)
#define SMALL_VALUE ((size_t)64 << 10)

struct convert {
	struct blt *const *all; /* whose keys are put, one after the other */
	size_t n_all, at;
	struct blt *from, *to; /* from: all[at] */
	const char *path;
	blt_progress_fn *progress;
	void *arg;
	struct blt_error *err;
	struct blt_batch *batch; /* NULL: nothing waits */
	size_t batch_bytes;
	unsigned batch_keys;
	uint8_t *buf;         /* SMALL_VALUE bytes */
	int64_t time;         /* of keys that have none */
	uint64_t done, total; /* bytes */
	uint64_t keys;
};

/* ---- what goes wrong ---- */

static int fail_read(const struct convert *c, int rc)
{
	return store_fail(c->err, rc, "%s: cannot be read to its end: %s",
			  blt_path(c->from), strerror(-rc));
}

static int fail_write(const struct convert *c, int rc)
{
	return store_fail(c->err, rc, "%s: cannot write: %s", c->path,
			  strerror(-rc));
}

static int fail_key(const struct convert *c, const struct blt_item *item,
		    int rc)
{
	const char *engine = c->to->backend->name;
	char key[SHOWN_ROOM];

	show_bytes(item->key, item->key_len, key);
	if (item->key_len == 0)
		return store_fail(c->err, rc,
				  "%s: holds the empty key, which a store of "
				  "the engine %s cannot",
				  blt_path(c->from), engine);
	if (rc == -ENAMETOOLONG)
		return store_fail(c->err, rc,
				  "%s: a key of %zu bytes, longer than a store "
				  "of the engine %s takes: %s",
				  blt_path(c->from), item->key_len, engine,
				  key);
	if (rc == -EINVAL || rc == -EILSEQ)
		return store_fail(c->err, rc,
				  "%s: a key that the new store cannot hold, "
				  "or its value, under its serializers: %s",
				  blt_path(c->from), key);
	return fail_write(c, rc);
}

/* ---- one key ---- */

struct value {
	const struct convert *c;
	const struct blt_item *item;
	int failed; /* reading it */
};

/* From the file where it is there, which somebody may cut short. */
static int read_value(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct value *v = arg;
	int rc;

	if (!v->item->in_file) {
		memcpy(buf, v->item->value + offset, n);
		return 0;
	}
	rc = pread_all(blt_fd(v->c->from), buf, n,
		       v->item->value_offset + offset);
	if (rc < 0)
		v->failed = rc == -ENODATA ? -EIO : rc;
	return v->failed;
}

static int commit(struct convert *c)
{
	struct blt_batch *b = c->batch;
	int rc;

	c->batch = NULL;
	c->batch_bytes = c->batch_keys = 0;
	rc = b ? blt_batch_commit(b) : 0;
	if (rc < 0)
		return fail_write(c, rc);
	rc = c->progress ? c->progress(c->arg, min_u64(c->done, c->total),
				       c->total, c->keys) :
			   0;
	return rc < 0 ? store_fail(c->err, rc, "%s: stopped", c->path) : 0;
}

static int put_small(struct convert *c, struct value *v, int64_t time)
{
	const struct blt_item *item = v->item;
	int rc = c->batch ? 0 : blt_batch_new(c->to, &c->batch);

	if (rc < 0)
		return fail_write(c, rc);
	rc = read_value(v, c->buf, item->value_len, 0);
	if (rc < 0)
		return fail_read(c, rc);
	rc = blt_batch_put(c->batch, item->key, item->key_len, c->buf,
			   item->value_len, time);
	if (rc < 0)
		return fail_key(c, item, rc);
	c->batch_bytes += item->key_len + item->value_len;
	return ++c->batch_keys == BATCH_KEYS || c->batch_bytes >= BATCH_BYTES ?
		       commit(c) :
		       0;
}

static int put_large(struct convert *c, struct value *v, int64_t time)
{
	const struct blt_source source = { v->item->value_len, read_value, v };
	int rc = commit(c);

	if (rc < 0)
		return rc;
	rc = blt_put_from(c->to, v->item->key, v->item->key_len, &source, time);
	if (v->failed)
		return fail_read(c, v->failed);
	return rc < 0 ? fail_key(c, v->item, rc) : 0;
}

/* 1: the same bytes. */
static int is_same(struct convert *c, struct value *v,
		   const struct blt_view *there)
{
	uint64_t len = v->item->value_len, n;
	int rc = there->len == len;

	for (uint64_t at = 0; rc == 1 && at < len; at += n) {
		n = min_u64(SMALL_VALUE, len - at);
		rc = read_value(v, c->buf, n, at);
		if (rc < 0)
			return fail_read(c, rc);
		rc = memcmp(c->buf, there->data + at, n) == 0;
	}
	return rc;
}

/* What an earlier store has put: 1, 0: nothing. */
static int is_there(struct convert *c, struct value *v)
{
	char key[SHOWN_ROOM];
	struct blt_view there;
	int rc = blt_get(c->to, v->item->key, v->item->key_len, &there);

	if (rc < 0)
		return rc == -ENOENT ? 0 : fail_write(c, rc);
	rc = is_same(c, v, &there);
	blt_view_release(&there);
	if (rc != 0)
		return rc;
	show_bytes(v->item->key, v->item->key_len, key);
	return store_fail(c->err, -EEXIST,
			  "%s: has another value than the stores before it "
			  "for the key %s; delete it in one of them",
			  blt_path(c->from), key);
}

static int put(struct convert *c, const struct blt_item *item)
{
	struct value v = { c, item, 0 };
	int64_t time = item->timestamp < 0 ? c->time : item->timestamp;
	int rc = c->at ? is_there(c, &v) : 0;

	if (rc != 0)
		return rc < 0 ? rc : 0;
	c->keys++;
	c->done += item->key_len + item->value_len;
	if (item->in_file)
		c->done = item->value_offset + item->value_len;
	return item->value_len <= SMALL_VALUE ? put_small(c, &v, time) :
						put_large(c, &v, time);
}

static int put_all(struct convert *c)
{
	struct blt_item item;
	struct blt_iter *it;
	int rc = blt_iter_new(c->from, &it), put_rc = 0;

	if (rc < 0)
		return fail_read(c, rc);
	while (put_rc == 0 && (rc = blt_iter_next(it, &item)) > 0)
		put_rc = put(c, &item);
	blt_iter_free(it);
	if (put_rc == 0 && rc < 0)
		return fail_read(c, rc);
	if (put_rc == 0)
		put_rc = commit(c);
	blt_batch_abort(c->batch);
	return put_rc;
}

/* ---- the new store ---- */

static int refuse(const char *path, const struct blt_create_options *opts,
		  struct blt_error *err)
{
	if (strcmp(opts->engine, "booklet") != 0 &&
	    (opts->n_buckets || opts->value_len || opts->key_serializer ||
	     opts->value_serializer))
		return store_fail(err, -EINVAL,
				  "%s: a store of the engine %s has no buckets "
				  "and no serializers, and values of any "
				  "length",
				  path, opts->engine);
	return 0;
}

static int make(struct convert *c, const char *file,
		const struct blt_create_options *opts,
		const struct blt_info *info)
{
	struct blt_open_options how = { .mode = BLT_TRUNCATE,
					.engine = opts->engine,
					.alone = true,
					.create = *opts };
	struct blt_create_options *o = &how.create;
	struct blt_error err = { "" };
	size_t n = strlen(file);
	int rc;

	if (!o->key_serializer)
		o->key_serializer = info->key_serializer;
	if (!o->value_serializer && !o->value_len)
		o->value_serializer = info->value_serializer;
	if (!o->n_buckets && !info->n_buckets)
		o->n_buckets = format_next_buckets(
			(uint32_t)min_u64(info->n_keys, UINT32_MAX));
	rc = blt_open(file, &how, &c->to, &err);
	if (rc == 0)
		return 0;
	/* it has another name */
	return strncmp(err.text, file, n) ?
		       store_fail(c->err, rc, "%s", err.text) :
		       store_fail(c->err, rc, "%s%s", c->path, err.text + n);
}

static int fill(struct convert *c, const char *file,
		const struct blt_create_options *opts,
		const struct blt_info *info)
{
	int rc, rc2;

	c->buf = malloc(SMALL_VALUE);
	rc = c->buf ? make(c, file, opts, info) :
		      store_fail(c->err, -ENOMEM, "out of memory");
	if (rc == 0) {
		for (; rc == 0 && c->at < c->n_all; c->at++) {
			c->from = c->all[c->at];
			rc = put_all(c);
		}
		rc2 = blt_close(c->to);
		if (rc == 0 && rc2 < 0)
			rc = fail_write(c, rc2);
	}
	free(c->buf);
	return rc;
}

/* Whether what one holds can be put beside what the first does. */
static int check_alike(struct blt *first, struct blt *other,
		       struct blt_error *err)
{
	struct blt_info a, b;

	blt_get_info(first, &a);
	blt_get_info(other, &b);
	if (a.key_serializer == b.key_serializer &&
	    a.value_serializer == b.value_serializer &&
	    a.value_len == b.value_len)
		return 0;
	return store_fail(err, -EINVAL,
			  "%s: has other serializers, or another length of "
			  "values, than %s",
			  blt_path(other), blt_path(first));
}

int backend_merge(struct blt *const *all, size_t n, const char *path,
		  const struct blt_create_options *opts, bool replace,
		  blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	struct blt *from = all[0];
	struct convert c = { .all = all,
			     .n_all = n,
			     .from = from,
			     .path = path,
			     .progress = progress,
			     .arg = arg,
			     .err = err };
	struct store_place place;
	struct blt_info info;
	int rc = refuse(path, opts, err);

	if (rc < 0)
		return rc;
	blt_get_info(from, &info);
	c.total = info.file_size;
	c.time = info.modified;
	for (size_t i = 1; i < n && rc == 0; i++) {
		struct blt_info more;

		rc = check_alike(from, all[i], err);
		blt_get_info(all[i], &more);
		c.total += more.file_size;
		info.n_keys += more.n_keys;
		info.n_buckets = 0;
	}
	if (rc < 0)
		return rc;
	rc = store_place_begin(&place, from, path, replace, err);
	if (rc == 0)
		rc = fill(&c, place.temporary, opts, &info);
	if (rc == 0)
		rc = store_place_end(&place, err);
	store_place_release(&place);
	if (rc == 0 && progress)
		(void)progress(arg, c.total, c.total, c.keys);
	return rc;
}

int backend_convert(struct blt *from, const char *path,
		    const struct blt_create_options *opts, bool replace,
		    blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	return backend_merge(&from, 1, path, opts, replace, progress, arg, err);
}

#include "map/map_inner.h"

#include "blt_seq.h"
#include "booklet/format/serial.h"
#include "booklet/io/file.h"
#include "engine/backend.h"
#include "base/util.h"
#include "map/wire.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* So short a value is sooner copied here than read by a worker. */
#define COPY_MAX 4096

/* A key that was asked for, and what it had when the map began. */
struct map_listed {
	const struct map_key *key;
	struct blt_view view; /* held only where its bytes are in memory */
	bool there;
};

/* ---- opening ---- */

static int compare_keys(const void *one, const void *two)
{
	const struct map_key *a = ((const struct map_listed *)one)->key;
	const struct map_key *b = ((const struct map_listed *)two)->key;

	return compare_bytes(a->bytes, a->len, b->bytes, b->len);
}

static void drop_doubles(struct map_input *in)
{
	size_t n = 0;

	qsort(in->list, in->n_list, sizeof(*in->list), compare_keys);
	for (size_t i = 0; i < in->n_list; i++)
		if (!n || compare_keys(&in->list[n - 1], &in->list[i]))
			in->list[n++] = in->list[i];
	in->n_list = n;
}

/* All at the start: what the map itself writes must not be found later. */
static int look_up(struct map_input *in)
{
	const struct map_options *o = in->options;

	in->list = calloc(o->n_keys + 1, sizeof(*in->list));
	if (!in->list)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_keys; i++)
		in->list[i].key = &o->keys[i];
	in->n_list = o->n_keys;
	drop_doubles(in);
	for (size_t i = 0; i < in->n_list; i++) {
		struct map_listed *l = &in->list[i];
		int rc = blt_get(in->store, l->key->bytes, l->key->len,
				 &l->view);

		if (rc < 0 && rc != -ENOENT)
			return rc;
		l->there = rc == 0;
		if (l->there && l->view.fd >= 0)
			blt_view_release(&l->view); /* the walk keeps it */
	}
	in->total = in->n_list;
	return 0;
}

static bool in_shard(const struct map_options *o, const void *key, size_t len)
{
	return o->shards < 2 ||
	       blt_key_hash(key, len) % o->shards == o->shard - 1;
}

/* A list is in the order of its bytes. */
static void pass_settled(struct map_input *in, const struct ledger_row *row)
{
	const struct map_key last = { row->last.bytes, row->last.len };
	const struct map_listed to = { .key = &last };

	while (in->at < in->n_list && compare_keys(&in->list[in->at], &to) <= 0)
		in->at++;
}

static int open_walk(struct map_input *in, const struct ledger_row *row)
{
	const struct backend *is = in->store->backend;
	const void *after = row && row->has_last ? row->last.bytes : NULL;
	uint64_t settled = 0;

	if (!row || in->options->keys_only)
		return blt_iter_new(in->store, &in->iter);
	if (!is->iter_ordered)
		return -ENOTSUP;
	for (int i = 0; i < LEDGER__WHAT; i++)
		settled += row->count[i];
	if (in->options->shards)
		settled *= in->options->shards;
	in->total -= min_u64(in->total, settled);
	return is->iter_ordered(in->store, after, row->last.len, &in->iter);
}

int map_input_open(struct map_input *in, struct blt *store,
		   const struct map_options *options,
		   const struct ledger_row *row, struct blt_error *err)
{
	struct blt_info info;
	bool is_signed;
	int rc;

	blt_get_info(store, &info);
	*in = (struct map_input){
		.store = store,
		.options = options,
		.serializer = info.key_serializer,
		.has_markers =
			!options->flat && blt_takes_empty(store) &&
			!info.value_len &&
			!serial_int_width(info.key_serializer, &is_signed),
		.by_key = store->backend->database,
		.total = info.n_keys,
	};
	if ((options->newer_than || options->older_than) &&
	    !info.has_timestamps)
		return store_fail(err, -EINVAL,
				  "%s: keeps no times, so none is newer or "
				  "older",
				  blt_path(store));
	in->text = malloc(MAP_TEXT_ROOM);
	rc = in->text ? open_walk(in, row) : -ENOMEM;
	/* So that hardly a value has to be sent through a socket. */
	if (rc == 0)
		rc = blt_flush(store);
	if (rc == 0 && options->keys_only)
		rc = look_up(in);
	if (rc == 0 && options->keys_only && row && row->has_last)
		pass_settled(in, row);
	if (rc < 0)
		store_fail(err, rc, "%s: cannot be read: %s", blt_path(store),
			   strerror(-rc));
	return rc;
}

void map_input_close(struct map_input *in)
{
	for (size_t i = 0; in->list && i < in->n_list; i++)
		if (in->list[i].there && in->list[i].view.fd < 0)
			blt_view_release(&in->list[i].view);
	free(in->list);
	blt_iter_free(in->iter);
	free(in->text);
	*in = (struct map_input){ 0 };
}

/* ---- items ---- */

static bool is_marker(const struct map_input *in, const struct blt_item *item)
{
	return in->has_markers && item->key_len &&
	       item->key[item->key_len - 1] == '/' &&
	       (!item->value_len ||
		(item->value && blt_seq_is_mark(item->value, item->value_len)));
}

static bool fits_patterns(const struct map_input *in, const void *key,
			  size_t len)
{
	const struct map_options *o = in->options;

	if (!o->glob && !o->prefix)
		return true;
	if (map_text(in->serializer, key, len, in->text) < 0)
		return false;
	if (o->prefix && strncmp(in->text, o->prefix, strlen(o->prefix)) != 0)
		return false;
	return !o->glob || !fnmatch(o->glob, in->text, 0);
}

/* item's key is in memory. */
static bool wanted(const struct map_input *in, const struct blt_item *item)
{
	const struct map_options *o = in->options;

	if (is_marker(in, item) ||
	    (o->newer_than && item->timestamp <= o->newer_than) ||
	    (o->older_than && item->timestamp >= o->older_than))
		return false;
	return fits_patterns(in, item->key, item->key_len);
}

/* The keys of the options have no order; those of the input do. */
static bool lists(const struct map_input *in, const struct map_options *o,
		  const struct map_key *key)
{
	const struct map_listed l = { .key = key };

	if (o == in->options)
		return bsearch(&l, in->list, in->n_list, sizeof(l),
			       compare_keys);
	for (size_t i = 0; i < o->n_keys; i++)
		if (compare_bytes(o->keys[i].bytes, o->keys[i].len, key->bytes,
				  key->len) == 0)
			return true;
	return false;
}

bool map_input_takes(const struct map_input *in, const struct map_options *o,
		     const void *key, size_t len)
{
	const struct map_key k = { key, len };

	return fits_patterns(in, key, len) &&
	       (!o->keys_only || lists(in, o, &k));
}

/* What is in the file may have been cut off by somebody.  1, or 0: another
 * shard's, whose value is left alone. */
static int copy_item(const struct map_input *in, const struct blt_item *item,
		     struct pool_task *task)
{
	bool copy = !item->in_file || item->value_len <= COPY_MAX;
	int rc = file_copy(task->key, item->key, item->key_len);

	if (rc < 0 || !in_shard(in->options, task->key, item->key_len))
		return rc;
	if (copy) {
		task->value = malloc(item->value_len + 1);
		rc = task->value ? file_copy(task->value, item->value,
					     item->value_len) :
				   -ENOMEM;
	}
	return rc < 0 ? rc : 1;
}

/* 1, 0 or negative as copy_item. */
static int make_task(const struct map_input *in, const struct blt_item *item,
		     struct pool_task **ret)
{
	struct pool_task *task = calloc(1, sizeof(*task));
	int rc;

	if (!task)
		return -ENOMEM;
	task->key = malloc(item->key_len + 1);
	task->key_len = item->key_len;
	task->pos = item->value_offset;
	task->len = item->value_len;
	task->time = item->timestamp < 0 ? WIRE_NO_TIME : item->timestamp;
	rc = task->key ? copy_item(in, item, task) : -ENOMEM;
	if (rc <= 0)
		pool_task_free(task);
	else
		*ret = task;
	return rc;
}

static int take(struct map_input *in, const struct blt_item *item,
		struct pool_task **ret)
{
	struct blt_item copied = *item;
	struct pool_task *task = NULL;
	int rc;

	rc = make_task(in, item, &task);
	if (rc < 0)
		return rc;
	in->seen++;
	if (rc == 0) {
		*ret = NULL;
		return 1;
	}
	task->by_key = in->by_key && task->len > COPY_MAX;
	copied.key = task->key;
	if (!wanted(in, &copied)) {
		pool_task_free(task);
		task = NULL;
	}
	*ret = task;
	return 1;
}

static int next_listed(struct map_input *in, struct pool_task **ret,
		       const struct map_key **ret_missing)
{
	struct map_listed *l;
	struct blt_item item;

	if (in->at == in->n_list)
		return 0;
	l = &in->list[in->at++];
	if (!in_shard(in->options, l->key->bytes, l->key->len)) {
		in->seen++;
		*ret = NULL;
		return 1;
	}
	if (!l->there) {
		in->seen++;
		*ret_missing = l->key;
		return -ENOENT;
	}
	item = (struct blt_item){
		.key = l->key->bytes,
		.key_len = l->key->len,
		.value = l->view.data,
		.value_len = l->view.len,
		.timestamp = l->view.timestamp,
		.value_offset = l->view.offset,
		.in_file = l->view.fd >= 0,
	};
	return take(in, &item, ret);
}

int map_input_next(struct map_input *in, struct pool_task **ret,
		   const struct map_key **ret_missing)
{
	struct blt_item item;
	int rc;

	if (in->list)
		return next_listed(in, ret, ret_missing);
	rc = blt_iter_next(in->iter, &item);
	return rc <= 0 ? rc : take(in, &item, ret);
}

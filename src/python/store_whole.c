/* What concerns the whole store, and its hidden entries. */
#include "python/pyblt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLEAR_KEYS 1000

static struct store *store_of(PyObject *self)
{
	return (struct store *)self;
}

/* ---- clear ---- */

/* Some keys of a walk, back to back in one piece of memory. */
struct doomed {
	struct blt_iter *it;
	uint8_t *bytes;
	size_t room, used, n;
	size_t len[CLEAR_KEYS];
};

static int doomed_add(struct doomed *d, const struct blt_item *item)
{
	if (d->room - d->used < item->key_len) {
		size_t room = 2 * (d->used + item->key_len) + 4096;
		uint8_t *bigger = realloc(d->bytes, room);

		if (!bigger)
			return -ENOMEM;
		d->bytes = bigger;
		d->room = room;
	}
	memcpy(d->bytes + d->used, item->key, item->key_len);
	d->used += item->key_len;
	d->len[d->n++] = item->key_len;
	return 0;
}

/* Of the next keys, so many as there are, at most CLEAR_KEYS. */
static int doomed_gather(struct doomed *d)
{
	struct blt_item item;
	int rc = 0;

	d->n = d->used = 0;
	while (d->n < CLEAR_KEYS && (rc = blt_iter_next(d->it, &item)) > 0) {
		rc = doomed_add(d, &item);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

static int delete_batch(struct doomed *d, struct blt *blt)
{
	struct blt_batch *b;
	size_t at = 0;
	int rc = blt_batch_new(blt, &b);

	for (size_t i = 0; rc == 0 && i < d->n; at += d->len[i++]) {
		rc = blt_batch_delete(b, d->bytes + at, d->len[i]);
		if (rc < 0)
			blt_batch_abort(b);
	}
	return rc < 0 ? rc : blt_batch_commit(b);
}

/* One that another thread has deleted meanwhile ends a batch. */
static int delete_singly(struct doomed *d, struct blt *blt)
{
	size_t at = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->n; at += d->len[i++]) {
		rc = blt_delete(blt, d->bytes + at, d->len[i]);
		if (rc == -ENOENT)
			rc = 0;
	}
	return rc;
}

static int clear_keys(struct blt *blt)
{
	struct blt_iter_options how = { .no_values = true };
	struct doomed *d = calloc(1, sizeof(*d));
	int rc = d ? blt_iter_open(blt, &how, &d->it) : -ENOMEM;

	while (rc == 0 && (rc = doomed_gather(d)) == 0 && d->n) {
		rc = delete_batch(d, blt);
		if (rc == -ENOENT)
			rc = delete_singly(d, blt);
	}
	if (d) {
		blt_iter_free(d->it);
		free(d->bytes);
	}
	free(d);
	return rc;
}

static int clear_slots(struct blt *blt)
{
	int rc = 0;

	for (int i = BLT_METADATA; rc == 0 && i <= BLT_RESERVED_2; i++) {
		rc = blt_slot_delete(blt, (enum blt_slot)i);
		if (rc == -ENOENT || rc == -ENOTSUP)
			rc = 0;
	}
	return rc;
}

PyObject *store_clear(PyObject *self, PyObject *none)
{
	struct store *s = store_of(self);
	PyThreadState *thread;
	int rc;

	(void)none;
	if (store_changeable(s) < 0)
		return NULL;
	s->changes++;
	walks_drop(s);
	store_enter(s, &thread);
	rc = clear_keys(s->blt);
	if (rc == 0)
		rc = clear_slots(s->blt);
	/* an environment of LMDB uses its free pages again */
	if (rc == 0 && !s->together)
		rc = blt_prune(s->blt, NULL, NULL);
	store_leave(s, thread);
	if (rc < 0)
		return raise_errno(s, rc);
	Py_RETURN_NONE;
}

/* ---- prune, reindex, sync ---- */

struct keys {
	struct raw *raw;
	struct blt_bytes *bytes;
	size_t n;
};

static void keys_release(struct keys *keys)
{
	for (size_t i = 0; i < keys->n; i++)
		raw_release(&keys->raw[i]);
	PyMem_Free(keys->raw);
	PyMem_Free(keys->bytes);
}

static int keys_of(struct store *s, PyObject *list, struct keys *ret)
{
	size_t n = (size_t)PyList_Size(list);

	ret->n = 0;
	ret->raw = PyMem_Calloc(n + 1, sizeof(*ret->raw));
	ret->bytes = PyMem_Calloc(n + 1, sizeof(*ret->bytes));
	if (!ret->raw || !ret->bytes) {
		PyErr_NoMemory();
		return -1;
	}
	for (; ret->n < n; ret->n++) {
		struct raw *raw = &ret->raw[ret->n];

		if (codec_encode(&s->key,
				 PyList_GetItem(list, (Py_ssize_t)ret->n),
				 raw) < 0)
			return -1;
		ret->bytes[ret->n] = (struct blt_bytes){ raw->bytes, raw->len };
	}
	return 0;
}

/* Keys of that age, and blocks that were dead before. */
static PyObject *prune(struct store *s, const struct blt_prune_options *opts)
{
	struct blt_prune_result result = { 0 };
	struct blt_census census;
	PyThreadState *thread;
	int rc;

	if (store_changeable(s) < 0)
		return NULL;
	s->changes++;
	walks_drop(s);
	store_enter(s, &thread);
	rc = blt_count(s->blt, &census);
	if (rc == 0)
		rc = blt_prune(s->blt, opts, &result);
	store_leave(s, thread);
	if (rc < 0)
		return raise_errno(s, rc);
	return PyLong_FromUnsignedLongLong(
		result.dropped + (s->together ? 0 : census.dead_blocks));
}

/* _prune(time or None, list of keys) */
PyObject *store_prune(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct blt_prune_options opts = { 0 };
	struct keys keys = { 0 };
	PyObject *ret = NULL;

	if (arg_count("_prune", n, 2, 2) < 0)
		return NULL;
	if (args[0] != Py_None && arg_time(args[0], &opts.older_than) < 0)
		return NULL;
	if (keys_of(store_of(self), args[1], &keys) == 0) {
		opts.keep = keys.bytes;
		opts.n_keep = keys.n;
		ret = prune(store_of(self), &opts);
	}
	keys_release(&keys);
	return ret;
}

/* _reindex(n_buckets) */
PyObject *store_reindex(PyObject *self, PyObject *buckets)
{
	struct store *s = store_of(self);
	unsigned long n = PyLong_AsUnsignedLong(buckets);
	PyThreadState *thread;
	int rc;

	if (PyErr_Occurred() || store_changeable(s) < 0)
		return NULL;
	if (n > UINT32_MAX)
		return PyErr_Format(PyExc_ValueError,
				    "%lu buckets are too many", n);
	s->changes++;
	walks_drop(s);
	store_enter(s, &thread);
	rc = blt_reindex(s->blt, (uint32_t)n, NULL, NULL);
	store_leave(s, thread);
	if (rc < 0)
		return raise_errno(s, rc);
	Py_RETURN_NONE;
}

/* _sync(settle): durable, and with settle a plain booklet file. */
PyObject *store_sync(PyObject *self, PyObject *settle)
{
	struct store *s = store_of(self);
	bool plain = PyObject_IsTrue(settle);
	PyThreadState *thread;
	int rc;

	if (store_usable(s) < 0)
		return NULL;
	if (!s->writable)
		Py_RETURN_NONE;
	store_enter(s, &thread);
	rc = plain ? blt_settle(s->blt, false) : blt_sync(s->blt);
	store_leave(s, thread);
	if (rc < 0)
		return raise_errno(s, rc);
	Py_RETURN_NONE;
}

/* ---- metadata and reserved slots ---- */

/* _slot_get(slot): None, or (bytes, time). */
PyObject *store_slot_get(PyObject *self, PyObject *slot)
{
	struct store *s = store_of(self);
	long number = PyLong_AsLong(slot);
	PyThreadState *thread;
	struct blt_view view;
	PyObject *bytes;
	int64_t time;
	int rc;

	if (PyErr_Occurred() || store_usable(s) < 0)
		return NULL;
	store_enter(s, &thread);
	rc = blt_slot_get(s->blt, (enum blt_slot)number, &view);
	store_leave(s, thread);
	if (rc == -ENOENT)
		Py_RETURN_NONE;
	if (rc == 0) {
		time = view.timestamp;
		rc = view_take(s, &view, &bytes);
	}
	if (rc < 0)
		return raise_errno(s, rc);
	return rc ? NULL : Py_BuildValue("(NN)", bytes, time_object(time));
}

/* _slot_set(slot, bytes, time) */
PyObject *store_slot_set(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct store *s = store_of(self);
	PyThreadState *thread;
	struct raw raw;
	int64_t time;
	long number;
	int rc;

	if (arg_count("_slot_set", n, 3, 3) < 0 || store_changeable(s) < 0 ||
	    arg_time(args[2], &time) < 0)
		return NULL;
	number = PyLong_AsLong(args[0]);
	if (PyErr_Occurred() || raw_of_bytes(args[1], &raw) < 0)
		return NULL;
	s->changes++;
	store_enter(s, &thread);
	rc = blt_slot_put_at(s->blt, (enum blt_slot)number, raw.bytes, raw.len,
			     time);
	store_leave(s, thread);
	raw_release(&raw);
	if (rc < 0)
		return raise_errno(s, rc);
	Py_RETURN_NONE;
}

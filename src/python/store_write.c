/* Changing keys. */
#include "python/pyblt.h"

#include <errno.h>

#define PUT_KEYS 256         /* of _put_many, in one stay in the engine */
#define PUT_BYTES (1u << 20) /* the same */

static struct store *store_of(PyObject *self)
{
	return (struct store *)self;
}

static int put(struct store *s, const struct raw *key, const struct raw *value,
	       int64_t time)
{
	PyThreadState *thread;
	int rc;

	if (store_changeable(s) < 0)
		return -1;
	s->changes++;
	store_enter(s, &thread);
	rc = blt_put(s->blt, key->bytes, key->len, value->bytes, value->len,
		     time);
	store_leave(s, thread);
	if (rc < 0)
		raise_put(s, rc, key, value);
	return rc < 0 ? -1 : 0;
}

static int encode_pair(struct store *s, PyObject *key, PyObject *value,
		       bool encode, struct raw *ret_key, struct raw *ret_value)
{
	int rc = codec_encode(&s->key, key, ret_key);

	if (rc < 0)
		return rc;
	if (encode) {
		rc = codec_encode(&s->value, value, ret_value);
	} else if (PyBytes_Check(value)) {
		rc = raw_of_bytes(value, ret_value);
	} else {
		PyErr_Format(PyExc_TypeError,
			     "with encode_value=False the value must be bytes, "
			     "not %R",
			     Py_TYPE(value));
		rc = -1;
	}
	if (rc < 0)
		raw_release(ret_key);
	return rc;
}

static int set_pair(struct store *s, PyObject *key, PyObject *value,
		    int64_t time, bool encode)
{
	struct raw k, v;
	int rc;

	if (store_changeable(s) < 0 ||
	    encode_pair(s, key, value, encode, &k, &v) < 0)
		return -1;
	rc = put(s, &k, &v, time);
	raw_release(&k);
	raw_release(&v);
	return rc;
}

/* What one key's change comes to: -1 with an exception, KeyError too. */
static int changed(struct store *s, int rc, PyObject *key,
		   const struct raw *raw)
{
	if (rc == -ENOENT)
		PyErr_SetObject(PyExc_KeyError, key);
	else if (rc < 0)
		raise_put(s, rc, raw, NULL);
	return rc < 0 ? -1 : 0;
}

static int remove_key(struct store *s, PyObject *key)
{
	PyThreadState *thread;
	struct raw raw;
	int rc;

	if (store_changeable(s) < 0 || codec_encode(&s->key, key, &raw) < 0)
		return -1;
	if (store_changeable(s) < 0) {
		raw_release(&raw);
		return -1;
	}
	store_enter(s, &thread);
	rc = blt_delete(s->blt, raw.bytes, raw.len);
	store_leave(s, thread);
	s->changes += rc == 0;
	rc = changed(s, rc, key, &raw);
	raw_release(&raw);
	return rc;
}

int store_assign(PyObject *self, PyObject *key, PyObject *value)
{
	struct store *s = store_of(self);

	return value ? set_pair(s, key, value, BLT_NOW, true) :
		       remove_key(s, key);
}

/* _set(key, value, time, encode) */
PyObject *store_set(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	int64_t time;

	if (arg_count("_set", n, 4, 4) < 0 || arg_time(args[2], &time) < 0 ||
	    set_pair(store_of(self), args[0], args[1], time,
		     PyObject_IsTrue(args[3])) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* _set_time(key, time) */
PyObject *store_set_time(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct store *s = store_of(self);
	PyThreadState *thread;
	struct raw raw;
	int64_t time;
	int rc;

	if (arg_count("_set_time", n, 2, 2) < 0 ||
	    arg_time(args[1], &time) < 0 || store_changeable(s) < 0 ||
	    codec_encode(&s->key, args[0], &raw) < 0)
		return NULL;
	if (store_changeable(s) < 0) {
		raw_release(&raw);
		return NULL;
	}
	store_enter(s, &thread);
	rc = blt_touch(s->blt, raw.bytes, raw.len, time);
	store_leave(s, thread);
	rc = changed(s, rc, args[0], &raw);
	raw_release(&raw);
	if (rc < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* ---- many ---- */

struct pairs {
	struct raw key[PUT_KEYS], value[PUT_KEYS];
	size_t n, bytes;
};

static int put_together(struct store *s, const struct pairs *p, size_t *ret_at)
{
	struct blt_batch *b;
	int rc = blt_batch_new(s->blt, &b);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		*ret_at = i;
		rc = blt_batch_put(b, p->key[i].bytes, p->key[i].len,
				   p->value[i].bytes, p->value[i].len, BLT_NOW);
	}
	if (rc == 0)
		return blt_batch_commit(b);
	blt_batch_abort(b);
	return rc;
}

static int put_singly(struct store *s, const struct pairs *p, size_t *ret_at)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		*ret_at = i;
		rc = blt_put(s->blt, p->key[i].bytes, p->key[i].len,
			     p->value[i].bytes, p->value[i].len, BLT_NOW);
	}
	return rc;
}

/* Stores what was gathered, and releases it whatever the result. */
static int pairs_put(struct pairs *p, struct store *s)
{
	PyThreadState *thread;
	size_t at = 0;
	int rc = 0;

	if (p->n && store_changeable(s) < 0)
		rc = -1;
	if (p->n && rc == 0) {
		s->changes++;
		store_enter(s, &thread);
		rc = s->together ? put_together(s, p, &at) :
				   put_singly(s, p, &at);
		store_leave(s, thread);
		if (rc < 0)
			raise_put(s, rc, &p->key[at], &p->value[at]);
	}
	for (size_t i = 0; i < p->n; i++) {
		raw_release(&p->key[i]);
		raw_release(&p->value[i]);
	}
	p->n = p->bytes = 0;
	return rc < 0 ? -1 : 0;
}

static int pairs_add(struct pairs *p, struct store *s, PyObject *pair)
{
	PyObject *two = PySequence_Tuple(pair);
	int rc = -1;

	if (two && PyTuple_Size(two) != 2)
		PyErr_Format(PyExc_ValueError,
			     "an element has %zd items; 2 are expected, a key "
			     "and a value",
			     PyTuple_Size(two));
	else if (two)
		rc = encode_pair(s, PyTuple_GetItem(two, 0),
				 PyTuple_GetItem(two, 1), true, &p->key[p->n],
				 &p->value[p->n]);
	Py_XDECREF(two);
	if (rc == 0) {
		p->bytes += p->key[p->n].len + p->value[p->n].len;
		p->n++;
	}
	return rc;
}

static int put_pairs(struct store *s, PyObject *it, struct pairs *p)
{
	PyObject *pair;
	int rc = 0;

	while (rc == 0 && (pair = PyIter_Next(it))) {
		rc = pairs_add(p, s, pair);
		Py_DECREF(pair);
		if (rc == 0 && (p->n == PUT_KEYS || p->bytes >= PUT_BYTES))
			rc = pairs_put(p, s);
	}
	return PyErr_Occurred() ? -1 : rc;
}

/* The pairs in front of one that fails are stored, as by single puts. */
static void put_before_error(struct store *s, struct pairs *p)
{
	PyObject *kind, *value, *trace;

	PyErr_Fetch(&kind, &value, &trace);
	if (pairs_put(p, s) < 0)
		PyErr_Clear();
	PyErr_Restore(kind, value, trace);
}

/* _put_many(pairs) */
PyObject *store_put_many(PyObject *self, PyObject *pairs)
{
	struct store *s = store_of(self);
	struct pairs *p;
	PyObject *it;
	int rc = -1;

	if (store_changeable(s) < 0)
		return NULL;
	p = PyMem_Calloc(1, sizeof(*p));
	if (!p)
		return PyErr_NoMemory();
	it = PyObject_GetIter(pairs);
	if (it)
		rc = put_pairs(s, it, p);
	if (rc < 0)
		put_before_error(s, p);
	else
		rc = pairs_put(p, s);
	Py_XDECREF(it);
	PyMem_Free(p);
	if (rc < 0)
		return NULL;
	Py_RETURN_NONE;
}

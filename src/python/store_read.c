/* Reading one key. */
#include "python/pyblt.h"

#include <errno.h>

/* Up to this size a value is copied to the stack while the GIL is released. */
#define SMALL 2048

static struct store *store_of(PyObject *self)
{
	return (struct store *)self;
}

int view_take(struct store *s, struct blt_view *view, PyObject **ret)
{
	PyObject *bytes =
		PyBytes_FromStringAndSize(NULL, (Py_ssize_t)view->len);
	char *to = bytes ? PyBytes_AsString(bytes) : NULL;
	int64_t got = 1;

	if (bytes && view->len <= SMALL) {
		got = blt_view_copy(view, to, view->len, 0);
		blt_view_release(view);
	} else if (bytes) {
		PyThreadState *thread;

		store_enter(s, &thread);
		got = blt_view_copy(view, to, view->len, 0);
		blt_view_release(view);
		store_leave(s, thread);
	} else {
		blt_view_release(view);
	}
	if (!bytes)
		return 1;
	if (got < 0) {
		Py_DECREF(bytes);
		return (int)got;
	}
	*ret = bytes;
	return 0;
}

/* One value on its way out of the engine. */
struct found {
	struct blt_view view; /* held where it is no small one */
	size_t len;
	int64_t time;
	bool small;
	char bytes[SMALL];
};

static int find(struct store *s, const struct raw *key, struct found *ret)
{
	PyThreadState *thread;
	int rc;

	ret->small = false;
	store_enter(s, &thread);
	rc = blt_get(s->blt, key->bytes, key->len, &ret->view);
	if (rc == 0) {
		ret->len = ret->view.len;
		ret->time = ret->view.timestamp;
		ret->small = ret->len <= SMALL;
	}
	if (rc == 0 && ret->small) {
		int64_t got = blt_view_copy(&ret->view, ret->bytes, SMALL, 0);

		rc = got < 0 ? (int)got : 0;
		blt_view_release(&ret->view);
	}
	store_leave(s, thread);
	return rc;
}

/* 0, a negative errno, or 1 with an exception set. */
static int take(struct store *s, struct found *found, bool decode,
		PyObject **ret)
{
	static const struct codec plain = { .kind = CODEC_BYTES };
	const struct codec *codec = decode ? &s->value : &plain;
	PyObject *bytes;
	int rc;

	if (found->small) {
		*ret = codec_decode(codec, found->bytes, found->len);
		return *ret ? 0 : 1;
	}
	rc = view_take(s, &found->view, &bytes);
	if (rc)
		return rc;
	*ret = codec_decode_object(codec, bytes);
	return *ret ? 0 : 1;
}

/* The value, or NULL: without an exception where the key is not there.
 * ret_time may be NULL. */
static PyObject *look_up(struct store *s, PyObject *key, bool decode,
			 int64_t *ret_time)
{
	PyObject *value = NULL;
	struct found found;
	struct raw raw;
	int rc;

	if (store_usable(s) < 0 || codec_encode(&s->key, key, &raw) < 0)
		return NULL;
	/* which ran code of the caller's */
	if (store_usable(s) < 0) {
		raw_release(&raw);
		return NULL;
	}
	rc = find(s, &raw, &found);
	if (rc == 0)
		rc = take(s, &found, decode, &value);
	raw_release(&raw);
	if (rc == 0 && ret_time)
		*ret_time = found.time;
	if (rc < 0 && rc != -ENOENT)
		raise_errno(s, rc);
	return value;
}

PyObject *store_subscript(PyObject *self, PyObject *key)
{
	PyObject *value = look_up(store_of(self), key, true, NULL);

	if (!value && !PyErr_Occurred())
		PyErr_SetObject(PyExc_KeyError, key);
	return value;
}

/* The arguments key and default, by place or by name. */
static int get_arguments(PyObject *const *args, Py_ssize_t n, PyObject *names,
			 PyObject **ret)
{
	static const char *const known[] = { "key", "default" };
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;

	if (arg_count("get", n + named, 1, 2) < 0)
		return -1;
	for (Py_ssize_t i = 0; i < n; i++)
		ret[i] = args[i];
	for (Py_ssize_t i = 0; i < named; i++) {
		PyObject *name = PyTuple_GetItem(names, i);
		int at = PyUnicode_CompareWithASCIIString(name, known[1]) == 0;

		if ((!at && PyUnicode_CompareWithASCIIString(name, known[0])) ||
		    at < n) {
			PyErr_Format(PyExc_TypeError,
				     "get has no use for the argument %U",
				     name);
			return -1;
		}
		ret[at] = args[n + i];
	}
	if (ret[0])
		return 0;
	PyErr_SetString(PyExc_TypeError, "get needs a key");
	return -1;
}

PyObject *store_get(PyObject *self, PyObject *const *args, Py_ssize_t n,
		    PyObject *names)
{
	PyObject *given[2] = { NULL, Py_None }, *value;

	if (get_arguments(args, n, names, given) < 0)
		return NULL;
	value = look_up(store_of(self), given[0], true, NULL);
	if (value || PyErr_Occurred())
		return value;
	Py_INCREF(given[1]);
	return given[1];
}

static int stat_key(struct store *s, PyObject *key, struct blt_stat *ret)
{
	PyThreadState *thread;
	struct raw raw;
	int rc;

	if (store_usable(s) < 0 || codec_encode(&s->key, key, &raw) < 0)
		return 1;
	if (store_usable(s) < 0) {
		raw_release(&raw);
		return 1;
	}
	store_enter(s, &thread);
	rc = blt_stat_key(s->blt, raw.bytes, raw.len, ret);
	store_leave(s, thread);
	raw_release(&raw);
	return rc;
}

int store_contains(PyObject *self, PyObject *key)
{
	struct store *s = store_of(self);
	struct blt_stat stat;
	int rc = stat_key(s, key, &stat);

	if (rc == 0)
		return 1;
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		raise_errno(s, rc);
	return -1;
}

/* _get_time(key, include_value, decode_value): None; the time; or (time,
 * value). */
PyObject *store_get_time(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct store *s = store_of(self);
	struct blt_stat stat;
	PyObject *value;
	int rc;

	if (arg_count("_get_time", n, 3, 3) < 0)
		return NULL;
	if (!PyObject_IsTrue(args[1])) {
		rc = stat_key(s, args[0], &stat);
		if (rc == -ENOENT)
			Py_RETURN_NONE;
		if (rc < 0)
			return raise_errno(s, rc);
		return rc ? NULL : time_object(stat.timestamp);
	}
	value = look_up(s, args[0], PyObject_IsTrue(args[2]), &stat.timestamp);
	if (!value) {
		if (PyErr_Occurred())
			return NULL;
		Py_RETURN_NONE;
	}
	return Py_BuildValue("(NN)", time_object(stat.timestamp), value);
}

Py_ssize_t store_length(PyObject *self)
{
	struct store *s = store_of(self);
	PyThreadState *thread;
	struct blt_info info;

	if (store_usable(s) < 0)
		return -1;
	store_enter(s, &thread);
	blt_get_info(s->blt, &info);
	store_leave(s, thread);
	return (Py_ssize_t)info.n_keys;
}

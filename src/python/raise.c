/* Exceptions, and arguments. */
#include "python/pyblt.h"

#include <errno.h>
#include <string.h>

PyObject *raise_errno(const struct store *s, int rc)
{
	const char *path = s && s->blt ? blt_path(s->blt) : NULL;
	struct blt_info info;

	switch (rc) {
	case -ENOMEM:
		return PyErr_NoMemory();
	case -EROFS:
		PyErr_SetString(PyExc_ValueError,
				"the store is open for reading only");
		return NULL;
	case -EINVAL:
	case -ENAMETOOLONG:
	case -EFBIG:
		return PyErr_Format(PyExc_ValueError, "%s", strerror(-rc));
	case -ENOTSUP:
		if (!path)
			break;
		blt_get_info(s->blt, &info);
		return PyErr_Format(PyExc_NotImplementedError,
				    "%s: a store of the engine %s%s has none "
				    "of this",
				    path, info.engine,
				    info.value_len ? " with values of a fixed "
						     "length" :
						     "");
	case -EUCLEAN:
		if (!path)
			break;
		return PyErr_Format(PyExc_ValueError,
				    "%s: the store is damaged; run: blt check "
				    "%s",
				    path, path);
	default:
		break;
	}
	errno = -rc;
	return path ? PyErr_SetFromErrnoWithFilename(PyExc_OSError, path) :
		      PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *raise_value(const struct store *s, int rc,
			     const struct raw *value)
{
	struct blt_info info;
	const char *name;

	blt_get_info(s->blt, &info);
	if (rc == -EFBIG)
		return PyErr_Format(PyExc_ValueError,
				    "the value has %zu bytes; at most %llu fit",
				    value->len,
				    (unsigned long long)info.value_max);
	if (info.value_len)
		return PyErr_Format(PyExc_ValueError,
				    "the value has %zu bytes; values of this "
				    "store have %u",
				    value->len, (unsigned)info.value_len);
	name = blt_serializer_name(info.value_serializer);
	return PyErr_Format(PyExc_ValueError,
			    "the value's bytes would not load under the "
			    "store's serializer, %s",
			    name ? name : "a class of its own");
}

PyObject *raise_put(const struct store *s, int rc, const struct raw *key,
		    const struct raw *value)
{
	int why = blt_check_key(s->blt, key->bytes, key->len);

	if (why == -ENAMETOOLONG || rc == -ENAMETOOLONG)
		return PyErr_Format(PyExc_ValueError,
				    "the key has %zu bytes, more than the "
				    "store takes",
				    key->len);
	if (why == -EINVAL)
		return PyErr_Format(PyExc_ValueError,
				    "the key would not load under the store's "
				    "key serializer, or is one of booklet's "
				    "reserved keys");
	why = value ? blt_check_value(s->blt, value->bytes, value->len) : 0;
	if (why == -EINVAL || why == -EFBIG)
		return raise_value(s, why, value);
	if (rc == -EINVAL)
		return PyErr_Format(PyExc_ValueError,
				    "a timestamp is from 0 (1970) on and has "
				    "at most 7 bytes of microseconds");
	return raise_errno(s, rc);
}

/* ---- arguments ---- */

int arg_count(const char *name, Py_ssize_t n, Py_ssize_t min, Py_ssize_t max)
{
	if (n >= min && n <= max)
		return 0;
	PyErr_Format(PyExc_TypeError, "%s takes %zd to %zd arguments, not %zd",
		     name, min, max, n);
	return -1;
}

int arg_time(PyObject *obj, int64_t *ret)
{
	long long time;

	if (obj == Py_None) {
		*ret = BLT_NOW;
		return 0;
	}
	time = PyLong_AsLongLong(obj);
	if (time == -1 && PyErr_Occurred())
		return -1;
	if (time < 0) {
		PyErr_SetString(PyExc_ValueError,
				"a timestamp is microseconds from 1970 on");
		return -1;
	}
	*ret = time;
	return 0;
}

PyObject *time_object(int64_t time)
{
	if (time == BLT_NO_TIME)
		Py_RETURN_NONE;
	return PyLong_FromLongLong(time);
}
